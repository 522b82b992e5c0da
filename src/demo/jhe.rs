//! The pretended JHE: what this flow asks of it, answered as the recorded ones did.

use alloc::string::String;
use alloc::vec::Vec;

use crate::demo::chart::{PERSONAS, Place};
use crate::demo::hospital::{HOSPITALS, Habit};
use crate::demo::invitation::{Fate, TestInvitation};
use crate::demo::portal::OTHER_PERSON;
use crate::demo::state::{Grant, Session, Source};
use crate::demo::{Call, QUICK, Reply, World, fhir, json, outcome, put_off, reply, value};
use crate::json::{Json, object};
use crate::oauth::pkce::CodeVerifier;
use crate::text::{contains, form_decode, number, whole_number};

/// JHE's codes hold so long, in milliseconds.
const GRANT_MS: u64 = 60_000;
/// Whose study it is.
const ORGANIZATION: &str = "Test Study Team";
/// Of how many imports the session that ends lives to see the end.
const IMPORTS_BEFORE_SIGN_OUT: u64 = 1;
/// How often the busy one puts an import off, and for how long.
const BUSY_IMPORTS: u64 = 2;
const BUSY_SECONDS: u64 = 3;
/// How long an import takes, and each record of it, in milliseconds.
const IMPORT: u32 = 150;
const IMPORT_RECORD: u32 = 4;
const SOURCE_EXTENSION: &str = "https://jupyterhealth.org/fhir/StructureDefinition/fhir-source-id";
const SOURCE_PREFIX: &str = "https://jupyterhealth.org/fhir/fhir-source/";
const NO_CREDENTIALS: &str = "Authentication credentials were not provided.";

impl World {
    pub(super) fn at_jhe(&mut self, path: &str, call: &Call, now: u64) -> Reply {
        let is_post = call.method == "POST";
        match (path, is_post) {
            ("o/token/", true) => return self.grant_token(call, now),
            ("o/revoke_token/", true) => {
                let form = call.form();
                let token = value(&form, "token");
                self.state.sessions.retain(|session| session.token != token);
                return json(200, "");
            }
            _ => {}
        }
        if let (Some(token), true) = (path.strip_prefix("api/v1/invitation/"), is_post) {
            return self.redeem(token, now);
        }
        let mut sessions = self.state.sessions.iter_mut();
        let Some(session) = sessions.find(|session| session.token == call.token()) else {
            return unauthorized(path);
        };
        let is_write = path == "fhir-import/R4/" || path.starts_with("FHIR/R5/");
        if is_write && is_post {
            session.imports += 1;
            let invitation = TestInvitation::with_token(&session.invitation);
            match invitation.map(|invitation| invitation.fate) {
                Some(Fate::SignedOut) if session.imports > IMPORTS_BEFORE_SIGN_OUT => {
                    return unauthorized(path);
                }
                Some(Fate::Busy) if session.imports <= BUSY_IMPORTS => {
                    let busy = reply(QUICK, 429, "text/html", "<h1>Too Many Requests</h1>".into());
                    return put_off(busy, BUSY_SECONDS);
                }
                _ => {}
            }
        }
        if let Some(client) = path.strip_prefix("api/v1/") {
            return match (client, is_post) {
                ("users/profile", false) => json(200, self.profile()),
                ("fhir_sources", false) => json(200, self.sources()),
                ("fhir_sources", true) => self.register(call),
                _ if client.ends_with("/identifier") && is_post => self.identify(call),
                _ if client.ends_with("/brands") && !is_post => json(200, brands(call)),
                _ => json(404, r#"{"detail":"Not found."}"#),
            };
        }
        if path == "fhir-import/R4/" && is_post {
            return self.import(call);
        }
        match (path.strip_prefix("FHIR/R5/"), is_post) {
            (Some(resource_type), true) => self.add(resource_type, call),
            (Some(resource_type), false) => self.rows(resource_type, call),
            _ => json(404, r#"{"detail":"Not found."}"#),
        }
    }

    fn redeem(&mut self, token: &str, now: u64) -> Reply {
        let invitation = TestInvitation::with_token(token);
        match invitation.map_or(Fate::Unknown, |invitation| invitation.fate) {
            Fate::Fresh | Fate::Busy | Fate::SignedOut => {}
            Fate::Down => {
                return reply(
                    QUICK,
                    503,
                    "text/html",
                    "<h1>Service Unavailable</h1>".into(),
                );
            }
            Fate::Used => {
                return json(409, r#"{"detail":"Invitation has already been used."}"#);
            }
            Fate::Expired => return json(410, r#"{"detail":"Invitation has expired."}"#),
            Fate::Cancelled => {
                return json(403, r#"{"detail":"Invitation has been cancelled."}"#);
            }
            Fate::NoLogin => {
                return json(400, r#"["Patient has no associated user account."]"#);
            }
            Fate::Unknown | Fate::OtherHost | Fate::Damaged => {
                return json(404, r#"{"detail":"Invitation not found or already used."}"#);
            }
        }
        // Each redemption deletes the code of the one before.
        self.state.grants.retain(|grant| grant.invitation != token);
        let code = self.state.next("test-grant-");
        let grant = object(&[
            ("grant_type", "authorization_code"),
            ("redirect_uri", REDIRECT_URI),
            ("client_id", CLIENT_ID),
            ("code", &code),
        ]);
        self.state.grants.push(Grant {
            code,
            invitation: token.into(),
            at: now,
        });
        json(200, [r#"{"grant":"#, &grant, "}"].concat())
    }

    fn grant_token(&mut self, call: &Call, now: u64) -> Reply {
        let form = call.form();
        if value(&form, "grant_type") != "authorization_code" {
            return json(400, r#"{"error":"unsupported_grant_type"}"#);
        }
        if value(&form, "client_id") != CLIENT_ID {
            return json(401, r#"{"error":"invalid_client"}"#);
        }
        let code = value(&form, "code");
        let found = self.state.grants.iter().position(|grant| {
            let octets = <[u8; 32]>::try_from(grant.invitation.as_bytes());
            let verifier = octets.map(|octets| CodeVerifier::from_invitation(&octets));
            grant.code == code
                && now.saturating_sub(grant.at) < GRANT_MS
                && verifier.is_ok_and(|it| it.secret() == value(&form, "code_verifier"))
        });
        let Some(grant) = found.map(|place| self.state.grants.remove(place)) else {
            return json(400, r#"{"error":"invalid_grant"}"#);
        };
        let token = self.state.next("test-session-");
        let body = object(&[
            ("access_token", &token),
            ("expires_in", "1209600"),
            ("token_type", "Bearer"),
            ("scope", "openid email"),
        ]);
        self.state.sessions.push(Session {
            token,
            invitation: grant.invitation,
            imports: 0,
        });
        json(200, body)
    }

    fn profile(&self) -> String {
        let mut identifiers = Vec::new();
        // At one hospital the participant was somebody else before.
        for hospital in HOSPITALS.iter().filter(|it| it.habit == Habit::OtherPerson) {
            identifiers.push(object(&[
                ("system", &hospital.base()),
                ("value", OTHER_PERSON),
            ]));
        }
        for (system, value) in &self.state.identifiers {
            identifiers.push(object(&[("system", system), ("value", value)]));
        }
        [
            r#"{"id":10006,"patient":{"id":40001,"jheUserId":10006,"identifiers":["#,
            &identifiers.join(","),
            r#"],"organizations":[{"id":20003,"name":""#,
            ORGANIZATION,
            r#"","type":"laboratory"}]},"userType":"patient"}"#,
        ]
        .concat()
    }

    fn identify(&mut self, call: &Call) -> Reply {
        let pair = Json::parse(call.body.as_bytes())
            .and_then(|body| Some((body.get_string("system")?, body.get_string("value")?)));
        let Some(pair) = pair else {
            return json(400, r#"{"error":"system and value are required"}"#);
        };
        let mut taken = PERSONAS.iter().filter(|persona| persona.is_taken);
        if taken.any(|persona| persona.patient_id() == pair.1) {
            return json(
                409,
                r#"{"error":"Identifier is already assigned to another patient"}"#,
            );
        }
        let echoed = object(&[("system", &pair.0), ("value", &pair.1)]);
        if !self.state.identifiers.contains(&pair) {
            self.state.identifiers.push(pair);
        }
        json(200, echoed)
    }

    fn sources(&self) -> String {
        let mut rows = Vec::new();
        for source in self.state.sources.iter().rev() {
            rows.push(described(source));
        }
        let count = number(rows.len() as u64);
        [
            r#"{"count":"#,
            &count,
            r#","next":null,"previous":null,"results":["#,
            &rows.join(","),
            "]}",
        ]
        .concat()
    }

    fn register(&mut self, call: &Call) -> Reply {
        let body = Json::parse(call.body.as_bytes());
        let text = |name| {
            body.and_then(|body| body.get_string(name))
                .unwrap_or_default()
        };
        let (label, base, data_source) =
            (text("label"), text("fhir_base_url"), text("data_source"));
        if data_source.is_empty() {
            return json(400, r#"{"dataSource":["This field is required."]}"#);
        }
        let is_same = |known: &Source| {
            !base.is_empty() && known.base == base && known.data_source == data_source
        };
        if let Some(known) = self.state.sources.iter().find(|known| is_same(known)) {
            return json(201, described(known));
        }
        self.state.count += 1;
        let source = Source {
            id: 90_000 + self.state.count,
            label,
            base,
            data_source,
            stored: Vec::new(),
        };
        let answer = described(&source);
        self.state.sources.push(source);
        json(201, answer)
    }

    fn source_of(&mut self, call: &Call) -> Option<&mut Source> {
        let id = whole_number(&call.source)?;
        self.state.sources.iter_mut().find(|source| source.id == id)
    }

    /// One outcome for each entry, in order.
    fn import(&mut self, call: &Call) -> Reply {
        let Some(source) = self.source_of(call) else {
            let said = ["FhirSource '", &call.source, "' does not exist."].concat();
            return fhir(QUICK, 400, outcome("error", "processing", &said));
        };
        let bundle = Json::parse(call.body.as_bytes());
        let Some(entries) = bundle.and_then(|bundle| bundle.get("entry")) else {
            return fhir(
                QUICK,
                400,
                outcome(
                    "error",
                    "processing",
                    "Expected a Bundle at /fhir-import/R4.",
                ),
            );
        };
        let mut text =
            String::from(r#"{"resourceType":"Bundle","type":"batch-response","entry":["#);
        let mut delay_ms = IMPORT;
        for (index, entry) in entries.elements().enumerate() {
            delay_ms += IMPORT_RECORD;
            let resource = entry.get("resource");
            let text_of = |name| {
                resource
                    .and_then(|it| it.get_string(name))
                    .unwrap_or_default()
            };
            let (id, resource_type) = (text_of("id"), text_of("resourceType"));
            let (status, said) = match Place::read(&id) {
                Some(place) if place.resource_type() == resource_type => {
                    source.store(place);
                    let said = match place.is_adjusted() {
                        true => outcome(
                            "warning",
                            "not-supported",
                            "R4 field 'Immunization.reportOrigin' has no R5 equivalent and was dropped in conversion.",
                        ),
                        false => outcome(
                            "information",
                            "informational",
                            "Converted R4 -> R5 with no detected field loss.",
                        ),
                    };
                    ("201 Created", said)
                }
                _ => (
                    "400 invalid",
                    outcome("error", "processing", &refusal(&resource_type)),
                ),
            };
            text.push_str(if index > 0 { "," } else { "" });
            text.push_str(r#"{"response":{"status":""#);
            text.push_str(status);
            text.push_str(r#"","outcome":"#);
            text.push_str(&said);
            text.push_str("}}");
        }
        text.push_str("]}");
        fhir(delay_ms, 200, text)
    }

    /// As the MyChart version: a further row each time, also for what is there already.
    fn add(&mut self, resource_type: &str, call: &Call) -> Reply {
        let Some(source) = self.source_of(call) else {
            let said = ["FhirSource '", &call.source, "' does not exist."].concat();
            return fhir(QUICK, 400, outcome("error", "processing", &said));
        };
        let id = Json::parse(call.body.as_bytes()).and_then(|record| record.get_string("id"));
        match Place::read(&id.unwrap_or_default()) {
            Some(place) if place.resource_type() == resource_type => {
                if source.store(place)
                    && let Some(stored) = source
                        .stored
                        .iter_mut()
                        .find(|it| it.persona == place.persona.name && it.kind == place.kind as u64)
                {
                    stored.doubles += 1;
                }
                let stored = object(&[
                    ("id", call.source.as_str()),
                    ("resourceType", resource_type),
                ]);
                fhir(QUICK, 201, stored)
            }
            _ => fhir(
                QUICK,
                400,
                outcome("error", "processing", &refusal(resource_type)),
            ),
        }
    }

    /// What JHE holds of a type: a count, or rows with what a record is recognised by.
    fn rows(&self, resource_type: &str, call: &Call) -> Reply {
        let query = form_decode(call.url.query());
        let of_type = |kind: u64| {
            let place = usize::try_from(kind).unwrap_or(usize::MAX);
            let pull = crate::exchange::deployment::PATIENT_ACCESS.pulls.get(place);
            pull.is_some_and(|pull| pull.resource_type == resource_type)
        };
        let wanted = value(&query, "_source").strip_prefix(SOURCE_PREFIX);
        let (mut total, mut rows) = (0, Vec::new());
        for source in &self.state.sources {
            let id = number(source.id);
            if wanted.is_some_and(|wanted| wanted != id) {
                continue;
            }
            for stored in source.stored.iter().filter(|stored| of_type(stored.kind)) {
                total += stored.count();
                if value(&query, "_summary") == "count" {
                    continue;
                }
                for number_of in stored.numbers() {
                    let upstream = [
                        &stored.persona,
                        "-",
                        &number(stored.kind),
                        "-",
                        &number(number_of),
                    ]
                    .concat();
                    let identifier = object(&[("system", &source.base), ("value", &upstream)]);
                    rows.push(
                        [
                            r#"{"resource":{"resourceType":""#,
                            resource_type,
                            r#"","identifier":["#,
                            &identifier,
                            r#"],"extension":[{"url":""#,
                            SOURCE_EXTENSION,
                            r#"","valueInteger":"#,
                            &id,
                            "}]}}",
                        ]
                        .concat(),
                    );
                }
            }
        }
        if whole_number(value(&query, "_page")).is_some_and(|page| page > 1) {
            return fhir(QUICK, 404, outcome("error", "not-found", "Invalid page."));
        }
        let body = [
            r#"{"resourceType":"Bundle","type":"searchset","total":"#,
            &number(total),
            r#","entry":["#,
            &rows.join(","),
            "]}",
        ]
        .concat();
        fhir(QUICK, 200, body)
    }
}

const CLIENT_ID: &str = "test-mode";
const REDIRECT_URI: &str = "https://jhe.invalid/auth/callback";

fn described(source: &Source) -> String {
    let texts = object(&[("label", &source.label), ("fhirBaseUrl", &source.base)]);
    let texts = texts.trim_end_matches('}');
    [
        texts,
        r#","id":"#,
        &number(source.id),
        r#","patient":40001,"dataSource":"#,
        // The configured one is a number.
        &source.data_source,
        "}",
    ]
    .concat()
}

fn brands(call: &Call) -> String {
    let query = form_decode(call.url.query());
    let wanted = value(&query, "q").to_ascii_lowercase();
    let mut rows = Vec::new();
    for hospital in &HOSPITALS {
        if !wanted.is_empty() && !contains(&hospital.title.to_ascii_lowercase(), &wanted) {
            continue;
        }
        rows.push(object(&[
            ("facilityName", hospital.title),
            ("addressText", "1 Test Street, Testville"),
            ("city", "Testville"),
            ("state", ""),
            ("postalCode", "00000"),
            ("brandName", hospital.title),
            ("fhirBaseUrl", &hospital.base()),
        ]));
    }
    [r#"{"results":["#, &rows.join(","), "]}"].concat()
}

fn refusal(resource_type: &str) -> String {
    [
        "Invalid FHIR ",
        resource_type,
        ": 1 validation error for ",
        resource_type,
        " id string does not match regex \"^[A-Za-z0-9\\-.]+$\"",
    ]
    .concat()
}

fn unauthorized(path: &str) -> Reply {
    match path.starts_with("api/") {
        true => json(401, object(&[("detail", NO_CREDENTIALS)])),
        false => fhir(QUICK, 401, outcome("error", "processing", NO_CREDENTIALS)),
    }
}
