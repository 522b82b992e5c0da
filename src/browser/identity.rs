//! The check of an identity token, in a module of its own: few patients' pages need it, and the page that asks waits for no
//! longer than it likes.

use alloc::boxed::Box;
use alloc::string::String;

use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;
use web_sys::{CustomEvent, CustomEventInit, Element};

use crate::browser::fetch::converse;
use crate::browser::{location, platform, subtle};
use crate::oauth::jws::Verification;
use crate::smart::identity::{IdentityCheck, Inquiry, Outcome, Verdict};

#[wasm_bindgen]
extern "C" {
    // Copies both texts before it returns.
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = verify, catch)]
    fn verify(
        algorithm: &JsValue,
        key: &JsValue,
        signature: &[u8],
        signed: &[u8],
    ) -> Result<Promise, JsValue>;
}

/// Answers what a callback page asks, with an event at its element `out`.
pub(crate) fn answer(out: Element, question: String) {
    platform::spawn(Box::pin(async move {
        let verdict = judged(&question).await.to_text();
        let options = CustomEventInit::new();
        options.set_detail(&verdict.into());
        // Neither fails for an event of this kind.
        if let Ok(event) = CustomEvent::new_with_event_init_dict(Verdict::EVENT, &options) {
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
    let (jwk, algorithm) = (verification.key(), verification.algorithm());
    let (key, algorithm) = subtle::key(jwk, algorithm, "verify").ok()?;
    let key = key.await.ok()?;
    let (signature, signed) = (verification.signature(), verification.signed());
    let is_good = verify(&algorithm, &key, signature, signed).ok()?;
    JsFuture::from(is_good).await.ok()?.as_bool()
}
