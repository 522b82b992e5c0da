//! What is installed: the patients' two pages, their configuration, and the files that they load.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::config::{ConfigError, PageConfig};
use crate::doctor::catalogue::{CHECKS, Check};
use crate::doctor::examination::Examination;
use crate::doctor::page;
use crate::doctor::policy::Policies;
use crate::doctor::{Line, Reply, Verdict};
use crate::http::HttpRequest;
use crate::json::Json;
use crate::smart::launch::scope_advice;
use crate::text::{listed, whole_number};
use crate::url::Url;

/// A page that was read.
pub(super) struct PageSeen {
    url: Url,
    html: String,
    policy: String,
    configuration: Option<String>,
}

/// What was found of the files.
#[derive(Default)]
pub(super) struct Assets {
    /// The folder that the pages name.
    folder: Option<Url>,
    missing: Vec<String>,
    changed: Vec<String>,
    wrong_types: Vec<String>,
    uncompressed: Vec<String>,
    encodings: Vec<String>,
    /// Files whose caching is wrong, and what they are sent with.
    stale: Vec<String>,
    kept: Vec<String>,
    has_nosniff: bool,
    count: usize,
}

/// A name without a hash may be kept by browsers for this long, in seconds.
const STALE_LIMIT: u64 = 3_600;

impl Examination {
    // The pages.

    pub(super) fn page_request(&self, is_callback: bool) -> Option<HttpRequest> {
        Some(HttpRequest::get(self.page_url(is_callback)?, "text/html"))
    }

    /// The patients' page beside which the doctor was installed.
    pub(super) fn page_url(&self, is_callback: bool) -> Option<Url> {
        let page = &self.at.page;
        match self.drop_in {
            Some(drop_in) => {
                let connect = page.join("/").ok()?.below(drop_in.route).ok()?;
                match is_callback {
                    false => Some(connect),
                    true => connect.join("callback").ok(),
                }
            }
            None if is_callback => page.join("callback.html").ok(),
            None => page.join("index.html").ok(),
        }
    }

    pub(super) fn hear_connect_page(&mut self, reply: Reply) {
        self.connect = self.hear_page(Check::ConnectPage, false, reply);
        self.read_configuration();
    }

    pub(super) fn hear_callback_page(&mut self, reply: Reply) {
        self.callback = self.hear_page(Check::CallbackPage, true, reply);
        self.compare_pages();
    }

    fn hear_page(&mut self, check: Check, is_callback: bool, reply: Reply) -> Option<PageSeen> {
        let url = self.page_url(is_callback)?;
        let asked = format!("GET {}", url.as_str());
        let own = match self.drop_in {
            Some(_) => "JHE’s template of this client makes the page: look whether the client is set up in JHE, and which JHE this is (docs/hosting.md).".to_owned(),
            None => "The page stands beside this one: copy index.html and callback.html with it.".to_owned(),
        };
        let policy = reply
            .header("content-security-policy")
            .unwrap_or_default()
            .to_owned();
        self.note_caching(url.path(), &reply, false);
        let answer = match reply.answer {
            Ok(answer) if answer.status == 200 => answer,
            Ok(answer) => {
                self.say(
                    check,
                    format!("{asked}: {}.", answer.describe()),
                    Verdict::Wrong(own),
                );
                return None;
            }
            Err(error) => {
                self.say(
                    check,
                    format!("{asked}: {}.", error.detail()),
                    Verdict::Wrong(own),
                );
                return None;
            }
        };
        let html = String::from_utf8_lossy(&answer.body).into_owned();
        let configuration = match self.drop_in {
            Some(drop_in) => page::global(&html, drop_in.config_global),
            None => page::block(&html).map(ToOwned::to_owned),
        };
        self.say(
            check,
            format!("{asked}: HTTP 200, {}.", answer.content_type),
            Verdict::Ok,
        );
        Some(PageSeen {
            url,
            html,
            policy,
            configuration,
        })
    }

    // The configuration.

    pub(super) fn read_configuration(&mut self) {
        let Some(url) = self.page_url(false) else {
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
        let expected = self.page_url(true);
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

    // Both pages.

    fn compare_pages(&mut self) {
        let (Some(connect), Some(callback)) = (&self.connect, &self.callback) else {
            return;
        };
        let of = |page: &PageSeen| page.configuration.as_deref().map(page::members);
        let (found, verdict) = match (of(connect), of(callback)) {
            (Some(first), Some(second)) => {
                let differing = differing(&first, &second);
                match differing.is_empty() {
                    true => (
                        format!("All {} members are the same.", first.len()),
                        Verdict::Ok,
                    ),
                    false => (
                        format!("They differ in {}.", differing.join(", ")),
                        Verdict::Wrong(match self.drop_in {
                            Some(_) => "JHE’s two templates should write the same object: look at the one that was changed.".into(),
                            None => "Fill in the same block in index.html and callback.html.".into(),
                        }),
                    ),
                }
            }
            (None, _) => return,
            (Some(_), None) => (
                "The callback page has no configuration that could be read.".to_owned(),
                Verdict::Wrong(
                    "The callback page needs the same configuration as the connect page.".into(),
                ),
            ),
        };
        self.say(Check::SamePages, found, verdict);
    }

    // The script that the pages load.

    /// For a drop-in its script; the plain pages name the folder themselves.
    pub(super) fn script_request(&mut self) -> Option<HttpRequest> {
        let page = self.connect.as_ref()?;
        let scripts = page::scripts(&page.html);
        let Some(drop_in) = self.drop_in else {
            let script = scripts.iter().find(|it| it.ends_with("/page.js"));
            let folder = script.and_then(|script| page.url.join(script).ok()?.join("./").ok());
            self.judge_folder(folder, "The connect page loads page.js", scripts.as_slice());
            return None;
        };
        let file = drop_in.script.rsplit('/').next().unwrap_or_default();
        let stem = file.trim_end_matches(".js");
        let script = scripts.iter().find(|script| script.contains(stem));
        match script.and_then(|script| page.url.join(script).ok()) {
            Some(url) => Some(HttpRequest::get(url, "*/*")),
            None => {
                self.judge_folder(None, &format!("The connect page loads no {file}"), &scripts);
                None
            }
        }
    }

    pub(super) fn hear_script(&mut self, reply: Reply) {
        let Some(url) = self.script_url() else {
            return;
        };
        self.note_caching(url.path(), &reply, false);
        let answer = match &reply.answer {
            Ok(answer) if answer.is_success() => answer,
            Ok(answer) => return self.say_no_script(&url, &answer.describe()),
            Err(error) => return self.say_no_script(&url, error.detail()),
        };
        let text = String::from_utf8_lossy(&answer.body);
        let fingerprint = fingerprint_in(&text);
        match fingerprint {
            Some(fingerprint) => {
                let folder = url.join(&format!("../wasm/{fingerprint}/")).ok();
                self.judge_folder(folder, &format!("{} loads its modules", url.path()), &[]);
            }
            None => {
                let whose = match text.contains("FHIR") {
                    true => "JHE’s own script, and not jhe-connect’s",
                    false => "no script of jhe-connect",
                };
                self.say(
                    Check::OwnScript,
                    format!("{} is {whose}.", url.path()),
                    Verdict::Wrong("Copy js and wasm of the drop-in over core/static/clients/… of JHE, run collectstatic, and restart JHE: its static server looks for files only when it starts. A browser keeps the old script for a minute.".into()),
                );
            }
        }
    }

    fn script_url(&self) -> Option<Url> {
        let page = self.connect.as_ref()?;
        let file = self.drop_in?.script.rsplit('/').next()?;
        let scripts = page::scripts(&page.html);
        let stem = file.trim_end_matches(".js");
        page.url
            .join(scripts.iter().find(|it| it.contains(stem))?)
            .ok()
    }

    fn say_no_script(&mut self, url: &Url, what: &str) {
        self.say(
            Check::OwnScript,
            format!("GET {}: {what}.", url.path()),
            Verdict::Wrong("Copy the drop-in into JHE, run collectstatic, and restart JHE.".into()),
        );
    }

    fn judge_folder(&mut self, folder: Option<Url>, who: &str, scripts: &[String]) {
        let own = self.own_folder();
        let Some(folder) = folder else {
            self.say(
                Check::OwnScript,
                format!("{who}. Its scripts: {}.", scripts.join(", ")),
                Verdict::Wrong(
                    "Use the page or template that belongs to this bundle (docs/hosting.md)."
                        .into(),
                ),
            );
            return;
        };
        match own.as_ref() == Some(&folder) {
            true => self.say(
                Check::OwnScript,
                format!("{who} from {}, the folder that came with this page.", folder.path()),
                Verdict::Ok,
            ),
            false => self.say(
                Check::OwnScript,
                format!(
                    "{who} from {}, but this page came with {}.",
                    folder.path(),
                    own.as_ref().map_or("", Url::path)
                ),
                Verdict::Wrong("Two builds are mixed. Copy everything of one build again (js, wasm, and the doctor; or the two pages and their folder), collect, and restart. If that was done just now, a cache still has the old script: wait a minute and check again.".into()),
            ),
        }
        self.assets.folder = Some(folder);
    }

    fn own_folder(&self) -> Option<Url> {
        self.at.page.join(&self.at.bundle.folder).ok()
    }

    // The files.

    fn folder(&self) -> Option<Url> {
        self.assets.folder.clone().or_else(|| self.own_folder())
    }

    pub(super) fn file_request(&self, number: usize) -> Option<HttpRequest> {
        let (name, _) = self.at.bundle.files.get(number)?;
        Some(HttpRequest::get(self.folder()?.join(name).ok()?, "*/*"))
    }

    pub(super) fn hear_file(&mut self, number: usize, reply: &Reply) {
        if let Some((name, digest)) = self.at.bundle.files.get(number).cloned() {
            self.note_file(&name, &digest, reply);
        }
        if number + 1 >= self.at.bundle.files.len() {
            self.judge_files();
        }
    }

    fn note_file(&mut self, name: &str, digest: &str, reply: &Reply) {
        let answer = match &reply.answer {
            Ok(answer) if answer.is_success() => answer,
            Ok(answer) => {
                self.assets
                    .missing
                    .push(format!("{name} (HTTP {})", answer.status));
                return;
            }
            Err(error) => {
                self.assets
                    .missing
                    .push(format!("{name} ({})", error.detail()));
                return;
            }
        };
        self.note_caching(name, reply, true);
        let is_own = self.assets.folder.is_none() || self.assets.folder == self.own_folder();
        let assets = &mut self.assets;
        assets.count += 1;
        assets.has_nosniff |= reply
            .header("x-content-type-options")
            .is_some_and(|it| it.eq_ignore_ascii_case("nosniff"));
        if is_own && hexadecimal(&Sha256::digest(&answer.body)) != digest {
            assets.changed.push(name.to_owned());
        }
        if !is_type_of(name, &answer.content_type) {
            let sent = match answer.content_type.as_str() {
                "" => "no type",
                sent => sent,
            };
            assets.wrong_types.push(format!("{name} as {sent}"));
        }
        match reply.header("content-encoding") {
            Some(encoding) if !encoding.is_empty() && encoding != "identity" => {
                if !assets.encodings.iter().any(|known| known == encoding) {
                    assets.encodings.push(encoding.to_owned());
                }
            }
            _ => assets.uncompressed.push(name.to_owned()),
        }
    }

    fn judge_files(&mut self) {
        let folder = self.folder();
        let folder = folder.as_ref().map_or("", Url::path);
        let assets = core::mem::take(&mut self.assets);
        let count = self.at.bundle.files.len();
        let mut trouble = Vec::new();
        if !assets.missing.is_empty() {
            trouble.push(format!("missing: {}", assets.missing.join(", ")));
        }
        if !assets.changed.is_empty() {
            trouble.push(format!(
                "not as they were built: {}",
                assets.changed.join(", ")
            ));
        }
        match trouble.is_empty() {
            true => self.say(
                Check::Files,
                format!("All {count} files of {folder} are there, byte for byte as they were built."),
                Verdict::Ok,
            ),
            false => self.say(
                Check::Files,
                format!("Of {count} files in {folder}: {}.", trouble.join("; ")),
                Verdict::Wrong("Copy the whole folder again, with its .br and .gz files, in binary mode; then collectstatic and restart JHE. A patient whose page needs a missing file reads browser.load_failed.".into()),
            ),
        }
        if assets.count > 0 {
            self.judge_transport(&assets, folder);
        }
        self.assets = assets;
    }

    fn judge_transport(&mut self, assets: &Assets, folder: &str) {
        let nosniff = match assets.has_nosniff {
            true => "They are sent with X-Content-Type-Options: nosniff.",
            false => "X-Content-Type-Options: nosniff is not sent with them; it may be.",
        };
        match assets.wrong_types.is_empty() {
            true => self.say(
                Check::ContentTypes,
                format!(".wasm, .js, .css and .json have their types. {nosniff}"),
                Verdict::Ok,
            ),
            false => self.say(
                Check::ContentTypes,
                format!("{}. {nosniff}", assets.wrong_types.join("; ")),
                Verdict::Wrong("Expected: .wasm application/wasm, .js text/javascript, .css text/css, .json application/json. In nginx, mime.types has them (an old one lacks wasm: add “application/wasm wasm;”). A module of another type loads slower; a script or style sheet of another type not at all.".into()),
            ),
        }
        match assets.uncompressed.is_empty() {
            true => {
                let hint = match assets.encodings.iter().any(|it| it == "br") {
                    true => "",
                    false => " With br it would be some percent less.",
                };
                self.say(
                    Check::Compression,
                    format!("Every file comes with Content-Encoding {}.{hint}", assets.encodings.join(", ")),
                    Verdict::Ok,
                );
            }
            false => self.say(
                Check::Compression,
                format!("Without Content-Encoding: {}.", assets.uncompressed.join(", ")),
                Verdict::Wrong(format!("Keep the .br and .gz files beside the originals in {folder}: WhiteNoise sends them by itself, if they were there when it started; nginx needs “gzip_static on;” and, with its brotli module, “brotli_static on;”. Without, patients download two to three times as much. (A proxy that unpacks answers looks the same.)")),
            ),
        }
        match assets.stale.is_empty() {
            true => self.say(
                Check::Caching,
                match assets.kept.first() {
                    Some(kept) => format!("Names without a hash are asked for again soon enough; files with one are sent with “{kept}”."),
                    None => "Names without a hash are asked for again soon enough; files with one have no Cache-Control, and might have a long one.".to_owned(),
                },
                Verdict::Ok,
            ),
            false => self.say(
                Check::Caching,
                format!("{}.", assets.stale.join("; ")),
                Verdict::Wrong("Pages and the script of a drop-in have the same name in every version: at most a minute or so (max-age=60), or an update reaches patients late. Files in the folder with a hash may be kept for ever (max-age=31536000, immutable); with no-store each page downloads them again, and what is fetched ahead is thrown away.".into()),
            ),
        }
    }

    fn note_caching(&mut self, name: &str, reply: &Reply, has_hash: bool) {
        let Some(control) = reply.header("cache-control") else {
            return;
        };
        let control = control.to_ascii_lowercase();
        let mut directives = control.split(',').map(str::trim);
        let age = directives
            .clone()
            .find_map(|it| whole_number(it.strip_prefix("max-age=")?));
        let is = |wanted: &str| directives.any(|it| it == wanted);
        let is_wrong = match has_hash {
            true => control.contains("no-store"),
            false => {
                let mut is = is;
                is("immutable") || age.is_some_and(|age| age > STALE_LIMIT)
            }
        };
        let assets = &mut self.assets;
        if is_wrong {
            assets
                .stale
                .push(format!("{name} is sent with “{control}”"));
        } else if has_hash && !assets.kept.contains(&control) {
            assets.kept.push(control.clone());
        }
    }

    // The policy.

    /// At the end, when it is known which servers the pages have to ask.
    pub(super) fn judge_policy(&mut self) {
        let mut forbidden: Vec<String> = Vec::new();
        let mut has_one = false;
        let mut forbids_others = false;
        let pages = [("connect", &self.connect), ("callback", &self.callback)];
        let mut seen = 0;
        for (name, page) in pages {
            let Some(page) = page else {
                continue;
            };
            seen += 1;
            if page.policy.trim().is_empty() {
                continue;
            }
            has_one = true;
            for offence in self.offences(page) {
                let told = format!("{offence} ({name} page)");
                forbidden.push(told);
            }
            let policies = Policies::parse(&page.policy);
            let any = Url::parse("https://any-other-hospital.example/");
            forbids_others |= any.is_ok_and(|any| !policies.allow_connection(&any, &page.url));
        }
        if seen == 0 {
            return;
        }
        let is_picked = self
            .config
            .as_ref()
            .is_some_and(|config| config.iss.is_none());
        let (found, verdict) = match (has_one, forbidden.is_empty()) {
            (false, _) => (
                "Neither page is sent with one, so nothing is forbidden. docs/hosting.md has one that fits.".to_owned(),
                Verdict::Ok,
            ),
            (true, false) => (
                format!("The policy forbids what the pages do: {}.", forbidden.join("; ")),
                Verdict::Wrong("Add what is named here to the directive that is named with it. The policy of docs/hosting.md has all that is needed.".into()),
            ),
            (true, true) if is_picked && forbids_others => (
                "It allows WebAssembly, the files, and the hospitals that were looked at, but not every hospital.".to_owned(),
                Verdict::Unknown("Patients pick a hospital here, whose servers may be anywhere: write connect-src 'self' https: unless you know all of them, token endpoints included.".into()),
            ),
            (true, true) => (
                "It allows WebAssembly, the files, JHE and the hospital’s servers.".to_owned(),
                Verdict::Ok,
            ),
        };
        self.say(Check::Policy, found, verdict);
    }

    /// What a page does and its policy forbids, each with the directive that would allow it.
    fn offences(&self, page: &PageSeen) -> Vec<String> {
        let policies = Policies::parse(&page.policy);
        let url = &page.url;
        let mut offences = Vec::new();
        if !policies.allow_wasm() {
            offences.push("WebAssembly: script-src 'wasm-unsafe-eval'".to_owned());
        }
        if let Some(folder) = self.folder() {
            let script = folder
                .join("jhe-connect.js")
                .unwrap_or_else(|_| folder.clone());
            if !policies.allow_script(&script, url) {
                offences.push(format!("scripts of {}: script-src 'self'", folder.path()));
            }
            let style = folder.join("jhe-connect.css").unwrap_or(folder);
            if !policies.allow_style(&style, url) {
                offences.push("the style sheet: style-src 'self'".to_owned());
            }
        }
        if self.drop_in.is_some() {
            let scripts = page::inline_scripts(&page.html);
            let refused = scripts
                .iter()
                .filter(|it| !policies.allow_inline(it))
                .count();
            if refused > 0 {
                offences.push(format!(
                    "{refused} inline script(s) of JHE’s template: their 'sha256-…' or a nonce in script-src (the hash changes with the configuration)"
                ));
            }
        }
        if !policies.allow_connection(&self.jhe(), url) {
            offences.push("requests to JHE: connect-src 'self'".to_owned());
        }
        for server in self.hospital.servers() {
            if !policies.allow_connection(&server, url) {
                let wanted = format!("requests to {0}: connect-src {0}", server.origin());
                if !offences.contains(&wanted) {
                    offences.push(wanted);
                }
            }
        }
        offences
    }

    /// Lines that nothing has decided: what stood in the way, and how to look by hand.
    pub(super) fn judge_the_rest(&mut self) {
        let open = CHECKS.iter().filter(|row| !self.is_said(row.0));
        let open: Vec<_> = open.map(|row| (row.0, self.by_hand(row.0))).collect();
        for (check, (found, how)) in open {
            self.say(check, found, Verdict::Unknown(how));
        }
    }
}

/// The names of members that are not the same in both.
fn differing(first: &[(String, String)], second: &[(String, String)]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, value) in first.iter().chain(second) {
        let in_both =
            |members: &[(String, String)]| members.iter().any(|it| it.0 == *name && it.1 == *value);
        let is_same = in_both(first) && in_both(second);
        if !is_same && !names.contains(name) {
            names.push(name.to_string());
        }
    }
    names
}

/// The folder that a drop-in's script names: twelve hexadecimal digits.
fn fingerprint_in(script: &str) -> Option<&str> {
    let mut parts = script.split("wasm/").skip(1);
    parts.find_map(|part| {
        let (name, _) = part.split_once('/')?;
        let is_one = name.len() == 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one.then_some(name)
    })
}

fn is_type_of(name: &str, content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    match name.rsplit('.').next() {
        Some("wasm") => essence == "application/wasm",
        Some("js") => matches!(
            essence.as_str(),
            "text/javascript"
                | "application/javascript"
                | "application/x-javascript"
                | "text/ecmascript"
        ),
        Some("css") => essence == "text/css",
        Some("json") => essence == "application/json",
        _ => true,
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
