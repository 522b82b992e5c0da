//! Records into JHE, one a request or many, and what became of each.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::jhe::JheSession;
use crate::exchange::source::SourceId;
use crate::fhir::outcome::{OperationOutcome, Severity};
use crate::http::{Answer, HttpRequest, HttpResponse, TransportError};
use crate::json::{Json, Walk};
use crate::text::find;

/// Records in one batch, at most.
pub const BATCH_RECORDS: usize = 100;
/// Octets of records in one batch, at most: a proxy in front of JHE takes 1 MiB where nobody configured it.
pub const BATCH_OCTETS: usize = 880_000;

/// The request that stores one record. JHE's MyChart version adds a row every time: it must not be repeated unless it
/// is known not to have arrived.
pub fn write_request(
    jhe: &JheSession,
    resource_type: &str,
    source: SourceId,
    record: String,
) -> HttpRequest {
    with_source(
        jhe.post(&["FHIR/R5/", resource_type].concat(), record),
        source,
    )
}

/// The request that stores many records, which JHE converts from R4. It updates those that it holds, by their ids.
pub fn batch_request<'a>(
    jhe: &JheSession,
    source: SourceId,
    records: impl Iterator<Item = &'a str>,
    octets: usize,
) -> HttpRequest {
    const HEAD: &str = r#"{"resourceType":"Bundle","type":"batch","entry":["#;
    let mut body = String::with_capacity(HEAD.len() + octets + BATCH_RECORDS * 16);
    body.push_str(HEAD);
    for (index, record) in records.enumerate() {
        body.push_str(if index > 0 {
            ",{\"resource\":"
        } else {
            "{\"resource\":"
        });
        body.push_str(record);
        body.push('}');
    }
    body.push_str("]}");
    with_source(jhe.post("fhir-import/R4/", body), source)
}

fn with_source(request: HttpRequest, source: SourceId) -> HttpRequest {
    request.with_header("X-JHE-FHIR-Source-ID", source.header_value())
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// JHE holds it.
    Stored,
    /// JHE holds it, with a change; what it says of it.
    Adjusted(String),
    /// JHE refused it, for this reason.
    Refused(String),
}

/// What came back for a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The outcome of each record, in the order in which they were sent.
    Each(Vec<Written>),
    /// 401: JHE's session is over, and nothing is stored.
    SessionExpired,
    /// 413: too long a body, of which nothing was read.
    TooLarge(String),
    /// 429: nothing was processed. For how many milliseconds the server wants to be left alone, if it says so.
    Busy(Option<u64>, String),
    /// It is unknown whether JHE holds the records: the answer was lost, or the server failed on the way.
    Unsettled(String, Option<TransportError>),
}

impl Outcome {
    /// Reads what came back for a write of `count` records.
    pub fn of(answer: &Answer, is_batch: bool, count: usize) -> Self {
        let response = match answer {
            Ok(response) => response,
            Err(error) => return Outcome::Unsettled(error.detail().into(), Some(*error)),
        };
        let written = match is_batch {
            _ if !response.is_success() => None,
            true => batch_outcomes(&response.body),
            // An answer that is no object is not JHE's: a proxy's page, say.
            false => response
                .json()
                .filter(|stored| stored.is_object())
                .map(|_| alloc::vec![Written::Stored]),
        };
        match written {
            Some(written) if written.len() == count => return Outcome::Each(written),
            _ => {}
        }
        let reason = reason(response);
        match response.status {
            401 => Outcome::SessionExpired,
            413 => Outcome::TooLarge(reason),
            429 => Outcome::Busy(response.retry_after_ms, reason),
            400..500 => Outcome::Each(alloc::vec![Written::Refused(reason); count]),
            // A worker that is cut off after 30 s may have committed before.
            _ => Outcome::Unsettled(reason, None),
        }
    }
}

/// The outcomes in a `batch-response`. What is none of its entries is left away: the number then tells.
///
/// JHE echoes every record, so that this is as long as what was sent: it is gone through once, and not checked.
fn batch_outcomes(body: &[u8]) -> Option<Vec<Written>> {
    let text = core::str::from_utf8(body).ok()?;
    let mut walk = Walk::over(text);
    let mut written = Vec::new();
    walk.enter(b'{');
    while let Some(name) = walk.member() {
        if name != "entry" || !walk.enter(b'[') {
            walk.value();
            continue;
        }
        while walk.element() {
            let mut response = None;
            if !walk.enter(b'{') {
                walk.value();
                continue;
            }
            while let Some(name) = walk.member() {
                let value = walk.value();
                if name == "response" {
                    response = Some(value);
                }
            }
            written.extend(response.and_then(entry_outcome));
        }
    }
    Some(written)
}

/// JHE's `status` is no HTTP reason phrase (`400 invalid`): only its first digit counts.
fn entry_outcome(response: Json<'_>) -> Option<Written> {
    let response = Json::parse(response.text().as_bytes())?;
    let status = response.get_string("status")?;
    let outcome = response.get("outcome").and_then(OperationOutcome::read);
    let severity = outcome.as_ref().map(OperationOutcome::severity);
    let said = one_line(&outcome.map(|it| it.text()).unwrap_or_default());
    Some(match (status.starts_with('2'), severity) {
        (false, _) if said.is_empty() => Written::Refused(one_line(&status)),
        (false, _) => Written::Refused(said),
        (true, Some(Severity::Warning | Severity::Error)) => Written::Adjusted(said),
        (true, _) => Written::Stored,
    })
}

const REASON_LENGTH: usize = 200;

/// JHE's reason in one line: the OperationOutcome's text, or whatever else it answered.
fn reason(response: &HttpResponse) -> String {
    let text = OperationOutcome::from_response(response).map(|outcome| outcome.text());
    match text.filter(|text| !text.is_empty()) {
        Some(text) => one_line(&text),
        None => one_line(&response.describe()),
    }
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    // JHE writes a line's end as a backslash and an n.
    let mut rest = text;
    while let Some(end) = find(rest, "\\n") {
        push_words(&mut line, rest.get(..end).unwrap_or_default());
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    push_words(&mut line, rest);
    line.chars().take(REASON_LENGTH).collect()
}

/// Adds the words of `text` with one space between any two.
fn push_words(line: &mut String, text: &str) {
    for word in text.split_ascii_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::jhe::testing::jhe;
    use crate::exchange::source::registered;
    use crate::http::status_text;
    use crate::http::testing::{answer, header, json};

    #[test]
    fn a_write_names_its_source() {
        let source = registered(&json(201, r#"{"id":90003}"#)).unwrap();
        let request = write_request(&jhe(), "Observation", source, "{}".into());
        assert_eq!(
            request.url.as_str(),
            "https://jhe.example/FHIR/R5/Observation"
        );
        assert_eq!(header(&request, "X-JHE-FHIR-Source-ID"), Some("90003"));
    }

    fn one(answer: Answer) -> Outcome {
        Outcome::of(&answer, false, 1)
    }

    fn refused(reason: &str) -> Outcome {
        Outcome::Each(alloc::vec![Written::Refused(reason.into())])
    }

    #[test]
    fn a_refusal_carries_jhes_reason_in_one_line() {
        let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"[ErrorDetail(string='Invalid FHIR Observation: 1 validation error for Observation\\nid\\n  ensure this value has at most 64 characters (type=value_error.any_str.max_length; limit_value=64)', code='invalid')]"}]}"#;
        assert_eq!(
            one(Ok(json(400, body))),
            refused(
                "Invalid FHIR Observation: 1 validation error for Observation id ensure this value has at most 64 characters (type=value_error.any_str.max_length; limit_value=64)"
            )
        );
    }

    #[test]
    fn a_lost_answer_and_a_failing_server_leave_the_record_unsettled() {
        assert_eq!(
            one(Err(TransportError::TimedOut)),
            Outcome::Unsettled(
                TransportError::TimedOut.detail().into(),
                Some(TransportError::TimedOut)
            )
        );
        for status in [302, 500, 502, 503, 504] {
            assert_eq!(
                one(Ok(answer(status, "text/html", "<html>"))),
                Outcome::Unsettled([&status_text(status), ": a web page"].concat(), None)
            );
        }
    }

    #[test]
    fn a_success_that_is_not_jhes_does_not_count_as_stored() {
        for (content_type, body) in [("text/html", "<html>log in</html>"), ("", "")] {
            for is_batch in [false, true] {
                let answer = Ok(answer(200, content_type, body));
                let outcome = Outcome::of(&answer, is_batch, 1);
                assert!(matches!(outcome, Outcome::Unsettled(..)));
            }
        }
    }

    #[test]
    fn the_other_outcomes_are_told_apart() {
        assert_eq!(
            one(Ok(json(201, "{}"))),
            Outcome::Each(alloc::vec![Written::Stored])
        );
        assert_eq!(one(Ok(json(401, "{}"))), Outcome::SessionExpired);
        assert_eq!(
            one(Ok(answer(413, "text/html", "<html>"))),
            Outcome::TooLarge("HTTP 413: a web page".into())
        );
        let mut busy = json(429, "");
        busy.retry_after_ms = Some(7_000);
        assert_eq!(one(Ok(busy)), Outcome::Busy(Some(7_000), "HTTP 429".into()));
    }

    #[test]
    fn a_batch_holds_each_record_byte_for_byte() {
        let source = registered(&json(201, r#"{"id":90003}"#)).unwrap();
        let records = [r#"{"value": 1.50}"#, r#"{ "a":"\u00e9" }"#];
        let request = batch_request(&jhe(), source, records.into_iter(), 30);
        assert_eq!(request.url.as_str(), "https://jhe.example/fhir-import/R4/");
        assert_eq!(header(&request, "X-JHE-FHIR-Source-ID"), Some("90003"));
        assert_eq!(
            request.body.as_deref(),
            Some(
                r#"{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"value": 1.50}},{"resource":{ "a":"\u00e9" }}]}"#
            )
        );
    }

    #[test]
    fn each_record_of_a_batch_has_its_outcome() {
        let body = r#"{"resourceType":"Bundle","type":"batch-response","entry":[
            {"response":{"status":"201 Created","outcome":{"resourceType":"OperationOutcome","issue":[
                {"severity":"information","code":"informational","diagnostics":"Converted R4 -> R5 with no detected field loss."}]}},
             "resource":{"resourceType":"Observation","response":{"status":"400"}}},
            {"resource":{"x":[{}]},"response":{"status":"201 Created","outcome":{"resourceType":"OperationOutcome","issue":[
                {"severity":"warning","code":"not-supported","diagnostics":"R4 field 'X.y' has no R5 equivalent"}]}}},
            {"response":{"status":"400 invalid","outcome":{"resourceType":"OperationOutcome","issue":[
                {"severity":"error","code":"invalid","diagnostics":"no code"},{"severity":"warning","diagnostics":"dropped"}]}}},
            {"response":{"status":"404 not_found"}}]}"#;
        let answer = Ok(json(200, body));
        assert_eq!(
            Outcome::of(&answer, true, 4),
            Outcome::Each(alloc::vec![
                Written::Stored,
                Written::Adjusted("R4 field 'X.y' has no R5 equivalent".into()),
                Written::Refused("no code".into()),
                Written::Refused("404 not_found".into()),
            ])
        );
        // An outcome too few, and it is not known whose it is.
        assert!(matches!(
            Outcome::of(&answer, true, 5),
            Outcome::Unsettled(..)
        ));
    }

    #[test]
    fn a_long_status_of_a_record_is_told_in_short_and_in_one_line() {
        let long = ["400 x\\ny ", &"é".repeat(10_000)].concat();
        let body = [r#"{"entry":[{"response":{"status":""#, &long, r#""}}]}"#].concat();
        let Outcome::Each(written) = Outcome::of(&Ok(json(200, &body)), true, 1) else {
            panic!("one outcome");
        };
        let Some(Written::Refused(said)) = written.first() else {
            panic!("it is refused");
        };
        assert!(said.starts_with("400 x y é"));
        assert_eq!(said.chars().count(), REASON_LENGTH);
    }

    #[test]
    fn a_batch_that_is_refused_as_a_whole_is_refused_for_each_record() {
        let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","diagnostics":"A FhirSource is required"}]}"#;
        assert_eq!(
            Outcome::of(&Ok(json(400, body)), true, 2),
            Outcome::Each(alloc::vec![
                Written::Refused("A FhirSource is required".into());
                2
            ])
        );
    }

    #[test]
    fn a_batch_response_that_broke_off_settles_nothing() {
        let whole = r#"{"entry":[{"response":{"status":"201 Created"}},{"response":{"status":"201 Created"}}]}"#;
        for end in 0..whole.len() {
            let answer = Ok(json(200, whole.get(..end).unwrap()));
            let outcome = Outcome::of(&answer, true, 2);
            let is_known = matches!(outcome, Outcome::Each(_));
            // Behind the last status everything that matters has come.
            assert_eq!(is_known, end >= whole.len() - 3, "{end}");
        }
    }
}
