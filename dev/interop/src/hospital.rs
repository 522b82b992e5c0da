//! The hospital: started once for all journeys, on free ports, and ended with the process that started it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use e2e::bundle::workspace;
use e2e::journey::{Journey, Login};
use sandbox::Layout;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::installed;

/// Whose records are HL7's examples: one of each kind of Observation.
pub const PETER: Login = Login {
    user: "peter",
    password: "epicepic1",
};
/// His mother, who signs in for him.
pub const ELISABETH: Login = Login {
    user: "elisabeth",
    password: "epicepic1",
};
/// Has more records than the others, if [`Hospital::give_many`] gave them.
pub const MANY: Login = Login {
    user: "many",
    password: "epicepic1",
};

/// What an app asks for.
pub const SCOPES: &str =
    "openid fhirUser offline_access launch/patient patient/Patient.read patient/Observation.read";

/// Runs the servers, and ends them (the whole process group) when standard input is closed, which happens however this
/// process ends: a test run that is killed leaves nothing behind.
const KEEPER: &str = r#"
    folder=$(mktemp -d) || exit
    "$0" "$1" "$2" "$3" "$folder" </dev/null &
    exec >&- 2>&-
    read -r _
    trap : TERM
    kill 0
    wait
    rm -rf "$folder" || { sleep 1; rm -rf "$folder"; }
"#;

/// The running servers.
#[derive(Debug)]
pub struct Hospital {
    addresses: Addresses,
    _keeper: Child,
    _leash: Option<ChildStdin>,
}

#[derive(Debug, Deserialize)]
struct Addresses {
    base: String,
    issuer: String,
    control: String,
    upstream: String,
}

/// How an app is registered at the hospital.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How long an access token lives.
    pub seconds: u32,
    /// The redirect URI, if it is not the one that our page sends.
    pub redirect_uri: Option<fn(&str) -> String>,
    /// Is the page's origin one that may read records?
    pub knows_origin: bool,
    /// An `iss` that is none of this hospital, in the answer to the authorization request.
    pub answer_iss: Option<&'static str>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            seconds: 3600,
            redirect_uri: None,
            knows_origin: true,
            answer_iss: None,
        }
    }
}

/// The app of one journey.
#[derive(Debug)]
pub struct App {
    /// Where it is registered.
    pub hospital: &'static Hospital,
    /// Its client id.
    pub id: String,
    origin: String,
}

/// A request that a server of the hospital was sent.
#[derive(Debug, Clone, Deserialize)]
pub struct Request {
    /// `fhir` or `authorization`.
    pub server: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The header `Origin`, or nothing.
    pub origin: String,
    /// The header `Authorization`, or nothing.
    pub authorization: String,
    /// The fields of its form.
    pub body: Map<String, Value>,
    /// Which app it was about, as far as that could be told.
    pub client: Option<String>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// `Access-Control-Allow-Origin` of the answer.
    pub allowed: Option<String>,
}

impl Request {
    /// A field of its form.
    pub fn field(&self, name: &str) -> &str {
        self.body.get(name).and_then(Value::as_str).unwrap_or("")
    }

    /// A parameter of its query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let (_, value) = pairs.find(|(it, _)| it == name)?;
        Some(value.into_owned())
    }

    /// The bearer token that it carried.
    pub fn bearer(&self) -> Option<&str> {
        self.authorization.strip_prefix("Bearer ")
    }
}

impl Hospital {
    /// The one that all journeys share: its servers take seconds to start.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Hospital, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| Self::start().map_err(|error| format!("{error:#}")));
        started.as_ref().map_err(|error| anyhow!("{error}"))
    }

    fn start() -> Result<Self> {
        let script = workspace().join("dev/interop/servers/hospital.mjs");
        let (modules, python) = (installed("node_modules"), installed("venv/bin/python"));
        ensure!(
            modules.is_dir() && python.exists(),
            "the servers are not installed. Run `cargo xtask test --part interop`, which installs them"
        );
        let mut keeper = Command::new("sh")
            .args(["-c", KEEPER, "node"])
            .args([script, modules, python])
            // Of its own: Ctrl-C is for this process, and the keeper sees it end.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting sh, which starts node")?;
        let leash = keeper.stdin.take();
        let stdout = keeper.stdout.take().context("no standard output")?;
        let stderr = keeper.stderr.take().context("no standard error")?;
        let complaints = collected(stderr);
        let mut lines = BufReader::new(stdout).lines();
        let ready = lines.by_ref().map_while(Result::ok);
        let mut ready = ready.filter(|line| line.starts_with('{'));
        let addresses = ready.next().with_context(|| {
            let complaints = complaints.lock().unwrap_or_else(PoisonError::into_inner);
            format!("the hospital did not start:\n{complaints}")
        })?;
        // Whatever it says later is read and dropped, since a full pipe would stop it.
        thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            addresses: serde_json::from_str(&addresses)?,
            _keeper: keeper,
            _leash: leash,
        })
    }

    /// The FHIR base.
    pub fn base(&self) -> &str {
        &self.addresses.base
    }

    /// The address, and the name, of the authorization server.
    pub fn issuer(&self) -> &str {
        &self.addresses.issuer
    }

    /// Registers the plain pages of a journey as an app of this hospital, and this hospital in the pages.
    pub fn register(&'static self, journey: &Journey, terms: &Terms) -> Result<App> {
        let origin = journey.sandbox.jhe().to_owned();
        let callback = format!("{origin}{}", Layout::Plain.callback_path());
        let registered: Value = self.post(
            "/apps",
            &json!({
                "redirect_uri": terms.redirect_uri.map_or(callback.clone(), |it| it(&callback)),
                "origin": terms.knows_origin.then_some(&origin),
                "seconds": terms.seconds,
                "answer_iss": terms.answer_iss,
            }),
        )?;
        let id = registered["client_id"].as_str().context("a client id")?;
        let mut world = journey.world();
        let jhe = &mut world.settings.jhe;
        let fhir = url::Url::parse(self.base())?.origin().ascii_serialization();
        jhe.further_servers = vec![fhir, self.issuer().to_owned()];
        jhe.page.iss = self.base().to_owned();
        jhe.page.client_id = id.to_owned();
        jhe.page.scope = SCOPES.to_owned();
        // Whatever category they have.
        jhe.page.plan = Some(json!([
            { "label": "Measurements", "type": "Observation", "parameters": { "_count": "9" } }
        ]));
        Ok(App {
            hospital: self,
            id: id.to_owned(),
            origin,
        })
    }

    /// Gives [`MANY`] the Observations of so many synthetic patients.
    pub fn give_many(&self, patients: u32) -> Result<()> {
        let _: Value = self.post("/many", &json!({ "patients": patients }))?;
        Ok(())
    }

    /// The Observations of a patient, each as the FHIR server writes it.
    pub fn observations(&self, patient: &str) -> Result<Vec<String>> {
        let address = format!(
            "{}/Observation?patient={patient}&_count=1000",
            self.addresses.upstream
        );
        let bundle = ureq::get(&address).call()?.body_mut().read_to_string()?;
        #[derive(Deserialize)]
        struct Bundle<'a> {
            #[serde(borrow)]
            entry: Vec<Entry<'a>>,
        }
        #[derive(Deserialize)]
        struct Entry<'a> {
            #[serde(borrow)]
            resource: &'a serde_json::value::RawValue,
        }
        let bundle: Bundle<'_> = serde_json::from_str(&bundle)?;
        let records = bundle.entry.iter();
        Ok(records
            .map(|entry| entry.resource.get().to_owned())
            .collect())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let address = format!("{}{path}", self.addresses.control);
        let answer = ureq::post(&address)
            .send(body.to_string())
            .with_context(|| format!("asking the hospital for {path}"))?
            .body_mut()
            .read_to_string()?;
        Ok(serde_json::from_str(&answer)?)
    }
}

impl App {
    /// The requests so far that its page made, or that were about it.
    pub fn log(&self) -> Result<Vec<Request>> {
        let address = format!("{}/log", self.hospital.addresses.control);
        let mut answer = ureq::get(&address).call()?;
        let body = answer.body_mut().with_config().limit(1 << 30);
        let mut log: Vec<Request> = serde_json::from_str(&body.read_to_string()?)?;
        log.retain(|request| {
            request.origin == self.origin || request.client.as_deref() == Some(&self.id)
        });
        Ok(log)
    }

    /// Those to one of the servers, with this method, whose path ends like this.
    pub fn requests(&self, server: &str, method: &str, path: &str) -> Result<Vec<Request>> {
        let mut log = self.log()?;
        log.retain(|request| {
            let asked = request.target.split('?').next().unwrap_or_default();
            request.server == server && request.method == method && asked.ends_with(path)
        });
        Ok(log)
    }

    /// The requests for a token that were of this kind (`grant_type`).
    pub fn grants(&self, grant_type: &str) -> Result<Vec<Request>> {
        let mut requests = self.requests("authorization", "POST", "/token")?;
        requests.retain(|request| request.field("grant_type") == grant_type);
        Ok(requests)
    }

    /// Ends its access tokens; refresh tokens stay good.
    pub fn expire(&self) -> Result<()> {
        let _: Value = (self.hospital).post("/expire", &json!({ "client_id": self.id }))?;
        Ok(())
    }

    /// Sends the exchange of a code once more, as somebody would who has seen it: the status, and the `error` of the answer.
    pub fn replay(&self, exchange: &Request) -> Result<(u16, String)> {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        for name in exchange.body.keys() {
            form.append_pair(name, exchange.field(name));
        }
        let mut answer = taking_any_status()
            .post(format!("{}/token", self.hospital.issuer()))
            .header("content-type", "application/x-www-form-urlencoded")
            .send(form.finish())?;
        let status = answer.status().as_u16();
        let body: Value = serde_json::from_str(&answer.body_mut().read_to_string()?)?;
        Ok((
            status,
            body["error"].as_str().unwrap_or_default().to_owned(),
        ))
    }

    /// What a bearer token is good for: the status of a read of the patient's own record.
    pub fn status_with(&self, token: &str, patient: &str) -> Result<u16> {
        let address = format!("{}/Patient/{patient}", self.hospital.base());
        let request = taking_any_status()
            .get(&address)
            .header("authorization", format!("Bearer {token}"));
        Ok(request.call()?.status().as_u16())
    }
}

/// For who asks in order to be refused.
fn taking_any_status() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.build().into()
}

/// Reads all of it, as long as it lasts.
fn collected(mut stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let all = Arc::new(Mutex::new(String::new()));
    let filled = Arc::clone(&all);
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut piece) {
            let mut all = filled.lock().unwrap_or_else(PoisonError::into_inner);
            all.push_str(&String::from_utf8_lossy(
                piece.get(..read).unwrap_or_default(),
            ));
        }
    });
    all
}
