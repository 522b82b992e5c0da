//! The page configuration: what the server that serves the page provides.

use alloc::string::String;
use alloc::vec::Vec;

use crate::exchange::deployment::Deployment;
use crate::import::QUIET_MS;
use crate::import::plan::{Plan, PlanError};
use crate::json::Json;
use crate::url::{Url, UrlError};

/// A complete configuration. Neither the EHR nor the client id is ever taken from the page's URL.
#[derive(Debug, Clone)]
pub struct PageConfig {
    /// Which of JHE's clients this is.
    pub deployment: &'static Deployment,
    /// The EHR's FHIR base URL, verbatim; `None` where the patient picks a hospital.
    pub iss: Option<String>,
    /// This app's client id at the EHR.
    pub client_id: String,
    /// The scope, verbatim.
    pub scope: String,
    /// The id of JHE's DataSource.
    pub data_source_id: String,
    /// The redirect URI that is registered at the EHR.
    pub redirect_uri: String,
    /// JHE's base URL.
    pub jhe: Url,
    /// Is the JHE token to be revoked when a run has ended?
    pub revokes_token: bool,
    /// How long JHE may work on a write whose sender is gone, in milliseconds.
    pub quiet_ms: u64,
    /// What is pulled: the deployment's own plan, or the configured one.
    pub plan: Plan,
}

impl PageConfig {
    /// Reads the configuration; `page` is the page's own URL, which `redirectUri` and `jheBase` may be relative to.
    ///
    /// Without `jheBase` JHE is at the page's origin; without `redirectUri` the deployment's callback page there. The
    /// token is revoked if `revokeToken` is true. `workerTimeoutSeconds` is JHE's workers' time-out, 30 by default.
    ///
    /// # Errors
    /// [`ConfigError::Missing`] names every value that the server did not provide, [`ConfigError::Plan`] the first thing in
    /// `plan` that can't be used.
    pub fn parse(json: &str, page: &Url) -> Result<Self, ConfigError> {
        let json = read_object(json)?;
        let deployment = Deployment::named(json.get_string("deployment").as_deref())
            .ok_or(ConfigError::Malformed("deployment"))?;
        let mut missing = Vec::new();
        let iss = json
            .get_string("iss")
            .filter(|iss| !iss.trim_ascii().is_empty());
        if iss.is_none() && deployment.brands_path.is_none() {
            missing.push("iss");
        }
        let (client_id, scope, data_source_id) = (
            need(json, "clientId", &mut missing),
            need(json, "scope", &mut missing),
            need(json, "dataSourceId", &mut missing),
        );
        if !missing.is_empty() {
            return Err(ConfigError::Missing(missing));
        }
        let jhe = page
            .join(json.get_string("jheBase").as_deref().unwrap_or("/"))
            .map_err(|_| ConfigError::Malformed("jheBase"))?;
        // JHE's API answers no other origin; a token must not go to one either.
        if jhe.origin() != page.origin() {
            return Err(ConfigError::Malformed("jheBase"));
        }
        let redirect_uri = match json.get_string("redirectUri") {
            Some(text) => absolute(text, page),
            None => jhe.below(deployment.callback_path).map(String::from),
        };
        let redirect_uri = redirect_uri.map_err(|_| ConfigError::Malformed("redirectUri"))?;
        Ok(PageConfig {
            deployment,
            iss,
            client_id,
            scope,
            data_source_id,
            redirect_uri,
            jhe,
            revokes_token: json.get("revokeToken").map(Json::text) == Some("true"),
            quiet_ms: match json
                .get("workerTimeoutSeconds")
                .and_then(Json::whole_number)
            {
                Some(seconds) => seconds.saturating_mul(1000).saturating_add(QUIET_MARGIN_MS),
                None => QUIET_MS,
            },
            plan: match json.get("plan") {
                Some(plan) => Plan::parse(plan, deployment).map_err(ConfigError::Plan)?,
                None => Plan::of(deployment),
            },
        })
    }

    /// What the sign-in at the hospital whose FHIR base URL is `iss` needs of it.
    pub fn sign_in(&self, iss: &str) -> AuthorizeOptions {
        AuthorizeOptions {
            iss: iss.into(),
            client_id: self.client_id.clone(),
            scope: self.scope.clone(),
            redirect_uri: self.redirect_uri.clone(),
            no_redirect: false,
        }
    }
}

/// What is added to the time-out of JHE's workers, in milliseconds.
const QUIET_MARGIN_MS: u64 = 5_000;

/// What a page hands to `authorize`.
#[derive(Debug, Clone)]
pub struct AuthorizeOptions {
    /// The EHR's FHIR base URL, verbatim.
    pub iss: String,
    /// The app's client id at the EHR.
    pub client_id: String,
    /// The scope, verbatim.
    pub scope: String,
    /// The redirect URI that is registered at the EHR.
    pub redirect_uri: String,
    /// Is the patient not to be sent there at once?
    pub no_redirect: bool,
}

impl AuthorizeOptions {
    /// Reads the options; `redirectUri` may be relative to `page`.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(json: &str, page: &Url) -> Result<Self, ConfigError> {
        let json = read_object(json)?;
        let mut missing = Vec::new();
        let (iss, client_id, scope, redirect_uri) = (
            need(json, "iss", &mut missing),
            need(json, "clientId", &mut missing),
            need(json, "scope", &mut missing),
            need(json, "redirectUri", &mut missing),
        );
        if !missing.is_empty() {
            return Err(ConfigError::Missing(missing));
        }
        let redirect_uri = absolute(redirect_uri, page);
        let redirect_uri = redirect_uri.map_err(|_| ConfigError::Malformed("redirectUri"))?;
        Ok(AuthorizeOptions {
            iss,
            client_id,
            scope,
            redirect_uri,
            no_redirect: json.get("noRedirect").map(Json::text) == Some("true"),
        })
    }
}

/// An absolute URL stays as it was written, since the EHR compares it byte for byte with the registered one; a relative
/// one is completed by the page's.
fn absolute(text: String, page: &Url) -> Result<String, UrlError> {
    match Url::parse(&text) {
        Ok(_) => Ok(text),
        Err(_) => page.join(&text).map(String::from),
    }
}

fn read_object(json: &str) -> Result<Json<'_>, ConfigError> {
    Json::parse(json.as_bytes())
        .filter(|json| json.is_object())
        .ok_or(ConfigError::Malformed("the JSON object"))
}

/// The value `name`, noted as missing where it is empty. A number, as `dataSourceId` may be, is taken at its digits.
fn need(json: Json<'_>, name: &'static str, missing: &mut Vec<&'static str>) -> String {
    let text = json.get(name).map(Json::unquoted);
    let value = json.get_string(name).or(text.map(String::from));
    let value = value.unwrap_or_default();
    if value.trim_ascii().is_empty() {
        missing.push(name);
    }
    value
}

/// What is wrong with a page configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigError {
    /// These values are missing or empty.
    Missing(Vec<&'static str>),
    /// This can't be read.
    Malformed(&'static str),
    /// What is to be pulled can't be read.
    Plan(PlanError),
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = r#"{"iss":"https://ehr.example/R4/","clientId":"C","scope":"launch/patient","dataSourceId":"70006"}"#;

    fn parse(json: &str) -> Result<PageConfig, ConfigError> {
        let page = Url::parse("https://jhe.example/static/connect/index.html?code=x").unwrap();
        PageConfig::parse(json, &page)
    }

    #[test]
    fn jhes_template_configuration_is_enough() {
        let config = parse(FULL).unwrap();
        assert_eq!(config.iss.as_deref(), Some("https://ehr.example/R4/"));
        assert_eq!(
            config.redirect_uri,
            "https://jhe.example/clients/mychart/callback"
        );
        assert_eq!(config.jhe.as_str(), "https://jhe.example/");
    }

    #[test]
    fn plain_pages_give_their_own_relative_routes() {
        let json = FULL.replace('{', r#"{"redirectUri":"callback.html","jheBase":"/jhe/","#);
        let config = parse(&json).unwrap();
        assert_eq!(
            config.redirect_uri,
            "https://jhe.example/static/connect/callback.html"
        );
        assert_eq!(config.jhe.as_str(), "https://jhe.example/jhe/");
    }

    #[test]
    fn an_absolute_redirect_uri_is_sent_byte_for_byte() {
        let json = FULL.replace('{', r#"{"redirectUri":"HTTPS://JHE.example:443/cb","#);
        assert_eq!(
            parse(&json).unwrap().redirect_uri,
            "HTTPS://JHE.example:443/cb"
        );
        let json = FULL.replace('{', r#"{"redirectUri":"javascript:alert(1)","#);
        assert_eq!(
            parse(&json).unwrap_err(),
            ConfigError::Malformed("redirectUri")
        );
    }

    #[test]
    fn every_missing_value_is_named() {
        assert_eq!(
            parse(r#"{"iss":"","clientId":" ","scope":"s"}"#).unwrap_err(),
            ConfigError::Missing(alloc::vec!["iss", "clientId", "dataSourceId"])
        );
        let numeric = FULL.replace("\"70006\"", "70006");
        assert_eq!(parse(&numeric).unwrap().data_source_id, "70006");
        let null = FULL.replace("\"70006\"", "null");
        assert_eq!(
            parse(&null).unwrap_err(),
            ConfigError::Missing(alloc::vec!["dataSourceId"])
        );
    }

    #[test]
    fn where_the_patient_picks_a_hospital_none_has_to_be_configured() {
        let json = FULL.replace(r#""iss":"https://ehr.example/R4/","#, "");
        assert_eq!(
            parse(&json).unwrap_err(),
            ConfigError::Missing(alloc::vec!["iss"])
        );
        let json = json.replace('{', r#"{"deployment":"patient-access","#);
        assert_eq!(parse(&json).unwrap().iss, None);
    }

    #[test]
    fn what_is_pulled_is_the_deployments_plan_or_the_configured_one() {
        assert_eq!(parse(FULL).unwrap().plan.rows.len(), 1);
        let row = r#"{"plan":["default",{"label":"Vitals","type":"Observation","parameters":{"category":"vital-signs"}}],"#;
        assert_eq!(parse(&FULL.replace('{', row)).unwrap().plan.rows.len(), 2);
        let error = parse(&FULL.replace('{', r#"{"plan":[{}],"#)).unwrap_err();
        assert!(matches!(error, ConfigError::Plan(_)));
    }

    #[test]
    fn what_later_pages_configure_beside_it_is_not_read() {
        let json = FULL.replace(
            '{',
            r#"{"deployment":"ehr-patient-portal","dataSourceIds":[70006],"pageUrl":"/clients/","siteTitle":"<b>","x":{"y":[null]},"#,
        );
        let config = parse(&json).unwrap();
        assert_eq!(config.deployment.name, "ehr-patient-portal");
        assert_eq!(
            config.redirect_uri,
            "https://jhe.example/clients/ehr-patient-portal/callback"
        );
    }

    #[test]
    fn the_options_of_authorize_are_checked_alike() {
        let page = Url::parse("https://app.example/launch/").unwrap();
        let parse = |json: &str| AuthorizeOptions::parse(json, &page);
        let json = r#"{"iss":"https://ehr.example/R4","clientId":"C","scope":"s","redirectUri":"back.html"}"#;
        let options = parse(json).unwrap();
        assert_eq!(options.redirect_uri, "https://app.example/launch/back.html");
        assert!(!options.no_redirect);
        let json = json.replace('{', r#"{"noRedirect":true,"#);
        assert!(parse(&json).unwrap().no_redirect);
        assert_eq!(
            parse("{}").unwrap_err(),
            ConfigError::Missing(alloc::vec!["iss", "clientId", "scope", "redirectUri"])
        );
    }

    #[test]
    fn jhe_is_never_at_another_origin() {
        let json = FULL.replace('{', r#"{"jheBase":"https://evil.example/","#);
        assert_eq!(parse(&json).unwrap_err(), ConfigError::Malformed("jheBase"));
    }

    #[test]
    fn an_unknown_deployment_and_broken_json_are_malformed() {
        let json = FULL.replace('{', r#"{"deployment":"other","#);
        assert_eq!(
            parse(&json).unwrap_err(),
            ConfigError::Malformed("deployment")
        );
        assert!(parse("").is_err());
    }
}
