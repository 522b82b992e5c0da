//! [OperationOutcome](https://hl7.org/fhir/R4/operationoutcome.html): what a FHIR server has to say.

use alloc::string::String;
use alloc::vec::Vec;

use crate::http::HttpResponse;
use crate::json::Json;
use crate::text::find;

/// The issues of an OperationOutcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationOutcome {
    issues: Vec<Issue>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Issue {
    severity: Severity,
    is_required: bool,
    text: String,
}

/// How grave an outcome is, all its issues considered: servers put an informational one first and a fatal one later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing to do.
    Information,
    /// The result may be incomplete.
    Warning,
    /// The request failed; an unknown severity counts as this.
    Error,
}

impl OperationOutcome {
    /// Reads an OperationOutcome. `None` for any other resource.
    pub fn read(resource: Json<'_>) -> Option<Self> {
        let is_outcome = resource.get_string("resourceType").as_deref() == Some("OperationOutcome");
        is_outcome.then(|| Self::read_issues(resource))
    }

    /// Reads an answer's body, if it is one. JHE leaves `resourceType` away in some of them.
    pub fn from_response(response: &HttpResponse) -> Option<Self> {
        let body = response.json()?;
        Self::read(body).or_else(|| {
            let outcome = Self::read_issues(body);
            (!outcome.issues.is_empty()).then_some(outcome)
        })
    }

    fn read_issues(outcome: Json<'_>) -> Self {
        let mut issues = Vec::new();
        for issue in outcome.list("issue") {
            issues.push(Issue::read(issue));
        }
        OperationOutcome { issues }
    }

    /// The gravest severity.
    pub fn severity(&self) -> Severity {
        let severities = self.issues.iter().map(|issue| issue.severity);
        severities.max().unwrap_or(Severity::Information)
    }

    /// Does the server miss something in the request: a search without a category, say?
    pub fn misses_something(&self) -> bool {
        let mut issues = self.issues.iter();
        issues.any(|issue| issue.is_required && issue.severity == Severity::Error)
    }

    /// The text of the gravest issue, empty where the server said nothing.
    pub fn text(&self) -> String {
        let gravest = self.severity();
        let said = self
            .issues
            .iter()
            .find(|issue| issue.severity == gravest && !issue.text.is_empty());
        said.map(|issue| issue.text.clone()).unwrap_or_default()
    }
}

impl Issue {
    fn read(issue: Json<'_>) -> Self {
        let severity = match issue.get_string("severity").as_deref() {
            Some("information" | "success") => Severity::Information,
            Some("warning") => Severity::Warning,
            _ => Severity::Error,
        };
        let diagnostics = issue.get_string("diagnostics");
        let text = diagnostics
            .map(|text| unwrapped(&text).into())
            .or_else(|| issue.get("details")?.get_string("text"))
            .or_else(|| issue.get_string("code"));
        Issue {
            severity,
            is_required: issue.get_string("code").as_deref() == Some("required"),
            text: text.unwrap_or_default().chars().take(TEXT).collect(),
        }
    }
}

/// Texts are cut at so many characters.
const TEXT: usize = 1_000;

/// The sentence inside the wrapper that JHE's validation puts around it:
/// `[ErrorDetail(string='Invalid FHIR Observation: …', code='invalid')]`, with either kind of quotes.
fn unwrapped(diagnostics: &str) -> &str {
    let inner = find(diagnostics, "Invalid FHIR").and_then(|start| {
        let rest = diagnostics.get(start..)?;
        let inner = rest.get(..find(rest, ", code=")?)?;
        Some(inner.trim_end_matches(['\'', '"']))
    });
    inner.unwrap_or(diagnostics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::json;

    #[test]
    fn severity_is_read_over_all_issues() {
        let text = r#"{"resourceType":"OperationOutcome","issue":[
                {"severity":"information","code":"informational","diagnostics":"Unknown parameter"},
                {"severity":"fatal","code":"required","details":{"text":"category is required"}}]}"#;
        let outcome = OperationOutcome::read(Json::parse(text.as_bytes()).unwrap()).unwrap();
        assert_eq!(outcome.severity(), Severity::Error);
        assert_eq!(outcome.text(), "category is required");
        assert!(outcome.misses_something());
    }

    #[test]
    fn jhes_wrapper_is_taken_off() {
        for quote in ["'", "\\\""] {
            let body = [
                r#"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"processing","diagnostics":"[ErrorDetail(string="#,
                quote,
                r"Invalid FHIR Observation: 1 validation error for Observation\\nid\\n  too long",
                quote,
                r#", code='invalid')]"}]}"#,
            ]
            .concat();
            let outcome = OperationOutcome::from_response(&json(400, &body)).unwrap();
            assert_eq!(
                outcome.text(),
                "Invalid FHIR Observation: 1 validation error for Observation\\nid\\n  too long"
            );
        }
    }

    #[test]
    fn a_server_that_says_a_megabyte_is_quoted_with_its_beginning() {
        let long = "é".repeat(1_000_000);
        let wrapped = ["[ErrorDetail(string='Invalid FHIR ", &long, "', code='x')]"].concat();
        for issue in [
            [r#"{"diagnostics":""#, &long, r#""}"#],
            [r#"{"diagnostics":""#, &wrapped, r#""}"#],
            [r#"{"details":{"text":""#, &long, r#""}}"#],
            [r#"{"code":""#, &long, r#""}"#],
        ] {
            let body = [
                r#"{"resourceType":"OperationOutcome","issue":["#,
                &issue.concat(),
                "]}",
            ]
            .concat();
            let outcome = OperationOutcome::from_response(&json(400, &body)).unwrap();
            assert_eq!(outcome.text().chars().count(), TEXT);
        }
    }

    #[test]
    fn other_documents_are_no_outcome() {
        let patient = Json::parse(br#"{"resourceType":"Patient"}"#).unwrap();
        assert_eq!(OperationOutcome::read(patient), None);
        assert_eq!(
            OperationOutcome::from_response(&json(401, r#"{"detail":"no"}"#)),
            None
        );
        assert_eq!(OperationOutcome::from_response(&json(401, r#""""#)), None);
    }
}
