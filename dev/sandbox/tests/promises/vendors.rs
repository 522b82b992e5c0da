//! The hospitals of other vendors, each with its habits.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sandbox::{
    ATHENA_PRACTICE, EHR_CLIENT_ID, JheVersion, NextLink, RefreshTokens, Sandbox, Vendor,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::common::{Failure, Reply, send};
use crate::{
    CAMILA, FORM, Outcome, VERIFIER, count, form, get_fhir, next, redirect_uri, returned, start,
};

const LOGIN: &str = "fhircamila";
const SCOPES: &str = "openid launch/patient patient/Patient.read patient/Observation.read";

/// A hospital, seen by an app that has read its discovery document.
pub(crate) struct Hospital<'a> {
    sandbox: &'a Sandbox,
    vendor: Vendor,
    base: String,
    pub(crate) document: Value,
}

impl<'a> Hospital<'a> {
    pub(crate) async fn discover(sandbox: &'a Sandbox, vendor: Vendor) -> Result<Self, Failure> {
        let base = sandbox.iss_of(vendor);
        let url = format!("{base}/.well-known/smart-configuration");
        let document = send("GET", &url, &[], "").await?.json();
        Ok(Self {
            sandbox,
            vendor,
            base,
            document,
        })
    }

    pub(crate) fn endpoint(&self, name: &str) -> Result<&str, Failure> {
        Ok(self.document[name].as_str().ok_or("no such endpoint")?)
    }

    /// Opens the authorization endpoint with a good request, but for the changes.
    async fn authorize(&self, changes: &[(&str, &str)]) -> Result<Reply, Failure> {
        let redirect_uri = redirect_uri(self.sandbox);
        let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", EHR_CLIENT_ID),
            ("redirect_uri", &redirect_uri),
            ("scope", SCOPES),
            ("state", "s"),
            ("nonce", "n"),
            ("aud", &self.base),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        for (name, value) in changes {
            pairs.retain(|(other, _)| other != name);
            pairs.extend((!value.is_empty()).then_some((*name, *value)));
        }
        let endpoint = self.endpoint("authorization_endpoint")?;
        send("GET", &format!("{endpoint}?{}", form(&pairs)), &[], "").await
    }

    /// Goes through the portal's forms, wherever they lead.
    pub(crate) async fn code(&self, changes: &[(&str, &str)]) -> Result<String, Failure> {
        let endpoint = url::Url::parse(self.endpoint("authorization_endpoint")?)?;
        let mut reply = self.authorize(changes).await?;
        for fields in [
            &[("username", LOGIN), ("password", "epicepic1")][..],
            &[("decision", "allow")],
        ] {
            let page = reply.text();
            let between = |start: &str| {
                let (_, rest) = page.split_once(start)?;
                rest.split('"').next()
            };
            let action = endpoint.join(between("action=\"").ok_or("no form")?)?;
            let flow = between("name=\"flow\" value=\"").ok_or("no flow")?;
            let fields = form(&[&[("flow", flow)], fields].concat());
            reply = send("POST", action.as_str(), &[FORM], fields).await?;
        }
        Ok(returned(&reply, "code").ok_or("no code")?)
    }

    pub(crate) async fn token(&self, pairs: &[(&str, &str)]) -> Result<Reply, Failure> {
        let pairs = [&[("client_id", EHR_CLIENT_ID)], pairs].concat();
        send(
            "POST",
            self.endpoint("token_endpoint")?,
            &[FORM],
            form(&pairs),
        )
        .await
    }

    pub(crate) async fn exchange(&self, code: &str) -> Result<Value, Failure> {
        let redirect_uri = redirect_uri(self.sandbox);
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        Ok(self.token(&pairs).await?.json())
    }

    pub(crate) async fn bearer(&self) -> Result<String, Failure> {
        let tokens = self.exchange(&self.code(&[]).await?).await?;
        assert_eq!(tokens["patient"], CAMILA);
        let token = tokens["access_token"].as_str().ok_or("no token")?;
        Ok(format!("Bearer {token}"))
    }

    /// What each query needs at this vendor.
    pub(crate) fn query(&self, path: &str) -> String {
        let separator = if path.contains('?') { '&' } else { '?' };
        match self.vendor {
            Vendor::Athenahealth => {
                format!(
                    "{}/{path}{separator}ah-practice=Organization/{ATHENA_PRACTICE}",
                    self.base
                )
            }
            _ => format!("{}/{path}", self.base),
        }
    }

    fn labs(&self) -> String {
        self.query(&format!("Observation?patient={CAMILA}&category=laboratory"))
    }

    pub(crate) async fn first_page(&self) -> Result<Value, Failure> {
        let bearer = self.bearer().await?;
        Ok(get_fhir(&self.labs(), &bearer).await?.json())
    }
}

fn resources(bundle: &Value) -> impl Iterator<Item = &Value> {
    let entries = bundle["entry"].as_array().into_iter().flatten();
    let matches = entries.filter(|entry| entry["search"]["mode"] == "match");
    matches.map(|entry| &entry["resource"])
}

#[tokio::test]
async fn every_hospital_gives_its_whole_chart_to_who_signs_in_there() -> Outcome {
    let sandbox = start().await?;
    for vendor in Vendor::ALL {
        let hospital = Hospital::discover(&sandbox, vendor).await?;
        let bearer = hospital.bearer().await?;
        let (mut found, mut page) = (Vec::new(), Some(hospital.labs()));
        while let Some(url) = page {
            assert!(url.starts_with(&hospital.base), "{url}");
            let bundle = get_fhir(&url, &bearer).await?.json();
            found.extend(resources(&bundle).cloned());
            page = next(&bundle);
        }
        let held = sandbox.world().records_at(vendor, LOGIN, "Observation");
        let held: Vec<Value> = held
            .iter()
            .map(|it| serde_json::from_str(it))
            .collect::<Result<_, _>>()?;
        let labs: Vec<Value> = held.into_iter().take(32).collect();
        assert_eq!(found, labs, "{vendor:?}");
        let patient = get_fhir(&hospital.query(&format!("Patient/{CAMILA}")), &bearer).await?;
        assert_eq!(patient.json()["id"], CAMILA, "{vendor:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_token_or_a_code_of_one_hospital_is_good_at_no_other() -> Outcome {
    let sandbox = start().await?;
    let epic = Hospital::discover(&sandbox, Vendor::Epic).await?;
    let bearer = epic.bearer().await?;
    for vendor in Vendor::ALL.into_iter().filter(|it| *it != Vendor::Epic) {
        let other = Hospital::discover(&sandbox, vendor).await?;
        assert_eq!(
            get_fhir(&other.labs(), &bearer).await?.status,
            401,
            "{vendor:?}"
        );
        let tokens = other.exchange(&epic.code(&[]).await?).await?;
        assert_eq!(tokens["error"], "invalid_grant", "{vendor:?}");
    }
    Ok(())
}

#[tokio::test]
async fn every_hospital_is_in_jhes_list_with_its_base_as_the_vendor_writes_it() -> Outcome {
    let sandbox = start().await?;
    sandbox.world().settings.jhe.version = JheVersion::PatientAccess;
    for vendor in Vendor::ALL {
        let world = sandbox.world();
        let listed = &world.brand_of(vendor).ok_or("not listed")?.fhir_base_url;
        assert_eq!(listed.trim_end_matches('/'), sandbox.iss_of(vendor));
        let has_slash = [Vendor::Epic, Vendor::Hapi].contains(&vendor);
        assert_eq!(listed.ends_with('/'), has_slash, "{vendor:?}");
    }
    Ok(())
}

#[tokio::test]
async fn pages_are_as_long_as_the_vendor_makes_them_unless_that_is_set() -> Outcome {
    let sandbox = start().await?;
    sandbox.world().give_labs(LOGIN, 60);
    let expected = [
        (Vendor::Epic, 10, json!(10)),
        (Vendor::OracleHealth, 50, Value::Null),
        (Vendor::Athenahealth, 10, json!(60)),
        (Vendor::Meditech, 20, json!(60)),
        (Vendor::Hapi, 20, json!(60)),
    ];
    for (vendor, size, total) in expected {
        let hospital = Hospital::discover(&sandbox, vendor).await?;
        let page = hospital.first_page().await?;
        assert_eq!(
            (count(&page, "match"), &page["total"]),
            (size, &total),
            "{vendor:?}"
        );
        sandbox.world().settings.ehr.page_sizes.insert(vendor, 3);
        assert_eq!(
            count(&hospital.first_page().await?, "match"),
            3,
            "{vendor:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn only_epic_puts_outcomes_among_the_entries_and_wants_a_category() -> Outcome {
    let sandbox = start().await?;
    for vendor in Vendor::ALL {
        let hospital = Hospital::discover(&sandbox, vendor).await?;
        let page = hospital.first_page().await?;
        let is_epic = vendor == Vendor::Epic;
        assert_eq!(count(&page, "outcome") > 0, is_epic, "{vendor:?}");
        let bearer = hospital.bearer().await?;
        let all = hospital.query(&format!("Observation?patient={CAMILA}"));
        assert_eq!(
            get_fhir(&all, &bearer).await?.status == 400,
            is_epic,
            "{vendor:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn next_links_lead_astray_at_every_hospital_if_a_test_wants_it() -> Outcome {
    let sandbox = start().await?;
    for vendor in Vendor::ALL {
        let hospital = Hospital::discover(&sandbox, vendor).await?;
        sandbox.world().settings.ehr.page_sizes.insert(vendor, 3);
        for (to, is_below) in [
            (NextLink::Relative, true),
            (NextLink::OtherPath, false),
            (NextLink::OtherOrigin, false),
        ] {
            sandbox.world().settings.ehr.next_link = to.clone();
            let link = next(&hospital.first_page().await?).ok_or("no next link")?;
            let link = url::Url::parse(&hospital.labs())?.join(&link)?;
            let base = url::Url::parse(&hospital.base)?;
            let rest = link.path().strip_prefix(base.path());
            let found = link.origin() == base.origin()
                && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            assert_eq!(found, is_below, "{vendor:?} {to:?}: {link}");
            if is_below {
                let bearer = hospital.bearer().await?;
                let page = get_fhir(link.as_str(), &bearer).await?.json();
                assert_eq!(count(&page, "match"), 3, "{vendor:?}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn oracle_health_signs_in_at_another_origin_and_takes_the_first_scope_syntax_only() -> Outcome
{
    let sandbox = start().await?;
    let oracle = Hospital::discover(&sandbox, Vendor::OracleHealth).await?;
    let elsewhere = sandbox.world().origins().authorization.clone();
    for name in ["authorization_endpoint", "token_endpoint"] {
        assert!(oracle.endpoint(name)?.starts_with(&elsewhere), "{name}");
    }
    assert!(oracle.document["code_challenge_methods_supported"].is_null());
    let link = next(&{
        sandbox.world().give_labs(LOGIN, 51);
        oracle.first_page().await?
    });
    assert!(link.is_some_and(|link| link.contains("?-pageContext=")));

    let reply = oracle
        .authorize(&[("scope", "openid patient/Observation.rs")])
        .await?;
    assert_eq!(returned(&reply, "error").as_deref(), Some("invalid_scope"));
    assert!(returned(&reply, "error_uri").is_some());
    assert_eq!(returned(&reply, "error_description"), None);
    Ok(())
}

#[tokio::test]
async fn athenahealth_wants_its_practice_in_each_query_and_a_nonce_with_openid() -> Outcome {
    let sandbox = start().await?;
    let athena = Hospital::discover(&sandbox, Vendor::Athenahealth).await?;
    let tokens = athena.exchange(&athena.code(&[]).await?).await?;
    assert_eq!(tokens["ah_practice"], ATHENA_PRACTICE);
    let bearer = athena.bearer().await?;
    for path in [
        format!("Observation?patient={CAMILA}&category=laboratory"),
        format!("Patient/{CAMILA}"),
        format!("Patient/{CAMILA}?ah-practice=Organization/a-1.Practice-7"),
    ] {
        let reply = get_fhir(&format!("{}/{path}", athena.base), &bearer).await?;
        let outcome = reply.json();
        assert_eq!(
            (reply.status.as_u16(), &outcome["resourceType"]),
            (403, &json!("OperationOutcome"))
        );
    }
    let reply = athena.authorize(&[("nonce", "")]).await?;
    assert_eq!(
        returned(&reply, "error").as_deref(),
        Some("invalid_request")
    );
    let reply = athena
        .authorize(&[("nonce", ""), ("scope", "patient/Patient.read")])
        .await?;
    assert!(reply.text().contains("id=\"sign-in\""));
    Ok(())
}

#[tokio::test]
async fn athenahealth_lists_no_scopes_and_refreshes_only_with_some() -> Outcome {
    let sandbox = start().await?;
    sandbox.world().settings.ehr.refresh_tokens = RefreshTokens::Always;
    let athena = Hospital::discover(&sandbox, Vendor::Athenahealth).await?;
    assert!(athena.document["scopes_supported"].is_null());
    let issuer = athena.document["issuer"].as_str().ok_or("no issuer")?;
    assert!(!issuer.starts_with(sandbox.ehr()), "{issuer}");

    let tokens = athena.exchange(&athena.code(&[]).await?).await?;
    let token = tokens["refresh_token"].as_str().ok_or("no refresh token")?;
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", token)];
    assert_eq!(
        athena.token(&pairs).await?.json()["error"],
        "invalid_request"
    );
    let pairs = [&pairs[..], &[("scope", SCOPES)]].concat();
    assert_eq!(athena.token(&pairs).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn meditech_needs_no_audience_and_has_observations_of_every_quality() -> Outcome {
    let sandbox = start().await?;
    let meditech = Hospital::discover(&sandbox, Vendor::Meditech).await?;
    assert!(
        meditech
            .authorize(&[("aud", "")])
            .await?
            .text()
            .contains("id=\"sign-in\"")
    );
    let wrong = meditech
        .authorize(&[("aud", "https://elsewhere.example")])
        .await?;
    assert!(returned(&wrong, "error").is_some());

    let page = meditech.first_page().await?;
    let without_coding = resources(&page).filter(|it| it["code"]["coding"].is_null());
    let mistaken = resources(&page).filter(|it| it["status"] == "entered-in-error");
    assert_eq!((without_coding.count(), mistaken.count()), (4, 4));
    assert!(next(&page).is_some_and(|link| link.contains("/Observation?continue=")));

    let refused = get_fhir(&meditech.labs(), "Bearer x").await?;
    assert_eq!(
        (refused.status.as_u16(), refused.json()),
        (401, Value::Null)
    );
    Ok(())
}

#[tokio::test]
async fn hapis_next_link_is_the_base_with_a_query_and_its_references_are_absolute() -> Outcome {
    let sandbox = start().await?;
    let hapi = Hospital::discover(&sandbox, Vendor::Hapi).await?;
    let page = hapi.first_page().await?;
    let link = next(&page).ok_or("no next link")?;
    assert!(
        link.starts_with(&format!("{}?_getpages=", hapi.base)),
        "{link}"
    );
    let subject = format!("{}/Patient/{CAMILA}", hapi.base);
    assert!(resources(&page).all(|it| it["subject"]["reference"] == subject));
    assert_eq!(get_fhir(&link, "Bearer x").await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn what_a_hospital_includes_is_as_it_serves_it() -> Outcome {
    let sandbox = start().await?;
    let scopes = "patient/MedicationRequest.read";
    sandbox.world().settings.ehr.granted_scopes = Some(scopes.to_owned());
    for vendor in Vendor::ALL {
        let hospital = Hospital::discover(&sandbox, vendor).await?;
        let search =
            format!("MedicationRequest?patient={CAMILA}&_include=MedicationRequest:medication");
        let bearer = hospital.bearer().await?;
        let page = get_fhir(&hospital.query(&search), &bearer).await?.json();
        assert_eq!(count(&page, "include"), 2, "{vendor:?}");
    }
    Ok(())
}
