//! Before the patient goes to the hospital: what will be shared, with whom and for what, and every way on from there.

use anyhow::{Context, Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Glance, Screen, State};
use e2e::journey::{CAMILA, Journey};
use sandbox::{Server, Vendor};
use serde_json::Value;
use url::Url;

access_journeys!(
    drop_in: [
        what_will_be_shared_is_told_before_the_hospital,
        another_hospital_can_be_chosen,
        who_does_not_go_on_leaves_nothing_behind,
        another_language_is_spoken_at_once_and_behind_the_hospital,
        a_person_is_two_taps_away,
    ],
    plain_picked: [
        what_will_be_shared_is_told_before_the_hospital,
        another_hospital_can_be_chosen,
        another_language_is_spoken_at_once_and_behind_the_hospital,
    ],
    plain_named: [
        what_will_be_shared_is_told_before_the_hospital,
        who_does_not_go_on_leaves_nothing_behind,
        a_person_is_two_taps_away,
    ],
);

/// From the invitation link to what will be shared, after the hospital was picked if there is a list.
pub(crate) async fn reach_sharing(journey: &Journey) -> Result<Screen> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    journey.open_invitation().await?;
    let screen = browser.wait_for_one_of(&["choosing", "sharing"]).await?;
    if screen.state != State::Choosing {
        return Ok(screen);
    }
    let name = journey.vendor().facility_name();
    browser.pick_by_keys(name).await?;
    browser.wait_for_screen("sharing").await
}

async fn what_will_be_shared_is_told_before_the_hospital(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    let screen = reach_sharing(journey).await?;
    screen.expect_fact("Study", "Heart Study")?;
    screen.expect_fact("Run by", "Example University")?;
    let is_picked = screen.offers("another-hospital");
    let hospital = match is_picked {
        true => journey.portal(),
        // Nobody knows its name; its address is true.
        false => journey.sandbox.ehr().trim_start_matches("http://"),
    };
    screen.expect_fact("Hospital", hospital)?;
    let mut lines = screen.text.lines();
    let records = lines.find_map(|line| line.strip_prefix("These records will be copied: "));
    let records = records.with_context(|| format!("expected the kinds, found {screen}"))?;
    for (label, _) in journey.chart() {
        ensure!(
            records.contains(label),
            "expected {label} among what is shared, found {records}"
        );
    }
    screen.expect_action("Go on to sign in")?;
    ensure!(
        screen.offers("give-up") && is_picked == (journey.portal() != "your hospital"),
        "expected every way on, found {screen}"
    );
    nobody_went_to_the_hospital(journey)?;

    let browser = &journey.browser;
    browser
        .leaves_by(async || browser.press_named("continue").await)
        .await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    browser.wait_until_settled().await?.expect_done()
}

async fn another_hospital_can_be_chosen(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_sharing(journey).await?;
    browser.press_named("another-hospital").await?;
    browser.wait_for_screen("choosing").await?;
    let other = Vendor::OracleHealth;
    browser.pick_by_keys(other.facility_name()).await?;
    let screen = browser.wait_for_screen("sharing").await?;
    screen.expect_fact("Hospital", other.facility_name())?;
    nobody_went_to_the_hospital(journey)?;

    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    let base = other.listed_base(journey.world().origins());
    let asked = journey.requests(Server::Ehr, "GET", "/authorize?");
    let [asked] = asked.as_slice() else {
        anyhow::bail!("expected one sign-in, found {asked:?}");
    };
    let address = Url::parse(&format!("{}{}", journey.sandbox.ehr(), asked.target))?;
    let audience = address.query_pairs().find(|(name, _)| name == "aud");
    ensure!(
        audience.is_some_and(|(_, value)| value == base),
        "expected the sign-in to be for {base}, found {address}"
    );
    Ok(())
}

async fn who_does_not_go_on_leaves_nothing_behind(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_sharing(journey).await?;
    browser.press_named("give-up").await?;
    let screen = browser.wait_for_screen("gave-up").await?;
    ensure!(
        screen.code.is_none() && screen.heading.as_deref() == Some("Nothing was shared"),
        "expected a no that is no failure, found {screen}"
    );
    screen.expect_texts(&["open the link in your invitation again", "Talk to a person"])?;
    no_token_is_kept(journey).await?;
    nobody_went_to_the_hospital(journey)?;
    journey.expect_no_record_moved()
}

/// Neither of the tab's storages has a token in it.
pub(crate) async fn no_token_is_kept(journey: &Journey) -> Result<()> {
    let script = "return ['jhe', 'ehr', 'launch'].filter((name) => `jhe-connect:3:${name}` in sessionStorage)";
    let kept: Vec<String> = journey.browser.evaluate(script).await?;
    ensure!(kept.is_empty(), "sessionStorage has {kept:?} still");
    Ok(())
}

async fn another_language_is_spoken_at_once_and_behind_the_hospital(
    journey: &Journey,
) -> Result<()> {
    journey.has_a_short_chart();
    let browser = &journey.browser;
    reach_sharing(journey).await?;
    speak(journey, "es").await?;
    let screen = browser.wait_for_screen("sharing").await?;
    is_said(&screen, "connect", "sharing_heading")?;
    ensure!(
        screen.action.as_deref() == Some(&spanish("connect", "continue")?),
        "expected the buttons in Spanish, found {screen}"
    );
    is_spanish(journey).await?;

    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.return_as(CAMILA).await?;
    let screen = browser.wait_for_screen("person").await?;
    is_said(&screen, "callback", "person_heading")?;
    is_spanish(journey).await?;
    browser.press_named("yes-me").await?;
    let screen = browser.wait_until_settled().await?;
    is_said(&screen, "import", "done_heading")?;
    screen.expect_texts(&[&spanish("receipt", "receipt_heading")?])?;

    speak(journey, "en").await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_lines(&["Your records were shared", "Your receipt"])
}

/// Chooses a language, and waits until the page says that it speaks it.
pub(crate) async fn speak(journey: &Journey, tag: &str) -> Result<()> {
    let browser = &journey.browser;
    browser.click(&format!(".jc-language[lang={tag}]")).await?;
    let script = "return document.querySelector('[data-jhe-connect]').lang";
    browser
        .until("another language", async || {
            let spoken: String = browser.evaluate(script).await?;
            Ok(match spoken == tag {
                true => Glance::Seen(()),
                false => Glance::NotYet,
            })
        })
        .await
}

/// A text of the Spanish page.
fn spanish(section: &str, name: &str) -> Result<String> {
    let texts: Value = serde_json::from_str(include_str!("../../../../www/languages/es.json"))?;
    let text = texts[section][name].as_str();
    Ok(text
        .with_context(|| format!("no text {section}.{name}"))?
        .to_owned())
}

fn is_said(screen: &Screen, section: &str, name: &str) -> Result<()> {
    let heading = spanish(section, name)?;
    ensure!(
        screen.heading.as_deref() == Some(&heading),
        "expected the heading {heading:?}, found {screen}"
    );
    Ok(())
}

/// The page, or at least our part of it, says that it is in Spanish; a page of ours in its title, too.
async fn is_spanish(journey: &Journey) -> Result<()> {
    let script = "
        const root = document.querySelector('[data-jhe-connect]');
        const title = root.hasAttribute('data-page') ? document.title : root.querySelector('.jc-heading').textContent;
        const used = root.querySelector('.jc-language[aria-pressed=true]').lang;
        return [root.lang, used, String(title.includes(root.querySelector('.jc-heading').textContent))]";
    let told: [String; 3] = journey.browser.evaluate(script).await?;
    ensure!(
        told == ["es", "es", "true"],
        "expected the language, the choice and the title to be Spanish, found {told:?}"
    );
    Ok(())
}

async fn a_person_is_two_taps_away(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_sharing(journey).await?;
    browser.click(".jc-help > summary").await?;
    let links = ways_to_a_person(journey).await?;
    ensure!(
        links
            == [
                "mailto:study@jhe.example?subject=Help%20with%20my%20invitation",
                "tel:+15105550142",
            ],
        "the ways to a person are {links:?}"
    );

    journey.world().expire_invitation(&journey.invitation);
    let screen = journey.stops_at_the_start("invitation.expired").await?;
    browser.click(".jc-help > summary").await?;
    let links = ways_to_a_person(journey).await?;
    ensure!(
        links
            .first()
            .is_some_and(|link| link.contains("invitation.expired")),
        "expected the code in the subject, found {links:?} on {screen}"
    );
    Ok(())
}

/// Where the links lead that are to be seen once the help is open.
async fn ways_to_a_person(journey: &Journey) -> Result<Vec<String>> {
    let script = "return [...document.querySelectorAll('.jc-help a')]
        .filter((it) => it.getClientRects().length).map((it) => it.href)";
    journey.browser.evaluate(script).await
}

fn nobody_went_to_the_hospital(journey: &Journey) -> Result<()> {
    let asked = journey.requests(Server::Ehr, "GET", "/authorize");
    ensure!(asked.is_empty(), "somebody went to the hospital: {asked:?}");
    Ok(())
}
