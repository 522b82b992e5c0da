//! `cargo xtask demo`: the main job, to be seen. The stand-in servers run as a program of their own (`dev/sandbox`), so
//! that this one stays quick to build.

use std::env;
use std::io::{BufRead, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::dist;
use crate::setup::{self, Need};
use crate::workspace::{Result, Workspace, run};

const JHE_PORT: u16 = 8010;
const EHR_PORT: u16 = 8020;

/// A JHE to be shown, by the name of its version: it is also its page's.
pub(crate) const PATIENT_ACCESS: &str = "patient-access";
pub(crate) const MYCHART: &str = "mychart";

/// Builds everything, starts the servers and shows the invitation link, until Ctrl-C.
pub(crate) fn serve(workspace: &Workspace, version: &str) -> Result<ExitCode> {
    eprintln!("Tools");
    setup::install_missing(workspace, dist::NEEDS)?;
    dist::build(workspace)?;
    eprintln!("Building the stand-in servers (about a minute the first time)");
    run(&mut workspace.command("cargo", &["build", "--quiet", "--package", "sandbox"]))?;

    let mut servers = Servers::start(workspace, version, [JHE_PORT, EHR_PORT])?;
    servers.wait_until_ready()?;
    let link = invitation_link(version)?;
    print_link(&link);
    println!(
        "  Press Enter for a fresh link (each works once, and only the newest one), Ctrl-C to end.\n"
    );
    open_in_browser(workspace, &link);

    // Ends with the program; without a terminal it ends at once.
    let version = version.to_owned();
    thread::spawn(move || {
        for _ in std::io::stdin().lock().lines().map_while(|line| line.ok()) {
            match invitation_link(&version) {
                Ok(link) => print_link(&link),
                Err(error) => eprintln!("no fresh link: {error}"),
            }
        }
    });
    let status = servers.child.wait()?;
    Err(format!("the stand-in servers ended with {status}").into())
}

/// The same journey in headless Chromium, with servers of its own.
pub(crate) fn headless(workspace: &Workspace) -> Result<ExitCode> {
    eprintln!("Tools");
    setup::install_missing(workspace, dist::NEEDS)?;
    setup::install_missing(workspace, &[Need::Browser])?;
    dist::build(workspace)?;
    eprintln!("Building the journey (about two minutes the first time)");
    run(&mut workspace.command(
        "cargo",
        &["run", "--quiet", "--package", "e2e", "--bin", "demo"],
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Both stand-in servers; they end with this value. (Ctrl-C reaches them by itself, as the terminal sends it to both.)
pub(crate) struct Servers {
    child: Child,
    ports: [u16; 2],
}

impl Servers {
    /// Starts them at these ports, JHE's first.
    pub(crate) fn start(workspace: &Workspace, version: &str, ports: [u16; 2]) -> Result<Servers> {
        let texts = ports.map(|port| port.to_string());
        let mut command =
            workspace.command("cargo", &["run", "--quiet", "--package", "sandbox", "--"]);
        command
            .args(["--jhe-port", &texts[0], "--ehr-port", &texts[1]])
            .args(["--bundle", "dist", "--version", version])
            .stdin(Stdio::null())
            // It prints links of its own, which the one that we ask for supersedes.
            .stdout(Stdio::null());
        let child = command
            .spawn()
            .map_err(|error| format!("the stand-in servers cannot be started: {error}"))?;
        Ok(Servers { child, ports })
    }

    pub(crate) fn wait_until_ready(&mut self) -> Result {
        let [jhe, ehr] = self.ports;
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!(
                    "the stand-in servers ended with {status}: are the ports {jhe} and {ehr} free?"
                )
                .into());
            }
            if TcpStream::connect(("localhost", jhe)).is_ok()
                && TcpStream::connect(("localhost", ehr)).is_ok()
            {
                return Ok(());
            }
            if started.elapsed() > Duration::from_secs(60) {
                return Err("the stand-in servers did not answer within a minute".into());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Fails if they have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn print_link(link: &str) {
    println!(
        "\n  A study invites its patient with this link:\n\n      {link}\n\n  \
         Every stand-in hospital knows the login   fhircamila / epicepic1\n"
    );
}

fn open_in_browser(workspace: &Workspace, link: &str) {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else if env::var_os("DISPLAY").is_some() || env::var_os("WAYLAND_DISPLAY").is_some() {
        "xdg-open"
    } else {
        return;
    };
    // The link is on the screen, so that a desktop without this program loses nothing.
    let _ = workspace
        .command(opener, &[link])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
}

/// Asks the sandbox for an invitation of its first patient.
fn invitation_link(version: &str) -> Result<String> {
    let mut connection = TcpStream::connect(("localhost", JHE_PORT))?;
    write!(
        connection,
        "POST /_sandbox/invitations HTTP/1.1\r\nHost: localhost:{JHE_PORT}\r\nContent-Type: application/json\r\n\
         Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    )?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    link_in(&answer, version).ok_or_else(|| {
        let status = answer.lines().next().unwrap_or("nothing");
        format!("the sandbox gave no invitation link but {status}").into()
    })
}

/// The link to JHE's own page in the sandbox's answer.
fn link_in(answer: &str, version: &str) -> Option<String> {
    let page = format!("/clients/{version}/?code=");
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?;
    if !status.starts_with('2') {
        return None;
    }
    let body: serde_json::Value = serde_json::from_str(body).ok()?;
    body.as_object()?
        .values()
        .filter_map(serde_json::Value::as_str)
        .find(|text| text.contains(&page))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_is_read_from_the_sandboxs_answer() {
        let answer = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n\
                      {\"token\":\"t\",\"plain\":\"http://localhost:8010/static/jhe-connect/index.html?code=a_t\",\
                      \"drop_in\":\"http://localhost:8010/clients/mychart/?code=a_t\"}";
        assert_eq!(
            link_in(answer, MYCHART).as_deref(),
            Some("http://localhost:8010/clients/mychart/?code=a_t")
        );
        assert_eq!(link_in(answer, PATIENT_ACCESS), None);
    }

    #[test]
    fn a_refusal_has_no_link() {
        let answer = "HTTP/1.1 404 Not Found\r\n\r\n{\"a\":\"http://x/clients/mychart/?code=b\"}";
        assert_eq!(link_in(answer, MYCHART), None);
        assert_eq!(link_in("", MYCHART), None);
    }
}
