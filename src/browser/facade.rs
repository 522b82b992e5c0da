//! What JHE's pages and the plain pages call. Other pages have `client`, in a module of its own.

use alloc::boxed::Box;
use alloc::string::String;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::Element;

#[cfg(feature = "callback")]
use crate::browser::callback;
#[cfg(feature = "connect")]
use crate::browser::connect;
use crate::browser::platform::spawn;
use crate::browser::value::json;
use crate::browser::view::View;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** The configuration that JHE's MyChart pages define as `MYCHART_CONFIG`. */
export interface MyChartConfig {
  /** FHIR base URL of the EHR, used byte for byte. */
  iss: string;
  /** This app's client id at the EHR. */
  clientId: string;
  /** Scope, sent verbatim. */
  scope: string;
  /** Id of JHE's DataSource. */
  dataSourceId: string | number;
}

/** Where the patient picks a hospital. What is missing or of another kind is made by the page's own means. */
export interface HospitalPicker {
  /** A `div`, hidden until then, that holds the other two. */
  container?: Element | null;
  /** An `input` for text. */
  input?: Element | null;
  /** A `div` for what is found. */
  results?: Element | null;
}
"#;

/// Starts the connect page of JHE's MyChart client in `out`; `config` is `MYCHART_CONFIG`.
#[cfg(feature = "connect")]
#[wasm_bindgen(js_name = startMyChartConnect)]
pub fn start_mychart_connect(
    out: Element,
    #[wasm_bindgen(unchecked_param_type = "MyChartConfig")] config: &JsValue,
) {
    start_page(out, json(config), JsValue::UNDEFINED);
}

/// Goes on, on the callback page of JHE's MyChart client, in `out`; `config` is `MYCHART_CONFIG`.
#[cfg(feature = "callback")]
#[wasm_bindgen(js_name = finishMyChartConnect)]
pub fn finish_mychart_connect(
    out: Element,
    #[wasm_bindgen(unchecked_param_type = "MyChartConfig")] config: &JsValue,
) {
    finish_page(out, json(config));
}

/// Starts a plain connect page in `out`; `config` is the text of its `jhe-connect-config` element. `picker` has the
/// elements of a page that keeps some ready for the patient to pick a hospital.
#[cfg(feature = "connect")]
#[wasm_bindgen(js_name = startPage)]
pub fn start_page(
    out: Element,
    config: String,
    #[wasm_bindgen(unchecked_optional_param_type = "HospitalPicker")] picker: JsValue,
) {
    if let Some(view) = View::new(out) {
        spawn(Box::pin(connect::run(view, config, picker)));
    }
}

/// Goes on, on a plain callback page, in `out`; `config` is the text of its `jhe-connect-config` element.
#[cfg(feature = "callback")]
#[wasm_bindgen(js_name = finishPage)]
pub fn finish_page(out: Element, config: String) {
    if let Some(view) = View::new(out) {
        spawn(Box::pin(callback::run(view, config)));
    }
}
