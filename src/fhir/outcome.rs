//! [OperationOutcome](https://hl7.org/fhir/R4/operationoutcome.html): what a FHIR server has to say.

use alloc::string::String;
use alloc::vec::Vec;

use serde::Deserialize;

use crate::http::HttpResponse;

/// The issues of an OperationOutcome.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OperationOutcome {
    #[serde(rename = "resourceType")]
    resource_type: Option<String>,
    #[serde(default)]
    issue: Vec<Issue>,
}

/// One issue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Issue {
    severity: Option<String>,
    code: Option<String>,
    diagnostics: Option<String>,
    details: Option<Details>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Details {
    text: Option<String>,
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
    /// Reads an OperationOutcome's text.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str::<Self>(text)
            .ok()
            .filter(Self::is_outcome)
    }

    /// Reads an answer's body, if it is one. JHE leaves `resourceType` away in some of them.
    pub fn from_response(response: &HttpResponse) -> Option<Self> {
        response
            .json::<Self>()
            .filter(|outcome| outcome.is_outcome() || !outcome.issue.is_empty())
    }

    fn is_outcome(&self) -> bool {
        self.resource_type.as_deref() == Some("OperationOutcome")
    }

    /// The gravest severity.
    pub fn severity(&self) -> Severity {
        let severities = self.issue.iter().map(Issue::severity);
        severities.max().unwrap_or(Severity::Information)
    }

    /// The text of the gravest issue, empty where the server said nothing.
    pub fn text(&self) -> String {
        let gravest = self.severity();
        let texts = self
            .issue
            .iter()
            .filter(|issue| issue.severity() == gravest);
        texts
            .map(Issue::text)
            .find(|text| !text.is_empty())
            .unwrap_or_default()
    }
}

impl Issue {
    fn severity(&self) -> Severity {
        match self.severity.as_deref() {
            Some("information" | "success") => Severity::Information,
            Some("warning") => Severity::Warning,
            _ => Severity::Error,
        }
    }

    fn text(&self) -> String {
        let details = self.details.as_ref().and_then(|d| d.text.as_deref());
        let code = self.code.as_deref();
        let diagnostics = self.diagnostics.as_deref().map(unwrapped);
        diagnostics.or(details).or(code).unwrap_or("").into()
    }
}

/// The sentence inside the wrapper that JHE's validation puts around it:
/// `[ErrorDetail(string='Invalid FHIR Observation: …', code='invalid')]`, with either kind of quotes.
fn unwrapped(diagnostics: &str) -> &str {
    let inner = diagnostics
        .find("Invalid FHIR")
        .and_then(|start| diagnostics.get(start..))
        .and_then(|rest| rest.rsplit_once(", code="))
        .map(|(inner, _)| inner.trim_end_matches(['\'', '"']));
    inner.unwrap_or(diagnostics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::json;

    #[test]
    fn severity_is_read_over_all_issues() {
        let outcome = OperationOutcome::parse(
            r#"{"resourceType":"OperationOutcome","issue":[
                {"severity":"information","code":"informational","diagnostics":"Unknown parameter"},
                {"severity":"fatal","code":"required","details":{"text":"category is required"}}]}"#,
        )
        .unwrap();
        assert_eq!(outcome.severity(), Severity::Error);
        assert_eq!(outcome.text(), "category is required");
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
    fn other_documents_are_no_outcome() {
        assert_eq!(
            OperationOutcome::parse(r#"{"resourceType":"Patient"}"#),
            None
        );
        assert_eq!(
            OperationOutcome::from_response(&json(401, r#"{"detail":"no"}"#)),
            None
        );
        assert_eq!(OperationOutcome::from_response(&json(401, r#""""#)), None);
    }
}
