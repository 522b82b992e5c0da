//! What an import brought, below the counts: drawn from the account that the page which copied has written.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Array, Date};
use wasm_bindgen::JsValue;
use web_sys::{Blob, Element, Event, Url};

use crate::browser::platform::Listener;
use crate::browser::view::{View, set};
use crate::fhir::mark::Day;
use crate::language::{Message, Text, Value};
use crate::receipt::chart::{self, Chart, Shape};
use crate::receipt::{Account, kinds};
use crate::text::number;

/// So many names are shown: more would be a list to read.
const NAMES: usize = 10;

/// Shows what `data` tells of.
pub(crate) fn show(view: &View, data: &str) {
    let Some(account) = Account::parse(data) else {
        return;
    };
    view.names_portal(account.portal());
    let page = Page {
        view,
        place: view.screen(),
    };
    let is_one_of_several = !account.others.is_empty();
    let heading = match is_one_of_several {
        true => Text::KindsFrom.with([account.portal()]),
        false => Text::KindsHeading.into(),
    };
    page.add_lines(heading, "jc-kinds", &account.kinds());
    for other in &account.others {
        let heading = Text::KindsFrom.with([other.name()]);
        page.add_lines(heading, "jc-kinds", &kinds(&other.rows));
    }
    page.add_years(&account);
    page.add_names(&account);
    page.add_troubles(&account);
    page.add_notes(&account.notes());
    page.add_receipt(account);
}

struct Page<'a> {
    view: &'a View,
    place: &'a Element,
}

impl Page<'_> {
    fn add(&self, name: &str, class: &str, what: impl Into<Value>) -> Element {
        self.view.add(self.place, name, class, what)
    }

    fn add_lines(&self, heading: impl Into<Message>, class: &str, lines: &[Message]) {
        if !lines.is_empty() {
            self.view.add_section(self.place, heading.into());
            self.view.add_list(self.place, class, values(lines));
        }
    }

    fn add_troubles(&self, account: &Account) {
        let lines = account.troubles();
        self.add_lines(Text::TroubleHeading, "jc-lines", &lines);
        if !lines.is_empty() && account.is_settled() {
            self.add("p", "", Text::TroubleLead);
        }
    }

    /// Nothing of it asks for anything, so it is folded.
    fn add_notes(&self, lines: &[Message]) {
        if !lines.is_empty() {
            let fold = self.add_fold(Text::NotesHeading);
            self.view.add_list(&fold, "jc-lines", values(lines));
        }
    }

    fn add_fold(&self, summary: Text) -> Element {
        let fold = self.view.element(self.place, "details", "jc-fold");
        self.view.add(&fold, "summary", "", summary);
        fold
    }

    // When it was.

    fn add_years(&self, account: &Account) {
        let (years, undated) = (account.years(), account.undated());
        let Some((first, _)) = years.first() else {
            return;
        };
        self.view.add_section(self.place, Text::ChartHeading);
        if !account.others.is_empty() {
            // Of the others no dates are kept.
            self.add("p", "jc-quiet", Text::ChartOnly);
        }
        match Chart::of(&years) {
            Some(chart) => self.add_chart(&chart),
            None => drop(self.add("p", "", Text::ChartOne.with([chart::year(*first)]))),
        }
        if undated > 0 {
            self.add("p", "jc-quiet", Text::Undated.counted(undated));
        }
    }

    fn add_chart(&self, chart: &Chart) {
        let view = self.view;
        let drawing = view.drawn(self.place, "svg");
        set(&drawing, "class", "jc-chart");
        set(
            &drawing,
            "viewBox",
            &["0 0 ", &size(chart::WIDTH), " ", &size(chart::HEIGHT)].concat(),
        );
        set(&drawing, "font-size", &size(chart::LETTERS));
        // One picture with one text, and not a heap of numbers.
        set(&drawing, "role", "img");
        if let Some(text) = chart.text() {
            view.label(&drawing, text);
        }
        for shape in &chart.shapes {
            self.add_shape(&drawing, shape);
        }
        if chart.step > 1 {
            self.add("p", "jc-quiet", Text::ChartStep.counted(chart.step));
        }
        let fold = self.add_fold(Text::ChartTable);
        let table = self.add_table(
            &fold,
            Text::ChartHeading,
            &[(Text::Year, ""), (Text::Count, NUMBER)],
        );
        for group in &chart.groups {
            if group.count > 0 {
                self.add_row(&table, group.years(), &[(group.count.into(), NUMBER)]);
            }
        }
    }

    fn add_shape(&self, drawing: &Element, shape: &Shape) {
        let place = |element: &Element, places: &[(&str, u32)]| {
            for (name, place) in places {
                set(element, name, &size(*place));
            }
        };
        match shape {
            Shape::Bar {
                x,
                y,
                width,
                height,
            } => {
                let bar = self.view.drawn(drawing, "rect");
                let places = [("x", *x), ("y", *y), ("width", *width), ("height", *height)];
                place(&bar, &places);
            }
            Shape::Text { x, y, text } => {
                let element = self.view.drawn(drawing, "text");
                place(&element, &[("x", *x), ("y", *y)]);
                // The middle is the same in languages that run from right to left.
                set(&element, "text-anchor", "middle");
                self.view.say_in(&element, text.clone());
            }
        }
    }

    // What was observed.

    fn add_names(&self, account: &Account) {
        let names = account.most_frequent(NAMES);
        if names.is_empty() {
            return;
        }
        self.view.add_section(self.place, Text::LabsHeading);
        let heads = [
            (Text::Lab, ""),
            (Text::LabCount, NUMBER),
            (Text::LabLatest, ""),
        ];
        let table = self.add_table(self.place, Text::LabsHeading, &heads);
        for found in names {
            let latest = found.latest.map(Day::text).map(Value::Date);
            let cells = [
                (found.count.into(), NUMBER),
                (latest.unwrap_or_else(|| "–".into()), ""),
            ];
            self.add_row(&table, found.name.into(), &cells);
        }
    }

    /// A table with its caption, which says what a heading above it says already, and its heads. Gives its body.
    fn add_table(&self, parent: &Element, caption: Text, heads: &[(Text, &str)]) -> Element {
        let view = self.view;
        let table = view.element(parent, "table", "jc-table");
        view.add(&table, "caption", "", caption);
        let head = view.element(&table, "thead", "");
        let row = view.element(&head, "tr", "");
        for (text, class) in heads {
            let head = view.add(&row, "th", class, *text);
            set(&head, "scope", "col");
        }
        view.element(&table, "tbody", "")
    }

    fn add_row(&self, body: &Element, name: Value, cells: &[(Value, &str)]) {
        let row = self.view.element(body, "tr", "");
        let head = self.view.add(&row, "th", "", name);
        set(&head, "scope", "row");
        for (value, class) in cells {
            self.view.add(&row, "td", class, value.clone());
        }
    }

    // What the patient may keep.

    fn add_receipt(&self, account: Account) {
        let view = self.view;
        let ended = Date::new(&JsValue::from_f64(account.ended as f64));
        let day = local_day(&ended);
        self.view.add_section(self.place, Text::ReceiptHeading);
        view.add_facts(self.place, &account.facts(&day));
        self.add("p", "", Text::ReceiptLead);
        self.add_print_button();
        let account = Rc::new(account);
        let told = account.clone();
        self.add_file(
            "jc-save",
            Text::ReceiptSave,
            "records-receipt.txt",
            move |view| {
                let mut text = String::new();
                for line in told.receipt(&day) {
                    text.push_str(&view.words(&line));
                    text.push('\n');
                }
                text
            },
        );
        let time = String::from(ended.to_iso_string());
        self.add_file(
            "jc-save jc-report",
            Text::ReportSave,
            "records-report.txt",
            move |_| account.report(&time),
        );
        self.add("p", "jc-quiet", Text::ReportSay);
    }

    fn add_print_button(&self) {
        let button = self
            .view
            .add_button(self.place, "jc-action", "print", Text::ReceiptPrint);
        let print = |_: Event| {
            if let Some(window) = web_sys::window() {
                // Browsers that can't, such as those inside other apps, do nothing.
                let _ = window.print();
            }
        };
        self.view
            .keep(Listener::on(Some(&button), "click", Box::new(print)));
    }

    /// Offers a file. It is made anew when the link is followed, in the language of that moment.
    fn add_file(
        &self,
        class: &str,
        label: Text,
        name: &str,
        text: impl Fn(&View) -> String + 'static,
    ) {
        let link = self.add("a", class, label);
        set(&link, "download", name);
        // Without an address it is no link, and can't be reached by keys.
        offer(&link, &text(self.view));
        let (view, target) = (self.view.clone(), link.clone());
        let followed = move |_: Event| offer(&target, &text(&view));
        self.view
            .keep(Listener::on(Some(&link), "click", Box::new(followed)));
    }
}

/// The class of cells with numbers.
const NUMBER: &str = "jc-number";

fn values(lines: &[Message]) -> Vec<Value> {
    lines.iter().cloned().map(Value::from).collect()
}

fn size(of: u32) -> String {
    number(u64::from(of))
}

/// Makes the text a file, and the link's address that file's.
fn offer(link: &Element, text: &str) {
    let blob = Blob::new_with_str_sequence(&Array::of1(&text.into()));
    let url = blob.and_then(|blob| Url::create_object_url_with_blob(&blob));
    // What can't be offered was shown all the same, but for the rarer reasons.
    if let Ok(url) = url {
        if let Some(before) = link.get_attribute("href") {
            // Fails for nothing.
            let _ = Url::revoke_object_url(&before);
        }
        set(link, "href", &url);
    }
}

/// The day of the patient's calendar, as FHIR writes one.
fn local_day(date: &Date) -> String {
    let offset = date.get_timezone_offset() * 60_000.0;
    let local = Date::new(&JsValue::from_f64(date.get_time() - offset));
    let text = String::from(local.to_iso_string());
    text.get(..10).unwrap_or_default().into()
}
