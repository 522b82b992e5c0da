//! The doctor without a browser: what it asks, and that every trouble of the documents has its line.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::catalogue::{CHECKS, Group, TROUBLES};
use super::{
    Bundle, Check, Examination, Line, Mode, Question, Reply, Surroundings, Verdict, Wishes,
};
use crate::exchange::drop_in::DROP_INS;
use crate::http::testing::{answer, header};
use crate::http::{Method, TransportError};
use crate::url::Url;

#[test]
fn every_symptom_and_every_lesson_of_jhes_document_has_a_line() {
    // Its table has seven rows, its list five.
    assert_eq!(TROUBLES.len(), 7 + 5);
    for (symptom, checks) in TROUBLES {
        assert!(!checks.is_empty(), "nothing finds: {symptom}");
        for check in *checks {
            assert!(
                CHECKS.iter().any(|row| row.0 == *check),
                "{symptom}: {check:?}"
            );
        }
    }
}

#[test]
fn each_line_has_a_name_of_its_own_and_a_place() {
    let names: BTreeSet<_> = CHECKS.iter().map(|row| row.1).collect();
    let checks: BTreeSet<_> = CHECKS.iter().map(|row| row.0).collect();
    assert_eq!((names.len(), checks.len()), (CHECKS.len(), CHECKS.len()));
    for (check, name, group, title) in CHECKS {
        assert_eq!(
            (check.name(), check.group(), check.title()),
            (*name, *group, *title)
        );
        assert!(Group::ALL.contains(group) && !title.is_empty());
    }
}

#[test]
fn the_document_explains_each_line() {
    let document = include_str!("../../docs/doctor.md");
    for (check, name, ..) in CHECKS {
        let row: String = ["| `", name, "` | ", check.title(), " |"].concat();
        assert!(document.contains(&row), "docs/doctor.md lacks {row}");
    }
    for (symptom, checks) in TROUBLES {
        assert!(document.contains(symptom), "docs/doctor.md lacks {symptom}");
        for check in *checks {
            let name: String = ["`", check.name(), "`"].concat();
            assert!(document.contains(&name), "{symptom}");
        }
    }
}

// The machine.

const TOKEN: &str = "0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy";
const VERIFIER: &str = "MHdZdVh2aG95UmZrbzl5RllsOWlucEJpTmtITFZCTXk";
const NOW: u64 = 784_111_777_000;
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const SCRIPT: &str = "const folder = '../wasm/0123456789ab/'";
const DOCUMENT: &str = r#"{"authorization_endpoint":"https://ehr.example/authorize",
    "token_endpoint":"https://ehr.example/token","code_challenge_methods_supported":["S256"],
    "capabilities":["launch-standalone","client-public","context-standalone-patient","permission-patient","permission-v1"],
    "scopes_supported":["launch/patient","patient/*.read"]}"#;

fn surroundings(drop_in: &str) -> Surroundings {
    let page = match drop_in {
        "" => "https://jhe.example/static/connect/doctor.html".into(),
        name => ["https://jhe.example/static/clients/", name, "/doctor.html"].concat(),
    };
    Surroundings {
        page: Url::parse(&page).unwrap(),
        is_secure: true,
        has_storage: true,
        bundle: Bundle {
            version: "1.2.3".into(),
            drop_in: drop_in.into(),
            folder: "wasm/0123456789ab/".into(),
            files: alloc::vec![
                (
                    "a_bg.wasm".into(),
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into()
                ),
                (
                    "a.js".into(),
                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into()
                ),
            ],
        },
        entropy: [[7; 32]; 2],
        now: NOW,
    }
}

fn page(client: &str, config: &str) -> String {
    let global = [
        "var ",
        &client.to_uppercase().replace('-', "_"),
        "_CONFIG = ",
    ]
    .concat();
    [
        "<script src=\"/static/clients/",
        client,
        "/js/client-",
        client,
        ".js\"></script><script>",
        &global,
        config,
        ";</script>",
    ]
    .concat()
}

const CONFIG: &str = r#"{iss: "https://ehr.example/R4", clientId: "C", scope: "launch\/patient patient/Observation.read", dataSourceId: "70006"}"#;

fn reply(status: u16, content_type: &str, body: &str) -> Reply {
    Reply {
        answer: Ok(answer(status, content_type, body)),
        headers: [
            ("date", DATE),
            ("content-encoding", "br"),
            ("cache-control", "max-age=60, public"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into(),
        is_blocked: false,
    }
}

fn failed(error: TransportError) -> Reply {
    Reply {
        answer: Err(error),
        headers: Vec::new(),
        is_blocked: false,
    }
}

/// An installation of the MyChart client in which all is well.
fn healthy(question: &Question) -> Reply {
    let url = &question.request.url;
    let is_post = question.request.method == Method::Post;
    let json = |status, body: &str| reply(status, "application/json", body);
    match url.path() {
        "/clients/mychart/" | "/clients/mychart/callback" => {
            reply(200, "text/html", &page("mychart", CONFIG))
        }
        "/static/clients/mychart/js/client-mychart.js" => reply(200, "text/javascript", SCRIPT),
        path if path.ends_with(".wasm") => reply(200, "application/wasm", "abc"),
        path if path.ends_with(".js") => reply(200, "text/javascript", "abc"),
        "/o/token/" if is_post => json(
            200,
            r#"{"access_token":"JHETOKEN","token_type":"Bearer","expires_in":1209600}"#,
        ),
        "/o/token/" => reply(405, "", ""),
        "/o/revoke_token/" => reply(200, "text/html", ""),
        path if path.starts_with("/api/v1/invitation/") && is_post => json(
            200,
            r#"{"grant":{"redirect_uri":"https://jhe.example/auth/callback","client_id":"J","code":"GRANTCODE"}}"#,
        ),
        path => match header(&question.request, "authorization") {
            Some(_) if path.ends_with("/profile") => json(200, r#"{"patient":{"identifiers":[]}}"#),
            Some(_) if path.ends_with("/fhir_sources") => json(
                200,
                r#"{"results":[{"id":1,"dataSource":70006,"fhirBaseUrl":"https://ehr.example/R4"}],"next":null}"#,
            ),
            _ if url.origin() == "https://jhe.example" => json(401, r#"{"detail":"no"}"#),
            _ if path == "/token" => json(400, r#"{"error":"invalid_request"}"#),
            _ if path.ends_with("/smart-configuration") => json(200, DOCUMENT),
            _ => reply(200, "application/fhir+json", ""),
        },
    }
}

struct Examined {
    lines: Vec<Line>,
    asked: Vec<String>,
    report: String,
}

impl Examined {
    fn line(&self, check: Check) -> &Line {
        self.lines.iter().find(|line| line.check == check).unwrap()
    }

    fn wrong(&self) -> Vec<Check> {
        let is_wrong = |line: &&Line| matches!(line.verdict, Verdict::Wrong(_));
        self.lines
            .iter()
            .filter(is_wrong)
            .map(|line| line.check)
            .collect()
    }
}

fn examine(at: Surroundings, wishes: Wishes, world: impl Fn(&Question) -> Reply) -> Examined {
    let mut examination = Examination::new(at, wishes);
    let mut asked = Vec::new();
    while let Some(question) = examination.next_question(NOW) {
        let (method, url) = (
            question.request.method.as_str(),
            question.request.url.as_str(),
        );
        asked.push([method, " ", url].concat());
        examination.receive(world(&question), NOW);
        assert!(asked.len() < 100, "it never ends: {asked:#?}");
    }
    let examined = Examined {
        lines: examination.lines(),
        report: examination.report("A browser", NOW),
        asked,
    };
    let checks: Vec<Check> = examined.lines.iter().map(|line| line.check).collect();
    let all: Vec<Check> = CHECKS.iter().map(|row| row.0).collect();
    assert_eq!(
        checks, all,
        "each line has a verdict, in the order of the sheet"
    );
    for line in &examined.lines {
        assert!(!line.found.is_empty(), "{line:?}");
        assert_eq!(
            line.verdict.advice().is_empty(),
            line.verdict == Verdict::Ok
        );
    }
    examined
}

fn with_invitation() -> Wishes {
    Wishes {
        invitation: [
            "https://jhe.example/clients/mychart/?code=jhe.example_",
            TOKEN,
        ]
        .concat(),
        redeems: true,
        ..Wishes::default()
    }
}

#[test]
fn a_healthy_installation_is_only_read() {
    let examined = examine(surroundings("mychart"), Wishes::default(), healthy);
    assert_eq!(examined.wrong(), []);
    let posts: Vec<&String> = examined
        .asked
        .iter()
        .filter(|it| it.starts_with("POST"))
        .collect();
    // Without a code, so that nothing can come of it.
    assert_eq!(posts, ["POST https://ehr.example/token"]);
    for check in [
        Check::Clock,
        Check::Files,
        Check::Policy,
        Check::S256,
        Check::ListedScopes,
    ] {
        assert_eq!(examined.line(check).verdict, Verdict::Ok, "{check:?}");
    }
    assert_eq!(
        examined.line(Check::RedirectUri).copy.as_deref(),
        Some("https://jhe.example/clients/mychart/callback")
    );
    let (_, link) = examined.line(Check::SignInPage).link.clone().unwrap();
    assert!(link.starts_with("https://ehr.example/authorize?"));
    assert!(examined.report.starts_with(
        "jhe-connect doctor 1.2.3\nhttps://jhe.example/static/clients/mychart/doctor.html at 1994-11-06 08:49:37 UTC\nA browser\nNothing was found to be wrong;"
    ));
}

#[test]
fn where_nobody_answers_every_question_is_asked_all_the_same() {
    let examined = examine(surroundings("mychart"), with_invitation(), |_| {
        failed(TransportError::Unreachable)
    });
    let asked = |part: &str| examined.asked.iter().any(|it| it.contains(part));
    for part in [
        "/clients/mychart/",
        "/callback",
        "a_bg.wasm",
        "/o/token/",
        "/FHIR/R5/",
        "/api/v1/invitation/",
    ] {
        assert!(
            asked(part),
            "{part} was not asked for: {:#?}",
            examined.asked
        );
    }
    assert!(examined.wrong().contains(&Check::Redemption));
    // Without a configuration nobody knows the hospital.
    assert!(matches!(
        examined.line(Check::Discovery).verdict,
        Verdict::Unknown(_)
    ));
}

#[test]
fn a_redeemed_invitation_is_used_once_and_its_token_ended_before_the_hospital_is_asked() {
    let examined = examine(surroundings("mychart"), with_invitation(), healthy);
    assert_eq!(examined.wrong(), []);
    let place = |part: &str| {
        examined
            .asked
            .iter()
            .position(|it| it.contains(part))
            .unwrap()
    };
    assert!(place("/o/revoke_token/") < place("ehr.example"));
    for check in [
        Check::Redemption,
        Check::TokenExchange,
        Check::Participant,
        Check::DataSource,
        Check::Revocation,
    ] {
        assert_eq!(examined.line(check).verdict, Verdict::Ok, "{check:?}");
    }
    assert!(
        examined
            .line(Check::DataSource)
            .found
            .contains("used again")
    );
}

#[test]
fn an_invitation_for_another_host_is_never_redeemed() {
    let wishes = Wishes {
        invitation: [
            "https://jhe.example/clients/mychart/?code=other.example_",
            TOKEN,
        ]
        .concat(),
        redeems: true,
        ..Wishes::default()
    };
    let examined = examine(surroundings("mychart"), wishes, healthy);
    assert_eq!(examined.wrong(), [Check::SiteUrl, Check::InvitationHost]);
    assert!(!examined.asked.iter().any(|it| it.contains(TOKEN)));
}

#[test]
fn each_refusal_of_an_invitation_has_its_words() {
    for (status, word) in [
        (404, "another JHE"),
        (409, "12 hours"),
        (410, "a week"),
        (403, "cancelled"),
    ] {
        let examined = examine(
            surroundings("mychart"),
            with_invitation(),
            |question| match question
                .request
                .url
                .path()
                .starts_with("/api/v1/invitation/0wY")
            {
                true => reply(status, "application/json", "{}"),
                false => healthy(question),
            },
        );
        assert_eq!(examined.wrong(), [Check::Redemption]);
        let line = examined.line(Check::Redemption);
        let text = [line.found.as_str(), line.verdict.advice()].concat();
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn no_line_and_no_report_shows_what_a_server_echoes() {
    let echo = [TOKEN, " JHETOKEN GRANTCODE ", VERIFIER].concat();
    for broken in [
        "/api/v1/invitation/0wY",
        "/o/token/",
        "/profile",
        "/fhir_sources",
        "/o/revoke_token/",
        "ehr.example",
    ] {
        for status in [200, 400, 418, 500] {
            let examined = examine(surroundings("mychart"), with_invitation(), |question| {
                let is_it = question.request.url.as_str().contains(broken);
                let is_use = question.request.method == Method::Post
                    || header(&question.request, "authorization").is_some();
                match is_it && (is_use || broken == "ehr.example") {
                    true => reply(
                        status,
                        "application/json",
                        &["{\"error\":\"", &echo, "\"}"].concat(),
                    ),
                    false => healthy(question),
                }
            });
            for secret in [TOKEN, "JHETOKEN", "GRANTCODE", VERIFIER] {
                // What was not had by then is no secret yet.
                let is_had = match secret {
                    "JHETOKEN" => examined.line(Check::TokenExchange).verdict == Verdict::Ok,
                    "GRANTCODE" => examined.line(Check::Redemption).verdict == Verdict::Ok,
                    _ => true,
                };
                assert!(
                    !is_had || !examined.report.contains(secret),
                    "{secret} {}",
                    examined.report
                );
            }
        }
    }
}

#[test]
fn no_cors_is_told_from_nobody_and_from_the_pages_own_policy() {
    let judged = |reach: fn() -> Reply, is_blocked| {
        let examined = examine(surroundings("mychart"), Wishes::default(), |question| {
            let is_hospital = question.request.url.origin() == "https://ehr.example";
            match (is_hospital, question.mode) {
                (false, _) => healthy(question),
                (true, Mode::Reach) => Reply {
                    is_blocked,
                    ..reach()
                },
                (true, Mode::Read) => Reply {
                    is_blocked,
                    ..failed(TransportError::Unreachable)
                },
            }
        });
        examined.line(Check::Discovery).clone()
    };
    let there = judged(|| reply(0, "", ""), false);
    assert!(
        there
            .found
            .contains("lets no page of https://jhe.example read"),
        "{there:?}"
    );
    let nobody = judged(|| failed(TransportError::Unreachable), false);
    assert!(nobody.found.contains("Nobody answers"), "{nobody:?}");
    let blocked = judged(|| failed(TransportError::Unreachable), true);
    assert!(
        matches!(blocked.verdict, Verdict::Unknown(_)),
        "{blocked:?}"
    );
    assert!(blocked.verdict.advice().contains("connect-src"));
}

#[test]
fn what_is_wrong_with_the_browser_or_its_address_is_said() {
    let at = Surroundings {
        is_secure: false,
        has_storage: false,
        ..surroundings("mychart")
    };
    let examined = examine(at, Wishes::default(), healthy);
    assert_eq!(examined.wrong(), [Check::SecureContext, Check::TabStorage]);
}

#[test]
fn the_policy_must_let_the_templates_own_scripts_run() {
    let policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self' https:";
    let examined = examine(surroundings("mychart"), Wishes::default(), |question| {
        let mut reply = healthy(question);
        let field = ("content-security-policy".into(), policy.into());
        reply.headers.push(field);
        reply
    });
    assert_eq!(examined.wrong(), [Check::Policy]);
    assert!(
        examined
            .line(Check::Policy)
            .found
            .contains("1 inline script")
    );
}

#[test]
fn files_with_a_hash_may_be_kept() {
    for (control, wrong) in [
        ("no-store", &[Check::Caching][..]),
        ("max-age=31536000, immutable", &[]),
    ] {
        let examined = examine(surroundings("mychart"), Wishes::default(), |question| {
            let mut reply = healthy(question);
            if question.request.url.path().contains("/wasm/") {
                reply.headers.retain(|(name, _)| name != "cache-control");
                reply.headers.push(("cache-control".into(), control.into()));
            }
            reply
        });
        assert_eq!(examined.wrong(), wrong, "{control}");
    }
}

#[test]
fn each_drop_in_has_its_pages_and_its_jhe() {
    for it in DROP_INS {
        let name = it.deployment.name;
        let config = CONFIG.replace(r#"iss: "https://ehr.example/R4", "#, "");
        let config = if name == "mychart" {
            CONFIG.to_owned()
        } else {
            config
        };
        let wishes = Wishes {
            hospital: "https://ehr.example/R4".into(),
            ..Wishes::default()
        };
        let examined = examine(surroundings(name), wishes, |question| {
            match question.request.url.path() {
                path if path == ["/", it.route].concat()
                    || path == ["/", it.route, "callback"].concat() =>
                {
                    reply(200, "text/html", &page(name, &config))
                }
                path if path.ends_with(it.script) => reply(200, "text/javascript", SCRIPT),
                _ => healthy(question),
            }
        });
        // Only the scopes of the others are fewer than what they pull.
        let wrong = if name == "mychart" {
            &[][..]
        } else {
            &[Check::PulledScopes]
        };
        assert_eq!(examined.wrong(), wrong, "{name}");
        let callback = ["https://jhe.example/", it.deployment.callback_path].concat();
        assert_eq!(
            examined.line(Check::RedirectUri).copy.as_deref(),
            Some(callback.as_str())
        );
        let asked = |path: &str| {
            let wanted = ["GET https://jhe.example/", path].concat();
            assert!(
                examined.asked.contains(&wanted),
                "{wanted} in {:#?}",
                examined.asked
            );
        };
        asked(it.deployment.identifier_path);
        it.deployment.brands_path.into_iter().for_each(asked);
    }
}

#[test]
fn what_patients_are_said_to_read_are_codes_of_the_pages() {
    let known = [include_str!("../error.rs"), include_str!("../screens.rs")].concat();
    let mut count = 0;
    for texts in [
        include_str!("by_hand.rs"),
        include_str!("configuration.rs"),
        include_str!("examination.rs"),
        include_str!("files.rs"),
        include_str!("hospital.rs"),
        include_str!("redemption.rs"),
    ] {
        for text in texts.split("atients read ").skip(1) {
            let is_sign = |sign: char| sign.is_ascii_alphanumeric() || sign == '_' || sign == '.';
            let code = text.split(|sign| !is_sign(sign)).next().unwrap_or_default();
            let code = code.trim_end_matches('.');
            // Where several are possible, the text has a gap.
            if !code.is_empty() {
                let quoted = ["\"", code, "\""].concat();
                assert!(known.contains(&quoted), "{code} is no code");
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count}");
    for code in [
        "sign_in.unreachable",
        "discovery.not_readable",
        "discovery.unreachable",
        "discovery.incomplete",
        "discovery.insecure_endpoint",
        "sign_in.no_patient",
        "authorization.error_page",
        "source.data_source_unknown",
        "browser.storage_blocked",
        "invitation.missing",
    ] {
        assert!(
            known.contains(&["\"", code, "\""].concat()),
            "{code} is no code"
        );
    }
}

proptest! {
    #[test]
    fn whatever_servers_answer_each_line_has_its_verdict(
        answers in proptest::collection::vec((0_usize..8, 0_usize..7), 1..60),
        redeems: bool,
    ) {
        let place = core::cell::Cell::new(0);
        let wishes = Wishes { redeems, ..with_invitation() };
        examine(surroundings("mychart"), wishes, |question| {
            let (status, body) = answers[place.get() % answers.len()];
            place.set(place.get() + 1);
            let status = [0, 200, 200, 301, 400, 401, 404, 500][status];
            match body {
                0 => failed(TransportError::Unreachable),
                1 => failed(TransportError::TimedOut),
                2 => reply(status, "text/html", &page("mychart", CONFIG)),
                3 => reply(status, "application/json", DOCUMENT),
                4 => reply(status, "application/json", "{\"results\":[{}],\"grant\":1}"),
                5 => reply(status, "application/json", "[]"),
                _ => healthy(question),
            }
        });
    }
}
