//! The pages about accounts, behind the edge, as a browser without scripts meets them.

use std::collections::BTreeMap;

use axum::http::header::{ACCEPT, ACCEPT_LANGUAGE, CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, Method};
use cityevents_api::identity;
use cityevents_api::web::{self, Pages, PagesParts};
use cityevents_kit::http::{Edge, EdgeParts, RoutePolicy};
use cityevents_kit::telemetry::{HttpMetrics, MetricsRegistry};

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
        });
        let pages = pages.unwrap();
        let metrics = HttpMetrics::new(&MetricsRegistry::new("test", "test"));
        let parts = EdgeParts { policy, verifier: world.verifier.clone(), metrics };
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
        body: String,
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
        let request = request.body(Body::from(body)).unwrap();
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
