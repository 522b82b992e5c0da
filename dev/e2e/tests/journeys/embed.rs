//! The journey in pages of others: the element, the functions, and what the page around is told. The pages are the examples of
//! `docs/embedding.md`; every event is held to the contract.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::browser::{Glance, Habits, Screen, State, Storage};
use e2e::bundle::workspace;
use e2e::journey::{CAMILA, Journey, pages, run_with, writes};
use e2e::journeys;
use e2e::portal::{self, CALLER};
use e2e::told::{self, Told, expect_contract};
use sandbox::{Fault, Layout, SECOND_PATIENT, Server};
use serde_json::{Value, json};

journeys!(
    both_layouts: [
        our_own_pages_tell_the_page_around_as_well,
    ],
    drop_in: [
        an_element_in_somebodys_page_carries_a_patient_through,
        a_framework_makes_the_element_takes_it_away_and_makes_it_again,
        a_strict_policy_with_trusted_types_is_kept,
        a_second_element_says_that_one_is_open,
        an_element_that_is_moved_goes_on,
        an_element_in_a_shadow_tree_is_dressed_and_heard,
        functions_do_what_the_element_does,
        an_element_that_is_taken_away_copies_no_more,
        a_configuration_that_can_not_be_read_is_explained,
        a_reload_and_the_way_to_the_hospital_are_one_session,
        a_finished_page_that_is_loaded_again_ends_nothing_twice,
        another_invitation_ends_the_session_before,
        a_way_on_is_a_session_of_its_own,
        a_network_that_comes_back_is_a_way_on_too,
        a_no_at_the_hospital_is_cancelled,
        a_tab_that_is_restored_goes_on_with_its_session,
        what_can_not_be_loaded_has_failed,
    ],
);

#[test]
fn without_storage_each_page_is_told_of_all_the_same() {
    let habits = Habits {
        storage: Storage::Blocked,
        ..Habits::default()
    };
    run_with(Layout::DropIn, habits, async |journey: &Journey| {
        open(journey).await?;
        let told = end(journey, "failed", Some("browser.storage_blocked")).await?;
        ensure!(told.len() > 1 && told[0].name == "jhe-connect:ready");
        Ok(())
    });
}

/// Opens the manual's pages with an invitation.
async fn open(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    told::keep(&journey.browser).await?;
    journey.browser.open(&portal::host_pages(journey)?).await
}

/// The same, up to the hospital's login form.
async fn reach_login(journey: &Journey) -> Result<()> {
    open(journey).await?;
    journey.browser.wait_for_login_form().await
}

/// The last session ended like this; gives all that was told, which is as it must be.
async fn end(journey: &Journey, outcome: &str, code: Option<&str>) -> Result<Vec<Told>> {
    let told = told::until_the_end(&journey.browser).await?;
    expect_contract(&told, Some(CALLER))?;
    let last = told.last().context("nothing was told")?;
    ensure!(
        last.name == format!("jhe-connect:{outcome}") && last.text("code") == code,
        "expected {outcome} with {code:?}, found\n{}",
        told::in_short(&told)
    );
    Ok(told)
}

/// The sessions, in their order.
fn sessions(told: &[Told]) -> Vec<String> {
    let mut sessions: Vec<String> = Vec::new();
    for event in told {
        if !sessions.iter().any(|known| known == event.session()) {
            sessions.push(event.session().to_owned());
        }
    }
    sessions
}

/// Names and screens, in their order, without progress.
fn steps(told: &[Told]) -> Vec<String> {
    let mut steps = Vec::new();
    for event in told {
        let name = event.name.trim_start_matches("jhe-connect:");
        match (name, event.text("screen")) {
            ("progress", _) => {}
            ("step", Some(screen)) => steps.push(screen.to_owned()),
            (name, _) => steps.push(name.to_owned()),
        }
    }
    steps
}

async fn an_element_in_somebodys_page_carries_a_patient_through(journey: &Journey) -> Result<()> {
    open(journey).await?;
    journey.agree_as(CAMILA).await?;
    journey.browser.wait_until_settled().await?.expect_done()?;
    ensure!(journey.rows().len() == 3, "found {}", journey.rows().len());

    let told = end(journey, "complete", None).await?;
    let all = [
        "ready",
        "checking",
        "sharing",
        "leaving",
        "ready",
        "finishing",
        "person",
        "preparing",
        "importing",
        "complete",
    ];
    ensure!(steps(&told) == all, "found {:?}", steps(&told));
    let counts = told.iter().rfind(|it| it.name == "jhe-connect:progress");
    let counts = counts.context("no progress")?;
    ensure!(
        counts.detail["done"] == 3 && counts.detail["all"] == 3,
        "found {}",
        counts.in_short()
    );
    // What the manual's script writes.
    let expected = format!("{CALLER}: complete, session {}", told[0].session());
    ensure!(
        journey.browser.page_text().await?.contains(&expected),
        "expected {expected}"
    );
    nothing_about_the_patient_is_told(journey, &told)
}

/// Neither who it is, nor which hospital, nor what is in the record.
fn nothing_about_the_patient_is_told(journey: &Journey, told: &[Told]) -> Result<()> {
    let mut details = String::new();
    for event in told {
        details.push_str(&Value::from(event.detail.clone()).to_string());
    }
    let records: Vec<Value> = (journey.labs_of(CAMILA).iter())
        .map(|record| serde_json::from_str(record))
        .collect::<Result<_, _>>()?;
    let id = journey.patient_id(CAMILA);
    let mut secrets = vec![journey.invitation.clone(), id, journey.sandbox.iss()];
    for name in [
        "Camila",
        "Lopez",
        "MyChart",
        "Labs",
        "Observation",
        "Hemoglobin",
    ] {
        secrets.push(name.to_owned());
    }
    secrets.extend(
        records
            .iter()
            .filter_map(|it| it["id"].as_str().map(str::to_owned)),
    );
    for secret in secrets {
        ensure!(!details.contains(&secret), "{secret} is told: {details}");
    }
    Ok(())
}

// Pages of others.

/// A page of Preact around the element, as the manual shows it, for both pages of the journey.
fn preact_pages(journey: &Journey) -> Result<Vec<(String, String)>> {
    let library = |file: &str| {
        let file = workspace()
            .join("target/tools/node_modules/preact")
            .join(file);
        fs::read_to_string(&file).with_context(|| format!("{}: cargo xtask setup", file.display()))
    };
    let mut files = vec![
        ("preact.js".to_owned(), library("dist/preact.umd.js")?),
        ("hooks.js".to_owned(), library("hooks/dist/hooks.umd.js")?),
        ("app.js".to_owned(), portal::example("app.js")?),
    ];
    for page in ["connect", "callback"] {
        let value = json!({ "page": page, "settings": portal::settings(journey) });
        files.push((
            format!("{page}-settings.js"),
            format!("window.portal = {value};"),
        ));
        let scripts: String = [
            "jhe-connect",
            "preact",
            "hooks",
            &format!("{page}-settings"),
            "app",
        ]
        .iter()
        .map(|name| format!("<script src=\"{name}.js\" defer></script>"))
        .collect();
        let text = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>App</title>{scripts}<body></body></html>"
        );
        files.push((format!("{page}.html"), text));
    }
    Ok(files)
}

async fn a_framework_makes_the_element_takes_it_away_and_makes_it_again(
    journey: &Journey,
) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    told::keep(browser).await?;
    journey.answer_by_hand().await?;
    let connect = portal::host(journey, preact_pages(journey)?)?;
    browser.open(&portal::invited(journey, &connect)?).await?;
    browser.wait_for_screen("sharing").await?;
    browser.click("#toggle").await?;
    let told = end(journey, "cancelled", Some("embed.removed")).await?;
    ensure!(told.last().and_then(|it| it.text("step")) == Some("agree"));

    browser.click("#toggle").await?;
    browser.wait_for_screen("sharing").await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    browser.wait_until_settled().await?.expect_done()?;
    let told = end(journey, "complete", None).await?;
    let sessions = sessions(&told);
    ensure!(sessions.len() == 2, "found {}", told::in_short(&told));
    let text = browser.page_text().await?;
    ensure!(
        text.contains(&format!("jhe-connect:complete {}", sessions[1])),
        "found {text}"
    );

    // What has ended can be taken away without a word.
    browser.click("#toggle").await?;
    browser.click("#toggle").await?;
    let again = told::until(browser, "the page to begin again", |told| {
        told.len() > again_from(told)
    })
    .await?;
    ensure!(again.last().and_then(|it| it.text("ended")) == Some("complete"));
    expect_contract(&again, Some(CALLER))
}

/// Behind the last end.
fn again_from(told: &[Told]) -> usize {
    told.iter()
        .rposition(Told::is_end)
        .map_or(0, |last| last + 1)
}

async fn a_strict_policy_with_trusted_types_is_kept(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    told::keep(&journey.browser).await?;
    let policy = portal::example("policy")?;
    let policy = policy
        .trim()
        .replace("https://fhir.hospital.example", journey.sandbox.ehr());
    let meta = format!("<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">");
    let mut files = portal::pages(&portal::settings(journey))?;
    for (_, text) in files.iter_mut().filter(|(name, _)| name.ends_with(".html")) {
        *text = text.replace(
            "<meta charset=\"utf-8\">",
            &format!("<meta charset=\"utf-8\">{meta}"),
        );
        ensure!(
            text.contains("require-trusted-types-for"),
            "the page has no policy"
        );
    }
    let connect = portal::host(journey, files)?;
    journey
        .browser
        .open(&portal::invited(journey, &connect)?)
        .await?;
    journey.agree_as(CAMILA).await?;
    journey.browser.wait_until_settled().await?.expect_done()?;
    end(journey, "complete", None).await.map(drop)
    // What was violated would be found by the watch.
}

async fn a_second_element_says_that_one_is_open(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    open(journey).await?;
    browser.wait_for_screen("sharing").await?;
    let () = browser
        .evaluate(
            "const second = document.querySelector('jhe-connect').cloneNode();
             second.id = 'second';
             second.caller = 'another';
             document.body.append(second);",
        )
        .await?;
    let told = told::until_the_end(browser).await?;
    let last = told.last().context("nothing")?;
    ensure!(
        last.name == "jhe-connect:failed"
            && last.text("code") == Some("embed.already_open")
            && last.text("caller") == Some("another"),
        "found {}",
        told::in_short(&told)
    );
    let said = "return document.getElementById('second').innerText";
    let said = browser
        .until("an explanation", async || {
            let text: String = browser.evaluate(said).await?;
            Ok(match text.contains("This is open already") {
                true => Glance::Seen(text),
                false => Glance::NotYet,
            })
        })
        .await?;
    ensure!(said.contains("Please go on there"), "found {said}");

    // The first one goes on.
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    browser.wait_until_settled().await?.expect_done()?;
    let told = told::until_the_end(browser).await?;
    let first: Vec<Told> = (told.iter())
        .filter(|it| it.text("caller") == Some(CALLER))
        .cloned()
        .collect();
    expect_contract(&first, Some(CALLER))?;
    let second: Vec<Told> = (told.iter())
        .filter(|it| it.text("caller") == Some("another"))
        .cloned()
        .collect();
    expect_contract(&second, Some("another"))?;
    ensure!(sessions(&first).len() == 1 && second.len() == 2);
    Ok(())
}

async fn an_element_that_is_moved_goes_on(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    open(journey).await?;
    browser.wait_for_screen("sharing").await?;
    let () = browser
        .evaluate(
            "const element = document.querySelector('jhe-connect');
             const place = document.createElement('section');
             document.body.append(place);
             place.append(element);
             element.caller = 'too late';
             element.config = { clientId: 'too late' };",
        )
        .await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    let told = end(journey, "complete", None).await?;
    ensure!(
        sessions(&told).len() == 1,
        "found {}",
        told::in_short(&told)
    );
    Ok(())
}

async fn an_element_in_a_shadow_tree_is_dressed_and_heard(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    told::keep(browser).await?;
    let mut files = portal::pages(&portal::settings(journey))?;
    files[0].1 = files[0].1.replace(
        "<jhe-connect page=\"connect\" config=\"#settings\"",
        "<p hidden",
    );
    let connect = portal::host(journey, files)?;
    journey.answer_by_hand().await?;
    browser.open(&portal::invited(journey, &connect)?).await?;
    let () = browser
        .evaluate(&format!(
            "const host = document.createElement('div');
             document.body.append(host);
             const element = document.createElement('jhe-connect');
             element.setAttribute('config', '#settings');
             element.setAttribute('caller', '{CALLER}');
             host.attachShadow({{ mode: 'open' }}).append(element);
             window.inTheShadow = element;"
        ))
        .await?;
    told::until(browser, "what will be shared", |told| {
        told.last().and_then(|it| it.text("screen")) == Some("sharing")
    })
    .await?;
    // The colour of a button is the style sheet's.
    let colour = browser
        .until("a style", async || {
            let colour: String = browser
                .evaluate("return getComputedStyle(inTheShadow.querySelector('.jc-first')).backgroundColor")
                .await?;
            Ok(match colour == "rgb(11, 92, 138)" {
                true => Glance::Seen(colour),
                false => Glance::NotYet,
            })
        })
        .await;
    colour.context("the button is not dressed")?;
    let () = browser
        .evaluate("inTheShadow.querySelector('[data-jc-action=give-up]').click()")
        .await?;
    end(journey, "cancelled", None).await.map(drop)
}

async fn functions_do_what_the_element_does(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    told::keep(browser).await?;
    journey.answer_by_hand().await?;
    let mut files = portal::pages(&portal::settings(journey))?;
    let mut settings = portal::settings(journey);
    settings["caller"] = CALLER.into();
    for (page, function) in [("connect", "start"), ("callback", "finish")] {
        let call = format!(
            "const host = document.getElementById('host'); jheConnect.{function}(host, {settings}); jheConnect.{function}(host, {settings});"
        );
        files.push((format!("{page}-call.js"), call));
        let text = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Page</title><div id=\"host\"></div><script src=\"jhe-connect.js\"></script><script src=\"{page}-call.js\"></script></html>"
        );
        files.push((format!("{page}.html"), text));
    }
    let connect = portal::host(journey, files)?;
    browser.open(&portal::invited(journey, &connect)?).await?;
    browser.wait_for_screen("sharing").await?;
    let redeemed = journey
        .requests(Server::Jhe, "POST", "/api/v1/invitation/")
        .len();
    ensure!(redeemed == 1, "it began {redeemed} times");
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.return_as(CAMILA).await?;
    browser.wait_for_screen("person").await?;
    let () = browser
        .evaluate("document.getElementById('host').remove()")
        .await?;
    end(journey, "cancelled", Some("embed.removed"))
        .await
        .map(drop)
}

async fn an_element_that_is_taken_away_copies_no_more(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    told::keep(browser).await?;
    journey.world().give_labs(CAMILA.user, 40);
    journey.fail(writes().after(3), Fault::Delay { millis: 300 });
    browser.open(&portal::host_pages(journey)?).await?;
    journey.agree_as(CAMILA).await?;
    journey.rows_reach(3).await?;
    let take_away = "window.taken = document.querySelector('jhe-connect'); taken.remove();";
    let () = browser.evaluate(take_away).await?;
    end(journey, "cancelled", Some("embed.removed")).await?;
    // Nobody sees it, but it comes to rest.
    let screen = "return taken.querySelector('[data-jhe-connect-screen]').dataset.jheConnectScreen";
    browser
        .until("the copying to stop", async || {
            let screen: String = browser.evaluate(screen).await?;
            Ok(match screen.as_str() {
                "stopped" => Glance::Seen(()),
                "done" => Glance::Never("all was copied".to_owned()),
                _ => Glance::NotYet,
            })
        })
        .await?;
    let sent = (journey.requests(Server::Jhe, "POST", "/FHIR/R5/Observation")).len();
    ensure!(sent < 40, "all were sent");
    expect_contract(&told::so_far(browser).await?, Some(CALLER))
}

async fn a_configuration_that_can_not_be_read_is_explained(journey: &Journey) -> Result<()> {
    told::keep(&journey.browser).await?;
    let mut files = portal::pages(&portal::settings(journey))?;
    files[0].1 = files[0]
        .1
        .replace("config=\"#settings\"", "config=\"#nowhere\"");
    let connect = portal::host(journey, files)?;
    journey
        .browser
        .open(&portal::invited(journey, &connect)?)
        .await?;
    let screen = journey.browser.wait_until_settled().await?;
    ensure!(
        screen
            .code
            .as_deref()
            .is_some_and(|code| code.starts_with("config.")),
        "{screen}"
    );
    let told = told::until_the_end(&journey.browser).await?;
    expect_contract(&told, Some(CALLER))
}

// Our own pages.

async fn our_own_pages_tell_the_page_around_as_well(journey: &Journey) -> Result<()> {
    journey.has_a_short_chart();
    told::keep(&journey.browser).await?;
    journey.connect().await?.expect_done()?;
    let told = told::until_the_end(&journey.browser).await?;
    expect_contract(&told, None)?;
    ensure!(
        told.last().map(|it| it.name.as_str()) == Some("jhe-connect:complete")
            && sessions(&told).len() == 1,
        "found {}",
        told::in_short(&told)
    );
    Ok(())
}

// Sessions.

async fn a_reload_and_the_way_to_the_hospital_are_one_session(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    open(journey).await?;
    browser.wait_for_screen("sharing").await?;
    browser.reload().await?;
    browser.wait_for_screen("sharing").await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    browser.back().await?;
    browser.wait_for_screen("returned").await?;
    browser.press_named("try-again").await?;
    browser.wait_for_screen("sharing").await?;
    browser.press_named("continue").await?;
    browser.wait_for_login_form().await?;
    journey.return_as(CAMILA).await?;
    browser.wait_for_screen("person").await?;
    browser.reload().await?;
    browser.press_named("yes-me").await?;
    let told = end(journey, "complete", None).await?;
    ensure!(
        sessions(&told).len() == 1,
        "found {}",
        told::in_short(&told)
    );
    Ok(())
}

async fn a_finished_page_that_is_loaded_again_ends_nothing_twice(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    reach_login(journey).await?;
    journey.agree_as(CAMILA).await?;
    let before = end(journey, "complete", None).await?;
    browser.reload().await?;
    browser.wait_until_settled().await?.expect_done()?;
    let told = told::so_far(browser).await?;
    expect_contract(&told, Some(CALLER))?;
    ensure!(
        told.len() == before.len() + 1,
        "found {}",
        told::in_short(&told)
    );
    let last = told.last().context("nothing")?;
    ensure!(
        last.text("ended") == Some("complete"),
        "found {}",
        last.in_short()
    );
    Ok(())
}

async fn another_invitation_ends_the_session_before(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    open(journey).await?;
    browser.wait_for_screen("sharing").await?;
    let address = browser.address().await?;
    let other = journey.world().mint_invitation(SECOND_PATIENT);
    let other = address.as_str().replace(&journey.invitation, &other);
    browser.open(&other).await?;
    browser.wait_for_screen("sharing").await?;
    browser.press_named("give-up").await?;
    let told = end(journey, "cancelled", None).await?;
    ensure!(
        steps(&told)
            == [
                "ready",
                "checking",
                "sharing",
                "cancelled",
                "ready",
                "checking",
                "sharing",
                "cancelled"
            ],
        "found {}",
        told::in_short(&told)
    );
    let superseded = told.iter().find(|it| it.is_end()).context("no end")?;
    ensure!(superseded.text("code") == Some("embed.superseded"));
    ensure!(superseded.text("step") == Some("agree"));

    // After the end the same invitation is another session.
    browser.open(&other).await?;
    browser.wait_for_screen("sharing").await?;
    browser.press_named("give-up").await?;
    let told = told::until(browser, "a third session", |told| {
        sessions(told).len() == 3 && told.last().is_some_and(Told::is_end)
    })
    .await?;
    expect_contract(&told, Some(CALLER))?;
    ensure!(
        told.last()
            .is_some_and(|it| it.detail["continues"].is_null())
    );
    Ok(())
}

async fn a_way_on_is_a_session_of_its_own(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.fail(pages(), Fault::DropConnection);
    reach_login(journey).await?;
    journey.agree_as(CAMILA).await?;
    let first = end_of(journey, |end| end.detail["canGoOn"] == true).await?;
    journey.world().clear_faults();
    browser.press_named("try-again").await?;
    let told = second_end(journey).await?;
    let last = told.last().context("nothing")?;
    ensure!(
        last.name == "jhe-connect:complete" && last.text("continues") == Some(first.session()),
        "found {}",
        told::in_short(&told)
    );
    Ok(())
}

async fn second_end(journey: &Journey) -> Result<Vec<Told>> {
    let told = told::until(&journey.browser, "the end of the second session", |told| {
        sessions(told).len() == 2 && told.last().is_some_and(Told::is_end)
    })
    .await?;
    expect_contract(&told, Some(CALLER))?;
    Ok(told)
}

async fn a_network_that_comes_back_is_a_way_on_too(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    told::keep(browser).await?;
    journey.world().give_labs(CAMILA.user, 8);
    journey.fail(writes().after(3), Fault::Delay { millis: 1_000 });
    browser.open(&portal::host_pages(journey)?).await?;
    journey.agree_as(CAMILA).await?;
    journey.rows_reach(3).await?;
    browser.go_offline().await?;
    let first = end_of(journey, |end| end.text("code") == Some("browser.offline")).await?;
    journey.world().clear_faults();
    browser
        .leaves_by(async || browser.go_online().await)
        .await?;
    let told = second_end(journey).await?;
    let last = told.last().context("nothing")?;
    ensure!(
        first.detail["canGoOn"] == true && last.text("continues") == Some(first.session()),
        "found {}",
        told::in_short(&told)
    );
    Ok(())
}

async fn end_of(journey: &Journey, is_so: impl Fn(&Told) -> bool) -> Result<Told> {
    let told = told::until_the_end(&journey.browser).await?;
    expect_contract(&told, Some(CALLER))?;
    let last = told.last().cloned().context("nothing was told")?;
    ensure!(is_so(&last), "found {}", told::in_short(&told));
    Ok(last)
}

async fn a_no_at_the_hospital_is_cancelled(journey: &Journey) -> Result<()> {
    reach_login(journey).await?;
    let browser = &journey.browser;
    browser.sign_in(CAMILA.user, CAMILA.password).await?;
    browser.deny().await?;
    let told = end(journey, "cancelled", Some("authorization.denied")).await?;
    ensure!(told.last().and_then(|it| it.text("step")) == Some("sign-in"));
    browser.reload().await?;
    browser.wait_until_settled().await?;
    let again = told::so_far(browser).await?;
    expect_contract(&again, Some(CALLER))?;
    ensure!(again.last().and_then(|it| it.text("ended")) == Some("cancelled"));
    Ok(())
}

async fn a_tab_that_is_restored_goes_on_with_its_session(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.answer_by_hand().await?;
    reach_login(journey).await?;
    journey.return_as(CAMILA).await?;
    browser.wait_for_screen("person").await?;
    restore(journey).await?;
    browser.press_named("yes-me").await?;
    let told = end(journey, "complete", None).await?;
    ensure!(
        sessions(&told).len() == 1,
        "found {}",
        told::in_short(&told)
    );
    Ok(())
}

/// Closes the tab, and restores it as a browser does: another one, with the same address and the same sessionStorage.
pub(crate) async fn restore(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    let address = browser.address().await?;
    // A page of the same origin that is none of ours: at no time are there two tabs with the journey.
    let elsewhere = format!("{}/static/portal/portal.js", journey.sandbox.jhe());
    browser.open(&elsewhere).await?;
    browser.duplicate_tab(&elsewhere).await?;
    told::keep(browser).await?;
    browser.look_at_tab(0).await?;
    browser.close_tab().await?;
    browser.open(address.as_str()).await
}

async fn what_can_not_be_loaded_has_failed(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    browser.prepare_pages("delete window.WebAssembly;").await?;
    open(journey).await?;
    let screen: Screen = browser.wait_until_settled().await?;
    ensure!(screen.state == State::Failed, "{screen}");
    let told = end(journey, "failed", Some("browser.no_webassembly")).await?;
    ensure!(
        steps(&told) == ["ready", "failed"],
        "{}",
        told::in_short(&told)
    );
    Ok(())
}
