//! The connect page: from the invitation, by way of the list of hospitals if there is one, to the hospital's sign-in.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

use wasm_bindgen::{JsCast, JsValue};

use crate::browser::fetch::{converse, send};
use crate::browser::pages::{configuration, end, fail};
use crate::browser::picker::pick;
use crate::browser::platform::Listener;
use crate::browser::sign_in::{Prepared, preflight};
use crate::browser::storage::TabStore;
use crate::browser::view::View;
use crate::browser::{location, platform};
use crate::config::PageConfig;
use crate::error::{Failure, Interrupted};
use crate::exchange::brands::Brands;
use crate::exchange::invitation::{Enrolment, Invitation};
use crate::exchange::jhe::JheSession;
use crate::exchange::profile::{self, profile_request};
use crate::exchange::source::{KnownHospital, KnownHospitals};
use crate::language::{Text, Value};
use crate::screen::{Act, Screen};
use crate::screens::{self, Before, Sharing};
use crate::session;
use crate::smart::discovery::Issuer;
use crate::url::Url;

/// Goes through the page, and tells the patient how it ended. On a callback page that asks for a sign-in, a visit goes on.
pub(crate) async fn run(view: View, config: String, picker: JsValue, beginning: Beginning) {
    end(&view, connect(&view, &config, &picker, beginning).await);
}

/// Where the page begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// At the invitation.
    Invitation,
    /// At the hospital that this tab keeps: the patient signs in there again.
    SameHospital,
    /// Behind one hospital, for a further one.
    FurtherHospital,
}

async fn connect(
    view: &View,
    config: &str,
    picker: &JsValue,
    beginning: Beginning,
) -> Result<(), Failure> {
    if beginning == Beginning::Invitation {
        view.show(&screens::checking());
    }
    platform::require_secure_context()?;
    let store = TabStore::open()?;
    let page = location::own()?;
    let config = configuration(view, config, &page)?;
    reload_when_restored();
    let jhe = match beginning {
        Beginning::Invitation => match enrol(view, &store, &config, &page).await? {
            Some(jhe) => jhe,
            None => return Ok(()),
        },
        _ => session::jhe(&store, &config.jhe)?.ok_or(Interrupted)?,
    };
    let choice = Choice {
        view,
        store: &store,
        config: &config,
        page: &page,
        jhe: Rc::new(jhe),
        beginning,
        organization: None,
        known: Vec::new(),
    };
    choice.make(picker).await
}

/// Redeems the invitation; nothing, if the patient came back from the hospital and does not go on.
async fn enrol(
    view: &View,
    store: &TabStore,
    config: &PageConfig,
    page: &Url,
) -> Result<Option<JheSession>, Failure> {
    if let Some(iss) = &config.iss {
        // Looked at before the invitation is used; the sign-in reads it again.
        Issuer::parse(iss, page)?;
    }
    let invitation = Invitation::parse(page.query(), page.host())?;
    if let Some(pending) = session::pending_launch(store)? {
        if let Some(hospital) = session::hospital(store)? {
            view.names_portal(hospital.into());
        }
        if !goes_on_after(view, pending.issuer.as_str()).await {
            session::forget_launch(store);
            session::forget_tokens(store);
            return Ok(None);
        }
    }

    view.show(&screens::checking());
    let mut enrolment = Enrolment::new(config.jhe.clone(), invitation);
    converse(&mut enrolment).await;
    // Whatever this tab did before is over.
    session::forget_run(store);
    session::forget_visit(store);
    session::forget_tokens(store);
    Ok(Some(enrolment.finish()?))
}

/// The patient went to the hospital, and is here again without an answer: what did they see there? Do they go on?
async fn goes_on_after(view: &View, issuer: &str) -> bool {
    let act = match view.ask(&screens::returned()).await {
        Act::SawError => {
            platform::log_error(&["jhe-connect ", screens::ERROR_PAGE, ": ", issuer].concat());
            view.ask(&screens::error_page(issuer)).await
        }
        Act::NoLogin => view.ask(&screens::no_login()).await,
        act => act,
    };
    if act == Act::GiveUp {
        view.show(&screens::gave_up());
    }
    act != Act::GiveUp
}

/// What a patient chooses from, before they agree to go anywhere.
struct Choice<'a> {
    view: &'a View,
    store: &'a TabStore,
    config: &'a PageConfig,
    page: &'a Url,
    jhe: Rc<JheSession>,
    beginning: Beginning,
    /// Who runs the study, where only JHE knows.
    organization: Option<String>,
    /// Where the patient was before.
    known: Vec<KnownHospital>,
}

/// Has the patient said yes to what is shared?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Consent {
    Given,
    Asked,
}

/// What comes of a hospital.
enum Next {
    /// The patient goes there.
    Leave,
    /// The patient wants another one.
    AnotherHospital,
    /// The patient does not go on.
    Nothing,
}

type Preflight<'a> = Pin<Box<dyn Future<Output = Result<Prepared, Failure>> + 'a>>;

impl Choice<'_> {
    /// Leads the patient to the hospital: to the only one, to one that they know, or to one that they pick.
    async fn make(mut self, picker: &JsValue) -> Result<(), Failure> {
        if self.beginning != Beginning::SameHospital {
            self.ask_jhe().await;
        }
        let path = self.config.brands_path();
        // Those that the patient knows are offered before all others, once.
        let mut is_first = self.beginning == Beginning::Invitation;
        loop {
            let mut consent = Consent::Asked;
            let hospital = match (path, self.known.as_slice()) {
                _ if self.beginning == Beginning::SameHospital => {
                    consent = Consent::Given;
                    Some(KnownHospital {
                        fhir_base_url: session::issuer(self.store)?.ok_or(Interrupted)?,
                        name: session::hospital(self.store)?,
                    })
                }
                (None, _) => Some(KnownHospital {
                    fhir_base_url: self.config.iss.clone().unwrap_or_default(),
                    name: None,
                }),
                (Some(_), [one]) if is_first => Some(one.clone()),
                (Some(_), known @ [_, ..]) if is_first => {
                    consent = Consent::Given;
                    let screen = self.sharing(&Text::YourHospital.into(), Before::OneOf(known));
                    match self.view.ask(&screen).await {
                        Act::Hospital(place) => known.get(place).cloned(),
                        Act::GiveUp => break,
                        _ => None,
                    }
                }
                (Some(path), _) => {
                    let brand = pick(self.view, picker, Rc::clone(&self.jhe), path).await?;
                    Some(KnownHospital {
                        name: Some(brand.place_name().into()),
                        fhir_base_url: brand.fhir_base_url,
                    })
                }
            };
            is_first = false;
            if let Some(hospital) = hospital {
                match self.offer(hospital, consent).await? {
                    Next::Leave => return Ok(()),
                    Next::Nothing => break,
                    Next::AnotherHospital => {}
                }
            }
            if self.beginning == Beginning::SameHospital {
                break;
            }
        }
        match self.beginning {
            Beginning::Invitation => {
                session::forget_tokens(self.store);
                self.view.show(&screens::gave_up());
            }
            // What was copied before is told again.
            _ => location::reload(),
        }
        Ok(())
    }

    /// Asks what JHE knows of the patient. What can't be had is done without.
    async fn ask_jhe(&mut self) {
        let (jhe, config) = (Rc::clone(&self.jhe), self.config);
        let mut sources = KnownHospitals::new(&jhe, config.deployment, &config.data_source_id);
        converse(&mut sources).await;
        self.known = sources.finish();
        if let Some(path) = config.brands_path() {
            self.name_the_known(path).await;
        }
        if config.study.organization.is_none() {
            let answer = send(profile_request(&jhe)).await;
            self.organization = answer.ok().and_then(|it| profile::organization(&it));
        }
    }

    /// Where a source does not name its hospital, JHE's list may.
    async fn name_the_known(&mut self, path: &str) {
        if self.known.iter().all(|hospital| hospital.name.is_some()) {
            return;
        }
        let brands = Brands::read(send(Brands::all_request(&self.jhe, path)).await);
        let brands = brands.unwrap_or_default();
        for hospital in &mut self.known {
            if hospital.name.is_none() {
                hospital.name = brands.name_of(&hospital.fhir_base_url).map(String::from);
            }
        }
    }

    fn sharing(&self, hospital: &Value, before: Before<'_>) -> Screen {
        Sharing {
            hospital,
            study: &self.config.study,
            organization: self.organization.as_deref(),
            labels: &self.config.plan.labels(),
            is_picked: self.config.iss.is_none(),
            before,
        }
        .screen()
    }

    /// Says what will be shared. Meanwhile it is tried out whether the hospital's sign-in can work at all.
    async fn offer(&self, hospital: KnownHospital, consent: Consent) -> Result<Next, Failure> {
        let KnownHospital {
            fhir_base_url,
            name,
        } = hospital;
        let iss = fhir_base_url.as_str();
        let (view, config) = (self.view, self.config);
        for resource_type in config.plan.not_in_scope(&config.scope) {
            let advice = [
                "jhe-connect: the scope lacks ",
                resource_type,
                ", which the plan pulls",
            ];
            platform::log_advice(&advice.concat());
        }
        if let Some(name) = &name {
            view.names_portal(name.as_str().into());
        }
        let called = screens::hospital_name(iss, name.as_deref());
        let is_picked = config.iss.is_none();
        let is_same = self.beginning == Beginning::SameHospital;
        let before = match self.known.iter().any(|known| known.fhir_base_url == iss) {
            true => Before::This,
            false => Before::Nothing,
        };
        loop {
            let options = config.sign_in(iss);
            let mut preflight: Preflight<'_> = Box::pin(preflight(&options, self.page.clone()));
            let prepared = match consent {
                Consent::Given => {
                    view.show(&screens::leaving());
                    None
                }
                Consent::Asked => {
                    view.show(&self.sharing(&called, before));
                    let (act, prepared) = until_the_patient_decides(view, &mut preflight).await;
                    match act {
                        Some(Act::AnotherHospital) => return Ok(Next::AnotherHospital),
                        Some(Act::GiveUp) => return Ok(Next::Nothing),
                        Some(_) => view.show(&screens::leaving()),
                        None => {}
                    }
                    prepared
                }
            };
            let prepared = match prepared {
                Some(prepared) => prepared,
                None => preflight.await,
            };
            match prepared {
                Ok(prepared) => {
                    let url = prepared.leave(self.store)?;
                    if !is_same {
                        // What this tab did at another hospital is over, or begins anew there.
                        session::forget_run(self.store);
                        session::forget_ehr(self.store);
                        session::keep_hospital(self.store, iss, name.as_deref())?;
                    }
                    // Nobody needs it in the tab before: a reload redeems the invitation again.
                    session::keep_jhe(self.store, &self.jhe)?;
                    view.show(&screens::leaving());
                    if view.is_on_the_page() {
                        location::go(&url);
                    }
                    return Ok(Next::Leave);
                }
                Err(Failure(error)) => {
                    let (other, is_offered) = match is_same {
                        // One that is tried again has no run; there are others.
                        true => (
                            (Act::Overview, Text::YourHospitals),
                            !session::has_run(self.store),
                        ),
                        false => ((Act::AnotherHospital, Text::AnotherHospital), is_picked),
                    };
                    let ways_on = [(Act::TryAgain, Text::TryAgain), other];
                    let count = if is_offered { 2 } else { 1 };
                    if !session::has_run(self.store) {
                        session::forget_tokens(self.store);
                    }
                    fail(view, &error, None, ways_on.get(..count).unwrap_or_default());
                    let act = view.next_act().await;
                    if self.beginning != Beginning::Invitation {
                        // A reload goes on from here.
                        session::keep_jhe(self.store, &self.jhe)?;
                    }
                    if act != Act::TryAgain {
                        return Ok(Next::AnotherHospital);
                    }
                }
            }
        }
    }
}

/// What the patient did; nothing, if it turned out before that the hospital can't be used.
async fn until_the_patient_decides(
    view: &View,
    preflight: &mut Preflight<'_>,
) -> (Option<Act>, Option<Result<Prepared, Failure>>) {
    let mut prepared = None;
    let act = poll_fn(|context| {
        if prepared.is_none()
            && let Poll::Ready(ready) = preflight.as_mut().poll(context)
        {
            prepared = Some(ready);
        }
        if let Some(Err(_)) = prepared {
            return Poll::Ready(None);
        }
        match view.awaits_notice(context.waker()) {
            true => Poll::Ready(view.act()),
            false => Poll::Pending,
        }
    })
    .await;
    (act, prepared)
}

/// A browser's Back button may bring the page back as it was left, in the middle of going to the hospital. Only a fresh
/// start helps then.
fn reload_when_restored() {
    Listener::new("pageshow", |event| {
        let event = event.dyn_into::<web_sys::PageTransitionEvent>();
        if event.is_ok_and(|event| event.persisted()) {
            location::reload();
        }
    })
    .forever();
}
