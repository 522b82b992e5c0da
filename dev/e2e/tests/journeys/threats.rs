//! What attackers try, each as `SECURITY.md` has it. What every journey is watched for besides is in [`e2e::watch`].

use anyhow::{Context, Result, ensure};
use e2e::journey::{CAMILA, Journey, Page};
use e2e::journeys;
use sandbox::{Layout, Server};
use serde_json::{Value, json};

journeys!(both_layouts: [
    parameters_of_the_pages_address_lead_nowhere,
    messages_of_other_windows_change_nothing,
    what_others_keep_on_the_origin_stays_as_it_is_and_changes_nothing,
    the_answer_to_an_earlier_sign_in_is_refused,
    a_hospital_that_borrows_anothers_sign_in_gets_no_code,
    pages_add_no_global_but_what_they_are_called_by,
]);

/// Where an attacker would like to be led to, or to be sent something.
const WISHES: [&str; 8] = [
    "redirect_uri",
    "next",
    "return_to",
    "url",
    "target",
    "token_endpoint",
    "fhirServiceUrl",
    "redirectUri",
];

/// An open redirector, or a sign-in that ends elsewhere.
async fn parameters_of_the_pages_address_lead_nowhere(journey: &Journey) -> Result<()> {
    let evil = journey.sandbox.evil().to_owned();
    let mut link = url::Url::parse(&journey.link())?;
    for wish in WISHES {
        link.query_pairs_mut().append_pair(wish, &evil);
    }
    journey.browser.open(link.as_str()).await?;
    journey.browser.wait_for_login_form().await?;
    let asked = journey.requests(Server::Ehr, "GET", "/authorize");
    let asked = asked.last().context("no sign-in was begun")?;
    ensure!(
        !asked
            .target
            .contains(&url::form_urlencoded::byte_serialize(evil.as_bytes()).collect::<String>())
    );
    journey.agree_as(CAMILA).await?;
    journey.browser.wait_until_settled().await?.expect_done()?;
    let address = journey.browser.address().await?;
    ensure!(
        address.as_str().starts_with(journey.sandbox.jhe()),
        "the page went to {address}"
    );
    Ok(())
}

/// fhirclient finishes a sign-in that another window sends it.
async fn messages_of_other_windows_change_nothing(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    journey.return_as(CAMILA).await?;
    let stolen = journey.page(
        Page::Callback,
        &[("code", "of-the-attacker"), ("state", "of-the-attacker")],
    );
    let send = format!(
        "for (const type of ['completeAuth', 'jhe-connect-import', 'jhe-connect-receipt', 'message'])
            window.postMessage({{ type, url: {0}, token: 'x' }}, '*');
        return true",
        json!(stolen)
    );
    let _: bool = journey.browser.evaluate(&send).await?;
    journey.browser.wait_until_settled().await?.expect_done()?;
    let exchanges = journey.requests(Server::Ehr, "POST", "/token");
    ensure!(
        exchanges.len() == 1,
        "expected one exchange, found {exchanges:?}"
    );
    Ok(())
}

/// What another application on the origin may have left, and what is left of ours but can't be read any more.
const OTHERS: &str = r#"
    const kept = { SMART_KEY: '"abc"', abc: '{"tokenResponse":{"access_token":"other"}}', token: 'other',
        '__proto__x': '{"__proto__":{"state":"x"}}', 'jhe-connect:2:jhe': '{"token":"old"}', 'jhe-connect:language': '../../x' };
    const damaged = { 'jhe-connect:3:jhe': '{"', 'jhe-connect:3:ehr': 'null', 'jhe-connect:3:launch': '[]', 'jhe-connect:3:run': '{"__proto__":1}',
        'jhe-connect:3:visit': '7', 'jhe-connect:3:hospital': '\u0000', 'jhe-connect:3:session': '{' };
    for (const [key, value] of Object.entries({ ...kept, ...damaged })) sessionStorage.setItem(key, value);
    localStorage.setItem('jhe-connect:3:last_write', 'soon');
    return kept;"#;

async fn what_others_keep_on_the_origin_stays_as_it_is_and_changes_nothing(
    journey: &Journey,
) -> Result<()> {
    let page = "<!DOCTYPE html><title>Another application</title>";
    (journey.world().static_files).insert("other.html".to_owned(), page.as_bytes().to_vec());
    let address = format!("{}/static/other.html", journey.sandbox.jhe());
    journey.browser.open(&address).await?;
    let kept: Value = journey.browser.evaluate(OTHERS).await?;

    journey.connect().await?.expect_done()?;
    let found: Value = journey
        .browser
        .evaluate("return { ...sessionStorage }")
        .await?;
    for (key, value) in kept.as_object().context("no object")? {
        ensure!(
            found.get(key) == Some(value),
            "{key} is not what it was: {found}"
        );
    }
    // Of ours nothing may be left there, which is looked after at the end.
    let forget = format!(
        "Object.keys({kept}).forEach((key) => sessionStorage.removeItem(key)); return true"
    );
    let _: bool = journey.browser.evaluate(&forget).await?;
    Ok(())
}

/// The patient has begun twice, and somebody brings the answer to the first.
async fn the_answer_to_an_earlier_sign_in_is_refused(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    let earlier = journey.pending_state()?;
    journey.reach_login().await?;
    let begun = journey.requests(Server::Ehr, "GET", "/authorize").len();
    ensure!(
        begun >= 2 && journey.pending_state()? != earlier,
        "only one sign-in was begun"
    );
    let answer = journey.page(
        Page::Callback,
        &[("code", "of-the-first"), ("state", &earlier)],
    );
    journey.browser.open(&answer).await?;
    (journey.browser.wait_until_settled().await?).expect_code("callback.unknown_state")?;
    ensure!(
        journey.requests(Server::Ehr, "POST", "/token").is_empty(),
        "a code was sent"
    );
    Ok(())
}

/// Mix-up: a listed hospital that is none names a good one's sign-in, and its own token endpoint. The good one looks at `aud`,
/// as Epic does, and gives no code to anybody.
async fn a_hospital_that_borrows_anothers_sign_in_gets_no_code(journey: &Journey) -> Result<()> {
    let (jhe, ehr) = (
        journey.sandbox.jhe().to_owned(),
        journey.sandbox.ehr().to_owned(),
    );
    let evil = journey.sandbox.evil().to_owned();
    let configuration = json!({
        "issuer": format!("{ehr}/interconnect/oauth2"),
        "authorization_endpoint": format!("{ehr}/interconnect/oauth2/authorize"),
        "token_endpoint": format!("{evil}/token"),
        "code_challenge_methods_supported": ["S256"],
    });
    {
        let mut world = journey.world();
        world.static_files.insert(
            "hospital/.well-known/smart-configuration".to_owned(),
            configuration.to_string().into_bytes(),
        );
        world.settings.jhe.page.iss = format!("{jhe}/static/hospital");
    }
    journey.open_invitation().await?;
    journey
        .browser
        .until("the hospital's answer", async || {
            let asked = journey.requests(Server::Ehr, "GET", "/authorize");
            Ok(match asked.is_empty() {
                true => e2e::browser::Glance::NotYet,
                false => e2e::browser::Glance::Seen(()),
            })
        })
        .await?;
    ensure!(
        !journey.browser.is_at_login_form().await?,
        "the hospital let the patient sign in"
    );
    Ok(())
}

/// JHE's templates call functions and have a configuration; the plain pages need no name at all.
async fn pages_add_no_global_but_what_they_are_called_by(journey: &Journey) -> Result<()> {
    let page = "<!DOCTYPE html><title>Nothing</title>";
    (journey.world().static_files).insert("nothing.html".to_owned(), page.as_bytes().to_vec());
    let names = "return Object.getOwnPropertyNames(window)";
    journey
        .browser
        .open(&format!("{}/static/nothing.html", journey.sandbox.jhe()))
        .await?;
    let before: Vec<String> = journey.browser.evaluate(names).await?;
    journey.connect().await?.expect_done()?;
    let after: Vec<String> = journey.browser.evaluate(names).await?;
    // The last is of who looks for elements here.
    let expected = match journey.layout {
        Layout::DropIn => &[
            "MYCHART_CONFIG",
            "finishMyChartConnect",
            "parseInvitationCode",
            "startMyChartConnect",
            "ret_nodes",
        ][..],
        _ => &["ret_nodes"],
    };
    let added: Vec<_> = after.iter().filter(|name| !before.contains(name)).collect();
    for name in added {
        ensure!(
            expected.contains(&name.as_str()),
            "the page has added {name}"
        );
    }
    Ok(())
}
