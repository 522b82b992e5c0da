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
    /// Who asks for the records.
    pub study: Study,
    /// Is the patient asked whose records these are before any is copied?
    pub confirms_patient: bool,
    /// Is the patient shown what was found before any of it is copied?
    pub reviews: bool,
    /// May the patient leave out kinds of records there?
    pub offers_choice: bool,
    /// The language of the texts, as a tag of BCP 47; `None`: the browser's.
    pub language: Option<String>,
}

/// Who asks for the records, as far as the configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Study {
    /// The study's name.
    pub name: Option<String>,
    /// Whose study it is.
    pub organization: Option<String>,
    /// Who helps.
    pub contact: Contact,
    /// A picture: over https, or from the page's own origin.
    pub logo: Option<Url>,
    /// A colour, as `#rgb` or `#rrggbb`: it can be put into a style sheet as it is.
    pub accent: Option<String>,
}

/// Who helps a patient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// A person, or a desk.
    pub name: Option<String>,
    /// A mail address that needs no encoding in a link.
    pub email: Option<String>,
    /// A telephone number, as it is to be read.
    pub phone: Option<String>,
    /// A page.
    pub url: Option<Url>,
}

impl Contact {
    /// Is there nobody to turn to?
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none() && self.phone.is_none() && self.url.is_none()
    }

    /// The link that writes to the mail address (RFC 6068 §2).
    pub fn mail_link(&self) -> Option<String> {
        Some(["mailto:", self.email.as_ref()?].concat())
    }

    /// The link that calls the number. RFC 3966 §3: a `+` and digits; what parts them for the eye is left away.
    pub fn phone_link(&self) -> Option<String> {
        let mut link = String::from("tel:");
        for sign in self.phone.as_ref()?.chars() {
            if sign.is_ascii_digit() || sign == '+' {
                link.push(sign);
            }
        }
        Some(link)
    }
}

impl Study {
    /// Reads the member `study`.
    fn read(members: &mut Members<'_>) -> Self {
        let logo = members.address("study.logo");
        if logo
            .as_ref()
            .is_some_and(|logo| !is_safe_picture(logo, members.page))
        {
            members.refuse("study.logo");
        }
        Study {
            name: members.text("study.name", |_| true),
            organization: members.text("study.organization", |_| true),
            contact: Contact {
                name: members.text("study.contact.name", |_| true),
                email: members.text("study.contact.email", is_mail_address),
                phone: members.text("study.contact.phone", is_phone_number),
                url: members.address("study.contact.url"),
            },
            logo,
            accent: members.text("study.accent", is_colour),
        }
    }
}

impl Study {
    /// Black or white, whichever is easier to read on the accent (WCAG 2.2, relative luminance).
    pub fn on_accent(&self) -> Option<&'static str> {
        let digits = self.accent.as_ref()?.strip_prefix('#')?;
        let each = digits.len() / 3;
        let mut luminance = 0;
        for (place, weight) in [2126, 7152, 722].into_iter().enumerate() {
            let digits = digits.get(place * each..(place + 1) * each)?;
            let mut value = 0;
            for digit in digits.chars() {
                value = value << 4 | u64::from(digit.to_digit(16)?);
            }
            let value = if each == 1 { value * 17 } else { value };
            // sRGB's curve, near enough, without fractions: 255³ is white.
            luminance += weight * (3 * value * value * 255 + value * value * value) / 4;
        }
        // Where both contrasts are the same: 0.179 of white.
        Some(match luminance > 1_790 * 255 * 255 * 255 {
            true => "#000000",
            false => "#ffffff",
        })
    }
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
        // The script of the test mode's pages replaces the member before. Where it is still there, the page is a live one,
        // or its test mode can't be used: nobody is to take the one for the other.
        if !matches!(json.get("demo").map_or("", Json::unquoted), "" | "false") {
            return Err(ConfigError::Demo);
        }
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
        let mut members = Members {
            json,
            page,
            refused: None,
        };
        let config = PageConfig {
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
            study: Study::read(&mut members),
            confirms_patient: members.flag("confirmPatient", true),
            reviews: members.flag("review", false),
            offers_choice: members.flag("reviewChoice", false),
            language: members.text("language", is_language),
        };
        match members.refused {
            Some(path) => Err(ConfigError::Malformed(path)),
            None => Ok(config),
        }
    }

    /// Where JHE lists hospitals, if the patient is to pick one.
    pub fn brands_path(&self) -> Option<&'static str> {
        self.deployment.brands_path.filter(|_| self.iss.is_none())
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

/// Members that need not be there. What can't be used is noted, and told when all are read.
struct Members<'a> {
    json: Json<'a>,
    page: &'a Url,
    /// The path of the first one that can't be used.
    refused: Option<&'static str>,
}

impl<'a> Members<'a> {
    fn refuse(&mut self, path: &'static str) {
        self.refused = self.refused.or(Some(path));
    }

    /// The member at `path`.
    fn at(&mut self, path: &'static str) -> Option<Json<'a>> {
        let (mut member, mut end) = (self.json, 0_usize);
        for name in path.split('.') {
            if !member.is_object() {
                self.refuse(path.get(..end.saturating_sub(1)).unwrap_or(path));
                return None;
            }
            end += name.len() + 1;
            member = member.get(name)?;
        }
        Some(member)
    }

    /// The text at `path`, if it is of the expected form; one without a visible character counts as missing, as a
    /// template's empty field.
    fn text(&mut self, path: &'static str, is_right: fn(&str) -> bool) -> Option<String> {
        let text = self.at(path)?.string();
        let text = text.as_deref().map(str::trim_ascii);
        if !text.is_some_and(|text| text.is_empty() || is_right(text)) {
            self.refuse(path);
        }
        Some(text.filter(|text| !text.is_empty())?.into())
    }

    /// The address at `path`, which may be relative to the page: no `javascript:`, and no user information.
    fn address(&mut self, path: &'static str) -> Option<Url> {
        let address = self.page.join(&self.text(path, |_| true)?);
        if address.is_err() {
            self.refuse(path);
        }
        address.ok()
    }

    /// The yes or no at `path`, also as text, as templates write it.
    fn flag(&mut self, path: &'static str, otherwise: bool) -> bool {
        match self.at(path).map_or("", Json::unquoted) {
            "" => otherwise,
            "true" => true,
            "false" => false,
            _ => {
                self.refuse(path);
                otherwise
            }
        }
    }
}

/// A picture over plain http from elsewhere would be seen, and could be replaced, on its way.
fn is_safe_picture(picture: &Url, page: &Url) -> bool {
    picture.as_str().starts_with("https:") || picture.origin() == page.origin()
}

/// `#rgb` or `#rrggbb`, and nothing that could end a declaration.
fn is_colour(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    matches!(digits.len(), 3 | 6) && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Only signs that stand for themselves in a link (RFC 6068 §2): no `?` or `&`, which would add fields, no `,`, which
/// would add a recipient.
fn is_mail_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(local, domain)| is_made_of(local, b"._+-") && is_made_of(domain, b".-"))
}

/// Digits, and what parts them for the eye (RFC 3966 §5.1.1, and the space).
fn is_phone_number(text: &str) -> bool {
    let is = |byte: u8| byte.is_ascii_digit() || b"+ -.()/".contains(&byte);
    text.bytes().all(is) && text.bytes().any(|byte| byte.is_ascii_digit())
}

/// A tag of BCP 47, as far as its signs go.
fn is_language(text: &str) -> bool {
    is_made_of(text, b"-")
}

/// Is it letters and digits of ASCII, and these signs?
fn is_made_of(text: &str, signs: &[u8]) -> bool {
    let is = |byte: u8| byte.is_ascii_alphanumeric() || signs.contains(&byte);
    !text.is_empty() && text.bytes().all(is)
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
    /// The test mode is asked for beside the values of a live page, or by a page that is none of the test mode's.
    Demo,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_page_refuses_the_test_mode_and_so_does_a_page_that_is_none_of_its_own() {
        let page = Url::parse("https://jhe.example/connect/").unwrap();
        for demo in ["true", "{}", r#"{"hospital":"slow"}"#, r#""true""#] {
            for rest in [FULL, r#"{"clientId":"C"}"#, r#"{"iss":""}"#] {
                let config = ["{\"demo\":", demo, ",", rest.trim_start_matches('{')].concat();
                let error = PageConfig::parse(&config, &page).unwrap_err();
                assert_eq!(error, ConfigError::Demo, "{config}");
            }
        }
        for demo in ["false", "null", r#""""#] {
            let config = ["{\"demo\":", demo, ",", FULL.trim_start_matches('{')].concat();
            assert!(PageConfig::parse(&config, &page).is_ok(), "{config}");
        }
    }

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
    fn what_stands_on_the_accent_can_be_read() {
        let on = |accent: &str| {
            let study = Study {
                accent: Some(accent.into()),
                ..Study::default()
            };
            study.on_accent()
        };
        for dark in ["#000", "#0b5c8a", "#97270f", "#707070", "#00f"] {
            assert_eq!(on(dark), Some("#ffffff"), "{dark}");
        }
        for light in ["#fff", "#7cc4ee", "#ff0", "#0f0", "#8a8a8a"] {
            assert_eq!(on(light), Some("#000000"), "{light}");
        }
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

    fn with(member: &str) -> Result<PageConfig, ConfigError> {
        parse(&FULL.replacen('{', &["{", member, ","].concat(), 1))
    }

    #[test]
    fn a_study_says_who_it_is_and_who_helps() {
        let study = with(
            r##""study":{"name":" Heart Study ","organization":"Canal Side","logo":"logo.svg","accent":"#0a7",
            "contact":{"name":"Help desk","email":"help+heart@study.example","phone":"+1 (555) 010-0100","url":"/help"}}"##,
        )
        .unwrap()
        .study;
        assert_eq!(study.name.as_deref(), Some("Heart Study"));
        assert_eq!(study.organization.as_deref(), Some("Canal Side"));
        assert_eq!(study.accent.as_deref(), Some("#0a7"));
        assert_eq!(
            study.logo.unwrap().as_str(),
            "https://jhe.example/static/connect/logo.svg"
        );
        let contact = study.contact;
        assert_eq!(contact.name.as_deref(), Some("Help desk"));
        assert_eq!(
            contact.url.as_ref().unwrap().as_str(),
            "https://jhe.example/help"
        );
        assert_eq!(
            contact.mail_link().as_deref(),
            Some("mailto:help+heart@study.example")
        );
        assert_eq!(contact.phone_link().as_deref(), Some("tel:+15550100100"));
    }

    #[test]
    fn without_a_study_nothing_is_made_up() {
        let empty = r#""study":{"name":"","contact":{"email":null,"phone":" "}}"#;
        for config in [parse(FULL).unwrap(), with(empty).unwrap()] {
            assert_eq!(config.study, Study::default());
            assert!(config.study.contact.is_empty());
            assert_eq!(config.study.contact.mail_link(), None);
        }
    }

    #[test]
    fn what_could_break_out_of_a_link_or_a_style_is_malformed() {
        for (path, values) in [
            ("study", &[r#""Heart""#, "[]"][..]),
            ("study.name", &["7"]),
            (
                "study.logo",
                &[
                    r#""http://elsewhere.example/a.png""#,
                    r#""javascript:alert(1)""#,
                    "1",
                ],
            ),
            (
                "study.accent",
                &[r#""red""#, r##""#12""##, r##""#12345g""##, r##""#fff;}""##],
            ),
            ("study.contact", &[r#""help""#]),
            (
                "study.contact.email",
                &[
                    r#""help""#,
                    r#""a@b?cc=c""#,
                    r#""a b@c""#,
                    r#""a@b,c@d""#,
                    r#""a@b\nc""#,
                    r#""@b""#,
                    r#""a%0A@b""#,
                ],
            ),
            (
                "study.contact.phone",
                &[
                    r#""+""#,
                    r#""call me""#,
                    r#""1;2""#,
                    r#""1\n2""#,
                    "15550100",
                ],
            ),
            (
                "study.contact.url",
                &[r#""javascript:alert(1)""#, r#""https://u:p@a.example/""#],
            ),
        ] {
            for value in values {
                let mut member = String::from(*value);
                for name in path.split('.').rev() {
                    member = ["\"", name, "\":", &member].concat();
                    if name != "study" {
                        member = ["{", &member, "}"].concat();
                    }
                }
                let found = with(&member).unwrap_err();
                assert_eq!(found, ConfigError::Malformed(path), "{member}");
            }
        }
    }

    #[test]
    fn the_patient_confirms_and_reviews_nothing_unless_configured() {
        let config = parse(FULL).unwrap();
        assert!(config.confirms_patient && !config.reviews && !config.offers_choice);
        assert_eq!(config.language, None);
        let config = with(
            r#""confirmPatient":false,"review":"true","reviewChoice":true,"language":"es-419""#,
        );
        let config = config.unwrap();
        assert!(!config.confirms_patient && config.reviews && config.offers_choice);
        assert_eq!(config.language.as_deref(), Some("es-419"));
        for (name, member) in [
            ("review", r#""review":1"#),
            ("confirmPatient", r#""confirmPatient":"no""#),
            ("language", r#""language":"en us""#),
            ("language", r#""language":"en\"><b""#),
        ] {
            assert_eq!(with(member).unwrap_err(), ConfigError::Malformed(name));
        }
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
