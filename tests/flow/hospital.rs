//! The patient at the hospital's portal: fills in its forms, as anybody would.

use ureq::Agent;
use ureq::http::header::{CONTENT_TYPE, LOCATION};
use ureq::http::{Request, Response};
use url::Url;
use url::form_urlencoded::Serializer;

/// A login at the portal.
#[derive(Clone, Copy)]
pub(crate) struct Login {
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

/// Has labs on several pages, with peculiar ids among them.
pub(crate) const CAMILA: Login = Login {
    user: "fhircamila",
    password: "epicepic1",
};
/// Has no labs.
pub(crate) const DERRICK: Login = Login {
    user: "fhirderrick",
    password: "epicepic1",
};

/// Has labs on one page.
pub(crate) const DESIREE: Login = Login {
    user: "fhirdesiree",
    password: "epicepic1",
};

/// What the patient presses on the consent page.
#[derive(Clone, Copy)]
pub(crate) enum Decision {
    Allow,
    Deny,
}

/// Goes through the portal, and returns the address to which it sends the patient back.
pub(crate) fn sign_in(network: &Agent, address: &str, login: Login, decision: Decision) -> String {
    let credentials = [("username", login.user), ("password", login.password)];
    let decision = match decision {
        Decision::Allow => "allow",
        Decision::Deny => "deny",
    };
    let forms: [&[(&str, &str)]; 2] = [&credentials, &[("decision", decision)]];
    let opened = Request::get(address).body(String::new());
    let mut shown = look(network, opened.expect("a request"), address);
    for fields in forms {
        shown = match shown {
            Shown::Form(form) => submit(network, &form, fields),
            back @ Shown::Back(_) => back,
        };
    }
    match shown {
        Shown::Back(address) => address,
        Shown::Form(form) => panic!("still at the portal: {}", form.action),
    }
}

enum Shown {
    Form(Form),
    Back(String),
}

struct Form {
    action: Url,
    flow: String,
}

fn submit(network: &Agent, form: &Form, fields: &[(&str, &str)]) -> Shown {
    let body = Serializer::new(String::new())
        .append_pair("flow", &form.flow)
        .extend_pairs(fields)
        .finish();
    let request = Request::post(form.action.as_str())
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(body);
    look(network, request.expect("a request"), form.action.as_str())
}

fn look(network: &Agent, request: Request<String>, address: &str) -> Shown {
    let answer = match request.body().is_empty() {
        true => network.run(request.map(drop)),
        false => network.run(request),
    };
    let mut answer = answer.expect("the portal answers");
    if let Some(back) = location(&answer) {
        return Shown::Back(back);
    }
    let page = answer.body_mut().read_to_string().expect("a page");
    let (Some(action), Some(flow)) = (
        between(&page, "action=\"", "\""),
        between(&page, "name=\"flow\" value=\"", "\""),
    ) else {
        panic!("no form at the portal: {page}");
    };
    let address = Url::parse(address).expect("an address");
    Shown::Form(Form {
        action: address.join(action).expect("the form's action"),
        flow: flow.to_owned(),
    })
}

fn location<T>(answer: &Response<T>) -> Option<String> {
    let location = answer.headers().get(LOCATION)?.to_str();
    location.ok().map(str::to_owned)
}

/// The text between the first `start` and the next `end`.
pub(crate) fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}
