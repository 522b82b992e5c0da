//! The later version's pages, and its hospitals to choose from.

use sandbox::{
    Brand, FIRST_PATIENT, JheVersion, Layout, Options, PATIENT_ACCESS_SCOPES, PULLED_TYPES,
    SEED_SCOPES, Sandbox,
};
use serde_json::json;

use crate::common::{Failure, send};
use crate::{Outcome, start};

async fn start_later() -> Result<Sandbox, Failure> {
    let sandbox = start().await?;
    sandbox.world().settings.jhe.version = JheVersion::PatientAccess;
    Ok(sandbox)
}

async fn brands(sandbox: &Sandbox, query: &str) -> Result<Vec<Brand>, Failure> {
    let token = sandbox.world().mint_patient_token(FIRST_PATIENT);
    let bearer = format!("Bearer {}", token.ok_or("no token")?);
    let url = format!("{}/api/v1/patient-access/brands{query}", sandbox.jhe());
    let reply = send("GET", &url, &[("authorization", &bearer)], "").await?;
    Ok(serde_json::from_value(reply.json()["results"].take())?)
}

async fn page(sandbox: &Sandbox, path: &str) -> Result<String, Failure> {
    let url = format!("{}{path}", sandbox.jhe());
    Ok(send("GET", &url, &[], "").await?.text())
}

#[tokio::test]
async fn there_are_more_hospitals_than_one_list_shows() -> Outcome {
    let sandbox = start_later().await?;
    assert!(sandbox.world().brands.len() > 25);
    assert_eq!(brands(&sandbox, "").await?.len(), 25);
    assert_eq!(brands(&sandbox, "?limit=3").await?.len(), 3);
    assert_eq!(brands(&sandbox, "?limit=0").await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn some_hospitals_share_a_base_and_some_bases_end_with_a_slash() -> Outcome {
    let sandbox = start_later().await?;
    let base = sandbox.iss();
    let found = brands(&sandbox, "?q=canal%20side").await?;
    assert!(
        found.len() == 2
            && found
                .iter()
                .all(|it| it.fhir_base_url == format!("{base}/"))
    );
    let found = brands(&sandbox, "?q=MEADOW&state=il").await?;
    assert!(found.len() > 1 && found.iter().all(|it| it.fhir_base_url == base));
    Ok(())
}

#[tokio::test]
async fn a_test_can_add_a_hospital() -> Outcome {
    let sandbox = start_later().await?;
    let brand: Brand = serde_json::from_value(json!({
        "facilityName": "Hilltop",
        "addressText": "1 Hilltop, Reno, NV 89501",
        "city": "Reno",
        "state": "NV",
        "postalCode": "89501",
        "brandName": "Hilltop Health",
        "fhirBaseUrl": sandbox.evil(),
    }))?;
    sandbox.world().brands.push(brand.clone());
    assert_eq!(brands(&sandbox, "?state=nv&postal=895").await?, [brand]);
    Ok(())
}

#[tokio::test]
async fn the_earlier_version_has_no_hospitals_to_choose_and_none_of_the_later_ones_pages() -> Outcome
{
    let sandbox = start().await?;
    for path in [
        "/api/v1/patient-access/brands",
        "/clients/patient-access/",
        "/clients/patient-access/callback",
    ] {
        let url = format!("{}{path}", sandbox.jhe());
        assert_eq!(send("GET", &url, &[], "").await?.status, 404, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn the_later_versions_pages_name_no_iss_and_offer_a_picker() -> Outcome {
    let sandbox = start_later().await?;
    let connect = page(&sandbox, Layout::PatientAccess.connect_path()).await?;
    for part in [
        "var PATIENT_ACCESS_CONFIG = {\n      clientId: ",
        "<div id=\"hospital-picker\" hidden>",
        "startPatientAccessConnect(document.getElementById(\"out\"), PATIENT_ACCESS_CONFIG, {",
        "results: document.getElementById(\"hospital-results\")",
        "/static/clients/patient-access/js/client-patient-access.js",
    ] {
        assert!(connect.contains(part), "{part} in {connect}");
    }
    assert!(!connect.contains("iss:"), "{connect}");
    let callback = page(&sandbox, Layout::PatientAccess.callback_path()).await?;
    let call =
        "finishPatientAccessConnect(document.getElementById(\"out\"), PATIENT_ACCESS_CONFIG);";
    assert!(
        callback.contains(call) && !callback.contains("hospital-picker"),
        "{callback}"
    );
    Ok(())
}

#[tokio::test]
async fn the_later_versions_pages_ask_for_one_scope_for_each_type_unless_others_are_set() -> Outcome
{
    let sandbox = start_later().await?;
    let path = Layout::PatientAccess.connect_path();
    let asked = page(&sandbox, path).await?;
    assert!(asked.contains(&format!("scope: \"{PATIENT_ACCESS_SCOPES}\"")));
    for name in PULLED_TYPES {
        let scope = format!("patient/{name}.read");
        assert!(
            PATIENT_ACCESS_SCOPES.split(' ').any(|it| it == scope),
            "{scope}"
        );
    }
    let earlier = page(&sandbox, Layout::DropIn.connect_path()).await?;
    assert!(earlier.contains(&format!("scope: \"{SEED_SCOPES}\"")));

    sandbox.world().settings.jhe.page.scope = "openid".to_owned();
    assert!(page(&sandbox, path).await?.contains("scope: \"openid\""));
    Ok(())
}

#[tokio::test]
async fn a_plan_in_the_settings_is_in_every_pages_configuration() -> Outcome {
    let sandbox = start_later().await?;
    {
        let page = &mut sandbox.world().settings.jhe.page;
        page.study = None;
        page.plan = Some(json!({"types": ["<Condition>"]}));
    }
    for layout in [Layout::DropIn, Layout::PatientAccess] {
        let page = page(&sandbox, layout.connect_path()).await?;
        let member = "plan: {\"types\":[\"\\u003cCondition>\"]}\n    };";
        assert!(page.contains(member), "{page}");
    }
    Ok(())
}

#[tokio::test]
async fn an_invitation_can_lead_to_the_later_versions_page() -> Outcome {
    let sandbox = start_later().await?;
    let link = sandbox.invitation_link(Layout::PatientAccess);
    let start = format!("{}/clients/patient-access/?code=", sandbox.jhe());
    assert!(link.starts_with(&start), "{link}");
    Ok(())
}

#[tokio::test]
async fn a_bundles_scripts_for_the_later_version_are_served() -> Outcome {
    let bundle = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("later-bundle");
    let scripts = bundle.join("jhe/patient-access/js");
    std::fs::create_dir_all(&scripts)?;
    std::fs::write(scripts.join("client-patient-access.js"), "// loader")?;
    let sandbox = Sandbox::start(Options {
        bundle: Some(bundle),
        ..Options::default()
    })
    .await?;
    let path = "/static/clients/patient-access/js/client-patient-access.js";
    assert_eq!(page(&sandbox, path).await?, "// loader");
    Ok(())
}
