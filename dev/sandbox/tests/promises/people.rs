//! Who the patient is: at the hospital, at JHE, and to the pages.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sandbox::{
    EHR_CLIENT_ID, FIRST_PATIENT, IdentityFault, IdentitySettings, Layout, Sandbox, Signing,
    verifies,
};
use serde_json::{Value, json};

use crate::common::{Failure, send};
use crate::{
    CAMILA, FORM, JSON, Outcome, VERIFIER, authorization_url, ehr_bearer, form, get_fhir,
    redeem_ehr_code, returned, start,
};

async fn patient(sandbox: &Sandbox, login: &str) -> Result<Value, Failure> {
    let bearer = ehr_bearer(sandbox, login).await?;
    let id = (sandbox.world().ehr.patient(login))
        .map(|patient| patient.id.clone())
        .ok_or("no such login")?;
    let url = format!("{}/Patient/{id}", sandbox.iss());
    Ok(get_fhir(&url, &bearer).await?.json())
}

#[tokio::test]
async fn a_patient_has_the_names_of_today_and_of_before() -> Outcome {
    let sandbox = start().await?;
    let camila = patient(&sandbox, "fhircamila").await?;
    assert_eq!(camila["name"][0]["text"], "Camila Maria Lopez");
    assert_eq!(camila["name"][2]["use"], "old");
    assert_eq!(camila["birthDate"], "1987-09-12");
    let derrick = patient(&sandbox, "fhirderrick").await?;
    assert_eq!(derrick["name"][0]["use"], "old");
    let official = &derrick["name"][2];
    assert_eq!(
        (&official["family"], &official["suffix"][0]),
        (&json!("Lin"), &json!("Jr."))
    );
    Ok(())
}

#[tokio::test]
async fn a_patient_can_be_given_another_name_and_date_of_birth() -> Outcome {
    let sandbox = start().await?;
    let control = format!("{}/_sandbox/identity", sandbox.jhe());
    let wish =
        json!({"login": "fhircamila", "birth_date": "1987", "names": [{"text": "C. Lopez"}]});
    let reply = send("POST", &control, &[JSON], wish.to_string()).await?;
    assert_eq!(reply.status, 204);
    let camila = patient(&sandbox, "fhircamila").await?;
    assert_eq!(camila["name"], json!([{"text": "C. Lopez"}]));
    assert_eq!(camila["birthDate"], "1987");

    let wish = json!({"login": "fhircamila", "birth_date": ""});
    send("POST", &control, &[JSON], wish.to_string()).await?;
    assert_eq!(
        patient(&sandbox, "fhircamila").await?.get("birthDate"),
        None
    );
    Ok(())
}

const WHO: &str = "openid fhirUser launch/patient patient/Patient.read";

/// The answer of the token endpoint to a login, which chooses this chart if it is asked to.
async fn tokens_of(
    sandbox: &Sandbox,
    login: &str,
    scope: &str,
    chart: Option<&str>,
) -> Result<Value, Failure> {
    let url = authorization_url(sandbox, &[("scope", scope), ("nonce", "n-1")]);
    let page = send("GET", &url, &[], "").await?.text();
    let (_, rest) = page.split_once("name=\"flow\" value=\"").ok_or("no form")?;
    let flow = rest.split('"').next().unwrap_or_default();
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let url = format!("{}/interconnect/oauth2/{path}", sandbox.ehr());
        let fields = [&[("flow", flow)], fields].concat();
        send("POST", &url, &[FORM], form(&fields)).await
    };
    let mut page = post("login", &[("username", login), ("password", "epicepic1")])
        .await?
        .text();
    if let Some(chart) = chart {
        assert!(page.contains("Whose record is it about?"), "{page}");
        page = post("choice", &[("chart", chart)]).await?.text();
    }
    assert!(page.contains("id=\"allow\""), "{page}");
    let back = post("consent", &[("decision", "allow")]).await?;
    let code = returned(&back, "code").ok_or("no code")?;
    Ok(redeem_ehr_code(sandbox, &code, VERIFIER).await?.json())
}

fn claims(tokens: &Value) -> Result<Value, Failure> {
    let token = tokens["id_token"].as_str().ok_or("no id_token")?;
    let claims = token.split('.').nth(1).ok_or("no claims")?;
    let claims = BASE64_URL_SAFE_NO_PAD
        .decode(claims)
        .map_err(|it| it.to_string())?;
    Ok(serde_json::from_slice(&claims).map_err(|it| it.to_string())?)
}

#[tokio::test]
async fn an_id_token_tells_who_has_signed_in_if_that_was_granted() -> Outcome {
    let sandbox = start().await?;
    let tokens = tokens_of(&sandbox, "fhircamila", WHO, None).await?;
    let claims = claims(&tokens)?;
    assert_eq!(
        claims["fhirUser"],
        format!("{}/Patient/{CAMILA}", sandbox.iss())
    );
    assert_eq!(
        (&claims["sub"], &claims["nonce"]),
        (&json!(CAMILA), &json!("n-1"))
    );
    assert_eq!(
        claims["iss"],
        format!("{}/interconnect/oauth2", sandbox.ehr())
    );
    assert_eq!(claims["aud"], EHR_CLIENT_ID);

    for narrow in ["openid launch/patient", "fhirUser launch/patient"] {
        let tokens = tokens_of(&sandbox, "fhircamila", narrow, None).await?;
        assert_eq!(tokens.get("id_token"), None, "{narrow}");
    }
    Ok(())
}

/// Is the token good, by the key of the set that its header names? `None` where there is no such key, or the algorithm is none
/// that the hospital has keys for.
async fn is_good(sandbox: &Sandbox, tokens: &Value) -> Result<Option<bool>, Failure> {
    let token = tokens["id_token"].as_str().ok_or("no id_token")?;
    let (signed, signature) = token.rsplit_once('.').ok_or("no signature")?;
    let decoded = |part: &str| {
        let part = BASE64_URL_SAFE_NO_PAD.decode(part);
        part.map_err(|it| it.to_string())
    };
    let header = decoded(signed.split('.').next().unwrap_or_default())?;
    let header: Value = serde_json::from_slice(&header).map_err(|it| it.to_string())?;
    let url = format!("{}/.well-known/smart-configuration", sandbox.iss());
    let configuration = send("GET", &url, &[], "").await?.json();
    let url = configuration["jwks_uri"].as_str().ok_or("no jwks_uri")?;
    let keys = send("GET", url, &[], "").await?.json();
    let mut keys = keys["keys"].as_array().into_iter().flatten();
    let key = keys.find(|key| key["kid"] == header["kid"] && key["alg"] == header["alg"]);
    let alg = header["alg"].as_str().unwrap_or_default();
    let signature = decoded(signature)?;
    Ok(key.and_then(|key| verifies(alg, &key.to_string(), signed.as_bytes(), &signature)))
}

#[tokio::test]
async fn an_id_token_is_signed_with_a_key_of_the_set() -> Outcome {
    let sandbox = start().await?;
    for signing in [Signing::Rs256, Signing::Es256, Signing::Es384] {
        sandbox.world().settings.ehr.identity.signing = signing;
        let tokens = tokens_of(&sandbox, "fhircamila", WHO, None).await?;
        assert_eq!(is_good(&sandbox, &tokens).await?, Some(true), "{signing:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_id_token_has_the_fault_that_is_set_and_no_other() -> Outcome {
    let sandbox = start().await?;
    use IdentityFault as Fault;
    for (fault, good, claim) in [
        (Fault::AlgNone, None, ""),
        (Fault::Hs256, None, ""),
        (Fault::OtherIssuer, Some(true), "iss"),
        (Fault::OtherAudience, Some(true), "aud"),
        (Fault::OtherParty, Some(true), "azp"),
        (Fault::OtherNonce, Some(true), "nonce"),
        (Fault::NoNonce, Some(true), "nonce"),
        (Fault::Expired, Some(true), "exp"),
        (Fault::OtherKey, Some(false), ""),
        (Fault::NoKid, None, ""),
        (Fault::UnknownKid, None, ""),
        (Fault::KeyRotated, None, ""),
    ] {
        for signing in [Signing::Rs256, Signing::Es256, Signing::Es384] {
            let identity = IdentitySettings {
                signing,
                fault: Some(fault),
            };
            sandbox.world().settings.ehr.identity = identity;
            let tokens = tokens_of(&sandbox, "fhircamila", WHO, None).await?;
            assert_eq!(is_good(&sandbox, &tokens).await?, good, "{identity:?}");
            let claims = claims(&tokens)?;
            let is_right = [
                (
                    "iss",
                    claims["iss"] == format!("{}/interconnect/oauth2", sandbox.ehr()),
                ),
                ("aud", claims["aud"] == EHR_CLIENT_ID),
                ("azp", claims.get("azp").is_none()),
                ("nonce", claims["nonce"] == "n-1"),
                (
                    "exp",
                    claims["exp"].as_i64() > Some(sandbox.world().now().unix_seconds()),
                ),
            ];
            for (name, is_right) in is_right {
                // A second app is in both.
                let is_wanted = name == claim || (name, claim) == ("aud", "azp");
                assert_eq!(is_right, !is_wanted, "{identity:?}: {name}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_parent_signs_in_for_the_child_and_a_guardian_chooses_whose_chart_it_is() -> Outcome {
    let sandbox = start().await?;
    const DESIREE: &str = "eAB3mDIBBcyUKviyzrxsnAw3";
    let tokens = tokens_of(&sandbox, "fhirparent", WHO, None).await?;
    assert_eq!(tokens["patient"], DESIREE);
    let user = claims(&tokens)?["fhirUser"].take();
    let user = user.as_str().ok_or("no fhirUser")?;
    assert!(
        user.starts_with(&format!("{}/RelatedPerson/", sandbox.iss())),
        "{user}"
    );

    for (login, id) in [("fhircamila", CAMILA), ("fhirdesiree", DESIREE)] {
        let tokens = tokens_of(&sandbox, "fhirguardian", WHO, Some(login)).await?;
        assert_eq!(tokens["patient"], id);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_unticked_on_the_consent_page_is_not_granted() -> Outcome {
    let sandbox = start().await?;
    let asked =
        "openid launch/patient patient/Patient.read patient/Observation.read patient/Goal.rs";
    let page = send(
        "GET",
        &authorization_url(&sandbox, &[("scope", asked)]),
        &[],
        "",
    )
    .await?;
    let page = page.text();
    let (_, rest) = page.split_once("name=\"flow\" value=\"").ok_or("no form")?;
    let flow = rest.split('"').next().unwrap_or_default();
    let post = async |path: &str, fields: &[(&str, &str)]| {
        let url = format!("{}/interconnect/oauth2/{path}", sandbox.ehr());
        let fields = [&[("flow", flow)], fields].concat();
        send("POST", &url, &[FORM], form(&fields)).await
    };
    let login = [("username", "fhircamila"), ("password", "epicepic1")];
    let page = post("login", &login).await?.text();
    assert_eq!(page.matches("type=\"checkbox\"").count(), 3, "{page}");

    let ticked = [
        ("decision", "allow"),
        ("chosen", "yes"),
        ("scope", "patient/Patient.read"),
        ("scope", "patient/Goal.rs"),
        ("scope", "patient/Device.read"),
    ];
    let code = returned(&post("consent", &ticked).await?, "code").ok_or("no code")?;
    let tokens = redeem_ehr_code(&sandbox, &code, VERIFIER).await?.json();
    assert_eq!(
        tokens["scope"],
        "openid launch/patient patient/Patient.read patient/Goal.rs"
    );
    Ok(())
}

#[tokio::test]
async fn the_profile_tells_who_the_patient_is_elsewhere_and_only_if_wanted_the_name() -> Outcome {
    let sandbox = start().await?;
    let bearer = {
        let mut world = sandbox.world();
        world.attach_identifier(FIRST_PATIENT, "https://ehr.example/R4", CAMILA);
        let token = world.mint_patient_token(FIRST_PATIENT).ok_or("no token")?;
        format!("Bearer {token}")
    };
    let url = format!("{}/api/v1/users/profile", sandbox.jhe());
    let profile = async || {
        let reply = send("GET", &url, &[("authorization", bearer.as_str())], "").await?;
        Ok::<Value, Failure>(reply.json()["patient"].take())
    };
    let as_recorded = profile().await?;
    assert_eq!(as_recorded["identifiers"][0]["value"], CAMILA);
    assert!(as_recorded["organizations"][0]["name"].is_string());
    let members: Vec<_> = as_recorded
        .as_object()
        .ok_or("no patient")?
        .keys()
        .collect();
    assert_eq!(members, ["id", "identifiers", "jheUserId", "organizations"]);

    sandbox.world().settings.jhe.profile_names = true;
    let named = profile().await?;
    assert_eq!(
        [
            &named["nameGiven"],
            &named["nameFamily"],
            &named["birthDate"]
        ],
        ["Camila", "Lopez", "1987-09-12"]
    );
    Ok(())
}

#[tokio::test]
async fn the_pages_know_the_study_and_what_else_a_deployer_has_set() -> Outcome {
    let sandbox = start().await?;
    let page = async || {
        Ok::<_, Failure>(
            send("GET", &sandbox.invitation_link(Layout::DropIn), &[], "")
                .await?
                .text(),
        )
    };
    let by_default = page().await?;
    assert!(
        by_default.contains(r#"study: {"contact":{"email":"study@jhe.example","#),
        "{by_default}"
    );
    assert!(by_default.contains(r#""name":"Heart Study","organization":"Example University"}"#));
    assert!(!by_default.contains("confirmPatient"));

    {
        let page = &mut sandbox.world().settings.jhe.page;
        page.study = None;
        page.confirm_patient = Some(json!(false));
        page.review = Some(json!(true));
        page.review_choice = Some(json!(true));
        page.language = Some(json!("es"));
    }
    let configured = page().await?;
    assert!(!configured.contains("study:"));
    for member in [
        "confirmPatient: false",
        "review: true",
        "reviewChoice: true",
        "language: \"es\"",
    ] {
        assert!(configured.contains(member), "{member}: {configured}");
    }
    Ok(())
}
