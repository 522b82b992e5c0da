//! What JHE answers.

use jhe_connect::exchange::brands::Brands;
use jhe_connect::exchange::deployment::{MYCHART, PATIENT_ACCESS};
use jhe_connect::exchange::inventory::Inventory;
use jhe_connect::exchange::invitation::{Enrolment, Invitation};
use jhe_connect::exchange::jhe::JheSession;
use jhe_connect::exchange::patient::identifier_stored;
use jhe_connect::exchange::profile::{Profile, organization};
use jhe_connect::exchange::source::{
    KnownHospitals, SourceDescription, SourceRegistration, registered,
};
use jhe_connect::exchange::write::{Outcome, Written};
use jhe_connect::http::{Conversation, HttpRequest, HttpResponse};
use jhe_connect::oauth::token::AccessToken;
use jhe_connect::url::Url;
use serde_json::Value;

use crate::json::deepest;
use crate::{answer, lines};

pub(crate) const BASE: &str = "https://jhe.example/";

pub(crate) fn session() -> JheSession {
    let base = Url::parse(BASE).expect("a URL");
    JheSession::new(base, AccessToken::new("J".into()), "client".into())
}

/// How many records were sent, and the answer.
pub(crate) fn batch_response(input: &[u8]) {
    let ([count], rest) = lines(input);
    let count = count.bytes().map(usize::from).sum::<usize>() % 8;
    let answer = Ok(answer(rest));
    for is_batch in [false, true] {
        let Outcome::Each(written) = Outcome::of(&answer, is_batch, count) else {
            continue;
        };
        // None is left out, and none is counted twice.
        assert_eq!(written.len(), count);
        for one in &written {
            if let Written::Adjusted(said) | Written::Refused(said) = one {
                assert!(said.chars().count() <= 200);
                assert!(!said.contains('\n'));
            }
        }
        let Ok(response) = &answer else { continue };
        let is_success = (200..300).contains(&response.status);
        let is_stored = |one: &Written| !matches!(one, Written::Refused(_));
        if !is_success {
            assert!(!written.iter().any(is_stored), "a refusal counts as stored");
        } else if is_batch
            && deepest(&response.body) < 100
            && let Ok(read) = serde_json::from_slice::<Value>(&response.body)
            && let Some(entries) = read["entry"].as_array()
            && entries.len() == count
        {
            for (one, entry) in written.iter().zip(entries) {
                let status = entry["response"]["status"].as_str().unwrap_or_default();
                // Where a member is there twice, who reads may take either.
                if is_once(&response.body) {
                    assert_eq!(is_stored(one), status.starts_with('2'));
                }
            }
        }
    }
}

/// Is none of the members that matter written more often than there are entries at most?
fn is_once(body: &[u8]) -> bool {
    let count = |name: &[u8]| body.windows(name.len()).filter(|it| *it == name).count();
    !body.contains(&b'\\')
        && count(b"\"entry\"") == 1
        && count(b"\"response\"") == count(b"\"status\"")
        && count(b"\"response\"") <= 8
        && count(b"\"resource\"") == 0
}

/// The list of hospitals.
pub(crate) fn brands(input: &[u8]) {
    let Ok(found) = Brands::read(Ok(answer(input))) else {
        return;
    };
    assert!(found.rows.len() <= 1_000);
    for (index, row) in found.rows.iter().enumerate() {
        assert!(!row.name.trim().is_empty() && !row.place_name().is_empty());
        assert!(!row.full_name().is_empty());
        let url = Url::parse(&row.fhir_base_url).expect("checked before");
        assert!(url.as_str().starts_with("http"));
        assert!(!found.rows[..index].contains(row), "a row is there twice");
        assert!(found.name_of(&row.fhir_base_url).is_some());
    }
}

/// One answer a line, for whatever asks JHE before and beside the records.
pub(crate) fn jhe_answers(input: &[u8]) {
    let answers: Vec<HttpResponse> = input.split(|byte| *byte == b'\n').map(answer).collect();
    let Some(first) = answers.first() else {
        return;
    };
    if let Ok(profile) = Profile::from_response(first) {
        assert_eq!(format!("{profile:?}"), "Profile(..)");
    }
    let _ = organization(first);
    let _ = identifier_stored(first);
    let source = registered(first);

    let session = session();
    let at_jhe = |request: &HttpRequest| {
        let base = Url::parse(BASE).expect("a URL");
        assert!(base.confine(request.url.as_str(), &base).is_ok());
    };
    let replay = |conversation: &mut dyn Conversation, most: usize| -> usize {
        let mut answers = answers.iter().cycle();
        let mut count = 0;
        while let Some(request) = conversation.next_request() {
            at_jhe(&request);
            count += 1;
            assert!(count <= most, "it does not end");
            let answer = answers.next().expect("there is one");
            conversation.receive(Ok(HttpResponse {
                status: answer.status,
                content_type: answer.content_type.clone(),
                retry_after_ms: None,
                body: answer.body.clone(),
            }));
        }
        count
    };
    let ehr = "https://ehr.example/R4";
    for deployment in [&MYCHART, &PATIENT_ACCESS] {
        let description = SourceDescription::new(deployment, ehr, "70006");
        let mut registration = SourceRegistration::new(&session, description);
        replay(&mut registration, 21);
        let _ = registration.finish();

        let mut known = KnownHospitals::new(&session, deployment, "70006");
        replay(&mut known, 20);
        for hospital in known.finish() {
            assert!(Url::parse(&hospital.fhir_base_url).is_ok());
        }
        if let Ok(source) = &source {
            let types = ["Observation".to_owned(), "Condition".to_owned()];
            let mut inventory = Inventory::new(
                std::rc::Rc::new(crate::jhe::session()),
                deployment.writing.unit,
                types.into(),
                ehr.into(),
                vec![*source],
            );
            replay(&mut inventory, 2_000);
            let _ = inventory.finish().map(|held| held.count());
        }
    }
    let query = "?code=jhe.example_0wYuXvhoyRfko9yFYl9inpBiNkHLVBMy";
    let invitation = Invitation::parse(query, "jhe.example").expect("an invitation");
    let mut enrolment = Enrolment::new(Url::parse(BASE).expect("a URL"), invitation);
    replay(&mut enrolment, 4);
    if let Ok(session) = enrolment.finish() {
        assert!(!session.token().secret().is_empty());
        at_jhe(&session.get("api/v1/users/profile"));
    }
}
