//! What must hold on every journey, whatever it is about. [`super::journey::Journey`] looks after it at its end.

use std::collections::{BTreeMap, BTreeSet};

use sandbox::{EHR_ALLOWED_HEADERS, LoggedRequest, Server, Vendor};
use url::form_urlencoded;

use super::tab::Sent;

/// Headers that the way over the wire adds, here as in a browser. No CORS list needs to name them.
const ADDED_ON_THE_WAY: [&str; 4] = [
    "host",
    "content-length",
    "transfer-encoding",
    "accept-encoding",
];

/// All of it. `left_behind` is what a journey shows and stores.
pub(crate) fn check(log: &[LoggedRequest], left_behind: &[String]) {
    nobody_else_is_spoken_to(log);
    tokens_stay_where_they_were_issued_for(log);
    the_ehr_is_sent_no_header_that_its_cors_list_lacks(log);
    no_code_is_exchanged_twice(log);
    let secrets = secrets(log);
    let addresses = log.iter().map(|request| &request.target);
    for text in addresses.chain(left_behind) {
        let leaked = secrets.iter().find(|secret| text.contains(*secret));
        assert_eq!(leaked, None, "a secret is in {text}");
    }
    for text in left_behind {
        assert!(!text.contains("Quantity"), "a record is in {text}");
    }
}

const JHE_KEY: &str = "jhe-connect:3:jhe";
const EHR_KEY: &str = "jhe-connect:3:ehr";
const RUN_KEY: &str = "jhe-connect:3:run";
const HOSPITAL_KEY: &str = "jhe-connect:3:hospital";
const ISSUER_KEY: &str = "jhe-connect:3:issuer";
const LAST_WRITE_KEY: &str = "jhe-connect:3:last_write";

pub(crate) fn is_token_key(key: &str) -> bool {
    key == JHE_KEY || key == EHR_KEY
}

/// What the tab of a run that is not finished keeps: each token under the key of its server, and nothing that may be
/// used once.
pub(crate) fn check_tokens(log: &[LoggedRequest], kept: &BTreeMap<String, String>) {
    let used_once = in_forms(log, &["code", "code_verifier"]);
    for (key, text) in kept {
        let foreign = match key.as_str() {
            JHE_KEY => bearers(log, Server::Ehr),
            _ => bearers(log, Server::Jhe),
        };
        let mut misplaced = foreign.iter().chain(&used_once);
        let misplaced = misplaced.find(|secret| text.contains(*secret));
        assert_eq!(misplaced, None, "a secret is under {key}");
        assert!(!text.contains("id_token"), "{key} holds an identity token");
    }
}

/// Nothing else is kept than where a run stands: not the pending sign-in, and no token.
pub(crate) fn check_keys(kept: &BTreeMap<String, String>) {
    let known = [RUN_KEY, HOSPITAL_KEY, ISSUER_KEY];
    let other = kept.keys().filter(|key| !known.contains(&key.as_str()));
    let other: Vec<_> = other.collect();
    assert!(other.is_empty(), "not taken out of storage: {other:?}");
}

/// The storage of all tabs holds a time and nothing else.
pub(crate) fn check_shared(shared: &BTreeMap<String, String>) {
    for (key, text) in shared {
        let is_time = key == LAST_WRITE_KEY && text.bytes().all(|octet| octet.is_ascii_digit());
        assert!(is_time, "all tabs see {key}: {text}");
    }
}

/// What JHE holds is not asked for while it may still be at a write of which nobody knows what came of it.
pub(crate) fn check_quiet(sent: &[Sent], quiet_ms: u64) {
    let mut lost_at = None;
    for request in sent {
        if request.is_write() && request.is_lost {
            lost_at = Some(request.at);
        }
        if let Some(lost_at) = lost_at.filter(|_| request.is_read_back()) {
            let after = request.at - lost_at;
            assert!(after >= quiet_ms, "read back {after} ms after a lost write");
        }
    }
}

/// Tokens, codes and verifiers, as the servers saw them.
pub(crate) fn secrets(log: &[LoggedRequest]) -> BTreeSet<String> {
    in_forms(log, &["code", "code_verifier", "refresh_token"])
        .into_iter()
        .chain(bearers(log, Server::Jhe))
        .chain(bearers(log, Server::Ehr))
        .collect()
}

fn in_forms(log: &[LoggedRequest], names: &[&str]) -> BTreeSet<String> {
    let forms = log
        .iter()
        .flat_map(|request| form_urlencoded::parse(request.body.as_bytes()));
    forms
        .filter(|(name, _)| names.contains(&name.as_ref()))
        .map(|(_, value)| value.into_owned())
        .collect()
}

fn nobody_else_is_spoken_to(log: &[LoggedRequest]) {
    let evil: Vec<_> = of(log, Server::Evil).collect();
    assert!(evil.is_empty(), "a foreign server was spoken to: {evil:?}");
}

fn tokens_stay_where_they_were_issued_for(log: &[LoggedRequest]) {
    for request in of(log, Server::Ehr).filter(|request| bearer(request).is_some()) {
        let path = request.target.split('?').next().unwrap_or_default();
        let mut bases = Vendor::ALL.iter().map(|vendor| vendor.base_path());
        // A link to a further page may be the base itself.
        let is_below = |base| {
            let rest = path.strip_prefix(base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        assert!(bases.any(is_below), "a token went to {}", request.target);
    }
    let (at_jhe, at_ehr) = (bearers(log, Server::Jhe), bearers(log, Server::Ehr));
    assert!(at_jhe.is_disjoint(&at_ehr), "a token went to both servers");
}

fn the_ehr_is_sent_no_header_that_its_cors_list_lacks(log: &[LoggedRequest]) {
    for request in of(log, Server::Ehr) {
        let names = request.headers.iter().map(|(name, _)| name.as_str());
        let foreign: Vec<_> = names
            .filter(|name| !ADDED_ON_THE_WAY.contains(name) && !EHR_ALLOWED_HEADERS.contains(name))
            .collect();
        assert!(foreign.is_empty(), "{} carries {foreign:?}", request.target);
    }
}

fn no_code_is_exchanged_twice(log: &[LoggedRequest]) {
    let mut seen = BTreeSet::new();
    for request in log {
        for (name, code) in form_urlencoded::parse(request.body.as_bytes()) {
            assert!(name != "code" || seen.insert(code), "a code went out twice");
        }
    }
}

fn bearers(log: &[LoggedRequest], server: Server) -> BTreeSet<String> {
    let tokens = of(log, server).filter_map(bearer);
    tokens.map(str::to_owned).collect()
}

fn bearer(request: &LoggedRequest) -> Option<&str> {
    request.header("authorization")?.strip_prefix("Bearer ")
}

fn of(log: &[LoggedRequest], server: Server) -> impl Iterator<Item = &LoggedRequest> {
    log.iter().filter(move |request| request.server == server)
}
