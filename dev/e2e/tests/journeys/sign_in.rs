//! The hospital's token endpoint.

use anyhow::{Result, ensure};
use e2e::journey::Journey;
use e2e::journeys;
use sandbox::{Fault, Match, Server};

journeys!(drop_in: [
    a_refused_code_is_shown_exactly_and_not_tried_again,
    a_refused_scope_at_the_token_endpoint_is_told,
    an_unreachable_token_endpoint_is_told_and_the_code_not_tried_again,
    a_token_endpoint_that_does_not_let_browsers_read_is_told,
    a_token_answer_that_is_no_json_is_told,
    a_sign_in_without_the_observation_scope_stops_before_any_record,
    fewer_scopes_than_asked_are_enough_with_observation_among_them,
]);

async fn a_refused_code_is_shown_exactly_and_not_tried_again(journey: &Journey) -> Result<()> {
    let body = r#"{"error":"invalid_grant","error_description":null}"#;
    journey.fail(token(), Fault::status(400, "application/json", body));
    journey
        .stops_on_return("sign_in.refused")
        .await?
        .expect_texts(&["invalid_grant"])?;
    one_exchange(journey)
}

async fn a_refused_scope_at_the_token_endpoint_is_told(journey: &Journey) -> Result<()> {
    journey.fail(
        token(),
        Fault::status(400, "application/json", r#"{"error":"invalid_scope"}"#),
    );
    journey
        .stops_on_return("sign_in.invalid_scope")
        .await?
        .expect_texts(&["scope"])
}

async fn an_unreachable_token_endpoint_is_told_and_the_code_not_tried_again(
    journey: &Journey,
) -> Result<()> {
    journey.fail(token(), Fault::DropConnection);
    journey.stops_on_return("sign_in.unreachable").await?;
    one_exchange(journey)
}

async fn a_token_endpoint_that_does_not_let_browsers_read_is_told(journey: &Journey) -> Result<()> {
    journey.world().settings.ehr.cors.token = false;
    journey
        .stops_on_return("sign_in.unreachable")
        .await
        .map(drop)
}

async fn a_token_answer_that_is_no_json_is_told(journey: &Journey) -> Result<()> {
    journey.fail(token(), Fault::status(200, "text/html", "<h1>Welcome</h1>"));
    journey.stops_on_return("sign_in.malformed").await.map(drop)
}

async fn a_sign_in_without_the_observation_scope_stops_before_any_record(
    journey: &Journey,
) -> Result<()> {
    journey.world().settings.ehr.granted_scopes =
        Some("openid launch/patient patient/Patient.read".to_owned());
    journey
        .stops_on_return("sign_in.no_observation_scope")
        .await?
        .expect_texts(&["scope"])?;
    journey.expect_no_record_moved()
}

async fn fewer_scopes_than_asked_are_enough_with_observation_among_them(
    journey: &Journey,
) -> Result<()> {
    journey.world().settings.ehr.granted_scopes = Some("patient/Observation.rs ".to_owned());
    journey.connect().await?.expect_done()
}

fn token() -> Match {
    Match::on(Server::Ehr).method("POST").path("/token")
}

fn one_exchange(journey: &Journey) -> Result<()> {
    let exchanges = journey.requests(Server::Ehr, "POST", "/token");
    ensure!(
        exchanges.len() == 1,
        "expected one exchange of the code, found {exchanges:?}"
    );
    Ok(())
}
