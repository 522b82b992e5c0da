//! The patient picks a hospital from JHE's list.

use anyhow::{Context, Result, ensure};
use e2e::access_journeys;
use e2e::browser::{Accessible, Glance, Key, State};
use e2e::journey::{CAMILA, Journey, Page};
use sandbox::{Fault, LoggedRequest, Match, Server};
use serde_json::{Value, json};
use url::form_urlencoded;

access_journeys!(
    drop_in: [
        a_hospital_is_picked_with_the_keys_and_its_base_stays_as_it_is,
        a_hospital_is_picked_by_a_tap,
        a_late_answer_to_an_earlier_question_changes_nothing,
        who_finds_no_hospital_is_told_so_and_may_search_again,
        a_list_that_fails_is_told_and_asked_for_again,
        a_session_that_is_over_is_not_told_as_no_hospital,
        what_to_do_without_the_own_hospital_is_reached_with_the_keys,
        what_was_typed_is_there_again_on_the_way_back_and_after_a_reload,
        nothing_of_the_search_is_kept_in_a_storage_or_an_address,
        assistive_technology_is_told_what_everything_is_and_how_it_is_called,
        a_hospital_that_is_named_in_markup_is_shown_as_text,
    ],
    plain_picked: [
        a_hospital_is_picked_with_the_keys_and_its_base_stays_as_it_is,
        a_hospital_is_picked_by_a_tap,
        a_list_that_fails_is_told_and_asked_for_again,
        a_session_that_is_over_is_not_told_as_no_hospital,
        what_was_typed_is_there_again_on_the_way_back_and_after_a_reload,
        assistive_technology_is_told_what_everything_is_and_how_it_is_called,
    ],
    plain_named: [
        a_page_that_names_the_hospital_offers_no_list,
    ],
);

async fn a_hospital_is_picked_with_the_keys_and_its_base_stays_as_it_is(
    journey: &Journey,
) -> Result<()> {
    journey.has_a_short_chart();
    let listed = journey.listed_base();
    ensure!(listed.ends_with('/'), "{listed} has no slash at its end");
    journey.open_invitation().await?;
    journey.browser.search_for("canal").await?;
    journey.browser.hospitals_say("2 hospitals found.").await?;
    journey.browser.press(&[Key::Down, Key::Down]).await?;
    let hospitals = journey.browser.hospitals_now().await?;
    let hospitals = hospitals.context("no list")?;
    ensure!(
        hospitals.marked.as_ref() == hospitals.rows.get(1),
        "expected the second row to be marked, found {hospitals:?}"
    );
    let browser = &journey.browser;
    browser
        .leaves_by(async || browser.press(&[Key::Enter]).await)
        .await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    browser.wait_until_settled().await?.expect_done()?;

    the_base_is_kept(journey, &listed)
}

async fn a_hospital_is_picked_by_a_tap(journey: &Journey) -> Result<()> {
    let hospital = journey.vendor().facility_name();
    journey.open_invitation().await?;
    journey.browser.hospital_is_listed(hospital).await?;
    journey.browser.tap_hospital(hospital).await?;
    journey.browser.wait_for_login_form().await?;
    ensure!(
        audience(journey)? == journey.listed_base(),
        "expected the sign-in to be for {}, found {}",
        journey.listed_base(),
        audience(journey)?
    );
    Ok(())
}

async fn a_late_answer_to_an_earlier_question_changes_nothing(journey: &Journey) -> Result<()> {
    // In this browser nothing can be called back, and the first answer comes when it is let go.
    let deaf = "
        const send = window.fetch;
        window.answers = 0;
        const isLetGo = new Promise((resolve) => { window.letGo = resolve; });
        let isFirst = true;
        window.fetch = async (request, ...rest) => {
            if (!request.url?.includes('/brands?')) return send(request, ...rest);
            const late = isFirst;
            isFirst = false;
            const answer = await send(new Request(request, { signal: null }));
            const whole = new Response(await answer.text(), answer);
            if (late) await isLetGo;
            // WebKit has no idle callbacks.
            (window.requestIdleCallback ?? setTimeout)(() => { window.answers += 1; });
            return whole;
        };";
    journey.browser.prepare_pages(deaf).await?;
    journey.open_invitation().await?;
    journey.browser.search_for("harbor").await?;
    let before = journey.browser.hospitals_say("1 hospital found.").await?;

    let () = journey.browser.evaluate("letGo()").await?;
    let look = async || {
        let answers: usize = journey.browser.evaluate("return answers").await?;
        Ok(if answers == 2 {
            Glance::Seen(())
        } else {
            Glance::NotYet
        })
    };
    journey.browser.until("both answers", look).await?;
    let after = journey.browser.hospitals_now().await?.context("no list")?;
    ensure!(
        after.rows == before.rows && after.status == before.status,
        "expected {before:?}, found {after:?}"
    );
    ensure!(
        after.rows.len() == 1 && after.rows[0].contains("Harbor Light"),
        "expected the hospital that was asked for last, found {after:?}"
    );
    Ok(())
}

async fn who_finds_no_hospital_is_told_so_and_may_search_again(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.open_invitation().await?;
    browser.search_for("Saint Nowhere").await?;
    let none = browser
        .hospitals_say("No hospital found for “Saint Nowhere”.")
        .await?;
    ensure!(
        none.rows.is_empty() && none.trouble.is_empty() && none.is_missing_told,
        "expected to be told what to do without a hospital, found {none:?}"
    );
    ensure!(
        none.missing.contains("the study team can say"),
        "expected the study team to be named, found {none:?}"
    );

    browser.search_for("orchard").await?;
    let found = browser
        .hospital_is_listed("Orchard Street Family Health")
        .await?;
    ensure!(
        !found.is_missing_told,
        "what to do without a hospital stays open: {found:?}"
    );
    browser.pick_by_keys("Orchard Street Family Health").await?;
    browser.wait_for_login_form().await
}

async fn a_list_that_fails_is_told_and_asked_for_again(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.fail(
        brands(),
        Fault::status(500, "text/html", "<h1>Server Error (500)</h1>"),
    );
    journey.open_invitation().await?;
    let failed = browser
        .hospitals_are("trouble", |it| !it.trouble.is_empty())
        .await?;
    ensure!(
        failed
            .trouble
            .starts_with("The list of hospitals did not come")
            && failed.rows.is_empty()
            && !failed.status.contains("No hospital"),
        "expected the list to have failed, found {failed:?}"
    );

    journey.world().clear_faults();
    browser.click(".jc-trouble .jc-action").await?;
    let listed = browser
        .hospital_is_listed(journey.vendor().facility_name())
        .await?;
    ensure!(listed.trouble.is_empty(), "the trouble stays: {listed:?}");
    browser
        .pick_by_keys(journey.vendor().facility_name())
        .await?;
    browser.wait_for_login_form().await
}

async fn a_session_that_is_over_is_not_told_as_no_hospital(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.open_invitation().await?;
    browser
        .hospital_is_listed(journey.vendor().facility_name())
        .await?;
    journey.world().expire_jhe_tokens();
    browser.search_for("canal").await?;
    let screen = browser
        .wait_for_state(State::Failed, Some("jhe.session_expired"))
        .await?;
    screen.expect_texts(&["link in your invitation again"])?;
    let text = browser.page_text().await?;
    ensure!(
        !text.contains("No hospital") && browser.hospitals_now().await?.is_none(),
        "expected no list, found {text}"
    );
    Ok(())
}

async fn what_to_do_without_the_own_hospital_is_reached_with_the_keys(
    journey: &Journey,
) -> Result<()> {
    let browser = &journey.browser;
    journey.open_invitation().await?;
    browser.search_for("canal").await?;
    let listed = browser.hospitals_say("2 hospitals found.").await?;
    ensure!(!listed.is_missing_told, "it is open already: {listed:?}");
    browser.press(&[Key::Tab]).await?;
    let reached: String = browser
        .evaluate("return document.activeElement.innerText")
        .await?;
    ensure!(
        reached == "My hospital is not here",
        "expected to reach what to do without the hospital, found {reached:?}"
    );
    browser.press(&[Key::Enter]).await?;
    let open = browser
        .hospitals_are("what to do without the hospital", |it| it.is_missing_told)
        .await?;
    ensure!(
        open.missing.contains("the study team can say"),
        "expected the study team to be named, found {open:?}"
    );
    Ok(())
}

async fn what_was_typed_is_there_again_on_the_way_back_and_after_a_reload(
    journey: &Journey,
) -> Result<()> {
    let browser = &journey.browser;
    journey.open_invitation().await?;
    browser.search_for("canal side h").await?;
    browser.hospitals_say("2 hospitals found.").await?;
    browser.tap_hospital("Canal Side Hospital").await?;
    browser.wait_for_login_form().await?;

    browser.back().await?;
    is_there_again(journey).await?;
    browser.reload().await?;
    is_there_again(journey).await?;
    browser.tap_hospital("Canal Side Hospital").await?;
    browser.wait_for_login_form().await
}

/// The text that was typed is in the field, and what it finds in the list.
async fn is_there_again(journey: &Journey) -> Result<()> {
    let again = journey
        .browser
        .hospital_is_listed("Canal Side Hospital")
        .await?;
    // Its organisation has it in the name, so that the clinic is found as well.
    ensure!(
        again.query == "canal side h" && again.rows.len() == 2 && !again.is_closed,
        "expected what was typed, found {again:?}"
    );
    Ok(())
}

async fn nothing_of_the_search_is_kept_in_a_storage_or_an_address(journey: &Journey) -> Result<()> {
    let browser = &journey.browser;
    journey.has_a_short_chart();
    journey.open_invitation().await?;
    browser.search_for("canal si").await?;
    browser.hospitals_say("2 hospitals found.").await?;
    let base = journey.sandbox.iss();
    is_kept_nowhere(journey, &["canal", &base]).await?;

    browser.pick_by_keys("Canal Side Hospital").await?;
    browser.wait_for_login_form().await?;
    journey.agree_as(CAMILA).await?;
    browser.wait_until_settled().await?.expect_done()?;
    // The name and the base of the hospital that was picked are kept for the page behind it, and nothing else.
    let take_name = "const name = sessionStorage.getItem('jhe-connect:3:hospital');
        ['hospital', 'issuer', 'visit'].forEach((key) => sessionStorage.removeItem(`jhe-connect:3:${key}`));
        return name;";
    let name: String = browser.evaluate(take_name).await?;
    ensure!(
        name == "Canal Side Hospital",
        "expected the name, found {name:?}"
    );
    is_kept_nowhere(journey, &["canal", &base]).await?;

    // JHE has to be asked. No other address has what was typed, nor does the hospital learn it.
    let log = journey.world().request_log().to_vec();
    let told = log.iter().find(|request| {
        let is_question = request.server == Server::Jhe && request.target.contains("/brands?");
        let mut text = format!("{} {:?}", request.target, request.header("referer"));
        if request.server == Server::Ehr {
            text += &request.body;
        }
        !is_question && text.to_lowercase().contains("canal")
    });
    ensure!(told.is_none(), "what was typed was told in {told:?}");
    Ok(())
}

/// None of these texts is in a storage of the page, nor in its addresses.
async fn is_kept_nowhere(journey: &Journey, texts: &[&str]) -> Result<()> {
    let dump = "return JSON.stringify([localStorage, sessionStorage, document.cookie, window.name, location.href])";
    let kept: String = journey.browser.evaluate(dump).await?;
    let kept = format!("{kept} {:?}", ours(journey).await?).to_lowercase();
    for text in texts {
        ensure!(
            !kept.contains(&text.to_lowercase()),
            "{text:?} is kept: {kept}"
        );
    }
    Ok(())
}

/// Our pages in the history of the tab.
async fn ours(journey: &Journey) -> Result<Vec<String>> {
    let mut history = journey.browser.history().await?;
    history.retain(|address| address.starts_with(journey.sandbox.jhe()));
    Ok(history)
}

async fn assistive_technology_is_told_what_everything_is_and_how_it_is_called(
    journey: &Journey,
) -> Result<()> {
    let browser = &journey.browser;
    journey.open_invitation().await?;
    browser.search_for("canal").await?;
    browser.hospitals_say("2 hospitals found.").await?;
    browser.mark_hospital("Canal Side Hospital").await?;

    let told = browser.accessible().await?;
    ensure!(
        names(&told, "combobox") == ["Find your hospital by its name or city"],
        "the field is called {:?}",
        names(&told, "combobox")
    );
    let field = called(&told, "combobox").next().context("no field")?;
    ensure!(
        field.property("expanded") == Some(&json!(true))
            && field.property("focused") == Some(&json!(true))
            && field.property("autocomplete") == Some(&json!("list")),
        "the field is told as {field:?}"
    );
    ensure!(
        names(&told, "listbox") == ["Hospitals"],
        "the list is called {:?}",
        names(&told, "listbox")
    );
    let hospitals = names(&told, "option");
    ensure!(
        hospitals.len() == 2
            && (hospitals.iter())
                .all(|it| it.contains("Canal Side Health") && it.contains("Oakland")),
        "the hospitals are called {hospitals:?}"
    );
    let is_selected = |it: &&Accessible| it.property("selected") == Some(&json!(true));
    let selected: Vec<_> = called(&told, "option").filter(is_selected).collect();
    ensure!(
        matches!(selected.as_slice(), [it] if it.name.contains("Canal Side Hospital")),
        "marked is {selected:?}"
    );
    ensure!(
        called(&told, "status").next().is_some()
            && names(&told, "StaticText").contains(&"2 hospitals found."),
        "the number of hospitals is not told: {told:?}"
    );
    Ok(())
}

fn called<'a>(told: &'a [Accessible], role: &str) -> impl Iterator<Item = &'a Accessible> {
    told.iter().filter(move |it| it.role == role)
}

fn names<'a>(told: &'a [Accessible], role: &str) -> Vec<&'a str> {
    called(told, role).map(|it| it.name.as_str()).collect()
}

async fn a_hospital_that_is_named_in_markup_is_shown_as_text(journey: &Journey) -> Result<()> {
    let name = "<img src=x onerror=alert(1)> & Sons Clinic";
    {
        let mut world = journey.world();
        let brand = world.brands.first_mut().context("a hospital")?;
        name.clone_into(&mut brand.facility_name);
    }
    journey.open_invitation().await?;
    journey.browser.search_for("sons clinic").await?;
    journey.browser.hospital_is_listed(name).await?;
    let images: usize = journey
        .browser
        .evaluate("return document.images.length")
        .await?;
    ensure!(images == 0, "markup became {images} images");
    Ok(())
}

async fn a_page_that_names_the_hospital_offers_no_list(journey: &Journey) -> Result<()> {
    journey.reach_login().await?;
    ensure!(
        journey.requests(Server::Jhe, "GET", "/brands").is_empty(),
        "JHE was asked for hospitals"
    );
    ensure!(
        audience(journey)? == journey.listed_base(),
        "the sign-in is for {}",
        audience(journey)?
    );
    Ok(())
}

fn brands() -> Match {
    Match::on(Server::Jhe)
        .method("GET")
        .path("/api/v1/patient-access/brands?")
}

/// Whom the last sign-in was for.
fn audience(journey: &Journey) -> Result<String> {
    let sign_in = journey.requests(Server::Ehr, "GET", "/authorize?").pop();
    let sign_in = sign_in.context("no sign-in was begun")?;
    let query = sign_in
        .target
        .split_once('?')
        .map_or("", |(_, query)| query);
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let audience = parameters.find(|(name, _)| name == "aud");
    Ok(audience.context("no audience")?.1.into_owned())
}

/// The sign-in, the identifier and the source have the base byte for byte.
fn the_base_is_kept(journey: &Journey, listed: &str) -> Result<()> {
    ensure!(
        audience(journey)? == listed,
        "expected the audience {listed}, found {}",
        audience(journey)?
    );
    for (path, member) in [
        ("/api/v1/patient-access/identifier", "system"),
        ("/api/v1/fhir_sources", "fhir_base_url"),
    ] {
        let sent = journey.requests(Server::Jhe, "POST", path);
        let [LoggedRequest { body, .. }] = sent.as_slice() else {
            anyhow::bail!("expected one request to {path}, found {sent:?}");
        };
        let body: Value = serde_json::from_str(body)?;
        ensure!(
            body[member] == listed,
            "expected {member} to be {listed}, found {body}"
        );
    }
    let callback = journey.page(Page::Callback, &[]);
    let back = journey.requests(
        Server::Jhe,
        "GET",
        callback.trim_start_matches(journey.sandbox.jhe()),
    );
    ensure!(!back.is_empty(), "nobody came back to {callback}");
    Ok(())
}
