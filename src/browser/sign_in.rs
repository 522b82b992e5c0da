//! The two halves of the hospital's sign-in, before and after the redirect: the same for our pages and for others'.

use crate::browser::fetch::{converse, send};
use crate::browser::storage::TabStore;
use crate::browser::{location, platform};
use crate::config::{AuthorizeOptions, ConfigError};
use crate::error::{Failure, SignInError};
use crate::http::HttpRequest;
use crate::oauth::token::TokenResponse;
use crate::session;
use crate::smart::context::LaunchContext;
use crate::smart::discovery::{Discovery, Issuer};
use crate::smart::launch::{LaunchRequest, Launched, redeem, scope_advice};
use crate::url::Url;

use alloc::string::String;

/// Discovers the hospital's sign-in, remembers that one is pending, and gives the URL to go to.
pub(crate) async fn begin_sign_in(
    store: &TabStore,
    options: &AuthorizeOptions,
    page: Url,
) -> Result<String, Failure> {
    let issuer = Issuer::parse(&options.iss, &page)?;
    let mut discovery = Discovery::new(issuer, page);
    converse(&mut discovery).await;
    let (issuer, configuration) = discovery.finish()?;
    for advice in scope_advice(&options.scope) {
        platform::log_advice(&["jhe-connect: ", advice].concat());
    }
    let (url, pending) = LaunchRequest {
        issuer: &issuer,
        configuration: &configuration,
        client_id: &options.client_id,
        scope: &options.scope,
        redirect_uri: &options.redirect_uri,
        entropy: &platform::entropy()?,
        now: platform::now(),
    }
    .begin();
    session::keep_launch(store, &pending)?;
    Ok(url)
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

/// The page's own URL.
pub(crate) fn page_url() -> Result<Url, Failure> {
    location::page_url().map_err(|_| ConfigError::Malformed("the page's address").into())
}
