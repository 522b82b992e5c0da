//! The files that JHE's origin serves: our bundle as it is deployed, and the other sides' pages.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_ENCODING, VARY};
use serde_json::{Value, json};

use crate::chart::{PAGE_SIZE, SOURCE, session};
use crate::ehr::CLIENT_ID;
use crate::jhe::{DATA_SOURCE, INVITATION};
use crate::serve::{Reply, content, set};
use crate::side::Side;
use crate::task::Task;
use crate::world::Origins;

/// A page on which nothing happens.
pub(crate) const BLANK: &str = "/blank.html";

const HTML: &str = "text/html; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

/// By their paths.
pub(crate) struct Files {
    files: BTreeMap<String, File>,
    /// What is code in our bundle.
    ours: Vec<String>,
}

/// The bytes of a side's scripts.
pub(crate) struct Size {
    /// Of the page that imports, compressed.
    pub(crate) import_page: usize,
    /// Of that page, as they are.
    pub(crate) import_page_raw: usize,
    /// Of all that a patient's browser loads on the way through both pages, compressed.
    pub(crate) both_pages: usize,
}

const PAGE_SCRIPT: &str = "page.js";
const CONNECT_MODULE: [&str; 3] = [
    "jhe-connect.js",
    "jhe-connect_bg.wasm",
    "en.jhe-connect.json",
];
const CALLBACK_MODULE: [&str; 3] = [
    "jhe-connect-callback.js",
    "jhe-connect-callback_bg.wasm",
    "en.jhe-connect-callback.json",
];
/// Loaded while the patient answers on the callback page; it copies.
const IMPORT_MODULE: [&str; 3] = [
    "jhe-connect-import.js",
    "jhe-connect-import_bg.wasm",
    "en.jhe-connect-import.json",
];
/// Loaded when an import has ended.
const RECEIPT_MODULE: [&str; 3] = [
    "jhe-connect-receipt.js",
    "jhe-connect-receipt_bg.wasm",
    "en.jhe-connect-receipt.json",
];

pub(crate) struct File {
    kind: &'static str,
    raw: Bytes,
    brotli: Option<Bytes>,
}

impl File {
    fn new(kind: &'static str, content: impl Into<Bytes>) -> File {
        File {
            kind,
            raw: content.into(),
            brotli: None,
        }
    }

    /// Compressed as well as brotli can.
    fn compressed(kind: &'static str, content: Vec<u8>) -> Result<File> {
        let mut compressed = Vec::new();
        let parameters = brotli::enc::BrotliEncoderParams {
            quality: 11,
            lgwin: 24,
            ..Default::default()
        };
        brotli::BrotliCompress(&mut &content[..], &mut compressed, &parameters)?;
        Ok(File {
            kind,
            raw: content.into(),
            brotli: Some(compressed.into()),
        })
    }

    /// Bytes on the wire.
    fn compressed_length(&self) -> usize {
        self.brotli.as_ref().unwrap_or(&self.raw).len()
    }

    /// As JHE's static server gives it; pages, which are templates there, without a lifetime.
    pub(crate) fn reply(&self, accepted_encodings: &str) -> Reply {
        let brotli = self
            .brotli
            .as_ref()
            .filter(|_| accepted_encodings.contains("br"));
        let mut reply = content(
            StatusCode::OK,
            self.kind,
            brotli.unwrap_or(&self.raw).clone(),
        );
        if brotli.is_some() {
            set(&mut reply, CONTENT_ENCODING, "br");
        }
        if self.brotli.is_some() {
            set(&mut reply, VARY, "Accept-Encoding");
        }
        if self.kind != HTML {
            set(&mut reply, CACHE_CONTROL, "max-age=60, public");
        }
        reply
    }
}

impl Files {
    /// Reads `dist` (our bundle) and the builds of the library in `peer`.
    pub(crate) fn read(dist: &Path, peer: &Path, origins: &Origins) -> Result<Files> {
        let mut files = Files {
            files: BTreeMap::new(),
            ours: Vec::new(),
        };
        files.put(
            BLANK,
            File::new(HTML, "<!DOCTYPE html>\n<title>Blank</title>\n"),
        );
        for task in Task::ALL {
            files.add_bundle(dist, origins, task)?;
        }
        files.put(
            "/peer/job.js",
            File::compressed(JAVASCRIPT, include_bytes!("../pages/peer.js").to_vec())?,
        );
        files.put(
            "/floor/job.js",
            File::compressed(JAVASCRIPT, include_bytes!("../pages/floor.js").to_vec())?,
        );
        for side in [Side::Peer, Side::PurePeer] {
            let library = side.library().context("a side without a library")?;
            let name = library.rsplit('/').next().unwrap_or_default();
            files.put(
                library,
                File::compressed(JAVASCRIPT, read(&peer.join(name))?)?,
            );
        }
        for side in [Side::Peer, Side::PurePeer, Side::Floor] {
            for task in Task::ALL {
                for page in ["connect", "callback"] {
                    files.put(
                        &format!("{}{page}.html", folder(side, task)),
                        other_page(side, task, page, origins),
                    );
                }
            }
        }
        Ok(files)
    }

    pub(crate) fn find(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// The bytes of a side's scripts.
    pub(crate) fn size(&self, side: Side) -> Size {
        let all = match side.library() {
            Some(library) => vec![library],
            None => self.ours.iter().map(String::as_str).collect(),
        };
        let is_of_connect = |path: &&str| CONNECT_MODULE.iter().any(|file| is_named(path, file));
        let import_page = all.iter().copied().filter(|path| !is_of_connect(path));
        let sum = |paths: &mut dyn Iterator<Item = &str>, length: fn(&File) -> usize| {
            paths.filter_map(|path| self.find(path)).map(length).sum()
        };
        Size {
            import_page: sum(&mut import_page.clone(), File::compressed_length),
            import_page_raw: sum(&mut import_page.clone(), |file| file.raw.len()),
            both_pages: sum(&mut all.iter().copied(), File::compressed_length),
        }
    }

    /// What `pages/startup.js` needs to know of a side.
    pub(crate) fn startup(&self, side: Side) -> Result<Value> {
        if let Some(library) = side.library() {
            return Ok(json!({ "library": library }));
        }
        let named = |name: &str| {
            let found = self.ours.iter().find(|path| is_named(path, name));
            found.with_context(|| format!("the bundle has no {name}"))
        };
        let [glue, wasm, _] = CALLBACK_MODULE;
        Ok(json!({
            "script": named(PAGE_SCRIPT)?,
            "glue": named(glue)?,
            "wasm": named(wasm)?,
        }))
    }

    fn put(&mut self, path: &str, file: File) {
        self.files.insert(path.to_owned(), file);
    }

    fn add_bundle(&mut self, dist: &Path, origins: &Origins, task: Task) -> Result<()> {
        let folder = folder(Side::Ours, task);
        let mut config = json!({
            "deployment": task.deployment(),
            "iss": origins.fhir_base(),
            "clientId": CLIENT_ID,
            "scope": task.scope(),
            "dataSourceId": DATA_SOURCE.to_string(),
            "redirectUri": "callback.html",
            "jheBase": "/",
        });
        if let Some(plan) = task.plan() {
            config["plan"] = plan;
        }
        for page in ["index.html", "callback.html"] {
            let text = String::from_utf8(read(&dist.join(page))?)?;
            let text = with_config(&text, &config)
                .with_context(|| format!("{page} has no jhe-connect-config"))?;
            self.put(&format!("{folder}{page}"), File::new(HTML, text));
        }
        let assets = fs::read_dir(dist)?
            .flatten()
            .find(|entry| {
                entry
                    .file_name()
                    .to_string_lossy()
                    .starts_with("jhe-connect-")
            })
            .with_context(|| format!("{} is no built bundle", dist.display()))?;
        let name = assets.file_name().to_string_lossy().into_owned();
        self.ours.clear();
        let code = [
            CONNECT_MODULE,
            CALLBACK_MODULE,
            IMPORT_MODULE,
            RECEIPT_MODULE,
        ]
        .concat();
        let styles = [PAGE_SCRIPT, "jhe-connect.css", "jhe-connect-import.css"];
        for file in styles.iter().chain(&code) {
            let path = format!("{folder}{name}/{file}");
            let kind = match file.rsplit('.').next() {
                Some("wasm") => "application/wasm",
                Some("css") => "text/css; charset=utf-8",
                Some("json") => "application/json",
                _ => JAVASCRIPT,
            };
            let content = File {
                kind,
                raw: read(&assets.path().join(file))?.into(),
                brotli: Some(read(&assets.path().join(format!("{file}.br")))?.into()),
            };
            if !file.ends_with(".css") && !RECEIPT_MODULE.contains(file) {
                self.ours.push(path.clone());
            }
            self.put(&path, content);
        }
        Ok(())
    }
}

fn is_named(path: &str, file: &str) -> bool {
    path.rsplit('/').next() == Some(file)
}

/// Where a side's run begins.
pub(crate) fn connect_page(side: Side, task: Task, origins: &Origins, records: usize) -> String {
    let folder = folder(side, task);
    let jhe = &origins.jhe;
    match side {
        Side::Ours => {
            // As in JHE's links, the host's colon is encoded.
            let host = jhe.trim_start_matches("http://").replace(':', "%3A");
            format!("{jhe}{folder}index.html?code={host}_{INVITATION}")
        }
        // The floor parses nothing, so it is told how many pages there are of each search.
        _ => {
            let searches = task.searches().iter();
            let pages =
                searches.map(|search| search.count(records).div_ceil(PAGE_SIZE).to_string());
            let pages: Vec<String> = pages.collect();
            format!("{jhe}{folder}connect.html?pages={}", pages.join(","))
        }
    }
}

fn folder(side: Side, task: Task) -> String {
    format!("/{}/{}/", side.name(), task.name())
}

fn other_page(side: Side, task: Task, page: &str, origins: &Origins) -> File {
    let searches = task.searches().iter().enumerate().map(|(number, search)| {
        let query = search
            .parameter
            .map(|(name, value)| format!("{name}={value}"));
        json!({
            "type": search.resource_type,
            "path": search.path(),
            "query": query.unwrap_or_default(),
            "session": session(number),
        })
    });
    let (readers, writers) = task.side_by_side();
    let config = json!({
        "iss": origins.fhir_base(),
        "authorize": format!("{}/interconnect/oauth2/authorize", origins.ehr),
        "clientId": CLIENT_ID,
        "scope": task.scope(),
        "redirectUri": format!("{}{}callback.html", origins.jhe, folder(side, task)),
        "dataSourceId": DATA_SOURCE.to_string(),
        "identifierPath": format!("/api/v1/{}/identifier", task.deployment()),
        "writesBatches": task != Task::LabsSingly,
        "source": SOURCE.to_string(),
        "searches": searches.collect::<Vec<_>>(),
        "readers": readers,
        "writers": writers,
    });
    let (library, job) = match side.library() {
        Some(library) => (
            format!("<script src=\"{library}\"></script>\n"),
            "/peer/job.js",
        ),
        None => (String::new(), "/floor/job.js"),
    };
    File::new(
        HTML,
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{page}</title>\n\
             {library}</head>\n<body>\n<main id=\"out\" data-page=\"{page}\"></main>\n\
             <script type=\"application/json\" id=\"bench-config\">{config}</script>\n\
             <script src=\"{job}\"></script>\n</body>\n</html>\n"
        ),
    )
}

/// The page with this configuration in place of its own.
fn with_config(page: &str, config: &Value) -> Option<String> {
    let element = page
        .find("id=\"jhe-connect-config\"")
        .or_else(|| page.find("id=jhe-connect-config"))?;
    let start = element + page[element..].find('>')? + 1;
    let end = start + page[start..].find("</script>")?;
    Some(format!("{}{config}{}", &page[..start], &page[end..]))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    match fs::read(path) {
        Ok(content) => Ok(content),
        Err(error) => bail!("{} cannot be read: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_own_configuration_is_replaced() {
        let page =
            r#"<p><script type="application/json" id="jhe-connect-config">{"iss":""}</script></p>"#;
        assert_eq!(
            with_config(page, &json!({ "iss": "x" })).as_deref(),
            Some(
                r#"<p><script type="application/json" id="jhe-connect-config">{"iss":"x"}</script></p>"#
            )
        );
        assert_eq!(with_config("<p></p>", &json!({})), None);
    }

    #[test]
    fn brotli_is_sent_to_those_who_take_it() {
        let file = File::compressed(JAVASCRIPT, vec![b'a'; 5_000]).expect("compressed");
        let is_compressed = |accepted| {
            file.reply(accepted)
                .headers()
                .contains_key(CONTENT_ENCODING)
        };
        assert!(is_compressed("gzip, br"));
        assert!(!is_compressed("gzip"));
    }
}
