//! Signing in at another provider, as a browser and a provider meet it.

mod links;
mod page;
mod provider;
mod refused;

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, LOCATION, RETRY_AFTER};

use self::provider::Provider;
use super::*;

/// A sign-in that has begun in a browser.
pub struct Begun {
    /// What the provider is asked.
    asked: BTreeMap<String, String>,
    /// The browser's cookie, name and value.
    cookie: String,
}

#[derive(Debug)]
struct Came {
    status: StatusCode,
    location: String,
    headers: HeaderMap,
    body: Value,
}

impl Came {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    /// The value of a cookie that is set; `None` when it is not mentioned.
    fn cookie(&self, name: &str) -> Option<String> {
        let set = self.headers.get_all(SET_COOKIE).iter().map(|set| set.to_str().unwrap());
        let value = set.filter_map(|set| set.strip_prefix(&format!("{name}=")));
        value.map(|set| set.split(';').next().unwrap().to_owned()).next_back()
    }
}

impl World {
    /// An instance where people sign in at a provider, called `city`.
    async fn with_provider() -> (Self, Provider) {
        let provider = Provider::start().await;
        let world = Self::with(&provider.settings("city"));
        (world, provider)
    }

    async fn browse(&self, path: &str, cookie: &str, accept: &str) -> Came {
        self.browse_to(&self.router, path, cookie, accept).await
    }

    async fn browse_to(&self, router: &Router, path: &str, cookie: &str, accept: &str) -> Came {
        let request = Request::get(path).header(HOST, HOST_NAME).header(ACCEPT, accept);
        let request = request.header(COOKIE, format!("theme=dark; {cookie}"));
        let response = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let location = head.headers.get(LOCATION).map(|location| location.to_str().unwrap());
        Came {
            status: head.status,
            location: location.unwrap_or_default().to_owned(),
            headers: head.headers,
            body: serde_json::from_slice(&body).unwrap_or_default(),
        }
    }

    async fn start(&self, path: &str) -> Begun {
        let came = self.browse(path, "", "text/html").await;
        assert_eq!(came.status, StatusCode::SEE_OTHER, "{came:?}");
        begun(&came.location, &came.cookie("oauth_flow").unwrap())
    }

    /// What the provider sends the browser to, for a program, which is told more.
    async fn come_back(&self, begun: &Begun, answer: &[(&str, &str)]) -> Came {
        self.come_back_for(begun, answer, "*/*").await
    }

    async fn come_back_for(&self, begun: &Begun, answer: &[(&str, &str)], accept: &str) -> Came {
        let path = callback("city", answer);
        self.browse(&path, &begun.cookie, accept).await
    }

    /// Signs in at the provider, and at the instance by it.
    async fn sign_in(&self, provider: &Provider, subject: &str) -> Came {
        self.sign_in_saying(provider, subject, |_| ()).await
    }

    async fn sign_in_saying(
        &self,
        provider: &Provider,
        subject: &str,
        change: impl FnOnce(&mut provider::Grant),
    ) -> Came {
        let begun = self.start("/api/auth/oauth/city/start").await;
        let code = provider.grant(&begun, subject, change);
        self.come_back(&begun, &[("code", &code), ("state", &begun.asked["state"])]).await
    }

    /// Who a browser that came back is signed in as.
    async fn who(&self, came: &Came) -> Answer {
        assert_eq!((came.status, &*came.location), (StatusCode::SEE_OTHER, "/"), "{came:?}");
        let refreshed = self.refresh(&came.cookie("refresh_token").unwrap()).await;
        assert_eq!(refreshed.status, StatusCode::OK, "{refreshed:?}");
        refreshed
    }

    async fn is_free(&self, email: &str) -> bool {
        let address = Address::parse(email).unwrap();
        self.identity.account_of(&address).await.unwrap().is_none()
    }
}

fn begun(location: &str, cookie: &str) -> Begun {
    let (_, query) = location.split_once('?').unwrap();
    let asked = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Begun { asked, cookie: format!("oauth_flow={cookie}") }
}

fn callback(provider: &str, answer: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(answer).finish();
    format!("/api/auth/oauth/{provider}/callback?{query}")
}

fn id(answer: &Answer) -> String {
    answer.body["data"]["user"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_first_sign_in_makes_an_account_and_later_ones_find_it() {
    let (world, provider) = World::with_provider().await;
    let listed = world.send("GET", "/api/auth/oauth", Ask::default()).await;
    let expected = json!([{"provider": "city", "name": "City hall"}]);
    assert_eq!(listed.body["data"], expected);
    let begun = world.start("/api/auth/oauth/city/start?return_to=/events%3Fcity%3DPorto").await;
    let asked = |name: &str| begun.asked[name].as_str();
    assert_eq!(asked("tenant"), "1", "the query of the provider's address stays");
    assert_eq!((asked("response_type"), asked("client_id")), ("code", "city"));
    assert_eq!((asked("code_challenge_method"), asked("scope")), ("S256", "openid email profile"));
    let redirect = "http://city.test:8080/api/auth/oauth/city/callback";
    assert_eq!(asked("redirect_uri"), redirect);
    let code = provider.grant(&begun, "ada", |_| ());
    let answer = [("code", &*code), ("state", asked("state")), ("iss", &*provider.issuer)];
    let came = world.come_back_for(&begun, &answer, "text/html,*/*;q=0.8").await;
    let to = (came.status, &*came.location);
    assert_eq!(to, (StatusCode::SEE_OTHER, "/events?city=Porto"), "{came:?}");
    assert_eq!(came.cookie("oauth_flow").as_deref(), Some(""), "the flow is over");
    let refreshed = world.refresh(&came.cookie("refresh_token").unwrap()).await;
    let user = &refreshed.body["data"]["user"];
    assert_eq!((&user["email"], &user["name"]), (&json!("ada@example.org"), &json!("Ada")));
    assert_eq!((&user["email_verified"], &user["has_password"]), (&json!(true), &json!(false)));
    assert!(world.mails.0.lock().is_empty(), "there is nothing to confirm");
    // It is the subject that counts, not the address.
    let again = world.sign_in_saying(&provider, "ada", |grant| {
        grant.claims["email"] = json!("other@example.org");
        grant.claims["email_verified"] = json!(false);
    });
    assert_eq!(id(&world.who(&again.await).await), id(&refreshed));
    assert!(world.is_free("other@example.org").await);
    let other = world.sign_in(&provider, "eve").await;
    assert_ne!(id(&world.who(&other).await), id(&refreshed));
    assert_eq!(provider.calls("/keys"), 1, "what a provider says of itself is kept");
}

#[tokio::test]
async fn what_the_token_does_not_tell_is_asked_for() {
    let (world, provider) = World::with_provider().await;
    let silent = |grant: &mut provider::Grant| {
        for claim in ["email", "email_verified", "name"] {
            grant.claims.as_object_mut().unwrap().remove(claim);
        }
    };
    provider.tell(json!({"sub": "eve", "email": "ada@example.org", "email_verified": true}));
    let came = world.sign_in_saying(&provider, "ada", silent).await;
    assert_eq!(came.code(), "oauth_failed", "it tells of somebody else: {came:?}");
    assert!(world.is_free("ada@example.org").await);
    provider.tell(json!({
        "sub": "ada", "email": "ada@example.org", "email_verified": true, "name": "Ada"
    }));
    let came = world.sign_in_saying(&provider, "ada", silent).await;
    let signed_in = world.who(&came).await;
    assert_eq!(signed_in.body["data"]["user"]["name"], "Ada");
}

#[tokio::test]
async fn keys_that_are_not_known_yet_are_read_and_those_that_are_none_prove_nothing() {
    let (world, provider) = World::with_provider().await;
    let first = world.who(&world.sign_in(&provider, "ada").await).await;
    provider.rotate("two", 2);
    let second = world.who(&world.sign_in(&provider, "ada").await).await;
    assert_eq!(id(&first), id(&second));
    assert_eq!(provider.calls("/keys"), 2);
    world.who(&world.sign_in(&provider, "ada").await).await;
    assert_eq!(provider.calls("/keys"), 2);
    let made_up = |grant: &mut provider::Grant| grant.header.kid = Some("three".to_owned());
    let came = world.sign_in_saying(&provider, "ada", made_up).await;
    assert_eq!((came.code(), provider.calls("/keys")), ("oauth_failed", 3));
}

#[tokio::test]
async fn a_provider_that_is_away_says_when_to_come_again_and_nothing_else_stops() {
    let provider = Provider::start().await;
    provider.be_away(true);
    let mut settings = provider.settings("city");
    settings.push(("breaker.failures".to_owned(), "2".to_owned()));
    // Longer than any test takes.
    settings.push(("breaker.open_for".to_owned(), "1h".to_owned()));
    let world = World::with(&settings);
    assert_eq!(world.register("ada@b.co").await.status, StatusCode::CREATED);
    let path = "/api/auth/oauth/city/start";
    for _ in 0..3 {
        let came = world.browse(path, "", "*/*").await;
        let said = (came.status, came.code());
        assert_eq!(said, (StatusCode::SERVICE_UNAVAILABLE, "unavailable"), "{came:?}");
        assert!(came.headers[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() > 0);
    }
    let document = "/.well-known/openid-configuration";
    assert_eq!(provider.calls(document), 2, "it is not asked while it is known to be away");
    let came = world.browse(path, "", "text/html").await;
    let to = (came.status, &*came.location);
    assert_eq!(to, (StatusCode::SEE_OTHER, "/login?error=unavailable"));
    // Another process, which has not asked yet.
    let other = World::with(&provider.settings("city"));
    provider.be_away(false);
    other.who(&other.sign_in(&provider, "ada").await).await;
    provider.be_away(true);
    let begun = other.start(path).await;
    let code = provider.grant(&begun, "ada", |_| ());
    let came = other.come_back(&begun, &[("code", &code), ("state", &begun.asked["state"])]).await;
    assert_eq!(came.status, StatusCode::SERVICE_UNAVAILABLE, "{came:?}");
    assert!(came.headers.contains_key(RETRY_AFTER));
}

#[tokio::test]
async fn providers_that_are_not_set_up_are_not_there() {
    let (world, _provider) = World::with_provider().await;
    for path in ["google/start", "google/callback?code=a&state=b", "City/start", "%0A/start"] {
        let came = world.browse(&format!("/api/auth/oauth/{path}"), "", "text/html").await;
        assert_eq!((came.status, came.code()), (StatusCode::NOT_FOUND, "not_found"), "{path}");
    }
    let came = world.browse("/api/auth/oauth/google/start", "", "*/*").await;
    assert!(came.body["detail"].as_str().unwrap().contains("\"google\""), "{came:?}");
}

#[tokio::test]
async fn the_browser_returns_to_a_page_of_this_site_only() {
    let (world, _provider) = World::with_provider().await;
    for bad in ["//evil.org", "https%3A%2F%2Fevil.org", "%2F%5Cevil.org", "", "%2F%0D%0Ax", "x"] {
        let path = format!("/api/auth/oauth/city/start?return_to={bad}");
        let came = world.browse(&path, "", "text/html").await;
        let said = (came.status, came.code());
        assert_eq!(said, (StatusCode::BAD_REQUEST, "validation_failed"), "{bad}");
        assert!(came.body.to_string().contains("return_to"), "{came:?}");
    }
    let came = world.browse("/api/auth/oauth/city/start?returnto=/", "", "*/*").await;
    assert_eq!(came.status, StatusCode::BAD_REQUEST, "a misspelled parameter is told");
}

#[tokio::test]
async fn behind_tls_the_cookie_is_this_hosts_only_and_pages_are_below_the_public_path() {
    let provider = Provider::start().await;
    let mut settings = provider.settings("city");
    let public = "https://city.example/signup/".to_owned();
    settings.push(("http.public_url".to_owned(), public));
    let world = World::with(&settings);
    let came = world.browse("/api/auth/oauth/city/start", "", "text/html").await;
    let set = came.headers[SET_COOKIE].to_str().unwrap();
    assert!(set.starts_with("__Host-oauth_flow="), "{set}");
    for part in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Max-Age=600", "; Secure"] {
        assert!(set.contains(part), "{set}");
    }
    let redirect = "redirect_uri=https%3A%2F%2Fcity.example%2Fsignup%2Fapi%2Fauth%2Foauth%2Fcity";
    assert!(came.location.contains(redirect), "{came:?}");
    let came = world.browse(&callback("city", &[]), "", "text/html").await;
    assert_eq!(came.location, "/signup/login?error=oauth_state_invalid");
}

#[test]
fn going_to_a_provider_and_back_is_limited_as_signing_in_is() {
    use cityevents_api::identity::route_policy;
    use cityevents_kit::http::CallClass;
    for end in ["start", "callback", "link"] {
        let route = format!("/api/auth/oauth/{{provider}}/{end}");
        let policy = route_policy(&axum::http::Method::GET, Some(&route)).unwrap();
        assert_eq!(policy.class, CallClass::Login, "{end}");
    }
}
