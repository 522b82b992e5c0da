//! The hospitals that the EHR's listener plays, each with the habits of its vendor: where its
//! endpoints are, how it pages and what it insists on. All of them have the same patients and logins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::json::text;
use crate::sample::OBSERVATION;
use crate::settings::Total;
use crate::world::Origins;

/// The practice that a token answer of athenahealth names, and that each query there must name.
pub const ATHENA_PRACTICE: &str = "a-1.Practice-80000";

/// Oracle Health's name for its customer.
pub(super) const TENANT: &str = "ec2458f2-sandbox-tenant";

/// A hospital, by the vendor of its EHR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vendor {
    /// The sandbox's main hospital.
    Epic,
    /// Formerly Cerner: its authorization server has an origin of its own.
    OracleHealth,
    /// One base for all practices, so that every query names the practice.
    Athenahealth,
    /// Has Observations without codings and some that were entered in error.
    Meditech,
    /// An open-source server: its next links are the base itself with a query.
    Hapi,
}

impl Vendor {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Epic,
        Self::OracleHealth,
        Self::Athenahealth,
        Self::Meditech,
        Self::Hapi,
    ];

    /// The FHIR base's path on the EHR's origin, without a slash at its end.
    pub fn base_path(self) -> &'static str {
        self.habits().base
    }

    /// The name under which JHE lists the hospital.
    pub fn facility_name(self) -> &'static str {
        match self {
            Self::Epic => "Canal Side Hospital",
            Self::OracleHealth => "Harbor Light Medical Center",
            Self::Athenahealth => "Orchard Street Family Health",
            Self::Meditech => "Prairie View Memorial Hospital",
            Self::Hapi => "North Star University Hospital",
        }
    }

    /// The FHIR base as the vendor's list of endpoints has it: some end with a slash.
    pub fn listed_base(self, origins: &Origins) -> String {
        let slash = match self {
            Self::Epic | Self::Hapi => "/",
            _ => "",
        };
        format!("{}{slash}", origins.iss_of(self))
    }

    pub(super) fn habits(self) -> &'static Habits {
        match self {
            Self::Epic => &EPIC,
            Self::OracleHealth => &ORACLE_HEALTH,
            Self::Athenahealth => &ATHENAHEALTH,
            Self::Meditech => &MEDITECH,
            Self::Hapi => &HAPI,
        }
    }

    /// The origin of the authorization server.
    pub(super) fn authorization_origin(self, origins: &Origins) -> &str {
        match self.habits().authorization_server {
            AuthorizationServer::OnTheSameOrigin => &origins.ehr,
            AuthorizationServer::OfItsOwn => &origins.authorization,
        }
    }

    /// Where the forms of the sign-in go.
    pub(super) fn login_path(self) -> String {
        beside(self.habits().authorize, "login")
    }

    pub(super) fn choice_path(self) -> String {
        beside(self.habits().authorize, "choice")
    }

    /// Where tokens are revoked, if the vendor lets them be.
    pub(super) fn revocation_path(self) -> String {
        beside(self.habits().token, "revoke")
    }

    pub(super) fn consent_path(self) -> String {
        beside(self.habits().authorize, "consent")
    }

    /// What a `next` link says after the base.
    pub(super) fn next_search(self, resource_type: &str, session: &str, from: usize) -> String {
        match self {
            Self::Epic => format!("/{resource_type}?sessionID={session}"),
            Self::OracleHealth => {
                format!("/{resource_type}?-pageContext={session}&-pageDirection=NEXT")
            }
            Self::Athenahealth => {
                format!(
                    "/{resource_type}?cursor={session}&ah-practice=Organization/{ATHENA_PRACTICE}"
                )
            }
            Self::Meditech => format!("/{resource_type}?continue={session}"),
            Self::Hapi => {
                format!("?_getpages={session}&_getpagesoffset={from}&_bundletype=searchset")
            }
        }
    }

    /// A record as this hospital has it; `position` is its place among the patient's.
    pub(super) fn as_served(
        self,
        origins: &Origins,
        resource_type: &str,
        position: usize,
        record: String,
    ) -> String {
        let base = origins.iss_of(self);
        let record = match self {
            Self::Epic => return record,
            // Whatever is below the main hospital's base is below its own base here.
            _ => record.replace(&origins.iss(), &base),
        };
        match self {
            Self::Meditech if resource_type == OBSERVATION => match position % 5 {
                1 => without_coding(&record).unwrap_or(record),
                3 => entered_in_error(&record).unwrap_or(record),
                _ => record,
            },
            Self::Hapi => with_absolute_references(&record, &base),
            _ => record,
        }
    }
}

/// What is peculiar to a vendor, as far as it is a value.
pub(super) struct Habits {
    /// The FHIR base.
    pub(super) base: &'static str,
    /// Another FHIR base of the same hospital, which no token of this app is for.
    pub(super) other_base: &'static str,
    pub(super) authorization_server: AuthorizationServer,
    pub(super) authorize: &'static str,
    pub(super) token: &'static str,
    pub(super) audience: Audience,
    pub(super) revocation: Revocation,
    /// Records on one page.
    pub(super) page_size: usize,
    /// The parameter of a `next` link that says where to go on.
    pub(super) session: &'static str,
    pub(super) total: Total,
    pub(super) documents: Documents,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthorizationServer {
    OnTheSameOrigin,
    OfItsOwn,
}

/// Whether tokens can be revoked (RFC 7009).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Revocation {
    Offered,
    Absent,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    Required,
    Optional,
}

const EPIC: Habits = Habits {
    base: super::FHIR_BASE,
    other_base: "/interconnect/api/FHIR/DSTU2",
    authorization_server: AuthorizationServer::OnTheSameOrigin,
    authorize: "/interconnect/oauth2/authorize",
    token: "/interconnect/oauth2/token",
    // Since 2023.
    audience: Audience::Required,
    revocation: Revocation::Absent,
    page_size: 10,
    session: "sessionID",
    total: Total::Page,
    documents: Documents::Raw,
};

const ORACLE_HEALTH: Habits = Habits {
    base: "/r4/ec2458f2-sandbox-tenant",
    other_base: "/dstu2/ec2458f2-sandbox-tenant",
    authorization_server: AuthorizationServer::OfItsOwn,
    authorize: "/tenants/ec2458f2-sandbox-tenant/protocols/oauth2/profiles/smart-v1/personas/patient/authorize",
    token: "/tenants/ec2458f2-sandbox-tenant/protocols/oauth2/profiles/smart-v1/token",
    audience: Audience::Required,
    revocation: Revocation::Absent,
    page_size: 50,
    session: "-pageContext",
    total: Total::Absent,
    documents: Documents::AsAskedFor,
};

const ATHENAHEALTH: Habits = Habits {
    base: "/fhir/r4",
    other_base: "/fhir/dstu2",
    authorization_server: AuthorizationServer::OnTheSameOrigin,
    authorize: "/oauth2/v1/authorize",
    token: "/oauth2/v1/token",
    audience: Audience::Required,
    revocation: Revocation::Offered,
    page_size: 10,
    session: "cursor",
    total: Total::Search,
    documents: Documents::Raw,
};

const MEDITECH: Habits = Habits {
    base: "/v2/uscore/R4",
    other_base: "/v1/argonaut/v1",
    authorization_server: AuthorizationServer::OnTheSameOrigin,
    authorize: "/oauth/authorize",
    token: "/oauth/token",
    audience: Audience::Optional,
    revocation: Revocation::Absent,
    page_size: 20,
    session: "continue",
    total: Total::Search,
    documents: Documents::Raw,
};

const HAPI: Habits = Habits {
    base: "/hapi/fhir",
    // The base is a prefix of this text, and of no path below it.
    other_base: "/hapi/fhir-dstu2",
    authorization_server: AuthorizationServer::OnTheSameOrigin,
    authorize: "/hapi/auth/authorize",
    token: "/hapi/auth/token",
    audience: Audience::Required,
    revocation: Revocation::Offered,
    page_size: 20,
    session: "_getpages",
    total: Total::Search,
    documents: Documents::AsAskedFor,
};

/// What comes from `Binary/<id>`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Documents {
    /// The document itself.
    Raw,
    /// A resource for who asks for FHIR's media type, as FHIR R4 binary.html#rest wants it, and else
    /// the document itself.
    AsAskedFor,
}

fn beside(path: &str, name: &str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    format!("{folder}/{name}")
}

type Members = BTreeMap<String, Box<RawValue>>;

/// Members stay as they are written: a decimal keeps its zeros.
fn without_coding(record: &str) -> Option<String> {
    let mut members: Members = serde_json::from_str(record).ok()?;
    let mut code: Members = serde_json::from_str(members.get("code")?.get()).ok()?;
    code.remove("coding")?;
    let code = serde_json::to_string(&code).ok()?;
    members.insert("code".to_owned(), RawValue::from_string(code).ok()?);
    serde_json::to_string(&members).ok()
}

fn entered_in_error(record: &str) -> Option<String> {
    let mut members: Members = serde_json::from_str(record).ok()?;
    let status = RawValue::from_string(text("entered-in-error")).ok()?;
    members.insert("status".to_owned(), status);
    serde_json::to_string(&members).ok()
}

/// References, and addresses of documents. Looks for the members as compact JSON has them; inside a
/// string their quotes would be escaped.
fn with_absolute_references(record: &str, base: &str) -> String {
    const REFERENCE: &str = "\"reference\":\"";
    const DOCUMENT: &str = "\"url\":\"Binary/";
    let record = record.replace(DOCUMENT, &format!("\"url\":\"{base}/Binary/"));
    let mut parts = record.split(REFERENCE);
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole.push_str(REFERENCE);
        let elsewhere = ["#", "urn:", "http:", "https:"];
        if !elsewhere.iter().any(|start| part.starts_with(start)) {
            whole.push_str(base);
            whole.push('/');
        }
        whole.push_str(part);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_becomes_absolute_unless_it_is_or_stays_in_the_record() {
        let record = concat!(
            r##"{"a":{"reference":"Patient/1"},"b":{"reference":"#c"},"##,
            r#""d":{"reference":"http://x/1"},"e":"\"reference\":\"f","url":"Binary/2"}"#,
        );
        let absolute = concat!(
            r##"{"a":{"reference":"http://h/R4/Patient/1"},"b":{"reference":"#c"},"##,
            r#""d":{"reference":"http://x/1"},"e":"\"reference\":\"f","url":"http://h/R4/Binary/2"}"#,
        );
        assert_eq!(with_absolute_references(record, "http://h/R4"), absolute);
    }

    #[test]
    fn what_is_taken_out_of_a_record_leaves_its_numbers_alone() {
        let record = r#"{"code":{"coding":[{"code":"x]"}],"text":"X"},"status":"final","valueQuantity":{"value":7.10}}"#;
        assert_eq!(
            without_coding(record).as_deref(),
            Some(r#"{"code":{"text":"X"},"status":"final","valueQuantity":{"value":7.10}}"#)
        );
        assert!(
            entered_in_error(record)
                .is_some_and(|it| it.contains("entered-in-error") && it.contains("7.10"))
        );
    }
}
