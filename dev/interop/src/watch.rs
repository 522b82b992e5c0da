//! What must hold on every journey to this hospital; [`e2e::watch`] looks after the rest, as on all journeys.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use e2e::journey::Journey;
use e2e::watch::{Remains, Secrets};
use sandbox::{LoggedRequest, Server};

use crate::hospital::{App, Request};

/// Makes a journey with an app of this hospital, as a test: panics unless it arrives, and unless nothing leaked on the way.
pub fn run(
    terms: &crate::hospital::Terms,
    journey: impl AsyncFnOnce(&Journey, &App) -> Result<()>,
) {
    e2e::journey::run(sandbox::Layout::Plain, async |begun: &Journey| {
        let app = crate::hospital::Hospital::shared()?.register(begun, terms)?;
        let ended = match journey(begun, &app).await {
            Ok(()) => check(begun, &app).await,
            failed => failed,
        };
        if ended.is_err() {
            for request in app.log()? {
                eprintln!(
                    "{} {} {} -> {:?}",
                    request.server, request.method, request.target, request.status
                );
            }
        }
        ended
    });
}

/// All of it.
pub async fn check(journey: &Journey, app: &App) -> Result<()> {
    let (ours, theirs) = (journey.world().request_log().to_vec(), app.log()?);
    let of_hospital = secrets_of(&theirs);
    let of_jhe = Secrets::in_log(&ours);
    tokens_stay_where_they_were_issued_for(&ours, &theirs, &of_jhe, &of_hospital)?;
    only_the_token_endpoint_is_sent_forms(&theirs)?;

    let remains = Remains::of(&journey.browser).await?;
    let storage = ("sessionStorage", remains.session_storage());
    for (place, text) in remains.open_places().into_iter().chain([storage]) {
        let leaked = of_hospital
            .iter()
            .find(|secret| text.contains(secret.as_str()));
        ensure!(leaked.is_none(), "{leaked:?} is left in {place}: {text}");
    }
    Ok(())
}

/// Tokens, and what only the token endpoint may learn.
fn secrets_of(log: &[Request]) -> BTreeSet<String> {
    let fields = ["refresh_token", "code_verifier", "token"];
    let posted = log.iter().flat_map(|it| fields.map(|name| it.field(name)));
    let bearers = log.iter().filter_map(Request::bearer);
    let secrets = posted.chain(bearers).filter(|secret| !secret.is_empty());
    secrets.map(str::to_owned).collect()
}

fn tokens_stay_where_they_were_issued_for(
    ours: &[LoggedRequest],
    theirs: &[Request],
    of_jhe: &Secrets,
    of_hospital: &BTreeSet<String>,
) -> Result<()> {
    for request in ours {
        let text = format!("{} {:?} {}", request.target, request.headers, request.body);
        let strayed = of_hospital
            .iter()
            .find(|secret| text.contains(secret.as_str()));
        ensure!(
            strayed.is_none(),
            "the hospital's {strayed:?} was sent to {:?}: {text}",
            request.server
        );
        ensure!(
            matches!(request.server, Server::Jhe),
            "another server was spoken to: {text}"
        );
    }
    for request in theirs {
        let text = format!("{request:?}");
        let strayed = of_jhe.found_in(&text);
        ensure!(
            strayed.is_none(),
            "JHE's {strayed:?} was sent to the hospital: {text}"
        );
        ensure!(
            request.authorization.is_empty() || request.server == "fhir",
            "the authorization server was sent a bearer token: {text}"
        );
        let is_in_address = of_hospital
            .iter()
            .find(|secret| request.target.contains(secret.as_str()));
        ensure!(is_in_address.is_none(), "a secret is in an address: {text}");
    }
    Ok(())
}

fn only_the_token_endpoint_is_sent_forms(theirs: &[Request]) -> Result<()> {
    for request in theirs.iter().filter(|it| !it.body.is_empty()) {
        let path = request.target.split('?').next().unwrap_or_default();
        ensure!(
            path.starts_with("/token") || request.method == "GET",
            "a form was sent elsewhere: {request:?}"
        );
    }
    Ok(())
}
