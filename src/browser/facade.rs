//! What JHE's pages and the plain pages call. Other pages have `client`, in a module of its own.

#[cfg(any(feature = "connect", feature = "callback", feature = "import"))]
use alloc::boxed::Box;

#[cfg(any(feature = "connect", feature = "callback", feature = "import"))]
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use web_sys::Element;

#[cfg(feature = "callback")]
use crate::browser::callback;
#[cfg(feature = "connect")]
use crate::browser::connect;
#[cfg(feature = "identity")]
use crate::browser::identity;
#[cfg(feature = "import")]
use crate::browser::import;
#[cfg(any(feature = "connect", feature = "callback", feature = "import"))]
use crate::browser::platform::spawn;
#[cfg(feature = "receipt")]
use crate::browser::receipt;
#[cfg(any(feature = "connect", feature = "callback", feature = "import"))]
use crate::browser::value::json;
#[cfg(any(
    feature = "connect",
    feature = "callback",
    feature = "import",
    feature = "receipt"
))]
use crate::browser::view::View;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What the server that serves the page provides, as an object or as JSON text. Further members are not read. */
export interface PageConfig {
  /** Which of JHE's clients this is: `mychart` (the default), `patient-access` or `ehr-patient-portal`. */
  deployment?: string;
  /** FHIR base URL of the EHR, used byte for byte; left out where the patient picks a hospital. */
  iss?: string;
  /** This app's client id at the EHR. */
  clientId: string;
  /** Scope, sent verbatim. */
  scope: string;
  /** Id of JHE's DataSource. */
  dataSourceId: string | number;
  /** The callback page, if it is not JHE's own; a relative one is completed by the page's address. */
  redirectUri?: string;
  /** Where JHE is, on the page's own origin. */
  jheBase?: string;
  /** Is JHE's token to be revoked when the import has ended? */
  revokeToken?: boolean;
  /** How long a worker of JHE may take for one request. */
  workerTimeoutSeconds?: number;
  /** Who asks for the records, as the patient is to read it. */
  study?: Study;
  /** Is the patient asked whose records these are before any is copied? Yes, if left out. */
  confirmPatient?: boolean;
  /** Is the patient shown what was found before any of it is copied? No, if left out. */
  review?: boolean;
  /** May the patient leave out kinds of records there? No, if left out. */
  reviewChoice?: boolean;
  /** The language of the texts, as a tag of BCP 47; the browser's, if left out. */
  language?: string;
  /** The page's own id of this journey, which is in every event. Nothing that says who the patient is. */
  caller?: string;
}

/** Who asks for the records. */
export interface Study {
  /** The study's name. */
  name?: string;
  /** Whose study it is. */
  organization?: string;
  /** Who helps the patient. */
  contact?: {
    name?: string;
    /** Letters, digits and `.`, `_`, `+`, `-`. */
    email?: string;
    /** Digits, spaces and `+`, `-`, `.`, `/`, brackets. */
    phone?: string;
    /** A page; a relative one is completed by the page's address. */
    url?: string;
  };
  /** Address of a picture, over https or on the page's own origin. */
  logo?: string;
  /** A colour, as `#rgb` or `#rrggbb`. */
  accent?: string;
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

/// Starts a connect page in `out`, in the language of `texts`, which are of a file beside the module. `picker` has the
/// elements of a page that keeps some ready for the patient to pick a hospital.
#[cfg(feature = "connect")]
#[wasm_bindgen(js_name = startPage)]
pub fn start_page(
    out: Element,
    #[wasm_bindgen(unchecked_param_type = "PageConfig | string")] config: JsValue,
    texts: &str,
    #[wasm_bindgen(unchecked_optional_param_type = "HospitalPicker")] picker: JsValue,
) {
    if let Some(view) = View::new(out, texts) {
        let beginning = connect::Beginning::Invitation;
        spawn(Box::pin(connect::run(
            view,
            json(&config),
            picker,
            beginning,
        )));
    }
}

/// Begins the sign-in again, on a callback page that asks for it, in `out`. `isFurther`: at a hospital that the patient is to
/// pick, and not at the one before.
#[cfg(feature = "connect")]
#[wasm_bindgen(js_name = signInAgain)]
pub fn sign_in_again(
    out: Element,
    #[wasm_bindgen(unchecked_param_type = "PageConfig | string")] config: JsValue,
    texts: &str,
    #[wasm_bindgen(js_name = isFurther)] is_further: bool,
) {
    let beginning = match is_further {
        true => connect::Beginning::FurtherHospital,
        false => connect::Beginning::SameHospital,
    };
    if let Some(view) = View::new(out, texts) {
        let picker = JsValue::UNDEFINED;
        spawn(Box::pin(connect::run(
            view,
            json(&config),
            picker,
            beginning,
        )));
    }
}

/// Goes on, on a callback page, in `out`. Where it can't go on before the patient has signed in again, `out` gets the
/// event `jhe-connect-sign-in`, for which the connect page's module has `signInAgain`; when nothing is left to ask, the
/// event `jhe-connect-import`, for which another module has `importPage`.
#[cfg(feature = "callback")]
#[wasm_bindgen(js_name = finishPage)]
pub fn finish_page(
    out: Element,
    #[wasm_bindgen(unchecked_param_type = "PageConfig | string")] config: JsValue,
    texts: &str,
) {
    if let Some(view) = View::new(out, texts) {
        spawn(Box::pin(callback::run(view, json(&config))));
    }
}

/// Checks the identity token that a callback page asks about in its element `out`, by the event `jhe-connect-beside`, whose
/// detail names this module, and `data` behind it. `out` gets the event `jhe-connect-checked`.
#[cfg(feature = "identity")]
#[wasm_bindgen(js_name = checkIdentity)]
pub fn check_identity(out: Element, data: &str) {
    identity::answer(out, data.into());
}

/// Goes on from what a callback page has kept in the tab, in its element `out`: copies the records, or tells again what came
/// of it. It asks for a sign-in as `finishPage` does, and for one at a further hospital by the event `jhe-connect-add-hospital`; when an import has ended, `out` gets the event `jhe-connect-beside`,
/// whose detail names the module that has `showReceipt`, and what is for it.
#[cfg(feature = "import")]
#[wasm_bindgen(js_name = importPage)]
pub fn import_page(
    out: Element,
    #[wasm_bindgen(unchecked_param_type = "PageConfig | string")] config: JsValue,
    texts: &str,
) {
    if let Some(view) = View::new(out, texts) {
        spawn(Box::pin(import::run(view, json(&config))));
    }
}

/// Shows inside the page's element `out`, where the page keeps a place for it, what an import brought. `data` is what the
/// event has told.
#[cfg(feature = "receipt")]
#[wasm_bindgen(js_name = showReceipt)]
pub fn show_receipt(out: Element, data: &str, texts: &str) {
    let place = out.query_selector(".jc-receipt");
    if let Ok(Some(place)) = place
        && let Some(view) = View::below(out, place, texts)
    {
        receipt::show(&view, data);
    }
}
