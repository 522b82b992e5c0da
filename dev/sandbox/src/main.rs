//! `cargo run -p sandbox`: both servers, until Ctrl-C.

use std::path::PathBuf;
use std::process::ExitCode;

use sandbox::{JheVersion, Layout, Options, Sandbox, Vendor};

const USAGE: &str = "\
usage: sandbox [--version mychart|patient-access] [--jhe-port PORT] [--ehr-port PORT]
               [--bundle DIR] [--no-csp]
  --version    which JupyterHealth Exchange it is (mychart)
  --jhe-port   port of the stand-in for JupyterHealth Exchange (8010)
  --ehr-port   port of the stand-in for the EHR (8020)
  --bundle     the built bundle to serve, as `cargo xtask dist` lays it out (none)
  --no-csp     sends the pages without a Content-Security-Policy";

#[tokio::main]
async fn main() -> ExitCode {
    let (options, version) = match options(std::env::args().skip(1)) {
        Ok(wishes) => wishes,
        Err(problem) => {
            eprintln!("{problem}\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let sandbox = match Sandbox::start(options).await {
        Ok(sandbox) => sandbox,
        Err(error) => {
            eprintln!("The sandbox can't start: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!(
        "JHE  {}  (control API: {}/_sandbox/)",
        sandbox.jhe(),
        sandbox.jhe()
    );
    sandbox.world().settings.jhe.version = version;
    for vendor in Vendor::ALL {
        println!(
            "EHR  {}  ({})",
            sandbox.iss_of(vendor),
            vendor.facility_name()
        );
    }
    println!();
    let own_page = match version {
        JheVersion::Mychart => Layout::DropIn,
        JheVersion::PatientAccess => Layout::PatientAccess,
    };
    // One invitation serves both pages: a second one would supersede the first.
    let plain = sandbox.invitation_link(Layout::Plain);
    let query = plain.split_once('?').map_or("", |(_, query)| query);
    println!("Invitation, plain pages    {plain}");
    println!(
        "Invitation, JHE's own page {}{}?{query}",
        sandbox.jhe(),
        own_page.connect_path()
    );
    println!("Sign in at the EHR with    fhircamila / epicepic1");
    match tokio::signal::ctrl_c().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<(Options, JheVersion), String> {
    let mut version = JheVersion::Mychart;
    let mut options = Options {
        jhe_port: 8010,
        ehr_port: 8020,
        ..Options::default()
    };
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "--jhe-port" => options.jhe_port = port(&value()?)?,
            "--ehr-port" => options.ehr_port = port(&value()?)?,
            "--bundle" => options.bundle = Some(PathBuf::from(value()?)),
            "--version" => version = self::version(&value()?)?,
            "--no-csp" => options.content_security_policy = false,
            _ => return Err(format!("unknown argument {name}")),
        }
    }
    Ok((options, version))
}

fn version(text: &str) -> Result<JheVersion, String> {
    match text {
        "mychart" => Ok(JheVersion::Mychart),
        "patient-access" => Ok(JheVersion::PatientAccess),
        _ => Err(format!("{text} is no version")),
    }
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text} is not a port"))
}
