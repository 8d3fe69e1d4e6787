//! Answers that do not let anybody in: a row each.

use super::provider::{Grant, SECRET, key};
use super::*;

/// What is wrong, how the provider is made to say it, and the code that comes of it.
type Row = (&'static str, fn(&mut Grant), &'static str);

const TOKENS: &[Row] = &[
    ("signed with another key", |grant| grant.key = key(9), "oauth_failed"),
    (
        "signed with a key that is not published",
        |grant| {
            grant.key = key(9);
            grant.header.kid = Some("nine".to_owned());
        },
        "oauth_failed",
    ),
    ("signed by nobody", Grant::unsigned, "oauth_failed"),
    (
        "signed with the client's secret",
        |grant| {
            grant.header.alg = jsonwebtoken::Algorithm::HS256;
            grant.key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        },
        "oauth_failed",
    ),
    (
        "changed after it was signed",
        |grant| {
            let signed = jsonwebtoken::encode(&grant.header, &grant.claims, &grant.key).unwrap();
            let mut parts: Vec<_> = signed.split('.').map(str::to_owned).collect();
            grant.claims["sub"] = json!("eve");
            let other = jsonwebtoken::encode(&grant.header, &grant.claims, &grant.key).unwrap();
            parts[1] = other.split('.').nth(1).unwrap().to_owned();
            grant.token = Some(json!(parts.join(".")));
        },
        "oauth_failed",
    ),
    ("for another client", |grant| grant.claims["aud"] = json!("village"), "oauth_failed"),
    (
        "for another client as well",
        |grant| grant.claims["aud"] = json!(["city", "village"]),
        "oauth_failed",
    ),
    ("given to another client", |grant| grant.claims["azp"] = json!("village"), "oauth_failed"),
    ("of another issuer", |grant| grant.claims["iss"] = json!("https://evil.org"), "oauth_failed"),
    (
        "expired",
        |grant| {
            grant.claims["exp"] = json!(grant.claims["exp"].as_u64().unwrap() - 301);
        },
        "oauth_failed",
    ),
    (
        "without expiry",
        |grant| drop(grant.claims.as_object_mut().unwrap().remove("exp")),
        "oauth_failed",
    ),
    (
        "issued long ago",
        |grant| {
            grant.claims["iat"] = json!(grant.claims["iat"].as_u64().unwrap() - 601);
        },
        "oauth_failed",
    ),
    (
        "issued tomorrow",
        |grant| {
            grant.claims["iat"] = json!(grant.claims["iat"].as_u64().unwrap() + 86_400);
            grant.claims["exp"] = json!(grant.claims["exp"].as_u64().unwrap() + 86_400);
        },
        "oauth_failed",
    ),
    ("of another sign-in", |grant| grant.claims["nonce"] = json!("x".repeat(43)), "oauth_failed"),
    (
        "of no sign-in",
        |grant| drop(grant.claims.as_object_mut().unwrap().remove("nonce")),
        "oauth_failed",
    ),
    ("about nobody", |grant| grant.claims["sub"] = json!(""), "oauth_failed"),
    (
        "about somebody with too long a name",
        |grant| {
            grant.claims["sub"] = json!("x".repeat(256));
        },
        "oauth_failed",
    ),
    ("no token at all", |grant| grant.token = Some(Value::Null), "oauth_failed"),
    ("something else than a token", |grant| grant.token = Some(json!("a.b")), "oauth_failed"),
    (
        "about somebody whose address may be another's",
        |grant| {
            grant.claims["email_verified"] = json!(false);
        },
        "email_not_verified",
    ),
    (
        "about somebody without a word on the address",
        |grant| {
            grant.claims.as_object_mut().unwrap().remove("email_verified");
        },
        "email_not_verified",
    ),
    (
        "about somebody whose address is none",
        |grant| {
            grant.claims["email"] = json!("ada@example.org\r\nBcc: eve@evil.org");
        },
        "email_not_verified",
    ),
];

#[tokio::test]
async fn a_token_that_proves_nothing_lets_nobody_in() {
    let (world, provider) = World::with_provider().await;
    for (what, change, code) in TOKENS {
        let came = world.sign_in_saying(&provider, "ada", change).await;
        assert_eq!(came.code(), *code, "{what}: {came:?}");
        assert_eq!(came.cookie("refresh_token"), None, "{what}");
        assert_eq!(came.cookie("oauth_flow").as_deref(), Some(""), "{what}: used up");
    }
    assert!(world.is_free("ada@example.org").await);
    world.who(&world.sign_in(&provider, "ada").await).await;
}

/// What the browser brings: parameters, with `CODE`, `STATE`, `ISSUER` and what another browser has.
type Brought = (&'static str, &'static [(&'static str, &'static str)], &'static str);

const ANSWERS: &[Brought] = &[
    (
        "the state of another browser",
        &[("code", "CODE"), ("state", "OTHER")],
        "oauth_state_invalid",
    ),
    ("a state that somebody made up", &[("code", "CODE"), ("state", "x")], "oauth_state_invalid"),
    ("no state", &[("code", "CODE")], "oauth_state_invalid"),
    ("an error without state", &[("error", "access_denied")], "oauth_state_invalid"),
    ("the code of another browser", &[("code", "OTHER_CODE"), ("state", "STATE")], "oauth_failed"),
    ("a code that somebody made up", &[("code", "x"), ("state", "STATE")], "oauth_failed"),
    ("no code", &[("state", "STATE")], "oauth_failed"),
    ("a denial", &[("error", "access_denied"), ("state", "STATE")], "oauth_denied"),
    ("another error", &[("error", "invalid\r\nscope"), ("state", "STATE")], "oauth_failed"),
    ("an error that passes", &[("error", "server_error"), ("state", "STATE")], "unavailable"),
    (
        "the answer of another issuer",
        &[("code", "CODE"), ("state", "STATE"), ("iss", "https://evil.org")],
        "oauth_failed",
    ),
    (
        "a denial of another issuer",
        &[("error", "access_denied"), ("state", "STATE"), ("iss", "https://evil.org")],
        "oauth_failed",
    ),
];

#[tokio::test]
async fn an_answer_that_does_not_belong_to_the_browser_lets_nobody_in() {
    let (world, provider) = World::with_provider().await;
    for (what, brought, code) in ANSWERS {
        let begun = world.start("/api/auth/oauth/city/start").await;
        let other = world.start("/api/auth/oauth/city/start").await;
        let own_code = provider.grant(&begun, "ada", |_| ());
        let other_code = provider.grant(&other, "eve", |_| ());
        let fill = |value: &'static str| match value {
            "CODE" => own_code.clone(),
            "OTHER_CODE" => other_code.clone(),
            "STATE" => begun.asked["state"].clone(),
            "OTHER" => other.asked["state"].clone(),
            value => value.to_owned(),
        };
        let brought: Vec<_> = brought.iter().map(|(name, value)| (*name, fill(value))).collect();
        let brought: Vec<_> = brought.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let came = world.come_back(&begun, &brought).await;
        assert_eq!(came.code(), *code, "{what}: {came:?}");
        assert_eq!(came.cookie("refresh_token"), None, "{what}");
        let begun = world.start("/api/auth/oauth/city/start").await;
        if *code != "oauth_state_invalid" {
            let again = brought.iter().filter(|(name, _)| *name != "state").copied();
            let again: Vec<_> = again.chain([("state", &*begun.asked["state"])]).collect();
            let came = world.come_back_for(&begun, &again, "text/html").await;
            assert_eq!(came.location, format!("/login?error={code}"), "{what}");
        }
    }
    assert!(world.is_free("ada@example.org").await && world.is_free("eve@example.org").await);
}

#[tokio::test]
async fn without_the_cookie_of_the_sign_in_nobody_is_let_in() {
    let provider = Provider::start().await;
    let mut settings = provider.settings("city");
    settings.extend(provider.settings("village"));
    let world = World::with(&settings);
    let begun = world.start("/api/auth/oauth/city/start").await;
    let code = provider.grant(&begun, "ada", |_| ());
    let answer = [("code", &*code), ("state", &*begun.asked["state"])];
    let mut changed = begun.cookie.clone().into_bytes();
    let last = changed.len() - 2;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).unwrap();
    let other = world.start("/api/auth/oauth/city/start").await.cookie;
    for cookie in ["", "oauth_flow=", "oauth_flow=x", &changed, &other] {
        let came = world.browse(&callback("city", &answer), cookie, "*/*").await;
        let said = (came.status, came.code());
        assert_eq!(said, (StatusCode::BAD_REQUEST, "oauth_state_invalid"), "{cookie}");
        assert_eq!(came.cookie("oauth_flow"), None, "another sign-in may be on its way");
    }
    let came = world.browse(&callback("village", &answer), &begun.cookie, "*/*").await;
    assert_eq!(came.code(), "oauth_state_invalid", "it began at another provider");
    world.pass(600);
    assert_eq!(world.come_back(&begun, &answer).await.code(), "oauth_state_invalid", "too late");
    world.pass(-60);
    world.who(&world.come_back(&begun, &answer).await).await;
}

#[tokio::test]
async fn of_many_answers_to_one_sign_in_one_counts() {
    let (world, provider) = World::with_provider().await;
    let begun = world.start("/api/auth/oauth/city/start").await;
    let code = provider.grant(&begun, "ada", |_| ());
    let answer = [("code", &*code), ("state", &*begun.asked["state"])];
    let (one, two) =
        tokio::join!(world.come_back(&begun, &answer), world.come_back(&begun, &answer));
    let let_in = [&one, &two].into_iter().filter(|came| came.cookie("refresh_token").is_some());
    assert_eq!(let_in.count(), 1, "{one:?} {two:?}");
    assert!(one.code() == "oauth_state_invalid" || two.code() == "oauth_state_invalid");
    assert_eq!(provider.calls("/token"), 1, "the provider is asked once");
    // Again, with another code, by a browser that kept the cookie.
    let code = provider.grant(&begun, "ada", |_| ());
    let answer = [("code", &*code), ("state", &*begun.asked["state"])];
    assert_eq!(world.come_back(&begun, &answer).await.code(), "oauth_state_invalid");
}

#[tokio::test]
async fn a_code_is_worth_nothing_without_the_secret_of_the_browser_that_asked_for_it() {
    let (world, provider) = World::with_provider().await;
    let begun = world.start("/api/auth/oauth/city/start").await;
    let other = world.start("/api/auth/oauth/city/start").await;
    assert_ne!(begun.asked["code_challenge"], other.asked["code_challenge"]);
    // Somebody else's code, which a thief makes look like an answer to the own sign-in.
    let nonce = json!(begun.asked["nonce"]);
    let stolen = provider.grant(&other, "ada", |grant| grant.claims["nonce"] = nonce.clone());
    let answer = [("code", &*stolen), ("state", &*begun.asked["state"])];
    let came = world.come_back(&begun, &answer).await;
    assert_eq!((came.code(), came.cookie("refresh_token")), ("oauth_failed", None), "{came:?}");
}

#[tokio::test]
async fn an_issuer_that_always_names_itself_has_to() {
    let (world, provider) = World::with_provider().await;
    provider.describe("authorization_response_iss_parameter_supported", json!(true));
    assert_eq!(world.sign_in(&provider, "ada").await.code(), "oauth_failed");
    let begun = world.start("/api/auth/oauth/city/start").await;
    let code = provider.grant(&begun, "ada", |_| ());
    let state = &*begun.asked["state"];
    let answer = [("code", &*code), ("state", state), ("iss", &*provider.issuer)];
    world.who(&world.come_back(&begun, &answer).await).await;
}

#[tokio::test]
async fn documents_that_make_no_sense_let_nobody_go_there() {
    for (member, value) in [
        ("issuer", json!("https://evil.org")),
        ("token_endpoint", json!("http://evil.org/token")),
        ("authorization_endpoint", json!("javascript:alert(1)")),
        ("authorization_endpoint", Value::Null),
        ("jwks_uri", json!("http://evil.org/keys")),
        ("padding", json!("x".repeat(300_000))),
    ] {
        let (world, provider) = World::with_provider().await;
        provider.describe(member, value.clone());
        let came = world.browse("/api/auth/oauth/city/start", "", "*/*").await;
        assert_eq!(came.status, StatusCode::SERVICE_UNAVAILABLE, "{member} {came:?}");
    }
}
