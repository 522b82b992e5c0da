//! The test mode of the shipped bundle: its pages, with no server but one for files. Nothing that these journeys do may reach
//! any other.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use e2e::browser::{Glance, Screen, State, counted};
use e2e::emulation::{Circumstances, Device, Language};
use e2e::journey::Journey;
use e2e::journeys;
use jhe_connect::demo::{HOSPITALS, Hospital, INVITATIONS, PERSONAS, Persona};
use jhe_connect::exchange::deployment::PATIENT_ACCESS;
use sandbox::Server;
use serde_json::{Value, json};
use url::Url;

journeys!(drop_in: [
    of_a_persona_as_many_records_arrive_as_the_table_says_and_none_twice,
    of_a_short_chart_as_many_records_arrive_also_after_a_reload_in_the_middle,
    every_screen_of_the_documents_table_is_reached_as_it_says,
    each_link_ends_as_it_says,
    a_hospital_that_no_page_may_read_is_told_before_the_patient_leaves,
    another_person_than_before_is_asked_about,
    a_busy_hospital_is_waited_for,
    where_access_expires_the_patient_signs_in_again_and_gets_the_rest,
    who_signs_in_again_as_somebody_else_is_stopped,
    a_chart_of_another_participant_is_not_copied,
    every_page_says_that_nothing_is_real_in_each_language,
    the_notice_is_there_whatever_the_configuration_says,
    the_pages_of_the_test_mode_are_accessible,
    a_hospital_can_be_named_by_the_configuration,
    a_live_page_refuses_the_test_mode_and_does_not_load_it,
    a_page_of_the_test_mode_with_live_values_is_refused_and_does_not_load_it,
    nothing_in_a_pages_address_turns_it_on,
    what_is_forgotten_is_gone,
    served_by_the_documents_command_it_works_without_any_other_server,
]);

mod live {
    //! Pages that are not in test mode.

    #[test]
    fn plain_pages_never_ask_for_a_file_of_the_test_mode() {
        e2e::journey::run(sandbox::Layout::Plain, super::no_file_of_it_is_asked_for);
    }

    #[test]
    fn jhes_own_pages_never_ask_for_a_file_of_the_test_mode() {
        e2e::journey::run(sandbox::Layout::DropIn, super::no_file_of_it_is_asked_for);
    }
}

const FOLDER: &str = "/static/jhe-connect/demo/";
const NOTICE: &str = "Test mode: nothing here is real, and nothing is sent.";
const NOTICE_IN_SPANISH: &str = "Modo de prueba: nada de esto es real y no se envía nada.";

/// Notes each screen that is shown, over all pages of the tab, and those where the notice was not in sight.
const KEEP_SCREENS: &str = "(() => {
    const keep = (key, name) => {
        const kept = JSON.parse(sessionStorage.getItem(key) ?? '[]');
        if (!kept.includes(name)) sessionStorage.setItem(key, JSON.stringify([...kept, name]));
    };
    const look = () => {
        const name = document.querySelector('[data-jhe-connect-screen]')?.dataset.jheConnectScreen;
        if (!name) return;
        keep('journey:screens', name);
        const notice = document.querySelector('.jd-notice')?.getBoundingClientRect();
        if (!notice || notice.height < 20 || notice.top < 0 || notice.bottom > innerHeight) keep('journey:bare', name);
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
    addEventListener('scroll', look);
})();";

async fn begin(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    browser.answer_by_hand().await?;
    browser.prepare_pages(KEEP_SCREENS).await?;
    open_start(journey).await.map(drop)
}

fn page(journey: &Journey, name: &str) -> String {
    format!("{}{FOLDER}{name}", journey.sandbox.jhe())
}

async fn open_start(journey: &Journey) -> Result<Screen> {
    journey.browser.open(&page(journey, "index.html")).await?;
    journey.browser.wait_for_screen("demo-start").await
}

async fn follow(journey: &Journey, link: &str) -> Result<()> {
    open_start(journey).await?;
    let link = format!("[data-jd-link={link}]");
    journey
        .browser
        .leaves_by(async || journey.browser.click(&link).await)
        .await
}

/// From the first page to what will be shared with a hospital.
async fn pick(journey: &Journey, link: &str, hospital: &str) -> Result<Screen> {
    follow(journey, link).await?;
    let browser = &journey.browser;
    loop {
        let screens = ["choosing", "returned", "welcome", "connections"];
        let screen = browser.wait_for_one_of(&screens).await?;
        match screen.name.as_deref() {
            Some("choosing") => break,
            // From the hospital without an answer.
            Some("returned") => browser.press_named("try-again").await?,
            // Who was at a hospital before may go to another one.
            _ => browser.press_named("another-hospital").await?,
        }
        browser
            .until("the next screen", async || {
                let now = browser.screen_now().await?.and_then(|it| it.name);
                Ok(match now == screen.name {
                    true => Glance::NotYet,
                    false => Glance::Seen(()),
                })
            })
            .await?;
    }
    let hospital = Hospital::named(hospital).context("no such hospital")?;
    journey.browser.tap_hospital(hospital.title).await?;
    journey
        .browser
        .wait_for_one_of(&["sharing", "welcome", "failed"])
        .await
}

/// From the first page to a hospital's sign-in.
async fn reach_sign_in(journey: &Journey, link: &str, hospital: &str) -> Result<Screen> {
    pick(journey, link, hospital).await?;
    journey.browser.press_named("continue").await?;
    journey.browser.wait_for_screen("demo-sign-in").await
}

/// Signs in and shares everything.
async fn agree_as(journey: &Journey, persona: &str) -> Result<()> {
    let browser = &journey.browser;
    browser.wait_for_screen("demo-sign-in").await?;
    let place = PERSONAS.iter().position(|it| it.name == persona);
    let place = place.context("no such persona")?;
    browser
        .click(&format!("input[name=persona][value='{place}']"))
        .await?;
    browser
        .leaves_by(async || browser.press_named("agree").await)
        .await
}

/// From the first page to the question whose records these are.
async fn reach_person(
    journey: &Journey,
    link: &str,
    hospital: &str,
    persona: &str,
) -> Result<Screen> {
    reach_sign_in(journey, link, hospital).await?;
    agree_as(journey, persona).await?;
    journey.browser.wait_for_screen("person").await
}

/// From the first page to an import under way.
async fn reach_import(journey: &Journey, link: &str, hospital: &str, persona: &str) -> Result<()> {
    reach_person(journey, link, hospital, persona).await?;
    journey.browser.press_named("yes-me").await
}

/// All of it.
async fn connect(journey: &Journey, link: &str, hospital: &str, persona: &str) -> Result<Screen> {
    reach_import(journey, link, hospital, persona).await?;
    journey.browser.wait_until_settled().await
}

/// How many records the pretended JHE holds.
async fn stored(journey: &Journey) -> Result<u32> {
    open_start(journey).await?;
    let stored: String = journey
        .browser
        .evaluate("return document.querySelector('[data-jd-stored]').dataset.jdStored")
        .await?;
    Ok(stored.parse()?)
}

/// No server was asked for anything but files, and on every screen the notice was in sight.
async fn nothing_was_sent(journey: &Journey) -> Result<()> {
    let log = journey.world().request_log().to_vec();
    let is_file = |target: &str| target.starts_with("/static/") || target == "/favicon.ico";
    let other = log.iter().find(|request| {
        request.server != Server::Jhe || request.method != "GET" || !is_file(&request.target)
    });
    ensure!(other.is_none(), "expected files only, found {other:?}");
    let bare: Vec<String> = journey
        .browser
        .evaluate("return JSON.parse(sessionStorage.getItem('journey:bare') ?? '[]')")
        .await?;
    ensure!(bare.is_empty(), "without a notice: {bare:?}");
    // What the pretended servers remember is no record; and it is not what is looked for at the end of every journey.
    let script = "const kept = sessionStorage.getItem('jhe-connect-demo') ?? '';
        for (const key of Object.keys(sessionStorage))
            if (key === 'jhe-connect-demo' || key.startsWith('journey:')) sessionStorage.removeItem(key);
        return kept";
    let kept: String = journey.browser.evaluate(script).await?;
    ensure!(
        !kept.contains("resourceType") && kept.len() < 8_000,
        "the tab keeps {kept}"
    );
    Ok(())
}

fn lines_of(persona: &Persona) -> Vec<String> {
    let kinds = PATIENT_ACCESS.pulls.iter().zip(persona.counts);
    let kinds = kinds.filter(|(_, count)| *count > 0);
    kinds
        .map(|(pull, count)| format!("{}: {}", pull.label, counted(count as usize)))
        .collect()
}

fn told_all(screen: &Screen, persona: &Persona) -> Result<()> {
    screen.expect_done()?;
    let all = format!("{}\n{}", screen.text, screen.folded);
    for line in lines_of(persona) {
        ensure!(
            all.lines().any(|told| told.starts_with(&line)),
            "expected {line:?}, found {screen}"
        );
    }
    screen.expect_records(persona.total() as usize, persona.total() as usize)
}

async fn of_a_persona_as_many_records_arrive_as_the_table_says_and_none_twice(
    journey: &Journey,
) -> Result<()> {
    let persona = Persona::named("kinds").context("a persona")?;
    begin(journey).await?;
    ensure!(stored(journey).await? == 0, "the study begins with records");
    let screen = connect(journey, "Fresh", "healthy", persona.name).await?;
    told_all(&screen, persona)?;

    // What a reload tells is told, and not done again.
    journey.browser.reload().await?;
    journey.browser.wait_until_settled().await?.expect_done()?;
    ensure!(
        stored(journey).await? == persona.total(),
        "a reload stored something"
    );

    let screen = connect(journey, "Fresh", "healthy", persona.name).await?;
    screen.expect_done()?;
    screen.expect_records(persona.total() as usize, 0)?;
    ensure!(
        stored(journey).await? == persona.total(),
        "something is there twice"
    );
    nothing_was_sent(journey).await
}

async fn of_a_short_chart_as_many_records_arrive_also_after_a_reload_in_the_middle(
    journey: &Journey,
) -> Result<()> {
    let persona = Persona::named("few").context("a persona")?;
    begin(journey).await?;
    reach_import(journey, "Fresh", "busy", persona.name).await?;
    journey.browser.wait_for_screen("importing").await?;
    journey.browser.reload().await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_done()?;
    ensure!(
        stored(journey).await? == persona.total(),
        "expected each record once"
    );
    nothing_was_sent(journey).await
}

/// The names of the screens in the document.
fn screens_of_the_document() -> Result<Vec<String>> {
    let document = include_str!("../../../../docs/test-mode.md");
    let (_, rest) = document
        .split_once("<!-- screens -->")
        .context("no table of screens")?;
    let (table, _) = rest
        .split_once("<!-- /screens -->")
        .context("no end of the table")?;
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    Ok(rows.map(|(name, _)| name.to_owned()).collect())
}

async fn every_screen_of_the_documents_table_is_reached_as_it_says(
    journey: &Journey,
) -> Result<()> {
    let browser = &journey.browser;
    begin(journey).await?;
    follow(journey, "Cancelled").await?;
    browser.wait_for_screen("failed").await?;

    pick(journey, "Fresh", "healthy").await?;
    browser.press_named("give-up").await?;
    browser.wait_for_screen("gave-up").await?;

    // The hospital's own error, and no login there.
    for (act, screen) in [("saw-error", "error-page"), ("no-login", "no-login")] {
        reach_sign_in(journey, "Fresh", "healthy").await?;
        if act == "saw-error" {
            browser.press_named("own-error").await?;
            browser.wait_for_screen("demo-error").await?;
        }
        browser.back().await?;
        browser.wait_for_screen("returned").await?;
        browser.press_named(act).await?;
        browser.wait_for_screen(screen).await?;
    }
    browser.open(&page(journey, "hospital.html")).await?;
    browser.wait_for_screen("demo-no-sign-in").await?;

    reach_person(journey, "Fresh", "healthy", "few").await?;
    browser.press_named("not-me").await?;
    browser.wait_for_screen("not-me").await?;

    reach_person(journey, "Fresh", "narrowed", "kinds").await?;
    browser.press_named("yes-me").await?;
    browser.wait_for_screen("grants").await?;
    browser.press_named("go-on").await?;
    browser.wait_until_settled().await?.expect_screen("done")?;
    follow(journey, "Fresh").await?;
    browser.wait_for_screen("welcome").await?;

    reach_import(journey, "Fresh", "slow", "few").await?;
    browser.wait_for_screen("importing").await?;
    browser.press_named("stop").await?;
    browser
        .wait_until_settled()
        .await?
        .expect_screen("stopped")?;

    connect(journey, "Fresh", "odd", "kinds")
        .await?
        .expect_screen("partly")?;
    follow(journey, "Fresh").await?;
    browser.wait_for_screen("connections").await?;

    open_start(journey).await?;
    browser.click("input[name=reviews]").await?;
    reach_import(journey, "Fresh", "healthy", "few").await?;
    browser.wait_for_screen("review").await?;
    browser.press_named("send").await?;
    browser.wait_until_settled().await?.expect_screen("done")?;

    let seen: Vec<String> = browser
        .evaluate("return JSON.parse(sessionStorage.getItem('journey:screens'))")
        .await?;
    let mut listed = screens_of_the_document()?;
    ensure!(listed.len() > 20, "expected a table, found {listed:?}");
    listed.retain(|name| !seen.contains(name));
    ensure!(
        listed.is_empty(),
        "not reached: {listed:?}; reached: {seen:?}"
    );
    nothing_was_sent(journey).await
}

async fn each_link_ends_as_it_says(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    let document = include_str!("../../../../docs/test-mode.md");
    begin(journey).await?;
    for invitation in &INVITATIONS {
        let row = format!("| `{}` | `", invitation.name);
        let Some((_, rest)) = document.split_once(&row) else {
            // One that works.
            follow(journey, invitation.name).await?;
            browser.wait_for_screen("choosing").await?;
            continue;
        };
        let (code, _) = rest.split_once('`').context("a code")?;
        follow(journey, invitation.name).await?;
        browser.wait_for_state(State::Failed, Some(code)).await?;
    }
    let screen = connect(journey, "Busy", "healthy", "few").await?;
    screen.expect_done()?;
    let screen = connect(journey, "SignedOut", "healthy", "large").await?;
    screen.expect_code("jhe.session_expired")?;
    nothing_was_sent(journey).await
}

async fn a_hospital_that_no_page_may_read_is_told_before_the_patient_leaves(
    journey: &Journey,
) -> Result<()> {
    begin(journey).await?;
    pick(journey, "Fresh", "cors").await?;
    let screen = journey.browser.wait_for_screen("failed").await?;
    screen.expect_code("discovery.unreachable")?;
    ensure!(
        screen.offers("another-hospital"),
        "expected another way, found {screen}"
    );
    nothing_was_sent(journey).await
}

async fn another_person_than_before_is_asked_about(journey: &Journey) -> Result<()> {
    begin(journey).await?;
    let usual = reach_person(journey, "Fresh", "healthy", "few").await?;
    let other = reach_person(journey, "Fresh", "person", "few").await?;
    let child = reach_person(journey, "Fresh", "healthy", "child").await?;
    usual.expect_texts(&["Alex Sample"])?;
    child.expect_texts(&["Kim Sample"])?;
    ensure!(
        usual.text.len() < other.text.len() && usual.text.len() < child.text.len(),
        "expected a word of warning, found {other} and {child}"
    );
    nothing_was_sent(journey).await
}

async fn a_busy_hospital_is_waited_for(journey: &Journey) -> Result<()> {
    begin(journey).await?;
    let screen = connect(journey, "Fresh", "busy", "few").await?;
    told_all(&screen, Persona::named("few").context("a persona")?)?;
    nothing_was_sent(journey).await
}

async fn where_access_expires_the_patient_signs_in_again_and_gets_the_rest(
    journey: &Journey,
) -> Result<()> {
    let persona = Persona::named("kinds").context("a persona")?;
    let browser = &journey.browser;
    begin(journey).await?;
    let screen = connect(journey, "Fresh", "expiring", persona.name).await?;
    ensure!(
        screen.offers("sign-in-again"),
        "expected another sign-in, found {screen}"
    );
    browser
        .leaves_by(async || browser.press_named("sign-in-again").await)
        .await?;
    agree_as(journey, persona.name).await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_done()?;
    ensure!(
        stored(journey).await? == persona.total(),
        "expected each record once"
    );
    nothing_was_sent(journey).await
}

async fn who_signs_in_again_as_somebody_else_is_stopped(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    begin(journey).await?;
    connect(journey, "Fresh", "expiring", "kinds").await?;
    browser
        .leaves_by(async || browser.press_named("sign-in-again").await)
        .await?;
    agree_as(journey, "few").await?;
    let screen = browser.wait_until_settled().await?;
    screen.expect_code("callback.other_patient")?;
    nothing_was_sent(journey).await
}

async fn a_chart_of_another_participant_is_not_copied(journey: &Journey) -> Result<()> {
    begin(journey).await?;
    let screen = connect(journey, "Fresh", "healthy", "taken").await?;
    screen.expect_code("identifier.conflict")?;
    ensure!(stored(journey).await? == 0, "something was stored");
    nothing_was_sent(journey).await
}

/// The notice as screen readers are told of it: a region with a name, and a line that is announced.
async fn expect_notice(journey: &Journey, name: &str, notice: &str) -> Result<()> {
    let told = journey.browser.accessible().await?;
    let is_there =
        |role: &str, name: &str| told.iter().any(|it| it.role == role && it.name == name);
    ensure!(
        is_there("complementary", name),
        "no region {name:?} in {told:#?}"
    );
    ensure!(
        told.iter().any(|it| it.name.contains(notice)),
        "{notice:?} is not told: {told:#?}"
    );
    let first: String = journey
        .browser
        .evaluate("return document.body.innerText.trim().split('\\n')[0]")
        .await?;
    ensure!(
        first == notice,
        "expected the notice first, found {first:?}"
    );
    Ok(())
}

async fn every_page_says_that_nothing_is_real_in_each_language(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    begin(journey).await?;
    expect_notice(journey, "Test mode", NOTICE).await?;
    browser.reload().await?;
    browser.wait_for_screen("demo-start").await?;
    reach_sign_in(journey, "Fresh", "healthy").await?;
    expect_notice(journey, "Test mode", NOTICE).await?;
    agree_as(journey, "few").await?;
    browser.wait_for_screen("person").await?;
    expect_notice(journey, "Test mode", NOTICE).await?;
    browser.click(".jc-language[lang=es]").await?;
    browser.wait_for_text("Alex Sample").await?;
    browser.wait_for_page_text(NOTICE_IN_SPANISH).await?;
    expect_notice(journey, "Modo de prueba", NOTICE_IN_SPANISH).await?;
    browser.press_named("yes-me").await?;
    let screen = browser.wait_until_settled().await?;
    ensure!(
        screen.state == State::Done,
        "expected the end, found {screen}"
    );
    expect_notice(journey, "Modo de prueba", NOTICE_IN_SPANISH).await?;
    // The language stays in the tab, and every other page has it too.
    reach_sign_in(journey, "Fresh", "slow").await?;
    expect_notice(journey, "Modo de prueba", NOTICE_IN_SPANISH).await?;
    browser
        .leaves_by(async || browser.click(".jd-notice .jd-back").await)
        .await?;
    browser.wait_for_screen("demo-start").await?;
    expect_notice(journey, "Modo de prueba", NOTICE_IN_SPANISH).await?;
    let lang: String = browser
        .evaluate("return document.querySelector('.jd-notice').lang")
        .await?;
    ensure!(lang == "es", "the notice is marked as {lang:?}");
    nothing_was_sent(journey).await
}

/// Changes the configuration of a page of the bundle, as a deployer would.
fn configure(journey: &Journey, page: &str, change: impl FnOnce(&mut Value)) -> Result<()> {
    let path = e2e::bundle::bundle()?.join(page);
    let source = std::fs::read_to_string(path)?;
    let (before, rest) = source
        .split_once("id=\"jhe-connect-config\">")
        .context("a configuration")?;
    let (block, after) = rest.split_once("</script>").context("its end")?;
    let mut config: Value = serde_json::from_str(block)?;
    change(&mut config);
    let text = format!("{before}id=\"jhe-connect-config\">{config}</script>{after}");
    let mut world = journey.world();
    world
        .static_files
        .insert(format!("jhe-connect/{page}"), text.into());
    Ok(())
}

async fn the_notice_is_there_whatever_the_configuration_says(journey: &Journey) -> Result<()> {
    configure(journey, "demo/connect.html", |config| {
        *config = json!({
            "demo": {}, "notice": false, "language": "es", "confirmPatient": false,
            "study": {"accent": "#ffd23f", "name": "Un estudio"},
        });
    })?;
    begin(journey).await?;
    follow(journey, "Fresh").await?;
    journey.browser.wait_for_screen("choosing").await?;
    expect_notice(journey, "Modo de prueba", NOTICE_IN_SPANISH).await?;
    nothing_was_sent(journey).await
}

async fn the_pages_of_the_test_mode_are_accessible(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    for circumstances in [
        Circumstances::default(),
        Circumstances {
            device: Device::NARROW,
            language: Language::Spanish,
            ..Circumstances::default()
        },
    ] {
        browser.emulate(circumstances).await?;
        begin(journey).await?;
        browser.expect_no_violations().await?;
        reach_sign_in(journey, "Fresh", "healthy").await?;
        browser.expect_no_violations().await?;
        let is_too_wide: bool = browser
            .evaluate("return document.documentElement.scrollWidth > document.documentElement.clientWidth")
            .await?;
        ensure!(!is_too_wide, "the sign-in is wider than the screen");
        browser.press_named("own-error").await?;
        browser.wait_for_screen("demo-error").await?;
        browser.expect_no_violations().await?;
        let screen = connect(journey, "Fresh", "healthy", "few").await?;
        ensure!(
            screen.state == State::Done,
            "expected the end, found {screen}"
        );
        browser.expect_no_violations().await?;
    }
    nothing_was_sent(journey).await
}

async fn a_hospital_can_be_named_by_the_configuration(journey: &Journey) -> Result<()> {
    for page in ["demo/connect.html", "demo/callback.html"] {
        configure(journey, page, |config| {
            config["demo"] = json!({"hospital": "odd"});
            config["deployment"] = json!("mychart");
        })?;
    }
    begin(journey).await?;
    follow(journey, "Fresh").await?;
    journey.browser.press_named("continue").await?;
    agree_as(journey, "few").await?;
    journey.browser.press_named("yes-me").await?;
    let screen = journey.browser.wait_until_settled().await?;
    screen.expect_screen("partly")?;
    let labs = Persona::named("few").context("a persona")?.counts[7];
    ensure!(
        stored(journey).await? == labs - 1,
        "expected all labs but the odd one"
    );
    nothing_was_sent(journey).await
}

/// No file of the test mode was asked for, but these.
fn no_file_of_it(journey: &Journey, but: &[&str]) -> Result<()> {
    let log = journey.world().request_log().to_vec();
    let of_it = log.iter().find(|request| {
        request.target.contains("demo") && !but.iter().any(|name| request.target.contains(name))
    });
    ensure!(
        of_it.is_none(),
        "a file of the test mode was asked for: {of_it:?}"
    );
    Ok(())
}

async fn no_file_of_it_is_asked_for(journey: &Journey) -> Result<()> {
    journey.connect().await?.expect_done()?;
    no_file_of_it(journey, &[])
}

async fn a_live_page_refuses_the_test_mode_and_does_not_load_it(journey: &Journey) -> Result<()> {
    for demo in [json!(true), json!({}), json!({"hospital": "slow"})] {
        configure(journey, "index.html", |config| config["demo"] = demo)?;
        let address = format!("{}/static/jhe-connect/index.html", journey.sandbox.jhe());
        journey.browser.open(&address).await?;
        let screen = journey
            .browser
            .wait_for_state(State::Failed, Some("config.demo_refused"))
            .await?;
        ensure!(
            screen.folded.contains("clientId"),
            "expected what is wrong, found {screen}"
        );
    }
    no_file_of_it(journey, &[])
}

async fn a_page_of_the_test_mode_with_live_values_is_refused_and_does_not_load_it(
    journey: &Journey,
) -> Result<()> {
    for name in ["iss", "clientId", "dataSourceId"] {
        for page_name in ["connect.html", "callback.html"] {
            configure(journey, &format!("demo/{page_name}"), |config| {
                config[name] = json!("7")
            })?;
            journey.browser.open(&page(journey, page_name)).await?;
            let code = match page_name {
                "connect.html" => "config.demo_refused",
                // It looks first whether anybody has signed in.
                _ => "callback.nothing_pending",
            };
            journey
                .browser
                .wait_for_state(State::Failed, Some(code))
                .await?;
        }
    }
    no_file_of_it(
        journey,
        &[
            "demo/connect.html",
            "demo/callback.html",
            "demo.js",
            "demo.css",
        ],
    )
}

async fn nothing_in_a_pages_address_turns_it_on(journey: &Journey) -> Result<()> {
    let link = format!("{}&demo=true#demo", journey.link());
    journey.browser.open(&link).await?;
    journey.browser.wait_for_login_form().await?;
    no_file_of_it(journey, &["demo=true"])
}

/// A server that ends with the journey.
struct Served {
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        // It fails only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the command that the document gives, on a port that is free.
fn served_as_documented() -> Result<Served> {
    const COMMAND: &str = "python3 -m http.server 8000 --directory dist";
    let document = include_str!("../../../../docs/test-mode.md");
    ensure!(
        document.contains(COMMAND),
        "the document has another command"
    );
    let mut words = COMMAND
        .split(' ')
        .map(|word| if word == "8000" { "0" } else { word });
    let mut command = Command::new(words.next().context("a program")?);
    let bundle = e2e::bundle::bundle()?;
    let workspace = bundle.parent().context("the folder of the bundle")?;
    let mut child = command
        .args(words)
        .current_dir(workspace)
        .env("PYTHONUNBUFFERED", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("python3 is not installed")?;
    let output = child.stdout.take().context("no output")?;
    let mut told = String::new();
    BufReader::new(output).read_line(&mut told)?;
    let port = told.split(' ').skip_while(|word| *word != "port").nth(1);
    let address = format!("http://localhost:{}/demo/", port.context("no port")?);
    Ok(Served { child, address })
}

async fn served_by_the_documents_command_it_works_without_any_other_server(
    journey: &Journey,
) -> Result<()> {
    let browser = &journey.browser;
    let served = served_as_documented()?;
    browser.answer_by_hand().await?;
    browser.open(&served.address).await?;
    browser.wait_for_screen("demo-start").await?;
    browser
        .leaves_by(async || browser.click("[data-jd-link=Fresh]").await)
        .await?;
    browser.tap_hospital(HOSPITALS[0].title).await?;
    browser.press_named("continue").await?;
    agree_as(journey, "few").await?;
    browser.press_named("yes-me").await?;
    let screen = browser.wait_until_settled().await?;
    told_all(&screen, Persona::named("few").context("a persona")?)?;
    let requested: Vec<String> = browser
        .evaluate(
            "return performance.getEntriesByType('resource').map((it) => new URL(it.name).origin)",
        )
        .await?;
    let own = Url::parse(&served.address)?.origin().ascii_serialization();
    ensure!(
        !requested.is_empty() && requested.iter().all(|origin| *origin == own),
        "expected files of {own} only, found {requested:?}"
    );
    ensure!(
        journey.world().request_log().is_empty(),
        "the stand-in servers were asked for something"
    );
    Ok(())
}

async fn what_is_forgotten_is_gone(journey: &Journey) -> Result<()> {
    begin(journey).await?;
    connect(journey, "Fresh", "healthy", "few")
        .await?
        .expect_done()?;
    ensure!(stored(journey).await? > 0, "nothing was stored");
    journey.browser.press_named("forget-all").await?;
    journey.browser.wait_for_text("holds no records").await?;
    ensure!(stored(journey).await? == 0, "something is left");
    ensure!(HOSPITALS.len() == 8, "the first page lists the hospitals");
    nothing_was_sent(journey).await
}
