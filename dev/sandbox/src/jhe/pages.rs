//! JHE's two pages in each version, and the two plain pages with the values that a deployer would fill in.
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

use super::django::{error_page, unmatched};
use crate::Shared;
use crate::exchange::{Incoming, html, set};
use crate::settings::{JheVersion, PATIENT_ACCESS_SCOPES, PageConfig, SEED_SCOPES};
use crate::world::World;

/// One of JHE's templates.
struct Template {
    /// The client's folder, and the end of its script's name.
    client: &'static str,
    title: &'static str,
    /// The global variable with the configuration.
    config: &'static str,
    entry_point: &'static str,
    /// What the entry point is handed beside the output's element and the configuration.
    further_argument: &'static str,
    /// Elements beside the output's.
    further_elements: &'static str,
}

const MYCHART_CONNECT: Template = Template {
    client: "mychart",
    title: "Connect clinical records",
    config: "MYCHART_CONFIG",
    entry_point: "startMyChartConnect",
    further_argument: "",
    further_elements: "",
};
const MYCHART_CALLBACK: Template = Template {
    title: "Importing records",
    entry_point: "finishMyChartConnect",
    ..MYCHART_CONNECT
};
const PATIENT_ACCESS_CONNECT: Template = Template {
    client: "patient-access",
    config: "PATIENT_ACCESS_CONFIG",
    entry_point: "startPatientAccessConnect",
    further_argument: ", {\n      \
         container: document.getElementById(\"hospital-picker\"),\n      \
         input: document.getElementById(\"hospital-search\"),\n      \
         results: document.getElementById(\"hospital-results\")\n    }",
    further_elements: "  <div id=\"hospital-picker\" hidden>\n    \
         <input type=\"search\" id=\"hospital-search\">\n    \
         <div id=\"hospital-results\"></div>\n  </div>\n",
    ..MYCHART_CONNECT
};
const PATIENT_ACCESS_CALLBACK: Template = Template {
    client: PATIENT_ACCESS_CONNECT.client,
    config: PATIENT_ACCESS_CONNECT.config,
    entry_point: "finishPatientAccessConnect",
    ..MYCHART_CALLBACK
};

pub(super) async fn mychart_connect(State(shared): State<Shared>, request: Incoming) -> Response {
    MYCHART_CONNECT.fill(&shared, &request)
}

pub(super) async fn mychart_callback(State(shared): State<Shared>, request: Incoming) -> Response {
    MYCHART_CALLBACK.fill(&shared, &request)
}

pub(super) async fn patient_access_connect(
    State(shared): State<Shared>,
    request: Incoming,
) -> Response {
    of_later_version(&PATIENT_ACCESS_CONNECT, &shared, &request)
}

pub(super) async fn patient_access_callback(
    State(shared): State<Shared>,
    request: Incoming,
) -> Response {
    of_later_version(&PATIENT_ACCESS_CALLBACK, &shared, &request)
}

/// DIFFERENCE: the later version has no pages of the earlier one's client; here they stay.
fn of_later_version(template: &Template, shared: &Shared, request: &Incoming) -> Response {
    let version = shared.world().settings.jhe.version;
    match version {
        JheVersion::Mychart => unmatched(request),
        JheVersion::PatientAccess => template.fill(shared, request),
    }
}

/// The redirect URI of JHE's own grant; nobody comes here in this flow.
pub(super) async fn jhe_callback() -> Response {
    html(
        StatusCode::OK,
        "\n<!doctype html>\n<html lang=\"en\">\n<head>\n  <title>Sign in</title>\n</head>\n<body></body>\n</html>\n",
    )
}

impl Template {
    /// Classic scripts in the head, two inline scripts in the body.
    fn fill(&self, shared: &Shared, request: &Incoming) -> Response {
        if !matches!(request.method, Method::GET | Method::HEAD) {
            // So `response_mode=form_post` can't work.
            return error_page(
                StatusCode::FORBIDDEN,
                "403 Forbidden",
                "CSRF verification failed. Request aborted.",
            );
        }
        let page = shared.world().settings.jhe.page.clone();
        let Self {
            client,
            title,
            config,
            entry_point,
            further_argument,
            further_elements,
        } = self;
        let configuration = format!(
            "\n    var {config} = {{{}\n    }};\n  ",
            self.members(&page)
        );
        let call = format!(
            "\n    {entry_point}(document.getElementById(\"out\"), {config}{further_argument});\n  "
        );
        let page = format!(
            "<!DOCTYPE html>\n<html>\n<head>\n  <title>{title}</title>\n  \
             <script src=\"/static/common/js/common.js\"></script>\n  \
             <script src=\"/static/clients/{client}/js/fhir-client.min.js\"></script>\n  \
             <script src=\"/static/clients/{client}/js/client-{client}.js\"></script>\n\
             </head>\n<body>\n  <script>{configuration}</script>\n  <h1>{title}</h1>\n\
             {further_elements}  <pre id=\"out\"></pre>\n  <script>{call}</script>\n</body>\n</html>\n"
        );
        let mut response = html(StatusCode::OK, page);
        if shared.content_security_policy {
            let policy = policy(&shared.world(), &[&configuration, &call]);
            set(&mut response, CONTENT_SECURITY_POLICY, &policy);
        }
        response
    }

    /// The members of the configuration, as JavaScript.
    fn members(&self, page: &PageConfig) -> String {
        let mut members = Vec::new();
        let scope = match self.client {
            "mychart" => {
                members.push(("iss", json!(page.iss)));
                &page.scope
            }
            _ if page.scope == SEED_SCOPES => PATIENT_ACCESS_SCOPES,
            _ => &page.scope,
        };
        members.extend([
            ("clientId", json!(page.client_id)),
            ("scope", json!(scope)),
            ("dataSourceId", json!(page.data_source_id)),
        ]);
        members.extend(page.additions());
        let members: Vec<String> = members
            .into_iter()
            .map(|(name, value)| format!("\n      {name}: {}", literal(&value)))
            .collect();
        members.join(",")
    }
}

/// A plain page of the bundle, with the content of its configuration block replaced.
pub(crate) fn plain_page(shared: &Shared, source: &str) -> Response {
    let config = shared.world().settings.jhe.page.clone();
    let page = configured(source, &config).unwrap_or_else(|| source.to_owned());
    let mut response = html(StatusCode::OK, page);
    // The values may change between two loads of a test.
    set(&mut response, CACHE_CONTROL, "no-store");
    if shared.content_security_policy {
        let policy = policy(&shared.world(), &[]);
        set(&mut response, CONTENT_SECURITY_POLICY, &policy);
    }
    response
}

/// Sends a page of the bundle that nothing is filled into with the policy of the plain pages.
pub(crate) fn add_policy(shared: &Shared, response: &mut Response) {
    if shared.content_security_policy {
        let policy = policy(&shared.world(), &[]);
        set(response, CONTENT_SECURITY_POLICY, &policy);
    }
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

/// The strict policy: that of docs/hosting.md. The evil listener is among the addresses that may be called: what keeps a
/// token away from it has to be the code, not this header.
fn policy(world: &World, inline_scripts: &[&str]) -> String {
    let origins = &world.origins;
    let further: String = (world.settings.jhe.further_servers.iter())
        .map(|origin| format!(" {origin}"))
        .collect();
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
         img-src 'self' data:; connect-src 'self' {} {} {}{further}; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        origins.ehr, origins.authorization, origins.evil
    )
}

/// A value as JavaScript, in a template.
fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", escape_js(text)),
        // `</script>` in a value must not end the script.
        other => other.to_string().replace('<', "\\u003c"),
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
            plan: None,
            study: None,
            confirm_patient: None,
            review: None,
            review_choice: None,
            language: None,
        };
        let filled = configured(page, &config).expect("a block");
        assert_eq!(
            filled,
            r#"<p></p><script type="application/json" id="jhe-connect-config">{"clientId":"c","dataSourceId":"7","iss":"https://x/\u003c/script>","redirectUri":"callback.html","scope":"s"}</script><i></i>"#
        );

        config.worker_timeout_seconds = Some(0);
        config.revoke_token = Some(true);
        config.study = Some(json!({"name": "</script>"}));
        config.confirm_patient = Some(json!(false));
        config.review = Some(json!(true));
        config.review_choice = Some(json!("often"));
        config.language = Some(json!("es"));
        let filled = configured(page, &config).expect("a block");
        assert!(
            filled.contains(r#""revokeToken":true"#)
                && filled.contains(r#""workerTimeoutSeconds":0"#)
                && filled.contains(r#""study":{"name":"\u003c/script>"}"#)
                && filled.contains(r#""confirmPatient":false"#)
                && filled.contains(r#""review":true,"reviewChoice":"often""#)
                && filled.contains(r#""language":"es""#)
                && !filled.contains("deployment"),
            "{filled}"
        );
    }
}
