//! The callback page: from the hospital's answer to a patient who is known at both servers. The copying is in a module of
//! its own, which goes on from what this one keeps in the tab, as it does after a reload.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;

use js_sys::Promise;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::CustomEvent;

use crate::browser::fetch::send;
use crate::browser::pages::{configuration, end, fail};
use crate::browser::platform::{Listener, Timer};
use crate::browser::sign_in::{answered, complete_sign_in};
use crate::browser::storage::TabStore;
use crate::browser::view::View;
use crate::browser::visit::{SIGN_IN, Visit, name_portal};
use crate::browser::{location, platform};
use crate::config::PageConfig;
use crate::confirmation::{concerns, person_request};
use crate::error::{CallbackError, Error, Failure, Interrupted};
use crate::exchange::jhe::JheSession;
use crate::exchange::profile::{Profile, profile_request};
use crate::fhir::person::Person;
use crate::import::Purpose;
use crate::language::Text;
use crate::oauth::authorization::AuthorizationResponse;
use crate::screen::{Act, Stage};
use crate::screens;
use crate::session::{self, Connection, RunRecord};
use crate::smart::context::LaunchContext;
use crate::smart::identity::{IDENTITY_LIMIT_MS, Verdict};

/// Goes through the page, and tells the patient how it ended.
pub(crate) async fn run(view: View, config: String) {
    let Err(Failure(error)) = callback(&view, &config).await else {
        return;
    };
    let Some(store) = visit_of_several(&error) else {
        return end(&view, Err(Failure(error)));
    };
    let jhe = session::set_aside(&store);
    let ways_on = [(Act::Overview, Text::YourHospitals)];
    fail(&view, &error, None, &ways_on);
    while view.next_act().await != Act::Overview {}
    view.stage(Stage::Working);
    session::put_back(&store, jhe);
    view.call(IMPORT, "");
}

/// Are there other hospitals in this visit? Then it is noted that this one failed: the patient may go on.
fn visit_of_several(error: &Error) -> Option<TabStore> {
    let store = TabStore::open().ok()?;
    let mut visit = session::visit(&store).ok()?;
    let issuer = session::issuer(&store).ok()??;
    if visit.iter().all(|connection| connection.issuer == issuer) {
        return None;
    }
    let earlier = visit.iter().find(|connection| connection.issuer == issuer);
    let run = RunRecord {
        is_finished: true,
        code: Some(error.code().into()),
        ..earlier
            .map(|connection| connection.run.clone())
            .unwrap_or_default()
    };
    let connection = Connection {
        issuer,
        hospital: session::hospital(&store).ok().flatten(),
        run,
    };
    session::connect(&mut visit, connection);
    session::forget_run(&store);
    session::keep_visit(&store, &visit).ok()?;
    Some(store)
}

/// Asks the page's script for the module that copies.
const IMPORT: &str = "jhe-connect-import";

/// The module that checks who signed in.
const IDENTITY: &str = "jhe-connect-identity";

/// The callback page: from the hospital's answer, or from where a reload found the run, to the copying.
async fn callback(view: &View, config: &str) -> Result<(), Failure> {
    let page = location::own()?;
    // Before anything that can fail: neither a code nor an error stays in the address bar.
    location::scrub(&page);
    platform::require_secure_context()?;
    let store = TabStore::open()?;
    let earlier = session::run(&store)?;
    let config = configuration(view, config, &page);
    name_portal(view, session::hospital(&store)?);
    let (config, jhe, ehr, run) = match AuthorizationResponse::is_present(page.query()) {
        false => {
            let is_visited = !session::visit(&store)?.is_empty();
            let run = match earlier {
                Some(run) if !run.is_finished => run,
                None if !is_visited => return Err(CallbackError::NothingPending.into()),
                _ => {
                    // What the page says while it loads stays until all is told again.
                    view.call(IMPORT, "");
                    return Ok(());
                }
            };
            let ehr = session::ehr(&store, &page)?.ok_or(Interrupted)?;
            let config = config?;
            let jhe = jhe_session(&store, &config)?;
            if run.needs_sign_in {
                view.call(SIGN_IN, "");
                return Ok(());
            }
            (config, jhe, ehr, run)
        }
        true => {
            view.show(&screens::finishing());
            let (request, launched) = answered(&store, &page)?;
            let config = config?;
            let jhe = jhe_session(&store, &config)?;
            let mut ehr = complete_sign_in(request, launched).await?;
            config.plan.require_grant(&ehr)?;
            identify(view, &mut ehr).await?;
            let run = match (session::ehr(&store, &page)?, earlier) {
                (Some(before), _) if !before.is_of_same_patient(&ehr) => {
                    return Err(CallbackError::OtherPatient.into());
                }
                (Some(_), Some(run)) => RunRecord {
                    needs_sign_in: false,
                    ..run
                },
                _ => RunRecord::default(),
            };
            // From here on a reload goes on.
            session::keep_ehr(&store, &ehr)?;
            session::keep_run(&store, &run)?;
            (config, jhe, ehr, run)
        }
    };
    let visit = Visit {
        view,
        store: &store,
        config,
        jhe: Rc::new(jhe),
    };
    visit.before_the_import(&ehr, run).await
}

/// Lets another module look at the identity token, where there is one, before anything of the sign-in is kept.
async fn identify(view: &View, ehr: &mut LaunchContext) -> Result<(), Failure> {
    let Some(inquiry) = ehr.inquiry() else {
        return Ok(());
    };
    let mut waiting = None;
    let told = Promise::new(&mut |tell, _| {
        let late = tell.clone();
        let answered = Listener::on(
            Some(view.hub()),
            Verdict::EVENT,
            Box::new(move |event| {
                let verdict = event.dyn_into::<CustomEvent>();
                let verdict = verdict.map(|event| event.detail()).unwrap_or_default();
                // It does not throw, and the first call is the one that counts.
                let _ = tell.call1(&JsValue::NULL, &verdict);
            }),
        );
        let timer = Timer::new(IDENTITY_LIMIT_MS, move || {
            let _ = late.call0(&JsValue::NULL);
        });
        waiting = Some((answered, timer));
    });
    view.call_beside(IDENTITY, &inquiry.to_text());
    let told = JsFuture::from(told).await.unwrap_or_default();
    let told = told.as_string().unwrap_or_default();
    if let Some(why) = ehr.identify(Verdict::parse(&told, &ehr.issuer))? {
        let said = "jhe-connect: the id_token was not verified, and nothing of it is used: ";
        platform::log_advice(&[said, &why].concat());
    }
    Ok(())
}

fn jhe_session(store: &TabStore, config: &PageConfig) -> Result<JheSession, Failure> {
    let jhe = session::jhe(store, &config.jhe)?;
    Ok(jhe.ok_or(CallbackError::NoJheSession)?)
}

impl Visit<'_> {
    /// The questions before anything is copied or counted. What was answered before a reload is not asked again.
    async fn before_the_import(
        &self,
        ehr: &LaunchContext,
        mut run: RunRecord,
    ) -> Result<(), Failure> {
        if !run.is_confirmed {
            if !self.is_the_right_person(ehr).await {
                self.end_with_nothing(ehr, &screens::not_me()).await;
                return Ok(());
            }
            run.is_confirmed = true;
            session::keep_run(self.store, &run)?;
        }
        // Of a run that has begun it was answered.
        let goes_on = !run.checkpoint.pulls.is_empty();
        if !run.is_reviewed && !goes_on && self.wants_to_add(ehr).await {
            self.view.call(SIGN_IN, "");
            return Ok(());
        }
        let purpose = match self.config.reviews && !run.is_reviewed {
            true => Purpose::Review,
            false => Purpose::Copy,
        };
        self.view.show(&screens::preparing(purpose, goes_on));
        self.view.call(IMPORT, "");
        Ok(())
    }

    /// Does the patient say that this is their record? Asked unless the study does not want it, or there is nothing to show
    /// and nothing that speaks against it.
    async fn is_the_right_person(&self, ehr: &LaunchContext) -> bool {
        if !self.config.confirms_patient {
            return true;
        }
        let person = match person_request(ehr) {
            Ok(request) => Person::from_answer(send(request).await, &ehr.patient).ok(),
            Err(_) => None,
        };
        let profile = send(profile_request(&self.jhe)).await;
        let profile = profile.ok().and_then(|it| Profile::from_response(&it).ok());
        let concerns = concerns(person.as_ref(), ehr, profile.as_ref());
        if person.is_none() && concerns.is_empty() {
            return true;
        }
        let screen = screens::person(person.as_ref(), &concerns);
        self.view.ask(&screen).await == Act::YesMe
    }

    /// Does the patient want to go back, and grant what is missing?
    async fn wants_to_add(&self, ehr: &LaunchContext) -> bool {
        let missing = self.config.plan.not_granted(ehr, &self.config.scope);
        !missing.is_empty() && self.view.ask(&screens::grants(&missing)).await == Act::AddMore
    }
}
