//! The two halves of the hospital's sign-in, before and after the redirect: the same for our pages and for others'.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};

use alloc::string::String;

use crate::browser::fetch::{Sending, send};
use crate::browser::platform;
use crate::browser::storage::TabStore;
use crate::config::AuthorizeOptions;
use crate::error::{Failure, SignInError};
use crate::http::{Answer, HttpRequest};
use crate::oauth::token::TokenResponse;
use crate::session;
use crate::smart::context::LaunchContext;
use crate::smart::discovery::{Issuer, SmartConfiguration};
use crate::smart::launch::{LaunchRequest, Launched, redeem, scope_advice};
use crate::smart::preflight::{GRACE_MS, Preflight};
use crate::url::Url;

/// A hospital that answered as one must, where the patient may be sent.
pub(crate) struct Prepared {
    options: AuthorizeOptions,
    issuer: Issuer,
    configuration: SmartConfiguration,
}

/// Discovers the hospital's sign-in, and looks whether it can work. Nothing is kept.
pub(crate) async fn preflight(options: &AuthorizeOptions, page: Url) -> Result<Prepared, Failure> {
    let issuer = Issuer::parse(&options.iss, &page)?;
    let mut preflight = Preflight::new(issuer, page, platform::now());
    let mut look = send(preflight.look_request()?);
    let mut seen = None;
    while let Some(request) = preflight.next_request(platform::now()) {
        let mut answer = send(request);
        let answer = poll_fn(|context| {
            let polled = answer.as_mut().poll(context);
            look_on(&mut look, &mut seen, context);
            polled
        });
        preflight.receive(answer.await);
    }
    if seen.is_none() && preflight.awaits_look() {
        let mut grace = platform::pause(GRACE_MS);
        poll_fn(|context| {
            look_on(&mut look, &mut seen, context);
            match seen {
                Some(_) => Poll::Ready(()),
                None => Pin::new(&mut grace).poll(context).map(drop),
            }
        })
        .await;
    }
    let (issuer, configuration) = preflight.finish(seen)?;
    for advice in scope_advice(&options.scope) {
        platform::log_advice(&["jhe-connect: ", advice].concat());
    }
    Ok(Prepared {
        options: options.clone(),
        issuer,
        configuration,
    })
}

/// Lets what goes on beside the rest go on.
fn look_on(look: &mut Sending, seen: &mut Option<Answer>, context: &mut Context<'_>) {
    if seen.is_none()
        && let Poll::Ready(answer) = look.as_mut().poll(context)
    {
        *seen = Some(answer);
    }
}

impl Prepared {
    /// Remembers that a sign-in is pending, and gives the URL to go to. Each time it is another sign-in.
    pub(crate) fn leave(&self, store: &TabStore) -> Result<String, Failure> {
        let (url, pending) = LaunchRequest {
            issuer: &self.issuer,
            configuration: &self.configuration,
            client_id: &self.options.client_id,
            scope: &self.options.scope,
            redirect_uri: &self.options.redirect_uri,
            entropy: &platform::entropy()?,
            now: platform::now(),
        }
        .begin();
        session::keep_launch(store, &pending)?;
        Ok(url)
    }
}

/// Discovers the hospital's sign-in, remembers that one is pending, and gives the URL to go to.
pub(crate) async fn begin_sign_in(
    store: &TabStore,
    options: &AuthorizeOptions,
    page: Url,
) -> Result<String, Failure> {
    preflight(options, page).await?.leave(store)
}

/// Takes the pending sign-in out of storage and judges the answer in the page's query with it.
pub(crate) fn answered(store: &TabStore, page: &Url) -> Result<(HttpRequest, Launched), Failure> {
    let pending = session::take_launch(store)?;
    Ok(redeem(pending, page.query(), page, platform::now())?)
}

/// Exchanges the code, once.
pub(crate) async fn complete_sign_in(
    request: HttpRequest,
    launched: Launched,
) -> Result<LaunchContext, Failure> {
    let answer = send(request).await.map_err(SignInError::Transport)?;
    let token = TokenResponse::from_response(&answer).map_err(SignInError::Token)?;
    Ok(LaunchContext::new(launched, token, platform::now())?)
}
