//! The page configuration: complete, and what its scopes and its redirect URI come to.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::{ConfigError, PageConfig};
use crate::doctor::catalogue::Check;
use crate::doctor::examination::Examination;
use crate::doctor::page;
use crate::doctor::pages::Which;
use crate::doctor::{Line, Verdict};
use crate::json::Json;
use crate::smart::launch::scope_advice;
use crate::text::{listed, whole_number};
use crate::url::Url;

impl Examination {
    pub(super) fn read_configuration(&mut self) {
        let Some(url) = self.page_url(Which::Connect) else {
            return;
        };
        let pasted = self.wishes.configuration.trim();
        let place = match self.drop_in {
            Some(drop_in) => drop_in.config_global,
            None => "the element jhe-connect-config",
        };
        let (json, origin) = match (pasted, &self.connect) {
            ("", None) => return,
            ("", Some(page)) => (page.configuration.clone(), "in the connect page"),
            // `var X = {…}` is as good as what stands in the braces.
            (pasted, _) => {
                let start = pasted.find('{').unwrap_or_default();
                let json = pasted.get(start..).and_then(page::object);
                (json, "in what was pasted")
            }
        };
        let Some(json) = json else {
            let remedy = match self.drop_in {
                Some(_) => {
                    "The template should set this variable to an object whose values stand there. If it is made by a script of its own, paste the object into “Page configuration” above: what is read then is the same."
                }
                None => {
                    "Put the block back: <script type=\"application/json\" id=\"jhe-connect-config\">{…}</script> (docs/hosting.md)."
                }
            };
            self.say(
                Check::Configuration,
                format!("No configuration was found {origin}: looked for {place}."),
                Verdict::Wrong(remedy.into()),
            );
            return;
        };
        let json = self.with_deployment(json);
        match PageConfig::parse(&json, &url) {
            Ok(config) => {
                self.tell_configuration(&config, place, origin);
                self.judge_scopes(&config);
                self.tell_redirect_uri(&config);
                self.config = Some(config);
            }
            Err(error) => {
                let (found, remedy) = self.misconfigured(&error, place);
                self.say(Check::Configuration, found, Verdict::Wrong(remedy));
            }
        }
    }

    /// The drop-in's script says which client it is, where the configuration does not.
    fn with_deployment(&self, json: String) -> String {
        let has_one = Json::parse(json.as_bytes()).is_none_or(|it| it.get("deployment").is_some());
        let body = json.trim_start().strip_prefix('{');
        match (self.drop_in, body) {
            (Some(drop_in), Some(body)) if !has_one => {
                let comma = if body.trim_start().starts_with('}') {
                    ""
                } else {
                    ","
                };
                format!(
                    "{{\"deployment\":\"{}\"{comma}{body}",
                    drop_in.deployment.name
                )
            }
            _ => json,
        }
    }

    fn tell_configuration(&mut self, config: &PageConfig, place: &str, origin: &str) {
        let hospital = match &config.iss {
            Some(iss) => format!("iss {iss}"),
            None => "no iss (the patient picks a hospital)".into(),
        };
        let numeric = whole_number(&config.data_source_id).is_some();
        let found = format!(
            "{place} {origin} is complete: client {}, {hospital}, clientId {}, dataSourceId {}, scope “{}”, {} kinds of records.",
            config.deployment.name,
            config.client_id,
            config.data_source_id,
            config.scope,
            config.plan.labels().len(),
        );
        self.say(Check::Configuration, found, Verdict::Ok);
        if !numeric {
            self.say(
                Check::DataSource,
                format!("dataSourceId is “{}”, which is no number.", config.data_source_id),
                Verdict::Wrong("JHE answers “Incorrect type. Expected pk value”. Enter the id of a DataSource that JHE has (JHE’s admin, Data sources), as the seed does for “Epic MyChart”.".into()),
            );
        }
    }

    fn misconfigured(&self, error: &ConfigError, place: &str) -> (String, String) {
        let plain = self.drop_in.is_none();
        match error {
            ConfigError::Missing(names) => (
                format!("{place} lacks {}.", listed(names)),
                match plain {
                    true => format!("Enter {} into the block of both pages.", listed(names)),
                    false => format!(
                        "Enter what is missing ({}) at JHE’s client: iss, client_id and scopes are in its aux_data; dataSourceId is the id of the DataSource that the seed makes. Running seed_clients again sets them up. Patients read config.missing until then.",
                        listed(names)
                    ),
                },
            ),
            ConfigError::Malformed(name) => (
                format!("{place}: {name} can’t be used."),
                "Correct this member; docs/hosting.md says which form it has. Patients read config.malformed until then.".into(),
            ),
            ConfigError::Plan(error) => (
                format!("{place}: {}.", error.as_str()),
                "Correct the plan (docs/record-types.md). Patients read config.malformed until then.".into(),
            ),
            ConfigError::Demo => (
                format!("{place}: demo is among live values."),
                "Take demo out: the test mode has pages of its own (docs/test-mode.md). Patients read config.demo_refused until then.".into(),
            ),
        }
    }

    fn judge_scopes(&mut self, config: &PageConfig) {
        let scope = config.scope.as_str();
        let mut items = scope.split_ascii_whitespace();
        match items.any(|item| item == "launch/patient") {
            true => self.say(
                Check::LaunchScope,
                "launch/patient is among the configured scopes: the hospital is asked to say whose records these are.",
                Verdict::Ok,
            ),
            false => self.say(
                Check::LaunchScope,
                format!("launch/patient is not in “{scope}”."),
                Verdict::Wrong("Add launch/patient to the scopes (aux_data.scopes of JHE’s client, or scope in the block). Without it a hospital need not say who the patient is, and the page stops with sign_in.no_patient.".into()),
            ),
        }
        let lacking = config.plan.not_in_scope(scope);
        match lacking.is_empty() {
            true => self.say(
                Check::PulledScopes,
                format!(
                    "Each type that is pulled has its scope: {}.",
                    listed(&config.plan.types())
                ),
                Verdict::Ok,
            ),
            false => {
                let wanted: Vec<String> = lacking
                    .iter()
                    .map(|it| format!("patient/{it}.read"))
                    .collect();
                self.say(
                    Check::PulledScopes,
                    format!("The scopes lack {}, of which records are pulled.", listed(&lacking)),
                    Verdict::Wrong(format!(
                        "Add {} to the scopes and enable the API at the hospital’s app, or take the rows out of the plan. JHE’s seed writes scopes only when it creates the client: after an update of JHE, enter them at the client.",
                        wanted.join(" ")
                    )),
                );
            }
        }
        let advice: Vec<&str> = scope_advice(scope)
            .into_iter()
            .filter(|advice| !advice.contains("launch/patient"))
            .collect();
        let found = match advice.is_empty() {
            true => "Nothing is unusual about them.".to_owned(),
            false => format!(
                "They are sent as they are, and may be as they are. Advice: {}.",
                advice.join("; ")
            ),
        };
        self.say(Check::ScopeForm, found, Verdict::Ok);
    }

    fn tell_redirect_uri(&mut self, config: &PageConfig) {
        let uri = config.redirect_uri.as_str();
        let expected = self.page_url(Which::Callback);
        let own = expected.as_ref().map_or("", Url::as_str);
        let parsed = Url::parse(uri);
        let verdict = match &parsed {
            Ok(url) if url.origin() != self.at.page.origin() => Verdict::Wrong(format!(
                "It leads to {}, but the pages are at {}: the patient would come back to another address, where nothing of the sign-in is known. Leave redirectUri out or make it relative.",
                url.origin(),
                self.at.page.origin()
            )),
            Ok(url) if url.as_str().contains('#') => {
                Verdict::Wrong("A redirect URI has no fragment (RFC 6749 §3.1.2): take away what begins with #.".into())
            }
            Ok(url) if url.without_query() != own => Verdict::Wrong(format!(
                "The callback page is at {own}. Let redirectUri lead there."
            )),
            Ok(url) if !url.is_protected(&self.at.page) => {
                Verdict::Wrong("Hospitals accept https only (http on localhost, for tests): serve JHE over https.".into())
            }
            Ok(_) => Verdict::Unknown("Only the hospital knows what is registered. Enter this, byte for byte, as redirect URI of the app whose client id is configured (at Epic: the app’s Edit page at fhir.epic.com), one for each address that patients really open. A new entry works after 1 to 12 hours at Epic. Then open the sign-in page (below): an error page there means that it does not match yet.".into()),
            Err(_) => Verdict::Wrong("It is no address.".into()),
        };
        self.say_line(Line {
            check: Check::RedirectUri,
            found: "The hospital compares this, byte for byte, with what is registered there:"
                .into(),
            verdict,
            copy: Some(uri.to_owned()),
            link: None,
        });
    }
}
