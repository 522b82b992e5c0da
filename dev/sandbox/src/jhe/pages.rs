//! JHE's two pages, and the two plain pages with the values that a deployer would fill in.
//!
//! All of them are sent with a Content-Security-Policy if the sandbox was started with one. JHE has
//! none today; it shows that the bundle works under a strict one.

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::django::error_page;
use crate::Shared;
use crate::exchange::{Incoming, html, set};
use crate::settings::PageConfig;
use crate::world::Origins;

pub(super) async fn connect(State(shared): State<Shared>, request: Incoming) -> Response {
    template(
        &shared,
        &request,
        "Connect clinical records",
        "startMyChartConnect",
    )
}

pub(super) async fn callback(State(shared): State<Shared>, request: Incoming) -> Response {
    template(
        &shared,
        &request,
        "Importing records",
        "finishMyChartConnect",
    )
}

/// The redirect URI of JHE's own grant; nobody comes here in this flow.
pub(super) async fn jhe_callback() -> Response {
    html(
        StatusCode::OK,
        "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Sign in</title>\n</head>\n<body></body>\n</html>\n",
    )
}

/// JHE's template: classic scripts in the head, two inline scripts in the body.
fn template(shared: &Shared, request: &Incoming, title: &str, entry_point: &str) -> Response {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        // So `response_mode=form_post` can't work.
        return error_page(
            StatusCode::FORBIDDEN,
            "403 Forbidden",
            "CSRF verification failed. Request aborted.",
        );
    }
    let (config, origins) = {
        let world = shared.world();
        (world.settings.jhe.page.clone(), world.origins.clone())
    };
    let additions: String = config
        .additions()
        .into_iter()
        .map(|(name, value)| format!(",\n      {name}: {}", literal(&value)))
        .collect();
    let configuration = format!(
        "\n    var MYCHART_CONFIG = {{\n      iss: \"{}\",\n      clientId: \"{}\",\n      scope: \"{}\",\n      dataSourceId: \"{}\"{additions}\n    }};\n  ",
        escape_js(&config.iss),
        escape_js(&config.client_id),
        escape_js(&config.scope),
        escape_js(&config.data_source_id),
    );
    let call =
        format!("\n    {entry_point}(document.getElementById(\"out\"), MYCHART_CONFIG);\n  ");
    let page = format!(
        "<!DOCTYPE html>\n<html>\n<head>\n  <title>{title}</title>\n  \
         <script src=\"/static/common/js/common.js\"></script>\n  \
         <script src=\"/static/clients/mychart/js/fhir-client.min.js\"></script>\n  \
         <script src=\"/static/clients/mychart/js/client-mychart.js\"></script>\n\
         </head>\n<body>\n  <script>{configuration}</script>\n  <h1>{title}</h1>\n  \
         <pre id=\"out\"></pre>\n  <script>{call}</script>\n</body>\n</html>\n"
    );
    let mut response = html(StatusCode::OK, page);
    if shared.content_security_policy {
        let policy = policy(&origins, &[&configuration, &call]);
        set(&mut response, CONTENT_SECURITY_POLICY, &policy);
    }
    response
}

/// A plain page of the bundle, with the content of its configuration block replaced.
pub(crate) fn plain_page(shared: &Shared, source: &str) -> Response {
    let (config, origins) = {
        let world = shared.world();
        (world.settings.jhe.page.clone(), world.origins.clone())
    };
    let page = configured(source, &config).unwrap_or_else(|| source.to_owned());
    let mut response = html(StatusCode::OK, page);
    // The values may change between two loads of a test.
    set(&mut response, CACHE_CONTROL, "no-store");
    if shared.content_security_policy {
        set(
            &mut response,
            CONTENT_SECURITY_POLICY,
            &policy(&origins, &[]),
        );
    }
    response
}

/// The page with its values, or `None` if it has no configuration block.
fn configured(page: &str, config: &PageConfig) -> Option<String> {
    let id = page.find("id=\"jhe-connect-config\"")?;
    let start = id + page[id..].find('>')? + 1;
    let end = start + page[start..].find("</script>")?;
    let mut block: Value = serde_json::from_str(&page[start..end]).ok()?;
    block["iss"] = json!(config.iss);
    block["clientId"] = json!(config.client_id);
    block["scope"] = json!(config.scope);
    block["dataSourceId"] = json!(config.data_source_id);
    for (name, value) in config.additions() {
        block[name] = value;
    }
    // `</script>` in a value must not end the block.
    let block = block.to_string().replace('<', "\\u003c");
    Some(format!("{}{block}{}", &page[..start], &page[end..]))
}

/// The strict policy. The evil listener is among the addresses that may be called: what keeps a
/// token away from it has to be the code, not this header.
fn policy(origins: &Origins, inline_scripts: &[&str]) -> String {
    let hashes: String = inline_scripts
        .iter()
        .map(|script| {
            format!(
                " 'sha256-{}'",
                BASE64_STANDARD.encode(Sha256::digest(script))
            )
        })
        .collect();
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self'; \
         img-src 'self' data:; connect-src 'self' {} {}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        origins.ehr, origins.evil
    )
}

/// A value as JavaScript, in a template.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", escape_js(text)),
        other => other.to_string(),
    }
}

/// Django's `escapejs`.
fn escape_js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\'
            | '\''
            | '"'
            | '<'
            | '>'
            | '&'
            | '='
            | '-'
            | ';'
            | '`'
            | '\u{2028}'
            | '\u{2029}'
            | '\0'..='\x1f' => escaped.push_str(&format!("\\u{:04X}", character as u32)),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_as_django_does() {
        assert_eq!(escape_js("5b7d-<x>"), "5b7d\\u002D\\u003Cx\\u003E");
    }

    #[test]
    fn the_block_keeps_what_the_page_itself_decides() {
        let page = r#"<p></p><script type="application/json" id="jhe-connect-config">{"iss":"","redirectUri":"callback.html"}</script><i></i>"#;
        let mut config = PageConfig {
            iss: "https://x/</script>".into(),
            client_id: "c".into(),
            scope: "s".into(),
            data_source_id: "7".into(),
            deployment: None,
            revoke_token: None,
            worker_timeout_seconds: None,
        };
        let filled = configured(page, &config).expect("a block");
        assert_eq!(
            filled,
            r#"<p></p><script type="application/json" id="jhe-connect-config">{"clientId":"c","dataSourceId":"7","iss":"https://x/\u003c/script>","redirectUri":"callback.html","scope":"s"}</script><i></i>"#
        );

        config.worker_timeout_seconds = Some(0);
        config.revoke_token = Some(true);
        let filled = configured(page, &config).expect("a block");
        assert!(
            filled.contains(r#""revokeToken":true"#)
                && filled.contains(r#""workerTimeoutSeconds":0"#)
                && !filled.contains("deployment"),
            "{filled}"
        );
    }
}
