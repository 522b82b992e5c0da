//! The connect page: from the invitation, by way of the list of hospitals if there is one, to the hospital's sign-in.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
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
use crate::error::{Failure, RunError};
use crate::exchange::invitation::{Enrolment, Invitation};
use crate::exchange::jhe::JheSession;
use crate::exchange::profile::{self, profile_request};
use crate::language::{Text, Value};
use crate::screen::Act;
use crate::screens::{self, Sharing};
use crate::session;
use crate::smart::discovery::Issuer;
use crate::url::Url;

/// Goes through the page, and tells the patient how it ended.
pub(crate) async fn run(view: View, config: String, picker: JsValue) {
    end(&view, connect(&view, &config, &picker).await);
}

/// Sends the patient back to the hospital of the run that this tab keeps, which can't go on without a sign-in.
pub(crate) async fn run_again(view: View, config: String) {
    end(&view, sign_in_again(&view, &config).await);
}

async fn connect(view: &View, config: &str, picker: &JsValue) -> Result<(), Failure> {
    view.show(&screens::checking());
    platform::require_secure_context()?;
    let store = TabStore::open()?;
    let page = location::own()?;
    let config = configuration(view, config, &page)?;
    if let Some(iss) = &config.iss {
        // Looked at before the invitation is used; the sign-in reads it again.
        Issuer::parse(iss, &page)?;
    }
    let invitation = Invitation::parse(page.query(), page.host())?;
    reload_when_restored();
    if let Some(pending) = session::pending_launch(&store)? {
        if let Some(hospital) = session::hospital(&store)? {
            view.names_portal(hospital.into());
        }
        if !goes_on_after(view, pending.issuer.as_str()).await {
            session::forget_launch(&store);
            session::forget_tokens(&store);
            return Ok(());
        }
    }

    view.show(&screens::checking());
    let mut enrolment = Enrolment::new(config.jhe.clone(), invitation);
    converse(&mut enrolment).await;
    // Whatever this tab did before is over.
    session::forget_run(&store);
    session::forget_tokens(&store);
    let jhe = enrolment.finish()?;
    let organization = organization(&config, &jhe).await;
    let jhe = Rc::new(jhe);
    loop {
        let iss = match (&config.iss, config.deployment.brands_path) {
            (None, Some(path)) => {
                let brand = pick(view, picker, Rc::clone(&jhe), path).await?;
                let name = String::from(brand.place_name());
                session::keep_hospital(&store, &name)?;
                view.names_portal(name.into());
                brand.fhir_base_url
            }
            (iss, _) => iss.clone().unwrap_or_default(),
        };
        let choice = Choice {
            store: &store,
            config: &config,
            iss: &iss,
            page: &page,
            organization: organization.as_deref(),
        };
        match choice.offer(view).await? {
            Next::Leave(url) => {
                // Nobody needs it in the tab before: a reload redeems the invitation again.
                session::keep_jhe(&store, &jhe)?;
                return leave(view, &url);
            }
            Next::AnotherHospital => {}
            Next::Nothing => {
                session::forget_tokens(&store);
                view.show(&screens::gave_up());
                return Ok(());
            }
        }
    }
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

/// Who runs the study, where only JHE knows.
async fn organization(config: &PageConfig, jhe: &JheSession) -> Option<String> {
    if config.study.organization.is_some() {
        return None;
    }
    let answer = send(profile_request(jhe)).await.ok()?;
    profile::organization(&answer)
}

/// A hospital, before the patient agreed to go there.
struct Choice<'a> {
    store: &'a TabStore,
    config: &'a PageConfig,
    iss: &'a str,
    page: &'a Url,
    organization: Option<&'a str>,
}

/// What comes of a hospital.
enum Next {
    /// The patient goes there.
    Leave(String),
    /// The patient wants another one.
    AnotherHospital,
    /// The patient does not go on.
    Nothing,
}

type Preflight<'a> = Pin<Box<dyn Future<Output = Result<Prepared, Failure>> + 'a>>;

impl Choice<'_> {
    /// Says what will be shared. Meanwhile it is tried out whether the hospital's sign-in can work at all.
    async fn offer(&self, view: &View) -> Result<Next, Failure> {
        let config = self.config;
        for resource_type in config.plan.not_in_scope(&config.scope) {
            let advice = [
                "jhe-connect: the scope lacks ",
                resource_type,
                ", which the plan pulls",
            ];
            platform::log_advice(&advice.concat());
        }
        let is_picked = config.iss.is_none();
        loop {
            let options = config.sign_in(self.iss);
            let mut preflight: Preflight<'_> = Box::pin(preflight(&options, self.page.clone()));
            view.show(
                &Sharing {
                    hospital: &hospital(view, self.iss, is_picked),
                    study: &config.study,
                    organization: self.organization,
                    labels: &config.plan.labels(),
                    is_picked,
                }
                .screen(),
            );
            let (act, prepared) = until_the_patient_decides(view, &mut preflight).await;
            match act {
                Some(Act::AnotherHospital) => return Ok(Next::AnotherHospital),
                Some(Act::GiveUp) => return Ok(Next::Nothing),
                Some(_) => view.show(&screens::leaving()),
                None => {}
            }
            let prepared = match prepared {
                Some(prepared) => prepared,
                None => preflight.await,
            };
            match prepared {
                Ok(prepared) => return Ok(Next::Leave(prepared.leave(self.store)?)),
                Err(Failure(error)) => {
                    let ways_on = [
                        (Act::TryAgain, Text::TryAgain),
                        (Act::AnotherHospital, Text::AnotherHospital),
                    ];
                    let count = if is_picked { 2 } else { 1 };
                    fail(view, &error, None, ways_on.get(..count).unwrap_or_default());
                    if view.next_act().await == Act::AnotherHospital {
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

/// What the hospital is called, for the one who decides whether to go there.
fn hospital(view: &View, iss: &str, is_picked: bool) -> Value {
    match is_picked {
        true => view.portal(),
        // Nobody knows its name here. Its address at least is true.
        false => Url::parse(iss).map_or(Value::from(iss), |iss| Value::from(iss.host())),
    }
}

async fn sign_in_again(view: &View, config: &str) -> Result<(), Failure> {
    let store = TabStore::open()?;
    let page = location::own()?;
    let config = configuration(view, config, &page)?;
    let issuer = session::ehr_issuer(&store)?.ok_or(RunError::Interrupted)?;
    view.show(&screens::leaving());
    let prepared = preflight(&config.sign_in(&issuer), page).await?;
    leave(view, &prepared.leave(&store)?)
}

fn leave(view: &View, url: &str) -> Result<(), Failure> {
    view.show(&screens::leaving());
    if view.is_on_the_page() {
        location::go(url);
    }
    Ok(())
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
