//! A pretended hospital's sign-in: what the page `hospital.html` asks, and where it sends the patient back to.

use alloc::string::String;
use alloc::vec::Vec;

use crate::demo::World;
use crate::demo::chart::Persona;
use crate::demo::hospital::{Habit, Hospital};
use crate::demo::state::Code;
use crate::text::{contains, form_decode, split_last};
use crate::url::Url;

/// Whom the hospital where it is another person knows the participant as at JHE, from before.
pub(crate) const OTHER_PERSON: &str = "few-0-1";

/// What an app asks of the sign-in (RFC 6749 §4.1.1, SMART App Launch).
#[derive(Debug)]
pub struct SignIn {
    /// Whose sign-in it is.
    pub hospital: &'static Hospital,
    /// The scopes that are for records, of which the patient may leave some out.
    pub choices: Vec<String>,
    /// The rest of them.
    others: Vec<String>,
    redirect_uri: Url,
    state: String,
    challenge: String,
    nonce: String,
}

impl SignIn {
    /// Reads the query of the sign-in page at `page`. Nothing where it is none of the test mode's: it sends nobody to
    /// another origin than its own.
    pub fn read(page: &Url) -> Option<Self> {
        let pairs = form_decode(page.query());
        let value = |name| super::value(&pairs, name);
        let redirect_uri = Url::parse(value("redirect_uri")).ok()?;
        let (choices, others) = value("scope")
            .split(' ')
            .filter(|scope| !scope.is_empty())
            .map(String::from)
            .partition(|scope| scope.starts_with("patient/"));
        let is_right = redirect_uri.origin() == page.origin()
            && value("response_type") == "code"
            && value("code_challenge_method") == "S256";
        is_right.then_some(SignIn {
            hospital: Hospital::with_base(value("aud"))?,
            choices,
            others,
            redirect_uri,
            state: value("state").into(),
            challenge: value("code_challenge").into(),
            nonce: value("nonce").into(),
        })
    }

    /// Where the patient goes who does not agree (RFC 6749 §4.1.2.1).
    pub fn deny(&self) -> String {
        self.redirect_uri
            .with_parameters(&[("error", "access_denied"), ("state", &self.state)])
    }

    /// Where the patient goes who signs in as this persona and leaves these boxes ticked, at the time `now`.
    pub fn agree(
        &self,
        world: &mut World,
        persona: &Persona,
        ticked: &[usize],
        now: u64,
    ) -> String {
        let mut scope = self.others.clone();
        for (place, choice) in self.choices.iter().enumerate() {
            let narrows = self.hospital.habit == Habit::Narrows;
            let is_cut = narrows && NARROWED.iter().any(|cut| contains(choice, cut));
            if ticked.contains(&place) && !is_cut {
                scope.push(choice.clone());
            }
        }
        let code = world.state.next("test-code-");
        let answer = [("code", code.as_str()), ("state", self.state.as_str())];
        let address = self.redirect_uri.with_parameters(&answer);
        world.state.codes.push(Code {
            code,
            hospital: self.hospital.name.into(),
            persona: persona.name.into(),
            scope: scope.join(" "),
            challenge: self.challenge.clone(),
            redirect_uri: self.redirect_uri.as_str().into(),
            at: now,
            nonce: self.nonce.clone(),
        });
        address
    }
}

/// What the hospital that grants less leaves out.
const NARROWED: [&str; 3] = ["/Condition.", "/DocumentReference.", "/Procedure."];

/// The resource type that a scope of a patient's records names.
pub(crate) fn type_of(scope: &str) -> &str {
    let item = split_last(scope, b'/').map_or(scope, |(_, item)| item);
    item.split('.').next().unwrap_or(item)
}
