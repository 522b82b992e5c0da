//! Input that is hostile by its size, its depth, or what stands in its texts. What is short and strange is the fuzzer's part.

use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use jhe_connect::exchange::brands::Brands;
use jhe_connect::exchange::deployment::{MYCHART, PATIENT_ACCESS};
use jhe_connect::exchange::inventory::Inventory;
use jhe_connect::exchange::jhe::JheSession;
use jhe_connect::exchange::source::{
    KnownHospitals, SourceDescription, SourceRegistration, registered,
};
use jhe_connect::exchange::write::Outcome;
use jhe_connect::fhir::bundle::SearchPage;
use jhe_connect::fhir::outcome::OperationOutcome;
use jhe_connect::fhir::person::Person;
use jhe_connect::fhir::resource::Selection;
use jhe_connect::http::{Conversation, HttpResponse};
use jhe_connect::import::plan::Plan;
use jhe_connect::import::{Action, Checkpoint, ImportRun, Review, Standing};
use jhe_connect::json::Json;
use jhe_connect::oauth::authorization::AuthorizationResponse;
use jhe_connect::oauth::jws::{Jws, KEYS_LIMIT, NoKey};
use jhe_connect::oauth::token::{AccessToken, TokenResponse};
use jhe_connect::smart::context::{LaunchContext, Right, grants};
use jhe_connect::smart::discovery::{Issuer, SmartConfiguration};
use jhe_connect::smart::identity::ExpectedIdentity;
use jhe_connect::smart::launch::Launched;
use jhe_connect::url::Url;

const ENTRY: &str =
    r#"{"resource":{"resourceType":"Observation","id":"1","subject":{"reference":"Patient/e1"}}}"#;

fn ok(body: impl Into<Vec<u8>>) -> HttpResponse {
    HttpResponse {
        status: 200,
        content_type: "application/json".into(),
        retry_after_ms: None,
        body: body.into(),
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

/// A list of so many.
fn list(item: &str, count: usize) -> String {
    vec![item; count].join(",")
}

fn page_of(entries: &str) -> Option<SearchPage> {
    let selection = Selection {
        resource_type: "Observation".into(),
        included: [].into(),
        patient: "e1".into(),
        base: url("https://ehr.example/R4"),
    };
    let body = [r#"{"resourceType":"Bundle","entry":["#, entries, "]}"].concat();
    SearchPage::read(&Rc::new(body), &selection)
}

fn session() -> JheSession {
    JheSession::new(
        url("https://jhe.example/"),
        AccessToken::new("J".into()),
        "c".into(),
    )
}

/// Hands the same answer to all that a conversation asks.
fn converse(conversation: &mut dyn Conversation, body: &str) -> usize {
    let mut count = 0;
    while conversation.next_request().is_some() {
        count += 1;
        assert!(count < 3_000, "it does not end");
        conversation.receive(Ok(ok(body)));
    }
    count
}

fn access(scope: &str) -> LaunchContext {
    let launched = Launched {
        issuer: Issuer::parse("https://ehr.example/R4", &url("https://jhe.example/"))
            .expect("an issuer"),
        scope: scope.into(),
        token_endpoint: url("https://ehr.example/token"),
        revocation_endpoint: None,
        client_id: "client".into(),
        identity: ExpectedIdentity::default(),
    };
    let token =
        r#"{"access_token":"E","token_type":"Bearer","patient":"e1","expires_in":99999999}"#;
    let token = TokenResponse::from_response(&ok(token)).expect("a token");
    LaunchContext::new(launched, token, 0).expect("a patient")
}

// Size: what takes n steps for n octets takes sixteen times as long for sixteen times as many, and not 256 times.

/// How long `work` takes.
fn time(work: &dyn Fn()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Does reading what `make` makes of a number take a time that grows as the number does?
fn grows_as_its_input(
    name: &str,
    number: usize,
    make: &dyn Fn(usize) -> String,
    read: &dyn Fn(&str),
) {
    let (small, large) = (make(number), make(16 * number));
    // A machine that does something else meanwhile is asked again: what grows faster never passes.
    let mut measured = Vec::new();
    for _ in 0..6 {
        let little = time(&|| read(&small)).max(Duration::from_micros(50));
        let much = time(&|| read(&large));
        if much < little * 16 * 5 {
            return;
        }
        measured.push((little, much));
    }
    panic!("{name}, for one and for sixteen: {measured:?}");
}

#[test]
fn the_time_that_a_page_takes_grows_as_the_page() {
    let read = |entries: &str| {
        let page = page_of(entries).expect("a page");
        assert!(page.records.len() + page.left_out.len() + page.outcomes.len() > 0);
    };
    let inside = |before: &'static str, item: &'static str, after: &'static str| {
        move |count: usize| [before, &list(item, count), after].concat()
    };
    let about =
        r#"{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/e1"},"#;
    for (name, make) in [
        ("entries", inside(r#"{"fullUrl":"x"},"#, "{}", "")),
        ("records", inside("", ENTRY, "")),
        ("members", inside(about, r#""a":1"#, "}}")),
        (
            "identifiers",
            inside(
                r#"{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/e1"},"identifier":["#,
                r#"{"system":"s"}"#,
                "]}}",
            ),
        ),
        (
            "codings",
            inside(
                r#"{"resource":{"resourceType":"Observation","subject":{"reference":"Patient/e1"},"code":{"coding":["#,
                "{}",
                "]}}}",
            ),
        ),
        (
            "issues",
            inside(
                r#"{"resource":{"resourceType":"OperationOutcome","issue":["#,
                r#"{"code":"x"}"#,
                "]}}",
            ),
        ),
    ] {
        grows_as_its_input(name, 4_000, &make, &read);
    }
    for (name, letter) in [
        ("letters", "a"),
        ("escapes", r"\u0041"),
        ("quotes", r#"\""#),
        ("backslashes", r"\\"),
    ] {
        let make = |count: usize| [about, r#""id":""#, &letter.repeat(count), r#""}}"#].concat();
        grows_as_its_input(name, 20_000, &make, &read);
    }
    for (name, open, close) in [("lists", "[", "]"), ("objects", r#"{"a":"#, "}")] {
        let make = |count: usize| {
            [
                about,
                r#""x":"#,
                &open.repeat(count),
                "1",
                &close.repeat(count),
                "}}",
            ]
            .concat()
        };
        grows_as_its_input(name, 5_000, &make, &read);
    }
}

#[test]
fn the_time_that_jhes_answers_take_grows_as_they_do() {
    let results = |item: &'static str| {
        move |count: usize| {
            let items: Vec<String> = (0..count)
                .map(|number| item.replace('#', &number.to_string()))
                .collect();
            [r#"{"results":["#, &items.join(","), "]}"].concat()
        }
    };
    let brand = results(r#"{"brandName":"Hospital #","fhirBaseUrl":"https://ehr.example/#"}"#);
    grows_as_its_input("hospitals", 1_000, &brand, &|body| {
        let found = Brands::read(Ok(ok(body))).expect("hospitals");
        assert_eq!((found.rows.len(), found.may_be_more), (100, true));
    });
    let source = results(
        r#"{"id":#,"label":"Epic / Patient Access","fhirBaseUrl":"https://ehr.example/#","dataSource":7}"#,
    );
    grows_as_its_input("sources", 1_000, &source, &|body| {
        let session = session();
        let mut known = KnownHospitals::new(&session, &PATIENT_ACCESS, "7");
        converse(&mut known, body);
        assert_eq!(known.finish().len(), 100);
    });
    let source = results(
        r#"{"id":#,"label":"Epic / MyChart","fhirBaseUrl":"https://ehr.example/R4","dataSource":7}"#,
    );
    let row = r#"{"resource":{"id":"a","extension":[{"url":"https://jupyterhealth.org/fhir/StructureDefinition/fhir-source-id","valueInteger":5}]}}"#;
    grows_as_its_input(
        "sources of a hospital, and what is filed under them",
        1_000,
        &source,
        &|body| {
            let session = session();
            let description = SourceDescription::new(&MYCHART, "https://ehr.example/R4", "7");
            let mut registration = SourceRegistration::new(&session, description);
            converse(&mut registration, body);
            let source = registration.finish().expect("a source");
            let count = source.earlier.len();
            let rows = [
                r#"{"resourceType":"Bundle","entry":["#,
                &list(row, count / 20),
                "]}",
            ]
            .concat();
            let mut inventory = Inventory::new(
                Rc::new(session),
                MYCHART.writing.unit,
                ["Observation".to_owned()].into(),
                "https://ehr.example/R4".into(),
                source.earlier,
            );
            let mut answers = [rows, r#"{"resourceType":"Bundle"}"#.into()].into_iter();
            while inventory.next_request().is_some() {
                inventory.receive(Ok(ok(answers.next().unwrap_or_default())));
            }
            assert_eq!(inventory.finish().expect("an inventory").count(), 1);
        },
    );
    let batch = |count: usize| {
        [
            r#"{"entry":["#,
            &list(
                r#"{"response":{"status":"201"},"resource":{"a":[{}]}}"#,
                count,
            ),
            "]}",
        ]
        .concat()
    };
    grows_as_its_input("a batch's entries", 1_000, &batch, &|body| {
        let count = body.matches("201").count();
        assert!(matches!(
            Outcome::of(&Ok(ok(body)), true, count),
            Outcome::Each(_)
        ));
    });
}

#[test]
fn the_time_that_signing_in_takes_grows_as_what_is_said() {
    let page = url("https://jhe.example/");
    let issuer = Issuer::parse("https://ehr.example/R4", &page).expect("an issuer");
    let configuration = |count: usize| {
        let members = list(r#""x":"https://ehr.example/""#, count);
        [
            r#"{"authorization_endpoint":"https://ehr.example/a","token_endpoint":"https://ehr.example/t","code_challenge_methods_supported":["#,
            &list(r#""S256""#, count), "],", &members, "}",
        ]
        .concat()
    };
    grows_as_its_input("a configuration", 2_000, &configuration, &|body| {
        assert!(SmartConfiguration::from_response(&ok(body), &issuer, &page).is_ok());
    });
    let statement = |count: usize| {
        let uris = list(
            r#"{"url":"https://x.example/oauth-uris","extension":[{"url":"token","valueUri":"t"},{"url":"authorize","valueUri":"a"}]}"#,
            count,
        );
        [r#"{"rest":[{"security":{"extension":["#, &uris, "]}}]}"].concat()
    };
    grows_as_its_input("a CapabilityStatement", 500, &statement, &|body| {
        assert!(SmartConfiguration::from_metadata(&ok(body), &issuer, &page).is_ok());
    });
    let scope = |count: usize| vec!["patient/Observation.r"; count].join(" ");
    grows_as_its_input("a scope", 2_000, &scope, &|scope| {
        assert!(!grants(scope, "Observation", Right::Search));
    });
    let query = |count: usize| vec!["a%20+b=%C3%A9"; count].join("&");
    grows_as_its_input("a query", 2_000, &query, &|query| {
        assert!(!AuthorizationResponse::is_present(query));
        assert_eq!(
            AuthorizationResponse::scrubbed(query).len(),
            query.len() + 1
        );
    });
    let names = |count: usize| {
        [
            r#"{"resourceType":"Patient","id":"e1","name":["#,
            &list(r#"{"given":["A","B"],"family":"C"}"#, count),
            "]}",
        ]
        .concat()
    };
    grows_as_its_input("a patient's names", 500, &names, &|body| {
        let person = Person::from_answer(Ok(ok(body)), "e1").expect("a person");
        assert_eq!(person.name.as_deref(), Some("A B C"));
    });
}

#[test]
fn the_time_that_an_identity_token_takes_grows_as_its_keys() {
    // RFC 7515 appendix A.3.
    let token = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let none_of = |keys: &str| {
        let keys = Json::parse(keys.as_bytes()).expect("a key set");
        let jws = Jws::parse(token).expect("a token");
        assert!(matches!(jws.verification(keys), Err(NoKey::Unknown)));
    };
    for key in [
        r#"{"kty":"EC","crv":"P-256","use":"enc"}"#,
        r#"{"kty":"EC","crv":"P-256","key_ops":["sign","sign","sign"]}"#,
    ] {
        let keys = |count: usize| [r#"{"keys":["#, &list(key, count), "]}"].concat();
        assert!(keys(3_200).len() < KEYS_LIMIT);
        grows_as_its_input("keys", 200, &keys, &none_of);
    }
    let members = |count: usize| {
        let members = list(r#""kty":"EC""#, count);
        [r#"{"keys":[{"kty":"RSA","#, &members, "}]}"].concat()
    };
    grows_as_its_input("a key's members", 1_000, &members, &none_of);
}

#[test]
fn a_million_tiny_entries_are_counted_and_kept_small() {
    let page = page_of(&list("{}", 1_000_000)).expect("a page");
    assert_eq!((page.records.len(), page.left_out.len()), (0, 1_000_000));
    // An octet each: nothing is kept of them but why.
    assert_eq!(size_of_val(page.left_out.as_slice()), 1_000_000);
}

#[test]
fn what_a_server_says_at_length_is_told_in_short() {
    let issue = format!(r#"{{"severity":"error","code":"{}"}}"#, "x".repeat(2_000));
    let issues = [
        r#"{"resourceType":"OperationOutcome","issue":["#,
        &list(&issue, 10_000),
        "]}",
    ]
    .concat();
    let outcome = OperationOutcome::from_response(&ok(issues)).expect("an outcome");
    assert_eq!(outcome.text().len(), 1_000);
    let long = "N".repeat(5_000_000);
    let patient = [
        r#"{"resourceType":"Patient","id":"e1","name":[{"text":""#,
        &long,
        r#""}]}"#,
    ]
    .concat();
    let person = Person::from_answer(Ok(ok(patient)), "e1").expect("a person");
    assert_eq!(person.name.expect("a name").len(), 200);
}

// Without end.

#[test]
fn a_hospital_whose_pages_never_end_is_left_after_those_of_the_plan() {
    let plan =
        Plan::of(&PATIENT_ACCESS).keep(&|_, row| matches!(row.label.as_str(), "Labs" | "Goals"));
    let pages: u32 = plan.rows.iter().map(|row| row.pages).sum();
    let review = Review {
        ehr: access("launch/patient patient/*.read"),
        deployment: &PATIENT_ACCESS,
        plan,
        checkpoint: Checkpoint::default(),
        seed: 7,
    };
    let mut run = ImportRun::review(review);
    let mut asked = 0;
    loop {
        match run.next_action(0) {
            Action::Perform(task, _) => {
                asked += 1;
                assert!(asked <= pages, "it does not end");
                let body = format!(
                    r#"{{"resourceType":"Bundle","link":[{{"relation":"next","url":"?page={asked}"}}],"entry":[{ENTRY}]}}"#
                );
                run.finish(task, Ok(ok(body)), 0);
            }
            Action::Complete => break,
            other => panic!("nothing to wait for: {other:?}"),
        }
    }
    assert_eq!(asked, pages);
    let rows = run.rows();
    assert!(rows.iter().all(|row| row.standing == Standing::Limited));
}

#[test]
fn a_server_that_wants_to_be_left_alone_for_years_is() {
    let plan = Plan::of(&MYCHART);
    let review = Review {
        ehr: access("launch/patient patient/*.read"),
        deployment: &MYCHART,
        plan,
        checkpoint: Checkpoint::default(),
        seed: 7,
    };
    let mut run = ImportRun::review(review);
    let mut asked = 0;
    while let Action::Perform(task, _) = run.next_action(0) {
        asked += 1;
        let busy = HttpResponse {
            status: 429,
            retry_after_ms: Some(u64::MAX),
            ..ok("")
        };
        run.finish(task, Ok(busy), 0);
    }
    assert_eq!(asked, 1);
    assert!(matches!(run.next_action(0), Action::Complete));
}

// Depth: no reader calls itself for each level, so that a small stack is enough.

/// As large as a module has.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(1024 * 1024).spawn(work);
    assert!(thread.expect("a thread").join().is_ok(), "see above");
}

#[test]
fn whatever_is_nested_ten_thousand_times_is_read_or_refused() {
    on_a_small_stack(|| {
        for depth in [10_000, 200_000] {
            for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"[{"a":["#, "]}]")] {
                let deep = [open.repeat(depth), "1".into(), close.repeat(depth)].concat();
                assert!(Json::parse(deep.as_bytes()).is_some());
                for name in [
                    "identifier",
                    "extension",
                    "code",
                    "effectivePeriod",
                    "subject",
                    "patient",
                    "id",
                    "x",
                ] {
                    let record = format!(
                        r#"{{"resource":{{"resourceType":"Observation","{name}":{deep},"subject":{{"reference":"Patient/e1"}}}}}}"#
                    );
                    assert!(page_of(&record).is_some());
                }
                let row = format!(
                    r#"{{"resource":{{"id":"a","x":{deep},"extension":[{{"url":"https://jupyterhealth.org/fhir/StructureDefinition/fhir-source-id","valueInteger":5}}]}}}}"#
                );
                let bundle = format!(r#"{{"resourceType":"Bundle","total":1,"entry":[{row}]}}"#);
                let mut inventory = Inventory::new(
                    Rc::new(session()),
                    MYCHART.writing.unit,
                    ["Observation".to_owned()].into(),
                    "https://ehr.example/R4".into(),
                    vec![registered(&ok(r#"{"id":5}"#)).expect("a source")],
                );
                converse(&mut inventory, &bundle);
                assert_eq!(inventory.finish().expect("an inventory").count(), 1);
            }
        }
    });
}

#[test]
fn every_reader_bears_nesting_in_the_place_of_any_value() {
    on_a_small_stack(|| {
        let deep = ["[".repeat(10_000), "]".repeat(10_000)].concat();
        each_seed(6, &|name, seed| {
            for (place, _) in seed.match_indices([':', '[', '\n', ',']).step_by(3) {
                let hostile = [&seed[..=place], deep.as_str(), &seed[place + 1..]].concat();
                fuzz::run(name, hostile.as_bytes());
            }
            fuzz::run(name, deep.as_bytes());
        });
    });
}

// Texts.

/// Escaped as in JSON: they stand in place of what is in quotes.
const TEXTS: [&str; 12] = [
    r"\ud800",
    r"\udfff\ud800\u0041",
    r"\u0000",
    r"a\u0000b\n\r\t",
    "<script>window.hacked=1</script>",
    r#"<img src=x onerror=\"window.hacked=1\">"#,
    "__proto__",
    "constructor",
    "javascript:alert(1)",
    "../../..//evil.example/%2e%2e",
    r"\u202e\u2028\ufeff\uffff",
    "",
];

#[test]
fn any_text_of_any_document_may_be_anything() {
    each_seed(4, &|name, seed| {
        for range in texts(seed) {
            for text in TEXTS {
                let hostile = [&seed[..range.start], text, &seed[range.end..]].concat();
                fuzz::run(name, hostile.as_bytes());
            }
            // The same member once more, and with a number that is none for a machine.
            let quoted = &seed[range.start - 1..range.end + 1];
            for number in [
                "-1",
                "1e999999999",
                "99999999999999999999999999",
                "null",
                "{}",
                "[]",
            ] {
                let hostile = [&seed[..range.start - 1], number, &seed[range.end + 1..]].concat();
                fuzz::run(name, hostile.as_bytes());
            }
            let twice = [
                &seed[..range.start - 1],
                quoted,
                ":1,",
                &seed[range.start - 1..],
            ]
            .concat();
            fuzz::run(name, twice.as_bytes());
        }
    });
}

/// Where the texts in quotes stand.
fn texts(seed: &str) -> Vec<std::ops::Range<usize>> {
    let mut quotes = seed.match_indices('"').map(|(place, _)| place);
    let mut texts = Vec::new();
    while let (Some(start), Some(end)) = (quotes.next(), quotes.next()) {
        texts.push(start + 1..end);
    }
    texts.truncate(60);
    texts
}

/// The seeds with the most in them, so many of each target.
fn each_seed(most: usize, work: &dyn Fn(&str, &str)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, _) in fuzz::TARGETS {
        let files = fs::read_dir(root.join(name)).expect("a corpus");
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("an entry").path()).collect();
        files.sort();
        let mut seeds: Vec<String> = files
            .iter()
            .filter_map(|file| String::from_utf8(fs::read(file).expect("an input")).ok())
            .filter(|seed| seed.len() < 4_096)
            .collect();
        seeds.sort_by_key(|seed| std::cmp::Reverse(seed.matches('"').count()));
        for seed in seeds.iter().take(most) {
            work(name, seed);
        }
    }
}
