//! The pages that a patient sees at the EHR. They work without scripts, and on a phone.

use axum::http::{HeaderName, StatusCode};
use axum::response::Response;

use super::Flow;
use crate::exchange::{self, escape_html as escape, set};

const STYLE: &str = "\
    :root { color-scheme: light; --brand: #0b5563; }\
    * { box-sizing: border-box; }\
    body { margin: 0; font: 1rem/1.5 system-ui, sans-serif; color: #1d2b2f; background: #eef3f4; }\
    header { padding: 1rem; color: #fff; background: var(--brand); font-weight: 600; }\
    main { max-width: 26rem; margin: 1.5rem auto; padding: 1.5rem; background: #fff; border-radius: .75rem; box-shadow: 0 1px 4px #0003; }\
    h1 { margin: 0 0 1rem; font-size: 1.35rem; line-height: 1.25; }\
    label { display: block; margin: 0 0 1rem; }\
    input { width: 100%; margin-top: .25rem; padding: .7rem; font: inherit; border: 1px solid #8aa0a5; border-radius: .5rem; }\
    ul { padding: 0; list-style: none; }\
    input[type=checkbox] { width: 1.25rem; height: 1.25rem; margin: 0 .5rem 0 0; vertical-align: middle; }\
    li label { margin: 0; padding: .35rem 0; }\
    button { width: 100%; margin-top: .5rem; padding: .8rem; font: inherit; font-weight: 600; color: #fff; background: var(--brand); border: 1px solid var(--brand); border-radius: .5rem; }\
    button.quiet { color: var(--brand); background: #fff; }\
    :focus-visible { outline: 3px solid #e0a800; outline-offset: 2px; }\
    .problem { padding: .6rem .8rem; background: #fdecea; border-left: 4px solid #b3261e; }\
    footer { max-width: 26rem; margin: 0 auto 2rem; padding: 0 1.5rem; font-size: .85rem; color: #51656a; }";

/// The login form of a pending authorization.
pub(super) fn login(flow: &Flow, app: &str, problem: Option<&str>) -> Response {
    let problem = problem
        .map(|problem| {
            format!(
                "<p class=\"problem\" role=\"alert\">{}</p>",
                escape(problem)
            )
        })
        .unwrap_or_default();
    page(
        StatusCode::OK,
        "Sign in to MyChart",
        &format!(
            "<p>{app} asks you to sign in.</p>{problem}\
             <form method=\"post\" action=\"{action}\">\
             <input type=\"hidden\" name=\"flow\" value=\"{flow}\">\
             <label>Username<input id=\"username\" name=\"username\" autocomplete=\"username\" autocapitalize=\"none\" required></label>\
             <label>Password<input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label>\
             <button id=\"sign-in\">Sign in</button></form>",
            app = escape(app),
            action = flow.vendor.login_path(),
            flow = escape(&flow.id),
        ),
    )
}

/// The question for whose chart somebody has signed in: login names and what they are called.
pub(super) fn choice(flow: &Flow, charts: &[(&str, String)]) -> Response {
    let buttons: String = charts
        .iter()
        .map(|(login, name)| {
            let (login, name) = (escape(login), escape(name));
            format!("<button id=\"chart-{login}\" name=\"chart\" value=\"{login}\" class=\"quiet\">{name}</button>")
        })
        .collect();
    page(
        StatusCode::OK,
        "Whose record is it about?",
        &format!(
            "<form method=\"post\" action=\"{action}\">\
             <input type=\"hidden\" name=\"flow\" value=\"{flow}\">{buttons}</form>",
            action = flow.vendor.choice_path(),
            flow = escape(&flow.id),
        ),
    )
}

/// The question whether the app may have what it asks for. Each part of the chart can be left out.
pub(super) fn consent(flow: &Flow, app: &str, patient: &str) -> Response {
    let items: String = flow
        .scope
        .split_whitespace()
        .map(|scope| {
            let (words, name) = (escape(in_words(scope)), escape(scope));
            if is_of_the_chart(scope) {
                format!(
                    "<li><label><input type=\"checkbox\" name=\"scope\" value=\"{name}\" checked>{words} <small>({name})</small></label></li>"
                )
            } else {
                format!("<li>{words} <small>({name})</small></li>")
            }
        })
        .collect();
    page(
        StatusCode::OK,
        &format!("Share {patient}'s record?"),
        &format!(
            "<p><strong>{app}</strong> would like to see:</p>\
             <form method=\"post\" action=\"{action}\"><ul>{items}</ul>\
             <input type=\"hidden\" name=\"flow\" value=\"{flow}\">\
             <input type=\"hidden\" name=\"chosen\" value=\"yes\">\
             <button id=\"allow\" name=\"decision\" value=\"allow\">Allow access</button>\
             <button id=\"deny\" name=\"decision\" value=\"deny\" class=\"quiet\">Deny</button></form>",
            app = escape(app),
            action = flow.vendor.consent_path(),
            flow = escape(&flow.id),
        ),
    )
}

/// Epic's own error page: where a wrong client id or redirect URI ends, without a redirect
/// (`…/OAuth/Start?error=4`). `reason` is for the developer who looks; Epic says nothing.
pub(super) fn request_invalid(reason: &str) -> Response {
    page(
        StatusCode::BAD_REQUEST,
        "Something went wrong",
        &format!(
            "<p class=\"problem\" role=\"alert\">OAuth2 Error: The request is invalid.</p>\
             <p><small>Sandbox: {}</small></p>",
            escape(reason)
        ),
    )
}

fn in_words(scope: &str) -> &str {
    match scope {
        "openid" => "Who you are",
        "profile" | "fhirUser" => "Your name and role",
        "launch/patient" => "Whose record you choose",
        "offline_access" => "Access while you are away",
        _ => in_a_chart(scope),
    }
}

/// Whether a scope opens a part of the chart, which a patient may keep back.
pub(super) fn is_of_the_chart(scope: &str) -> bool {
    scope.starts_with("patient/")
}

/// The part of the chart that a scope of the form `patient/<Type>.read` opens.
fn in_a_chart(scope: &str) -> &'static str {
    let rest = scope.split_once('/').map_or(scope, |(_, rest)| rest);
    match rest.split('.').next().unwrap_or_default() {
        "Patient" => "Name and date of birth",
        "Observation" => "Test results and vital signs",
        "Condition" => "Health problems",
        "MedicationRequest" | "MedicationDispense" | "Medication" => "Medicines",
        "AllergyIntolerance" => "Allergies",
        "Immunization" => "Vaccinations",
        "Procedure" => "Procedures",
        "DiagnosticReport" => "Reports",
        "DocumentReference" | "Binary" => "Notes and documents",
        "Encounter" => "Visits",
        "CarePlan" | "CareTeam" | "Goal" => "Plans of care, and who is involved",
        _ => "Further parts of the record",
    }
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let title = escape(title);
    let mut response = exchange::html(
        status,
        format!(
            "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
             <title>{title}</title><style>{STYLE}</style></head>\
             <body><header>MyChart (sandbox)</header><main><h1>{title}</h1>{body}</main>\
             <footer>A stand-in for tests. All people and results are made up.</footer></body></html>"
        ),
    );
    // Portals forbid framing.
    set(
        &mut response,
        HeaderName::from_static("x-frame-options"),
        "DENY",
    );
    set(
        &mut response,
        HeaderName::from_static("cache-control"),
        "no-store",
    );
    response
}
