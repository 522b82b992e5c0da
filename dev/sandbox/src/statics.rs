//! Static files as WhiteNoise serves them to JHE: types, pre-compressed siblings, 60
//! seconds of cache, conditional and range requests.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, RANGE, VARY,
};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::any;

use crate::Shared;
use crate::exchange::{Incoming, content, empty, set};
use crate::jhe::django::{self, Bypass};
use crate::jhe::{add_policy, plain_page};

/// JHE's shared script is a stub here: nothing but the global that its templates expect.
const COMMON_JS: &str = "// Stands in for JHE's common.js.\n\
    function parseInvitationCode(code) {\n  \
      var parts = code.split(\"_\");\n  \
      return { host: decodeURIComponent(parts[0]), token: parts[1] };\n\
    }\n";

/// The folders of JHE's clients that the bundle fills.
const DROP_INS: [&str; 2] = ["mychart/", "patient-access/"];

pub(crate) fn router() -> Router<Shared> {
    Router::new().route("/static/{*path}", any(file))
}

async fn file(
    State(shared): State<Shared>,
    Path(path): Path<String>,
    request: Incoming,
) -> Response {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return empty(StatusCode::METHOD_NOT_ALLOWED);
    }
    let encoding = ["br", "gz"]
        .into_iter()
        .find(|suffix| path.ends_with(&format!(".{suffix}")));
    if let Some(suffix) = encoding {
        // A sibling has no address of its own.
        let plain = path.trim_end_matches(suffix).trim_end_matches('.');
        if find(&shared, plain).is_some() {
            return django::not_found();
        }
    }
    let Some(found) = find(&shared, &path) else {
        return django::not_found();
    };
    if matches!(
        path.as_str(),
        "jhe-connect/index.html" | "jhe-connect/callback.html"
    ) {
        return plain_page(&shared, &String::from_utf8_lossy(&found.bytes));
    }
    let mut response = serve(&shared, &path, found, &request);
    if path.ends_with("/doctor.html") {
        add_policy(&shared, &mut response);
    }
    response
}

/// A file's content and age.
struct Found {
    bytes: Vec<u8>,
    modified: SystemTime,
}

/// Looks a file up, at every request: a rebuilt bundle shows at once. (WhiteNoise scans at start.)
fn find(shared: &Shared, path: &str) -> Option<Found> {
    if path
        .split('/')
        .any(|segment| matches!(segment, "" | "." | "..") || segment.contains('\\'))
    {
        return None;
    }
    let world = shared.world();
    if let Some(bytes) = world.static_files.get(path) {
        return Some(Found {
            bytes: bytes.clone(),
            modified: world.started,
        });
    }
    if path == "common/js/common.js" {
        return Some(Found {
            bytes: COMMON_JS.into(),
            modified: world.started,
        });
    }
    drop(world);
    let bundle = shared.bundle.as_ref()?;
    let file = match path.split_once('/')? {
        ("jhe-connect", rest) => bundle.join(rest),
        ("clients", rest) if DROP_INS.iter().any(|client| rest.starts_with(client)) => {
            bundle.join("jhe").join(rest)
        }
        _ => return None,
    };
    read(file).ok()
}

fn read(file: PathBuf) -> io::Result<Found> {
    let modified = file.metadata()?.modified()?;
    Ok(Found {
        bytes: std::fs::read(file)?,
        modified,
    })
}

fn serve(shared: &Shared, path: &str, plain: Found, request: &Incoming) -> Response {
    let sibling = |suffix: &str| find(shared, &format!("{path}.{suffix}")).map(|found| found.bytes);
    let (brotli, gzip) = (sibling("br"), sibling("gz"));
    let varies = brotli.is_some() || gzip.is_some();

    let accepted = request.header(ACCEPT_ENCODING);
    let accepts = |name: &str| accepted.split([',', ';']).any(|token| token.trim() == name);
    // One tag for all encodings, as WhiteNoise does.
    let tag = format!("\"{:x}-{:x}\"", seconds(plain.modified), plain.bytes.len());
    let (bytes, encoding) = match (brotli, gzip) {
        (Some(bytes), _) if accepts("br") => (bytes, Some("br")),
        (_, Some(bytes)) if accepts("gzip") => (bytes, Some("gzip")),
        _ => (plain.bytes, None),
    };

    let mut response = if is_unchanged(request, &tag, plain.modified) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let mut response = part(bytes, request.header(RANGE));
        set(&mut response, CONTENT_TYPE, content_type(path));
        set(&mut response, ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        set(
            &mut response,
            LAST_MODIFIED,
            &httpdate::fmt_http_date(plain.modified),
        );
        if let Some(encoding) = encoding {
            set(&mut response, CONTENT_ENCODING, encoding);
        }
        response
    };
    set(&mut response, CACHE_CONTROL, "max-age=60, public");
    set(&mut response, ETAG, &tag);
    if varies {
        set(&mut response, VARY, "Accept-Encoding");
    }
    response.extensions_mut().insert(Bypass::Django);
    response
}

fn is_unchanged(request: &Incoming, tag: &str, modified: SystemTime) -> bool {
    let known = request.header(IF_NONE_MATCH);
    if !known.is_empty() {
        // RFC 9110 §13.1.3: If-None-Match wins over If-Modified-Since.
        return known
            .split(',')
            .any(|candidate| candidate.trim().trim_start_matches("W/") == tag);
    }
    httpdate::parse_http_date(request.header(IF_MODIFIED_SINCE))
        .is_ok_and(|since| seconds(modified) <= seconds(since))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

/// The whole content, or the part that a single `Range` asks for.
fn part(bytes: Vec<u8>, range: &str) -> Response {
    let size = bytes.len();
    let Some((first, last)) = parse_range(range, size) else {
        return content(StatusCode::OK, "application/octet-stream", bytes);
    };
    if first >= size || first > last {
        let mut response = empty(StatusCode::RANGE_NOT_SATISFIABLE);
        set(&mut response, CONTENT_RANGE, &format!("bytes */{size}"));
        return response;
    }
    let last = last.min(size - 1);
    let slice = bytes[first..=last].to_vec();
    let mut response = content(
        StatusCode::PARTIAL_CONTENT,
        "application/octet-stream",
        slice,
    );
    set(
        &mut response,
        CONTENT_RANGE,
        &format!("bytes {first}-{last}/{size}"),
    );
    response
}

/// First and last byte of `bytes=a-b`, `bytes=a-` or `bytes=-n`.
fn parse_range(range: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => Some((first, last)),
        (Ok(first), Err(_)) if last.is_empty() => Some((first, usize::MAX)),
        (Err(_), Ok(length)) if first.is_empty() => Some((size.saturating_sub(length), usize::MAX)),
        _ => None,
    }
}

/// The types that JHE's WhiteNoise gave in the recording.
fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "js" | "mjs" => "text/javascript; charset=\"utf-8\"",
        "css" => "text/css; charset=\"utf-8\"",
        "html" => "text/html; charset=\"utf-8\"",
        "txt" => "text/plain; charset=\"utf-8\"",
        "md" => "text/markdown; charset=\"utf-8\"",
        "wasm" => "application/wasm",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ts" => "video/mp2t",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_in_their_three_forms() {
        assert_eq!(parse_range("bytes=0-7", 100), Some((0, 7)));
        assert_eq!(parse_range("bytes=90-", 100), Some((90, usize::MAX)));
        assert_eq!(parse_range("bytes=-10", 100), Some((90, usize::MAX)));
        assert_eq!(parse_range("lines=1-2", 100), None);
    }
}
