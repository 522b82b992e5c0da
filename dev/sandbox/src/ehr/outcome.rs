//! OperationOutcomes with Epic's message codes.

use super::Vendor;
use crate::json::{array, object, text};

/// One of Epic's messages.
pub(super) struct Message {
    pub(super) severity: &'static str,
    pub(super) code: &'static str,
    pub(super) number: &'static str,
    pub(super) says: &'static str,
}

/// The search found nothing.
pub(super) const NO_RESULTS: Message = Message {
    severity: "warning",
    code: "processing",
    number: "4101",
    says: "Resource request returns no results.",
};
/// The link to a page has expired.
pub(super) const SESSION_EXPIRED: Message = Message {
    severity: "fatal",
    code: "processing",
    number: "4113",
    says: "The session ID is invalid or has expired.",
};
/// Rides in most good answers.
pub(super) const MAYBE_INCOMPLETE: Message = Message {
    severity: "information",
    code: "informational",
    number: "4119",
    says: "This response includes what was available to the user at the time of the request. It may not contain the entire record.",
};
/// A parameter that the server does not know.
pub(super) const UNKNOWN_PARAMETER: Message = Message {
    severity: "information",
    code: "informational",
    number: "59100",
    says: "Unknown query parameter.",
};
/// What [`UNKNOWN_PARAMETER`] leads to.
pub(super) const INVALID_PARAMETERS: Message = Message {
    severity: "fatal",
    code: "invalid",
    number: "59111",
    says: "The request's parameters can't be processed.",
};
/// A compulsory parameter is missing.
pub(super) const REQUIRED: Message = Message {
    severity: "fatal",
    code: "required",
    number: "59108",
    says: "A required element is missing.",
};
/// Something that the app may not see was left out.
pub(super) const SUB_RESOURCE: Message = Message {
    severity: "warning",
    code: "suppressed",
    number: "59204",
    says: "The client is not authorized for a sub-resource of this search. Results of that kind are not returned.",
};
/// The token is none, or is another hospital's.
pub(super) const LOGIN: Message = Message {
    severity: "fatal",
    code: "login",
    number: "59144",
    says: "The access token is not valid.",
};
/// The token does not cover this.
pub(super) const FORBIDDEN: Message = Message {
    severity: "fatal",
    code: "forbidden",
    number: "59177",
    says: "The requested resource is not authorized.",
};
/// There is no such record.
pub(super) const NOT_FOUND: Message = Message {
    severity: "fatal",
    code: "not-found",
    number: "59018",
    says: "The resource was not found.",
};

/// An OperationOutcome of these messages, as text. Only Epic's has its message codes.
pub(super) fn of(vendor: Vendor, messages: &[(&Message, &str)]) -> String {
    let issues: Vec<String> = messages
        .iter()
        .map(|(message, diagnostics)| {
            let mut details = vec![("text", text(message.says))];
            if vendor == Vendor::Epic {
                let coding = object(&[
                    ("system", text("urn:oid:1.2.840.114350.1.13.0.1.7.2.657369")),
                    ("code", text(message.number)),
                    ("display", text(message.says)),
                ]);
                details.insert(0, ("coding", array(&[coding])));
            }
            let mut members = vec![
                ("severity", text(message.severity)),
                ("code", text(message.code)),
                ("details", object(&details)),
            ];
            if !diagnostics.is_empty() {
                members.push(("diagnostics", text(diagnostics)));
            }
            object(&members)
        })
        .collect();
    object(&[
        ("resourceType", text("OperationOutcome")),
        ("issue", array(&issues)),
    ])
}
