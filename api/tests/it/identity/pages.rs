//! The pages about accounts, behind the edge, as a browser without scripts meets them.

use std::collections::BTreeMap;

use axum::http::header::{ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, Method};
use cityevents_api::identity::{self, Addressee};
use cityevents_api::web::{self, Pages, PagesParts};
use cityevents_kit::http::{Edge, EdgeParts, RoutePolicy};
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::telemetry::{HttpMetrics, MetricsRegistry};
use cityevents_mail::Template;
use cityevents_trace::Tracer;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

/// Keeps cookies as a browser does.
pub(super) struct Browser {
    router: Router,
    pub(super) cookies: Mutex<BTreeMap<String, String>>,
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) status: StatusCode,
    headers: HeaderMap,
    pub(super) text: String,
}

impl Page {
    pub(super) fn location(&self) -> &str {
        self.headers.get(LOCATION).map_or("", |address| address.to_str().unwrap())
    }
}

fn policy(method: &Method, route: Option<&str>) -> RoutePolicy {
    let calls = || identity::route_policy(method, route);
    web::route_policy(method, route).or_else(calls).unwrap_or(RoutePolicy::GENERAL)
}

impl Browser {
    pub(super) fn of(world: &World) -> Self {
        let overrides = vec![("data.dir".to_owned(), world.folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        let pages = Pages::new(PagesParts {
            calls: world.router.clone(),
            identity: world.identity.clone(),
            verifier: world.verifier.clone(),
            clock: world.clock.clone(),
            pictures: PictureAddresses::of(&config),
            upload_bytes_max: config.media.upload_max,
        });
        let pages = pages.unwrap();
        let metrics = HttpMetrics::new(&MetricsRegistry::new("test", "test"));
        let parts =
            EdgeParts { policy, verifier: world.verifier.clone(), metrics, tracer: Tracer::off() };
        let edge = Edge::new(&config, parts).with_pages(Arc::new(pages.clone()));
        let router = edge.around(web::router(pages).merge(world.router.clone()));
        Self { router, cookies: Mutex::default() }
    }

    /// Another window with the same cookies, which from now on are its own.
    fn twin(&self) -> Self {
        Self { router: self.router.clone(), cookies: Mutex::new(self.cookies.lock().clone()) }
    }

    pub(super) async fn get(&self, path: &str) -> Page {
        self.send("GET", path, None, &[], String::new()).await
    }

    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.post_from(PAGE, path, fields).await
    }

    async fn post_from(&self, origin: &str, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        self.send("POST", path, Some(origin), &[(CONTENT_TYPE, FORM)], body.finish()).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        origin: Option<&str>,
        headers: &[(axum::http::HeaderName, &str)],
        body: impl Into<Body>,
    ) -> Page {
        let mut request = Request::builder().method(method).uri(path).header(HOST, HOST_NAME);
        let jar = self.cookies.lock().clone();
        let pairs: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request = request.header(COOKIE, pairs.join("; "));
        if !headers.iter().any(|(name, _)| *name == ACCEPT) {
            request = request.header(ACCEPT, "text/html,*/*;q=0.8");
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        for set in response.headers().get_all(SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let (name, value) = pair.split_once('=').unwrap();
            match value {
                "" => self.cookies.lock().remove(name),
                value => self.cookies.lock().insert(name.to_owned(), value.to_owned()),
            };
        }
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Page { status: head.status, headers: head.headers, text }
    }

    async fn register(&self, email: &str) -> Page {
        let fields = [("email", email), ("password", PASSWORD), ("name", "Ada"), ("return_to", "")];
        self.post("/register", &fields).await
    }
}

#[tokio::test]
async fn a_session_is_good_for_pages_and_for_no_call() {
    let browser = Browser::of(&World::new());
    let made = browser.register("ada@example.org").await;
    assert_eq!((made.status, made.location()), (StatusCode::SEE_OTHER, "/"), "{}", made.text);
    let account = browser.get("/account").await;
    assert_eq!(account.status, StatusCode::OK, "{}", account.text);
    assert!(account.text.contains("ada@example.org"), "{}", account.text);
    assert_eq!(account.headers[CACHE_CONTROL], "no-store");
    let call = browser.get("/api/auth/me").await;
    assert_eq!(call.status, StatusCode::UNAUTHORIZED, "{}", call.text);
    assert_eq!(browser.post("/logout", &[]).await.location(), "/login?notice=signed-out");
    assert!(browser.cookies.lock().is_empty(), "{:?}", browser.cookies);
    let account = browser.get("/account").await;
    assert_eq!(account.location(), "/login?return_to=%2Faccount");
}

#[tokio::test]
async fn a_form_of_another_site_does_nothing() {
    let browser = Browser::of(&World::new());
    browser.register("ada@example.org").await;
    for path in ["/logout", "/account/sessions/end", "/account/delete", "/login", "/language"] {
        let answer = browser.post_from("https://evil.org", path, &[("sure", "yes")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
        let answer = browser.send("POST", path, None, &[(CONTENT_TYPE, FORM)], String::new()).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} from nowhere");
    }
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_that_has_run_out_goes_on_in_two_windows_at_once() {
    let world = World::new();
    let browser = Browser::of(&world);
    browser.register("ada@example.org").await;
    browser.cookies.lock().remove("session");
    let other = browser.twin();
    for window in [&browser, &other] {
        let account = window.get("/account").await;
        assert_eq!(account.status, StatusCode::OK, "{}", account.text);
        assert!(window.cookies.lock().contains_key("session"));
    }
    // Both have the successor of one and the same token: neither is thrown out later.
    world.pass(60);
    for window in [&browser, &other] {
        window.cookies.lock().remove("session");
    }
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
    assert_eq!(other.get("/account").await.status, StatusCode::OK);
    // One that was replaced long ago ends the session, as everywhere.
    let thief = other.twin();
    world.pass(60);
    browser.cookies.lock().remove("session");
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
    world.pass(60);
    thief.cookies.lock().remove("session");
    assert_eq!(thief.get("/account").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_was_typed_is_kept_and_passwords_are_not() {
    let browser = Browser::of(&World::new());
    let fields = [("name", "A & <b>"), ("email", "no address"), ("password", "tooshort1")];
    let again = browser.post("/register", &fields).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.text.contains("A &amp; &lt;b&gt;"), "{}", again.text);
    assert!(again.text.contains(r#"id="email-wrong""#), "{}", again.text);
    assert!(again.text.contains(r#"id="password-wrong""#), "{}", again.text);
    assert!(!again.text.contains("tooshort1"), "{}", again.text);
    browser.register("ada@example.org").await;
    let wrong = [("email", "ada@example.org"), ("password", "not this one, no")];
    let again = browser.post("/login", &wrong).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    assert!(again.text.contains("ada@example.org") && !again.text.contains("not this one"));
}

#[tokio::test]
async fn passwords_are_masked_and_left_to_the_browser_and_who_is_signed_in_can_sign_out() {
    let world = World::new();
    let browser = Browser::of(&world);
    browser.register("ada@example.org").await;
    let account = browser.get("/account").await.text;
    assert!(account.contains(r#"method="post" action="/logout""#), "{account}");
    world.post("/api/auth/password/reset/request", json!({"email": "ada@example.org"})).await;
    let (_, token) = world.mailed(1).await;
    let reset = browser.get(&format!("/reset-password?token={token}")).await.text;
    let (login, register) = (browser.get("/login").await.text, browser.get("/register").await.text);
    for (page, expected) in [(&login, 1), (&register, 1), (&reset, 1), (&account, 2)] {
        let inputs = page.split("<input ").skip(1).map(|rest| rest.split('>').next().unwrap());
        let inputs = inputs.filter(|input| !input.contains(r#"type="hidden""#));
        let inputs: Vec<_> = inputs.filter(|input| input.contains("password")).collect();
        assert_eq!(inputs.len(), expected, "{page}");
        for input in inputs {
            assert!(input.contains(r#"type="password""#), "{input}");
            let kept = ["current-password", "new-password"];
            let is_kept = |word| input.contains(&format!(r#"autocomplete="{word}""#));
            assert!(kept.into_iter().any(is_kept), "{input}");
            assert!(!input.contains("maxlength") && !input.contains("onpaste"), "{input}");
        }
    }
}

#[tokio::test]
async fn one_comes_back_to_where_one_was_and_never_to_another_site() {
    let world = World::new();
    Browser::of(&world).register("ada@example.org").await;
    for (return_to, expected) in [("/account?a=b", "/account?a=b"), ("//evil.org", "/")] {
        let fields =
            [("email", "ada@example.org"), ("password", PASSWORD), ("return_to", return_to)];
        let answer = Browser::of(&world).post("/login", &fields).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, expected));
    }
}

#[tokio::test]
async fn the_link_of_a_mail_acts_when_its_button_is_pressed() {
    let world = World::new();
    let browser = Browser::of(&world);
    browser.register("ada@example.org").await;
    let (_, token) = world.mailed(0).await;
    let page = browser.get(&format!("/verify-email?token={token}")).await;
    assert_eq!(page.headers["referrer-policy"], "same-origin");
    assert!(page.text.contains(&token), "{}", page.text);
    assert!(browser.get("/account").await.text.contains("not confirmed yet"));
    let done = browser.post("/verify-email", &[("token", &token)]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert!(!browser.get("/account").await.text.contains("not confirmed yet"));
    let again = browser.post("/verify-email", &[("token", &token)]).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.text.contains("This link does not work any more"), "{}", again.text);
}

#[tokio::test]
async fn people_get_pages_and_programs_get_documents() {
    let browser = Browser::of(&World::new());
    let german = [(ACCEPT, "text/html"), (ACCEPT_LANGUAGE, "de")];
    let page = browser.send("GET", "/nothing-here", None, &german, String::new()).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    assert!(page.text.contains(r#"<html lang="de">"#) && page.text.contains("Hier ist nichts"));
    for (path, accept) in [("/nothing-here", "application/json"), ("/api/nothing", "text/html")] {
        let answer = browser.send("GET", path, None, &[(ACCEPT, accept)], String::new()).await;
        assert_eq!(answer.headers[CONTENT_TYPE], "application/problem+json", "{path}");
    }
}

#[tokio::test]
async fn assets_are_kept_under_their_own_name_only() {
    let browser = Browser::of(&World::new());
    let page = browser.get("/login").await.text;
    let address = page.split('"').find(|part| part.starts_with("/assets/site.")).unwrap();
    let asset = browser.get(address).await;
    assert_eq!(asset.status, StatusCode::OK);
    assert_eq!(asset.headers[CACHE_CONTROL], "public, max-age=31536000, immutable");
    let other = browser.get("/assets/site.0123456789ab.css").await;
    assert_eq!(
        (other.status, &other.headers[CACHE_CONTROL]),
        (StatusCode::OK, &"no-cache".parse().unwrap())
    );
    for none in ["", "/", "/other.css", "/other.0123456789ab.css", "/..%2Fassets%2Fsite.css"] {
        let answer = browser.get(&format!("/assets{none}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{none}");
    }
}

/// A form with a picture, as a browser sends it.
fn form_of(name: &str, kind: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "--line\r\nContent-Disposition: form-data; name=\"focus\"\r\n\r\ntop\r\n\
         --line\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a\"\r\n\
         Content-Type: {kind}\r\n\r\n"
    );
    [head.as_bytes(), bytes, b"\r\n--line--\r\n"].concat()
}

impl Browser {
    async fn bring(&self, origin: Option<&str>, body: Vec<u8>) -> Page {
        let kind = (CONTENT_TYPE, "multipart/form-data; boundary=line");
        self.send("POST", "/account/avatar", origin, &[kind], body).await
    }
}

#[tokio::test]
async fn a_picture_is_brought_by_a_plain_form() {
    let world = World::new();
    let browser = Browser::of(&world);
    let good = pictures::picture(image::ImageFormat::Png);
    let anonymous = browser.bring(Some(PAGE), form_of("picture", "image/png", &good)).await;
    assert_eq!(anonymous.location(), "/login?return_to=%2F", "{}", anonymous.text);
    browser.register("ada@example.org").await;
    // Somebody works on what comes.
    let (media, identity) = (world.media.clone(), world.identity.clone());
    let sweeping = tokio::spawn(async move {
        loop {
            media.sweep_once(&identity).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let brought = browser.bring(Some(PAGE), form_of("picture", "image/png", &good)).await;
    assert_eq!(brought.location(), "/account?done=saved", "{}", brought.text);
    let account = browser.get("/account").await.text.replace("&#x2f;", "/");
    let address = account.split("src=\"/media/").nth(1).expect("the avatar is shown");
    let address = format!("/media/{}", address.split('"').next().unwrap());
    let request = Request::get(&address).body(Body::empty()).unwrap();
    let shown = browser.router.clone().oneshot(request).await.unwrap();
    assert_eq!(shown.status(), StatusCode::OK);
    assert_eq!(shown.headers()["x-content-type-options"], "nosniff");
    assert_eq!(shown.headers()["cache-control"], "public, max-age=31536000, immutable");

    let damaged = good.slice(..good.len() - 40);
    let large = vec![0; 11 << 20];
    for (body, status, said) in [
        (form_of("picture", "image/png", &damaged), 400, "damaged"),
        (form_of("picture", "image/png", b"<script>alert(1)</script>"), 400, "no picture in JPEG"),
        (form_of("picture", "text/html", &good), 400, "no picture in JPEG"),
        (form_of("picture", "image/png", b""), 400, "fill this in"),
        (form_of("other", "image/png", &good), 400, "fill this in"),
        (b"--line\r\nnonsense".to_vec(), 400, "not filled in right"),
        (form_of("picture", "image/png", &large), 413, "too large"),
    ] {
        let page = browser.bring(Some(PAGE), body).await;
        assert_eq!(page.status.as_u16(), status, "{said}: {}", page.text);
        assert!(page.text.contains(said), "{said}: {}", page.text);
        assert!(page.text.replace("&#x2f;", "/").contains(&address), "the picture before stays");
    }
    let foreign = browser.bring(Some("https://evil.org"), form_of("picture", "image/png", &good));
    assert_eq!(foreign.await.status, StatusCode::FORBIDDEN);
    let nowhere = browser.bring(None, form_of("picture", "image/png", &good)).await;
    assert_eq!(nowhere.status, StatusCode::FORBIDDEN);
    let removed = browser.post("/account/avatar/remove", &[]).await;
    assert_eq!(removed.location(), "/account?done=saved");
    assert!(!browser.get("/account").await.text.contains("class=\"avatar\""));
    sweeping.abort();
}

/// As a program for mail does it (RFC 8058): a POST to the address in the header of the mail, with no
/// cookie and no origin, whatever the body.
#[tokio::test]
async fn the_link_of_a_mail_shows_a_page_and_one_click_switches_it_off() {
    let world = World::new();
    let browser = Browser::of(&world);
    browser.register("ada@example.org").await;
    let (mail, _) = world.mailed(0).await;
    let link = async |kind| match world.addressees.find(&mail.account, kind).await.unwrap() {
        Addressee::Person { unsubscribe: Some(token), .. } => {
            format!("/unsubscribe?token={}", token.expose())
        }
        other => panic!("{other:?}"),
    };
    let address = link(Template::EventChanged).await;
    let other = link(Template::Waitlisted).await;
    let program = Browser { router: browser.router.clone(), cookies: Mutex::default() };
    let page = program.get(&address).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("Time or place of an event changed"), "{}", page.text);
    assert_eq!(page.headers["referrer-policy"], "same-origin", "the address is a secret");
    assert!(browser.get("/account").await.text.contains("event_changed\" value=\"on\" checked"));
    let multipart = "multipart/form-data; boundary=x";
    for (kind, body) in [
        (FORM, "List-Unsubscribe=One-Click"),
        (
            multipart,
            "--x\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--x--\r\n",
        ),
    ] {
        let headers = [(CONTENT_TYPE, kind), (ACCEPT, "*/*")];
        let done = program.send("POST", &address, None, &headers, body.to_owned()).await;
        assert_eq!(done.status, StatusCode::OK, "{}", done.text);
        assert!(done.headers.get(LOCATION).is_none(), "nobody follows it");
    }
    let account = browser.get("/account").await;
    assert!(!account.text.contains("event_changed\" value=\"on\" checked"), "{}", account.text);
    assert!(account.text.contains("waitlisted\" value=\"on\" checked"), "{}", account.text);
    // The button of the page, from wherever.
    let done = browser.post_from("https://mail.example.net", &other, &[]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    for wrong in ["/unsubscribe", "/unsubscribe?token=made-up"] {
        assert_eq!(program.get(wrong).await.status, StatusCode::BAD_REQUEST);
        let said = program.send("POST", wrong, None, &[], String::new()).await;
        assert_eq!(said.status, StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn mails_are_in_the_language_of_the_pages_until_somebody_chooses_another() {
    let world = World::new();
    let browser = Browser::of(&world);
    browser.post("/language", &[("language", "de"), ("return_to", "/")]).await;
    browser.register("ada@example.org").await;
    let (mail, _) = world.mailed(0).await;
    let language = async || {
        let found = world.addressees.find(&mail.account, Template::VerifyAddress).await.unwrap();
        let Addressee::Person { language, .. } = found else { panic!("{found:?}") };
        language.map(|tag| tag.as_str().to_owned())
    };
    assert_eq!(language().await.as_deref(), Some("de"));
    let account = browser.get("/account").await;
    assert!(account.text.contains("value=\"de\" lang=\"de\" selected"), "{}", account.text);
    let saved = browser.post("/account/mails", &[("language", "en"), ("removed", "on")]).await;
    assert_eq!(saved.location(), "/account?done=saved", "{}", saved.text);
    assert_eq!(language().await.as_deref(), Some("en"));
    // A form that does not say leaves it as it is.
    browser.post("/account/mails", &[("removed", "on")]).await;
    assert_eq!(language().await.as_deref(), Some("en"));
}
