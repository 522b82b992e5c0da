//! The patients' two pages: whether they are there, say the same, and load this bundle.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::doctor::catalogue::Check;
use crate::doctor::examination::Examination;
use crate::doctor::page;
use crate::doctor::{Reply, Verdict};
use crate::http::HttpRequest;
use crate::url::Url;

/// A page that was read.
pub(super) struct PageSeen {
    pub(super) url: Url,
    pub(super) html: String,
    pub(super) policy: String,
    pub(super) configuration: Option<String>,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Connect,
    Callback,
}

impl Which {
    fn check(self) -> Check {
        match self {
            Which::Connect => Check::ConnectPage,
            Which::Callback => Check::CallbackPage,
        }
    }
}

impl Examination {
    pub(super) fn page_request(&self, which: Which) -> Option<HttpRequest> {
        Some(HttpRequest::get(self.page_url(which)?, "text/html"))
    }

    /// The patients' page beside which the doctor was installed.
    pub(super) fn page_url(&self, which: Which) -> Option<Url> {
        let page = &self.at.page;
        match self.drop_in {
            Some(drop_in) => {
                let connect = page.join("/").ok()?.below(drop_in.route).ok()?;
                match which {
                    Which::Connect => Some(connect),
                    Which::Callback => connect.join("callback").ok(),
                }
            }
            None if which == Which::Callback => page.join("callback.html").ok(),
            None => page.join("index.html").ok(),
        }
    }

    pub(super) fn hear_connect_page(&mut self, reply: Reply) {
        self.connect = self.hear_page(Which::Connect, reply);
        self.read_configuration();
    }

    pub(super) fn hear_callback_page(&mut self, reply: Reply) {
        self.callback = self.hear_page(Which::Callback, reply);
        self.compare_pages();
    }

    fn hear_page(&mut self, which: Which, reply: Reply) -> Option<PageSeen> {
        let check = which.check();
        let url = self.page_url(which)?;
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

    pub(super) fn own_folder(&self) -> Option<Url> {
        self.at.page.join(&self.at.bundle.folder).ok()
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
