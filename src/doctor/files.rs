//! The files that the pages load, how they are served, and what the pages' policy lets them do.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::doctor::catalogue::Check;
use crate::doctor::examination::Examination;
use crate::doctor::page;
use crate::doctor::pages::PageSeen;
use crate::doctor::policy::Policies;
use crate::doctor::{Reply, Verdict};
use crate::http::HttpRequest;
use crate::text::whole_number;
use crate::url::Url;

/// What was found of the files.
#[derive(Default)]
pub(super) struct Assets {
    /// The folder that the pages name.
    pub(super) folder: Option<Url>,
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

    pub(super) fn note_caching(&mut self, name: &str, reply: &Reply, has_hash: bool) {
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
