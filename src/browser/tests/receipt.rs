//! What an import brought, on the page.

use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use web_sys::{CustomEvent, CustomEventInit, Element, Event, EventInit, Response};

use super::{root, text, texts, window};
use crate::browser::receipt;
use crate::browser::view::View;
use crate::exchange::deployment::Unit;
use crate::fhir::mark::Day;
use crate::import::Standing;
use crate::import::findings::{Findings, NameFindings, RowFindings};
use crate::import::plan::RowTally;
use crate::import::progress::Tally;
use crate::receipt::Account;

const HOSTILE: &str = "<img src=x onerror=alert(1)><script>alert(2)</script>";

fn account(years: &[(u32, u32)]) -> Account {
    let tally = Tally {
        stored: 1234,
        refused: 1,
        adjusted: 1,
        reasons: alloc::vec![(HOSTILE.into(), 1)],
        ..Tally::default()
    };
    let found = RowFindings {
        label: HOSTILE.into(),
        years: years.into(),
        names: alloc::vec![NameFindings {
            name: HOSTILE.into(),
            count: 1000,
            latest: Day::read("2024-03-05"),
        }],
        ..RowFindings::default()
    };
    Account {
        rows: alloc::vec![RowTally {
            label: HOSTILE.into(),
            tally,
            standing: Standing::Failed("pull.forbidden".into()),
        }],
        new_rows: None,
        unit: Unit::Record,
        findings: Findings {
            rows: alloc::vec![found],
        },
        errors: alloc::vec![HOSTILE.into()],
        jhe: HOSTILE.into(),
        ehr: HOSTILE.into(),
        study: Some(HOSTILE.into()),
        organization: Some(HOSTILE.into()),
        portal: Some(HOSTILE.into()),
        ended: 1_795_000_000_000,
        is_recalled: false,
        others: Vec::new(),
    }
}

/// The page's element, in which it is shown.
fn shown(account: &Account) -> Element {
    let root = root();
    let place = window().document().unwrap().create_element("div").unwrap();
    root.append_child(&place).unwrap();
    let view = View::below(root.clone(), place, &texts("en")).unwrap();
    receipt::show(&view, &account.to_json());
    root
}

fn speak(root: &Element, tag: &str) {
    let detail = CustomEventInit::new();
    detail.set_detail(&texts(tag).into());
    let event = CustomEvent::new_with_event_init_dict("jhe-connect-speak", &detail).unwrap();
    root.dispatch_event(&event).unwrap();
}

fn chart_text(root: &Element) -> String {
    let chart = root.query_selector("svg[role=img]").unwrap().unwrap();
    chart.get_attribute("aria-label").unwrap()
}

#[wasm_bindgen_test]
fn what_was_shared_is_told_as_text_and_said_again_in_another_language() {
    let root = shown(&account(&[(2019, 1000), (2021, 234)]));
    for tag in ["img", "script"] {
        assert!(root.query_selector(tag).unwrap().is_none());
    }
    let bars = root.query_selector_all("svg.jc-chart > rect").unwrap();
    assert_eq!(bars.length(), 3);
    assert_eq!(
        chart_text(&root),
        "A chart of your records from 2019 to 2021. The highest bar is 2019: 1,000 records."
    );
    assert_eq!(text(&root, ".jc-table tbody th"), "2019");
    assert_eq!(
        text(&root, ".jc-table tbody td:last-child").as_str(),
        "1,000"
    );
    speak(&root, "es");
    assert!(chart_text(&root).starts_with("Un gráfico de sus datos de 2019"));
    assert_eq!(text(&root, ".jc-report"), {
        let es = texts("es");
        let start = es.find("Guardar un informe").unwrap();
        let rest = es.get(start..).unwrap();
        String::from(rest.split('"').next().unwrap())
    });
}

#[wasm_bindgen_test]
fn records_of_one_year_are_a_sentence() {
    let root = shown(&account(&[(2024, 1234)]));
    assert!(root.query_selector("svg").unwrap().is_none());
    let text = root.text_content().unwrap();
    assert!(text.contains("All records are of 2024."), "{text}");
}

#[wasm_bindgen_test]
fn what_is_no_account_shows_nothing() {
    let root = root();
    let view = View::below(root.clone(), root.clone(), &texts("en")).unwrap();
    receipt::show(&view, "{}");
    assert_eq!(root.text_content().unwrap(), "");
}

async fn file(link: &Element) -> Result<String, JsValue> {
    let address = link.get_attribute("href").unwrap();
    let response = JsFuture::from(window().fetch_with_str(&address)).await?;
    let text = response.unchecked_into::<Response>().text()?;
    Ok(JsFuture::from(text).await?.as_string().unwrap())
}

#[wasm_bindgen_test]
async fn the_receipt_is_saved_in_the_language_that_the_page_has_then() {
    let root = shown(&account(&[(2019, 1000), (2021, 234)]));
    // Else the browser would save them.
    let stay = wasm_bindgen::closure::Closure::<dyn FnMut(Event)>::new(|event: Event| {
        event.prevent_default();
    });
    root.add_event_listener_with_callback("click", stay.as_ref().unchecked_ref())
        .unwrap();
    let links = root.query_selector_all("a[download]").unwrap();
    let links: Vec<Element> = (0..links.length())
        .filter_map(|index| links.get(index)?.dyn_into().ok())
        .collect();
    let [receipt, report] = links.as_slice() else {
        panic!("expected two files");
    };
    let names = [receipt, report].map(|link| link.get_attribute("download").unwrap());
    assert_eq!(names, ["records-receipt.txt", "records-report.txt"]);
    let before = file(receipt).await.unwrap();
    assert!(before.starts_with("Your receipt\n"), "{before}");
    assert!(before.contains("Now at the study: 1,234 records\n"));
    assert!(file(report).await.unwrap().contains(HOSTILE));

    speak(&root, "es");
    let init = EventInit::new();
    init.set_bubbles(true);
    init.set_cancelable(true);
    let click = Event::new_with_event_init_dict("click", &init).unwrap();
    let address = receipt.get_attribute("href").unwrap();
    receipt.dispatch_event(&click).unwrap();
    let after = file(receipt).await.unwrap();
    assert!(after.starts_with("Su comprobante\n"), "{after}");
    // The browser keeps no file that nothing leads to.
    let gone = JsFuture::from(window().fetch_with_str(&address)).await;
    assert!(gone.is_err());
}
