//! The check of an identity token, in a module of its own: few patients' pages need it, and the page that asks waits for no
//! longer than it likes.

use alloc::boxed::Box;
use alloc::string::String;

use js_sys::{Array, JSON, Promise};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use web_sys::{CustomEvent, CustomEventInit, Element};

use crate::browser::fetch::converse;
use crate::browser::{location, platform};
use crate::oauth::jws::Verification;
use crate::smart::identity::{IdentityCheck, Inquiry, Outcome, Verdict};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = importKey, catch)]
    fn import_key(
        format: &str,
        key: &JsValue,
        algorithm: &JsValue,
        is_extractable: bool,
        usages: &Array,
    ) -> Result<Promise, JsValue>;

    // Copies both texts before it returns.
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = verify, catch)]
    fn verify(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &[u8],
        signed: &[u8],
    ) -> Result<Promise, JsValue>;
}

/// The event with the verdict.
const CHECKED: &str = "jhe-connect-checked";

/// Answers what a callback page asks, with an event at its element `out`.
pub(crate) fn answer(out: Element, question: String) {
    platform::spawn(Box::pin(async move {
        let verdict = judged(&question).await.to_text();
        let options = CustomEventInit::new();
        options.set_detail(&verdict.into());
        // Neither fails for an event of this kind.
        if let Ok(event) = CustomEvent::new_with_event_init_dict(CHECKED, &options) {
            let _ = out.dispatch_event(&event);
        }
    }));
}

async fn judged(question: &str) -> Verdict {
    let Some(page) = location::own().ok() else {
        return Verdict::unverified("the page has no address");
    };
    let Some(inquiry) = Inquiry::parse(question, &page) else {
        return Verdict::unverified("the question can't be read");
    };
    let mut check = IdentityCheck::new(inquiry, page, platform::now());
    converse(&mut check).await;
    match check.finish() {
        Outcome::Judged(verdict) => verdict,
        Outcome::Sealed(sealed) => {
            let is_good = is_verified(sealed.verification()).await;
            sealed.judged(is_good)
        }
    }
}

/// Is the signature good? `None` where the browser can't tell: it does not know the algorithm, or does not take the key.
pub(crate) async fn is_verified(verification: &Verification) -> Option<bool> {
    let algorithm = JSON::parse(verification.algorithm().for_subtle_crypto()).ok()?;
    let key = JSON::parse(verification.key()).ok()?;
    let usages = Array::of1(&"verify".into());
    let key = import_key("jwk", &key, &algorithm, false, &usages).ok()?;
    let key = JsFuture::from(key).await.ok()?;
    let (signature, signed) = (verification.signature(), verification.signed());
    let is_good = verify(&algorithm, &key, signature, signed).ok()?;
    JsFuture::from(is_good).await.ok()?.as_bool()
}
