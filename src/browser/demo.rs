//! The test mode's edge: the pretended servers in the place of the network, the notice on every page, and the two pages that
//! only the test mode has.
//!
//! Only the pretended addresses are answered here; everything else goes on to the browser's own `fetch`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise};
use web_sys::{
    CustomEvent, Element, Event, Headers, HtmlInputElement, PageTransitionEvent, Request, Response,
    ResponseInit,
};

use crate::browser::platform::{self, Listener};
use crate::browser::storage::TabStore;
use crate::browser::subtle;
use crate::browser::view::{View, set};
use crate::browser::{location, platform::now};
use crate::demo::{
    Call, HOSPITALS, INVITATIONS, PERSONAS, SIGNING_KEY, SignIn, World, configuration, kind_names,
};
use crate::http::HttpResponse;
use crate::language::{Language, Text, Value, label};
use crate::oauth::jws::Algorithm;
use crate::screen::{Screen, Stage};
use crate::session::SessionStore;
use crate::text::{number, whole_number};
use crate::url::Url;

/// Where the tab keeps what the pretended servers remember.
const KEY: &str = "jhe-connect-demo";
/// The attribute that says what a button is for.
const ACT: &str = "data-jc-action";

/// Puts the pretended servers in the place of the network, says so above `out`, and gives the configuration that the pages
/// are to be started with.
#[wasm_bindgen(js_name = startDemo)]
pub fn start_demo(out: Element, config: &str, texts: &str) -> String {
    replace_fetch();
    show_notice(&out, texts);
    let page = location::own();
    let reviews = page.is_ok_and(|page| with_world(&page, |world| world.reviews()));
    configuration(config, reviews)
}

/// Shows in `out` the page that the test mode begins with.
#[wasm_bindgen(js_name = showDemoStart)]
pub fn show_demo_start(out: Element, _config: &str, texts: &str) {
    let page = location::own();
    if let (Some(view), Ok(page)) = (View::new(out.clone(), texts), page) {
        show_start(&view, &page, None);
        let (shown, beside) = (view.clone(), page.clone());
        let changed = move |_| {
            let reviews = !chosen(&shown, "reviews").is_empty();
            with_world(&beside, |world| world.set_reviews(reviews));
        };
        view.keep(Listener::on(Some(&out), "change", Box::new(changed)));
        // What a browser's Back button brings again does not know what was stored meanwhile.
        let (shown, beside) = (view.clone(), page.clone());
        let restored = move |event: Event| {
            let event = event.dyn_into::<PageTransitionEvent>();
            if event.is_ok_and(|event| event.persisted()) {
                show_start(&shown, &beside, None);
            }
        };
        view.keep(Listener::new("pageshow", restored));
        let shown = view.clone();
        listen(&view, &out, move |act| {
            if act == "forget-all" {
                if let Ok(store) = TabStore::open() {
                    store.remove(KEY);
                }
                show_start(&shown, &page, Some(Text::DemoForgot));
            }
        });
    }
}

/// Shows in `out` a pretended hospital's sign-in.
#[wasm_bindgen(js_name = showDemoSignIn)]
pub fn show_demo_sign_in(out: Element, _config: &str, texts: &str) {
    let page = location::own();
    let (Some(view), Ok(page)) = (View::new(out.clone(), texts), page) else {
        return;
    };
    let Some(sign_in) = SignIn::read(&page) else {
        return view.show(&Screen::new(
            "demo-no-sign-in",
            Stage::Failed,
            None,
            Text::DemoNoSignInHeading,
            Text::DemoNoSignInLead,
        ));
    };
    show_sign_in(&view, &sign_in);
    let shown = view.clone();
    listen(&view, &out, move |act| match act {
        "agree" => location::go(&with_world(&page, |world| {
            let chosen_one = chosen(&shown, "persona").into_iter().next();
            let persona = chosen_one.and_then(|place| PERSONAS.get(place));
            let [first, ..] = &PERSONAS;
            sign_in.agree(
                world,
                persona.unwrap_or(first),
                &chosen(&shown, "scope"),
                now(),
            )
        })),
        "deny" => location::go(&sign_in.deny()),
        "own-error" => shown.show(&Screen::new(
            "demo-error",
            Stage::Failed,
            None,
            Text::DemoErrorHeading,
            Text::DemoErrorLead,
        )),
        _ => {}
    });
}

// The notice.

/// It stands before everything else on the page, stays in sight, and is read aloud.
fn show_notice(out: &Element, texts: &str) {
    let document = web_sys::window().and_then(|window| window.document());
    let Some(document) = document else {
        return;
    };
    let (Ok(notice), Some(body)) = (document.create_element("aside"), document.body()) else {
        return;
    };
    notice.set_class_name("jd-notice");
    if let Some(language) = Language::parse(texts.as_bytes()) {
        set(&notice, "lang", &language.tag);
    }
    // Neither fails: the body is there, and takes any element.
    let _ = body.insert_before(&notice, body.first_child().as_ref());
    // With a hub of its own: what another module takes over is the page's element, and the notice stays as it is.
    if let Some(view) = View::below(notice.clone(), notice.clone(), texts) {
        let spoken = view.clone();
        let told = move |event: Event| {
            let event = event.dyn_into::<CustomEvent>().ok();
            let texts = event.and_then(|event| event.detail().as_string());
            spoken.speak(&texts.unwrap_or_default());
        };
        Listener::on(Some(out), "jhe-connect-speak", Box::new(told)).forever();
        view.label(&notice, Text::DemoName);
        let said = view.element(view.screen(), "p", "jd-said");
        set(&said, "role", "status");
        view.say_in(&said, Text::DemoNotice);
        if out.get_attribute("data-page").as_deref() != Some("start") {
            let back = view.add(view.screen(), "a", "jd-back", Text::DemoBack);
            set(&back, "href", "index.html");
        }
    }
}

// The page that it begins with.

fn show_start(view: &View, page: &Url, said: Option<Text>) {
    view.show(&Screen::new(
        "demo-start",
        Stage::Asking,
        None,
        Text::DemoStartHeading,
        Text::DemoStartLead,
    ));
    let screen = view.screen();
    view.add_section(screen, Text::DemoLinksHeading);
    view.add(screen, "p", "", Text::DemoLinksLead);
    let reviews = with_world(page, |world| world.reviews());
    add_choice(
        view,
        screen,
        "checkbox",
        "reviews",
        0,
        reviews,
        Text::DemoReviews.into(),
    );
    let list = view.element(screen, "ul", "jd-links");
    for invitation in &INVITATIONS {
        let item = view.element(&list, "li", "");
        let link = view.add(&item, "a", "", invitation.text);
        set(&link, "href", &invitation.link(page));
        set(&link, "data-jd-link", invitation.name);
    }
    view.add_section(screen, Text::DemoHospitalsHeading);
    view.add(screen, "p", "", Text::DemoHospitalsLead);
    let list = view.element(screen, "dl", "jc-facts jd-hospitals");
    for hospital in &HOSPITALS {
        view.add(&list, "dt", "", hospital.title);
        view.add(&list, "dd", "", hospital.text);
    }
    view.add_section(screen, Text::DemoForgetHeading);
    let stored: u32 = with_world(page, |world| world.stored().iter().sum());
    let count = view.element(screen, "p", "jd-stored");
    set(&count, "data-jd-stored", &number(u64::from(stored)));
    match stored {
        0 => view.say_in(&count, Text::DemoStoredNone),
        _ => view.say_in(&count, Text::DemoStored.counted(stored)),
    }
    view.add(screen, "p", "", Text::DemoForgetLead);
    view.add_button(screen, "jc-action", "forget-all", Text::DemoForget);
    view.announce(said.map(Value::from));
}

// A hospital's sign-in.

fn show_sign_in(view: &View, sign_in: &SignIn) {
    let title = Value::from(sign_in.hospital.title);
    view.show(&Screen::new(
        "demo-sign-in",
        Stage::Asking,
        None,
        Text::DemoSignInHeading.with([title]),
        Text::DemoSignInLead,
    ));
    let screen = view.screen();
    let who = view.element(screen, "fieldset", "jd-choice");
    view.add(&who, "legend", "", Text::DemoPersonas);
    for (place, persona) in PERSONAS.iter().enumerate() {
        let count = Text::DemoCount.counted(persona.total());
        let said = persona
            .text
            .with([Value::from(persona.patient), count.into()]);
        add_choice(
            view,
            &who,
            "radio",
            "persona",
            place,
            place == 0,
            said.into(),
        );
    }
    let what = view.element(screen, "fieldset", "jd-choice");
    view.add(&what, "legend", "", Text::DemoShare);
    for (place, scope) in sign_in.choices.iter().enumerate() {
        let mut names: Vec<Value> = kind_names(scope).into_iter().map(label).collect();
        if names.is_empty() {
            names.push(Text::DemoDocuments.into());
        }
        add_choice(
            view,
            &what,
            "checkbox",
            "scope",
            place,
            true,
            Value::Listed(names),
        );
    }
    view.add_button(screen, "jc-action jc-first", "agree", Text::DemoAgree);
    view.add_button(screen, "jc-action", "deny", Text::DemoDeny);
    view.add_button(screen, "jc-action", "own-error", Text::DemoOwnError);
}

fn add_choice(
    view: &View,
    parent: &Element,
    kind: &str,
    name: &str,
    place: usize,
    is_chosen: bool,
    said: Value,
) {
    let choice = view.element(parent, "label", "jc-boxes");
    let input = view.element(&choice, "input", "");
    set(&input, "type", kind);
    set(&input, "name", name);
    set(&input, "value", &number(place as u64));
    if is_chosen {
        set(&input, "checked", "");
    }
    view.add(&choice, "span", "", said);
}

/// The values of the choices of this name that are ticked.
fn chosen(view: &View, name: &str) -> Vec<usize> {
    let selector = ["input[name=", name, "]"].concat();
    let Ok(inputs) = view.screen().query_selector_all(&selector) else {
        return Vec::new();
    };
    let mut ticked = Vec::new();
    for index in 0..inputs.length() {
        let input = inputs.get(index).map(JsCast::unchecked_into);
        let input = input.filter(|input: &HtmlInputElement| input.checked());
        let value = input.and_then(|input| whole_number(&input.value()));
        ticked.extend(value.and_then(|value| usize::try_from(value).ok()));
    }
    ticked
}

fn listen(view: &View, out: &Element, mut pressed: impl FnMut(&str) + 'static) {
    let clicked = move |event: Event| {
        let target = event.target().and_then(|target| target.dyn_into().ok());
        let button = target.and_then(|target: Element| target.closest("button").ok()?);
        if let Some(act) = button.and_then(|button| button.get_attribute(ACT)) {
            pressed(&act);
        }
    };
    view.keep(Listener::on(Some(out), "click", Box::new(clicked)));
}

// The network.

/// Does something with the pretended servers as the tab knows them, and keeps what they remember then.
fn with_world<T>(page: &Url, act: impl FnOnce(&mut World) -> T) -> T {
    let store = TabStore::open().ok();
    let remembered = store.as_ref().and_then(|store| store.read(KEY).ok()?);
    let mut world = World::new(page.clone(), &remembered.unwrap_or_default());
    let result = act(&mut world);
    if let Some(store) = store {
        // A tab that is full forgets what was done last.
        let _ = store.write(KEY, &world.remembered());
    }
    result
}

fn replace_fetch() {
    let Some(window) = web_sys::window() else {
        return;
    };
    let (Ok(usual), Ok(page)) = (Reflect::get(&window, &"fetch".into()), location::own()) else {
        return;
    };
    let usual: Function = usual.unchecked_into();
    let within = window.clone();
    let fetch = move |input: JsValue, init: JsValue| -> JsValue {
        let is_pretended = address(&input, &page).is_some_and(|url| World::pretends(&page, &url));
        if !is_pretended {
            // What it throws the caller is to see, as a promise that is rejected: `fetch` never throws at once.
            let promise = usual.call2(&within, &input, &init);
            return promise.unwrap_or_else(|error| Promise::reject(&error).into());
        }
        let page = page.clone();
        future_to_promise(async move { answered(&page, &input, &init).await }).into()
    };
    let fetch = Closure::<dyn Fn(JsValue, JsValue) -> JsValue>::new(fetch);
    // For as long as the page is there.
    let _ = Reflect::set(&window, &"fetch".into(), &fetch.into_js_value());
}

fn address(input: &JsValue, page: &Url) -> Option<Url> {
    page.join(&written(input)).ok()
}

/// The address of what `fetch` is called with: a request, a text, or what has one as its text.
fn written(input: &JsValue) -> String {
    match (input.dyn_ref::<Request>(), input.as_string()) {
        (Some(request), _) => request.url(),
        (None, Some(text)) => text,
        (None, None) => Object::from(input.clone()).to_string().into(),
    }
}

async fn answered(page: &Url, input: &JsValue, init: &JsValue) -> Result<JsValue, JsValue> {
    let request = match input.dyn_ref::<Request>() {
        Some(request) => request.clone()?,
        None => Request::new_with_str_and_init(&written(input), init.unchecked_ref())?,
    };
    let signal = request.signal();
    let headers = request.headers();
    let field = |name: &str| headers.get(name).ok().flatten().unwrap_or_default();
    let body = JsFuture::from(request.text()?).await?;
    let call = Call {
        method: request.method(),
        url: page.join(&request.url()).map_err(|_| no_answer())?,
        authorization: field(Call::AUTHORIZATION),
        source: field(Call::SOURCE),
        body: body.as_string().unwrap_or_default(),
    };
    if platform::is_offline() {
        return Err(no_answer());
    }
    let mut reply = with_world(page, |world| world.answer(&call, now()));
    if let Some(unsigned) = &reply.unsigned {
        let signature = signature(unsigned).await?;
        reply.sign(&signature);
    }
    platform::pause(reply.delay_ms).await?;
    if signal.aborted() {
        return Err(no_answer());
    }
    response(&reply.answer.map_err(|_| no_answer())?)
}

#[wasm_bindgen]
extern "C" {
    // Copies the text before it returns.
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], js_name = sign, catch)]
    fn sign(algorithm: &JsValue, key: &JsValue, text: &[u8]) -> Result<Promise, JsValue>;
}

/// Signs as the pretended hospitals do.
async fn signature(text: &str) -> Result<Vec<u8>, JsValue> {
    let (key, algorithm) = subtle::key(SIGNING_KEY, Algorithm::Es256, "sign")?;
    let signed = sign(&algorithm, &key.await?, text.as_bytes())?;
    let signature = JsFuture::from(signed).await?;
    Ok(Uint8Array::new(&signature).to_vec())
}

fn response(answer: &HttpResponse) -> Result<JsValue, JsValue> {
    let headers = Headers::new()?;
    headers.append("Content-Type", &answer.content_type)?;
    if let Some(milliseconds) = answer.retry_after_ms {
        headers.append("Retry-After", &number(milliseconds / 1000))?;
    }
    let init = ResponseInit::new();
    init.set_status(answer.status);
    init.set_headers(&headers);
    let body = core::str::from_utf8(&answer.body).unwrap_or_default();
    Ok(Response::new_with_opt_str_and_init(Some(body), &init)?.into())
}

/// As a browser says that there is no answer, or none that the page may read.
fn no_answer() -> JsValue {
    js_sys::TypeError::new("Failed to fetch").into()
}
