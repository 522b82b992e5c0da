//! One record into JHE, and what became of it.

use alloc::string::String;

use crate::exchange::jhe::JheSession;
use crate::exchange::source::SourceId;
use crate::fhir::outcome::OperationOutcome;
use crate::http::{Answer, HttpRequest, HttpResponse};
use crate::text::find;

/// The request that stores one record. JHE's MyChart version adds a row every time: it must not be repeated unless it
/// is known not to have arrived.
pub fn write_request(
    jhe: &JheSession,
    resource_type: &str,
    source: SourceId,
    record: String,
) -> HttpRequest {
    jhe.post(&["FHIR/R5/", resource_type].concat(), record)
        .with_header("X-JHE-FHIR-Source-ID", source.header_value())
}

/// What became of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// JHE holds it.
    Stored,
    /// JHE refused it, for this reason.
    Refused(String),
    /// It is unknown whether JHE holds it: the answer was lost, or the server failed on the way.
    Unsettled(String),
    /// 401: JHE's session is over, and the record is not stored.
    SessionExpired,
}

impl Written {
    /// Reads what came back for [`write_request`].
    pub fn from_answer(answer: &Answer) -> Self {
        match answer {
            Ok(response) if response.is_success() => match response.json() {
                Some(stored) if stored.is_object() => Written::Stored,
                // Not JHE's answer: a proxy's page, say.
                _ => Written::Unsettled(reason(response)),
            },
            Ok(response) if response.status == 401 => Written::SessionExpired,
            // A worker that is cut off after 30 s may have committed before.
            Ok(response) if response.status >= 500 => Written::Unsettled(reason(response)),
            Ok(response) => Written::Refused(reason(response)),
            Err(error) => Written::Unsettled(error.detail().into()),
        }
    }
}

const REASON_LENGTH: usize = 200;

/// JHE's reason in one line: the OperationOutcome's text, or whatever else it answered.
fn reason(response: &HttpResponse) -> String {
    let text = OperationOutcome::from_response(response).map(|outcome| outcome.text());
    let text = text
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| response.describe());
    let mut line = String::new();
    // JHE writes a line's end as a backslash and an n.
    let mut rest = text.as_str();
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
    use crate::http::TransportError;
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

    #[test]
    fn a_refusal_carries_jhes_reason_in_one_line() {
        let body = r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"[ErrorDetail(string='Invalid FHIR Observation: 1 validation error for Observation\\nid\\n  ensure this value has at most 64 characters (type=value_error.any_str.max_length; limit_value=64)', code='invalid')]"}]}"#;
        assert_eq!(
            Written::from_answer(&Ok(json(400, body))),
            Written::Refused("Invalid FHIR Observation: 1 validation error for Observation id ensure this value has at most 64 characters (type=value_error.any_str.max_length; limit_value=64)".into())
        );
    }

    #[test]
    fn a_lost_answer_and_a_failing_server_leave_the_record_unsettled() {
        assert!(matches!(
            Written::from_answer(&Err(TransportError::TimedOut)),
            Written::Unsettled(_)
        ));
        assert_eq!(
            Written::from_answer(&Ok(answer(500, "text/html", "<html>"))),
            Written::Unsettled("HTTP 500: a web page".into())
        );
    }

    #[test]
    fn a_success_that_is_not_jhes_does_not_count_as_stored() {
        for (content_type, body) in [("text/html", "<html>log in</html>"), ("", "")] {
            assert!(matches!(
                Written::from_answer(&Ok(answer(200, content_type, body))),
                Written::Unsettled(_)
            ));
        }
    }

    #[test]
    fn the_other_outcomes_are_told_apart() {
        assert_eq!(Written::from_answer(&Ok(json(201, "{}"))), Written::Stored);
        assert_eq!(
            Written::from_answer(&Ok(json(401, "{}"))),
            Written::SessionExpired
        );
        assert_eq!(
            Written::from_answer(&Ok(answer(413, "text/html", "<html>"))),
            Written::Refused("HTTP 413: a web page".into())
        );
    }
}
