//! How the browser writes numbers, dates and lists in a language (ECMA-402). What an old browser lacks is written plainly.

use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Array, Date, Object, Reflect};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::language::{Formats, Plain};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = Intl, js_name = NumberFormat)]
    type Numbers;
    #[wasm_bindgen(constructor, js_namespace = Intl, js_class = "NumberFormat", catch)]
    fn new(tag: &str) -> Result<Numbers, JsValue>;
    #[wasm_bindgen(method, js_class = "NumberFormat")]
    fn format(this: &Numbers, number: f64) -> String;

    #[wasm_bindgen(js_namespace = Intl, js_name = PluralRules)]
    type Plurals;
    #[wasm_bindgen(constructor, js_namespace = Intl, js_class = "PluralRules", catch)]
    fn new(tag: &str) -> Result<Plurals, JsValue>;
    #[wasm_bindgen(method, js_class = "PluralRules")]
    fn select(this: &Plurals, number: f64) -> String;

    #[wasm_bindgen(js_namespace = Intl, js_name = DateTimeFormat)]
    type Dates;
    #[wasm_bindgen(constructor, js_namespace = Intl, js_class = "DateTimeFormat", catch)]
    fn new(tag: &str, options: &JsValue) -> Result<Dates, JsValue>;
    // It throws for a date that is none.
    #[wasm_bindgen(method, js_class = "DateTimeFormat", js_name = format, catch)]
    fn format(this: &Dates, date: &Date) -> Result<String, JsValue>;

    #[wasm_bindgen(js_namespace = Intl, js_name = ListFormat)]
    type Lists;
    #[wasm_bindgen(constructor, js_namespace = Intl, js_class = "ListFormat", catch)]
    fn new(tag: &str) -> Result<Lists, JsValue>;
    #[wasm_bindgen(method, js_class = "ListFormat")]
    fn format(this: &Lists, texts: &Array) -> String;
}

/// The formats of one language.
pub(crate) struct BrowserFormats {
    tag: String,
    // Asked for often, and slow to make.
    numbers: Option<Numbers>,
    plurals: Option<Plurals>,
}

impl BrowserFormats {
    pub(crate) fn new(tag: &str) -> Self {
        BrowserFormats {
            tag: tag.into(),
            numbers: Numbers::new(tag).ok(),
            plurals: Plurals::new(tag).ok(),
        }
    }
}

impl Formats for BrowserFormats {
    fn number(&self, number: u64) -> String {
        match &self.numbers {
            Some(numbers) => numbers.format(number as f64),
            None => Plain.number(number),
        }
    }

    fn date(&self, date: &str) -> String {
        // The connect page has none to say.
        if !cfg!(any(
            feature = "callback",
            feature = "import",
            feature = "receipt"
        )) {
            return Plain.date(date);
        }
        // What is only a year, or a month, is not made a day of. A day is the same everywhere, a time is not.
        let options = Object::new();
        let mut members = alloc::vec![("year", "numeric")];
        if date.len() >= 7 {
            members.push(("month", "long"));
        }
        if date.len() >= 10 {
            members.push(("day", "numeric"));
        }
        let is_instant = date.ends_with('Z');
        match is_instant {
            true => members.extend([("hour", "numeric"), ("minute", "2-digit")]),
            false => members.push(("timeZone", "UTC")),
        }
        for (name, value) in members {
            // Fails only for an object that was frozen.
            let _ = Reflect::set(&options, &name.into(), &value.into());
        }
        let day = date.get(..10).filter(|_| !is_instant).unwrap_or(date);
        let text = Dates::new(&self.tag, &options)
            .and_then(|dates| dates.format(&Date::new(&JsValue::from_str(day))));
        text.unwrap_or_else(|_| Plain.date(date))
    }

    fn category(&self, number: u64) -> String {
        match &self.plurals {
            Some(plurals) => plurals.select(number as f64),
            None => Plain.category(number),
        }
    }

    fn list(&self, texts: Vec<String>) -> String {
        match Lists::new(&self.tag) {
            Ok(lists) => lists.format(&texts.iter().map(|text| JsValue::from_str(text)).collect()),
            Err(_) => Plain.list(texts),
        }
    }
}
