//! What can be wrong with a hospital, and what only some offer.

use std::time::Duration;

use sandbox::{Broken, EHR_CLIENT_ID, RefreshTokens, Sandbox, Server, Total, Vendor};
use serde_json::{Value, json};

use crate::common::{Failure, Reply, send};
use crate::vendors::Hospital;
use crate::{CAMILA, FORM, Outcome, authorization_url, form, get_fhir, start};

const ORIGIN: (&str, &str) = ("origin", "https://jhe.example");
const JSON: (&str, &str) = ("accept", "application/fhir+json");

/// Both discovery documents of a hospital that is broken in this way.
async fn documents(
    sandbox: &Sandbox,
    vendor: Vendor,
    broken: Broken,
) -> Result<[Reply; 2], Failure> {
    sandbox.world().settings.ehr.broken.insert(vendor, broken);
    let base = sandbox.iss_of(vendor);
    let get = async |path: &str| send("GET", &format!("{base}/{path}"), &[ORIGIN, JSON], "").await;
    Ok([
        get(".well-known/smart-configuration").await?,
        get("metadata").await?,
    ])
}

fn is_readable(reply: &Reply) -> bool {
    reply.header("access-control-allow-origin").is_some()
}

#[tokio::test]
async fn a_hospital_can_be_broken_in_each_way_that_discovery_shows() -> Outcome {
    let sandbox = start().await?;
    for vendor in [Vendor::Epic, Vendor::Hapi] {
        let [configuration, metadata] =
            documents(&sandbox, vendor, Broken::NothingToDiscover).await?;
        assert_eq!(
            (configuration.status.as_u16(), metadata.status.as_u16()),
            (404, 200)
        );
        assert_eq!(metadata.json()["rest"][0].get("security"), None);

        let both = documents(&sandbox, vendor, Broken::NoCorsAtDiscovery).await?;
        assert!(!both.iter().any(is_readable) && both.iter().all(|it| it.status == 200));
        let [configuration, metadata] =
            documents(&sandbox, vendor, Broken::NoCorsAtMetadata).await?;
        assert!(is_readable(&configuration) && !is_readable(&metadata));

        let [configuration, _] = documents(&sandbox, vendor, Broken::NoS256).await?;
        let methods = &configuration.json()["code_challenge_methods_supported"];
        assert_eq!(*methods, json!(["plain"]));
        let [configuration, _] = documents(&sandbox, vendor, Broken::InsecureEndpoint).await?;
        assert_eq!(
            configuration.json()["token_endpoint"],
            "http://hospital.example/token"
        );

        for (broken, status) in [(Broken::Html, 200), (Broken::ServerError, 500)] {
            for document in documents(&sandbox, vendor, broken).await? {
                assert_eq!(document.status, status);
                assert!(document.text().starts_with("<html>"));
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_silent_hospital_does_not_answer_and_the_others_do() -> Outcome {
    let sandbox = start().await?;
    let silent = documents(&sandbox, Vendor::Epic, Broken::Silent);
    let waited = tokio::time::timeout(Duration::from_millis(300), silent).await;
    assert!(waited.is_err(), "an answer");
    assert_eq!(sandbox.world().request_log()[0].status, None);
    Hospital::discover(&sandbox, Vendor::Meditech)
        .await?
        .bearer()
        .await?;
    Ok(())
}

#[tokio::test]
async fn an_authorization_endpoint_can_end_on_a_page_of_its_own() -> Outcome {
    let sandbox = start().await?;
    sandbox.world().settings.ehr.own_error_page = true;
    let reply = send("GET", &authorization_url(&sandbox, &[]), &[], "").await?;
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (400, None)
    );
    assert!(reply.text().contains("OAuth2 Error"));
    Ok(())
}

#[tokio::test]
async fn a_total_can_be_right_absent_or_wrong_at_each_vendor() -> Outcome {
    let sandbox = start().await?;
    let totals = [
        (Total::Search, json!(32)),
        (Total::Absent, Value::Null),
        (Total::Wrong, json!(37)),
    ];
    for vendor in [Vendor::Epic, Vendor::OracleHealth, Vendor::Hapi] {
        let hospital = Hospital::discover(&sandbox, vendor).await?;
        for (total, expected) in &totals {
            sandbox.world().settings.ehr.totals.insert(vendor, *total);
            assert_eq!(
                hospital.first_page().await?["total"],
                *expected,
                "{vendor:?}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_revoked_token_is_good_for_nothing_any_more() -> Outcome {
    let sandbox = start().await?;
    sandbox.world().settings.ehr.refresh_tokens = RefreshTokens::Always;
    let hospital = Hospital::discover(&sandbox, Vendor::Hapi).await?;
    let endpoint = hospital.endpoint("revocation_endpoint")?;
    let record = format!("{}/Patient/{CAMILA}", sandbox.iss_of(Vendor::Hapi));
    let read = async |tokens: &Value| {
        let bearer = format!(
            "Bearer {}",
            tokens["access_token"].as_str().unwrap_or_default()
        );
        Ok::<u16, Failure>(get_fhir(&record, &bearer).await?.status.as_u16())
    };
    let revoke = async |token: &Value, client: &str| {
        let token = token.as_str().unwrap_or_default();
        let body = form(&[("token", token), ("client_id", client)]);
        send("POST", endpoint, &[FORM, ORIGIN], body).await
    };

    // The access token alone: the other one is still good.
    let tokens = hospital.exchange(&hospital.code(&[]).await?).await?;
    assert_eq!(read(&tokens).await?, 200);
    assert_eq!(revoke(&tokens["access_token"], "nobody").await?.status, 400);
    assert_eq!(read(&tokens).await?, 200);
    let reply = revoke(&tokens["access_token"], EHR_CLIENT_ID).await?;
    assert!(reply.status == 200 && is_readable(&reply));
    assert_eq!(read(&tokens).await?, 401);
    let refresh_token = tokens["refresh_token"].as_str().unwrap_or_default();
    let refresh = [
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token),
    ];
    let tokens = hospital.token(&refresh).await?.json();
    assert_eq!(read(&tokens).await?, 200);

    // All that came of the sign-in.
    revoke(&tokens["refresh_token"], EHR_CLIENT_ID).await?;
    assert_eq!(read(&tokens).await?, 401);
    assert_eq!(revoke(&json!("unknown"), EHR_CLIENT_ID).await?.status, 200);
    let world = sandbox.world();
    let asked = world
        .request_log()
        .iter()
        .filter(|it| it.server == Server::Ehr && it.target == "/hapi/auth/revoke");
    assert_eq!(asked.count(), 4);
    Ok(())
}

#[tokio::test]
async fn tokens_can_be_revoked_where_the_vendor_or_the_setting_lets_them_be() -> Outcome {
    let sandbox = start().await?;
    for setting in [None, Some(true), Some(false)] {
        sandbox.world().settings.ehr.revocation = setting;
        for vendor in Vendor::ALL {
            let hospital = Hospital::discover(&sandbox, vendor).await?;
            let habit = matches!(vendor, Vendor::Hapi | Vendor::Athenahealth);
            let is_offered = hospital.document.get("revocation_endpoint").is_some();
            assert_eq!(is_offered, setting.unwrap_or(habit), "{vendor:?}");
        }
    }
    let endpoint = format!("{}/interconnect/oauth2/revoke", sandbox.ehr());
    assert_eq!(
        send("POST", &endpoint, &[FORM], "token=a").await?.status,
        404
    );
    Ok(())
}
