//! What is sent by mail, and what its links do.

use cityevents_api::identity::{Addressee, SuppressionReason};
use cityevents_domain::time::Timestamp;
use cityevents_mail::Template;

use super::*;

#[tokio::test]
async fn who_registers_gets_a_link_that_shows_once_that_the_address_is_theirs() {
    let world = World::new();
    let made = world.register("ada@b.co").await;
    let (mail, token) = world.mailed(0).await;
    assert_eq!(mail.purpose, LinkPurpose::VerifyAddress);
    let id = made.body["data"]["user"]["id"].as_str().unwrap();
    assert_eq!(mail.account.to_string(), id);
    let confirm = async |token: &str| {
        world.post("/api/auth/verify-email/confirm", json!({ "token": token })).await
    };
    let wrong = format!("{}A", &token[1..]);
    for bad in ["", "x", &wrong, &"x".repeat(1_000)] {
        let said = confirm(bad).await;
        assert_eq!((said.status, said.code()), (StatusCode::BAD_REQUEST, "token_invalid"), "{bad}");
    }
    let reset = json!({"token": token, "new_password": "another long password"});
    let said = world.post("/api/auth/password/reset/confirm", reset).await;
    assert_eq!(said.code(), "token_invalid", "it is for something else");
    assert_eq!(confirm(&token).await.status, StatusCode::NO_CONTENT);
    assert_eq!(confirm(&token).await.code(), "token_invalid");
    let me = world.get("/api/auth/me", &made.token()).await;
    assert_eq!(me.body["data"]["email_verified"], true);
    let again = world.ask_as(&made.token(), "/api/auth/verify-email/request", None).await;
    assert_eq!(again.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn who_forgot_the_password_sets_another_one_once_and_is_signed_out_everywhere() {
    const NEW: &str = "another long password";
    let world = World::new();
    let made = world.register("ada@b.co").await;
    world.mailed(0).await;
    let request = async |email: &str| {
        world.post("/api/auth/password/reset/request", json!({ "email": email })).await
    };
    for nobody in ["eda@b.co", "nobody"] {
        assert_eq!(request(nobody).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(request("Ada@b.co").await.status, StatusCode::NO_CONTENT);
    let (_, first) = world.mailed(1).await;
    assert_eq!(request("ada@b.co").await.status, StatusCode::NO_CONTENT);
    let (_, second) = world.mailed(2).await;
    let path = format!("/api/auth/password/reset/validate?token={first}");
    let valid = world.send("GET", &path, Ask::default()).await;
    assert_eq!((valid.status, &valid.body["data"]["valid"]), (StatusCode::OK, &json!(true)));
    let confirm = async |token: &str, password: &str| {
        let body = json!({ "token": token, "new_password": password });
        world.post("/api/auth/password/reset/confirm", body).await
    };
    assert_eq!(confirm(&first, "short").await.code(), "validation_failed");
    let (one, two) = tokio::join!(confirm(&first, NEW), confirm(&first, "yet another password"));
    let done = [&one, &two].iter().filter(|said| said.status == StatusCode::NO_CONTENT).count();
    assert_eq!(done, 1, "{one:?} {two:?}");
    assert_eq!(confirm(&second, NEW).await.code(), "token_invalid", "given before the change");
    assert_eq!(world.refresh(&made.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.login("ada@b.co", PASSWORD).await.code(), "invalid_credentials");
    let good = if one.status == StatusCode::NO_CONTENT { NEW } else { "yet another password" };
    assert_eq!(world.login("ada@b.co", good).await.status, StatusCode::OK);
}

#[tokio::test]
async fn links_are_good_for_a_while_only() {
    let world = World::new();
    world.register("ada@b.co").await;
    let (_, verify) = world.mailed(0).await;
    world.post("/api/auth/password/reset/request", json!({"email": "ada@b.co"})).await;
    let (_, reset) = world.mailed(1).await;
    world.pass(31 * 60);
    let body = json!({"token": reset, "new_password": "another long password"});
    let said = world.post("/api/auth/password/reset/confirm", body).await;
    assert_eq!(said.code(), "token_invalid");
    world.pass(24 * 3_600);
    let said = world.post("/api/auth/verify-email/confirm", json!({ "token": verify })).await;
    assert_eq!(said.code(), "token_invalid");
}

/// What was found, without the secret.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Person(String),
    Declined,
    Suppressed,
    Unknown,
    Gone,
}

impl Found {
    fn of(addressee: &Addressee) -> Self {
        match addressee {
            Addressee::Person { address, .. } => Self::Person(address.clone()),
            Addressee::Declined => Self::Declined,
            Addressee::Suppressed => Self::Suppressed,
            Addressee::Unknown => Self::Unknown,
            Addressee::Erased | Addressee::Locked => Self::Gone,
        }
    }
}

#[tokio::test]
async fn a_mail_goes_to_who_is_there_and_wants_it() {
    let world = World::new();
    let made = world.register("Ada@b.co").await;
    let (mail, _) = world.mailed(0).await;
    let kind = Template::EventChanged;
    let always = Template::ResetPassword;
    let find = async |kind| Found::of(&world.addressees.find(&mail.account, kind).await.unwrap());
    let ada = Found::Person("Ada@b.co".to_owned());
    assert_eq!(find(kind).await, ada);
    let ask = Ask {
        body: Some(json!({"mail": {"event_changed": false}})),
        token: Some(&made.token()),
        ..Ask::default()
    };
    let said = world.send("PATCH", "/api/me/notifications", ask).await;
    assert_eq!(said.status, StatusCode::OK, "{said:?}");
    assert_eq!(find(kind).await, Found::Declined);
    assert_eq!(find(Template::EventCanceled).await, ada);
    assert_eq!(find(always).await, ada, "what concerns the account always comes");
    let address = Address::parse("ada@B.co").unwrap();
    let suppressions = world.identity.suppressions();
    let made = suppressions.add(&address, SuppressionReason::Bounced, "root").await.unwrap();
    let again = suppressions.add(&address, SuppressionReason::Complaint, "eve").await.unwrap();
    assert_eq!(made, again, "the first word counts");
    assert_eq!(find(always).await, Found::Suppressed);
    let all = suppressions.all().await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(suppressions.remove(&address).await.unwrap());
    assert!(!suppressions.remove(&address).await.unwrap());
    assert_eq!(suppressions.all().await.unwrap(), []);
    assert_eq!(find(always).await, ada);
    let nobody = UserId::from_bytes([9; 16]);
    let unknown = world.addressees.find(&nobody, always).await.unwrap();
    assert_eq!(Found::of(&unknown), Found::Unknown);
    let late = |seconds: i64| {
        let asked_at = Timestamp::from_millis(world.clock.now_ms() - seconds * 1_000);
        world.addressees.is_too_late(LinkPurpose::ResetPassword, asked_at)
    };
    assert!(!late(29 * 60) && late(30 * 60));
}

#[tokio::test]
async fn one_click_switches_mails_of_that_kind_off_and_no_others() {
    let world = World::new();
    let made = world.register("ada@b.co").await;
    let (mail, _) = world.mailed(0).await;
    let link = async |kind| match world.addressees.find(&mail.account, kind).await.unwrap() {
        Addressee::Person { unsubscribe, .. } => unsubscribe,
        other => panic!("{other:?}"),
    };
    assert!(link(Template::VerifyAddress).await.is_none(), "those always come");
    let token = link(Template::EventChanged).await.unwrap();
    let look = async |token: &str| {
        let path = format!("/api/unsubscribe?token={token}");
        world.send("GET", &path, Ask::default()).await
    };
    let said = look(token.expose()).await;
    assert_eq!(said.body["data"], json!({"mail": "event_changed", "on": true}));
    let forged = token.expose().replace("event_changed", "removed");
    for wrong in ["", "x", "a.b.c", &forged, &"x".repeat(1_000)] {
        assert_eq!(look(wrong).await.code(), "token_invalid", "{wrong}");
        let said = world.post("/api/unsubscribe", json!({ "token": wrong })).await;
        assert_eq!((said.status, said.code()), (StatusCode::BAD_REQUEST, "token_invalid"));
    }
    for _ in 0..2 {
        let said = world.post("/api/unsubscribe", json!({ "token": token.expose() })).await;
        assert_eq!(said.status, StatusCode::NO_CONTENT, "as often as wanted");
    }
    assert_eq!(look(token.expose()).await.body["data"]["on"], false);
    let kept = world.get("/api/me/notifications", &made.token()).await.body;
    let off = kept["mail"].as_object().unwrap().iter().filter(|(_, on)| **on == false);
    assert_eq!(off.map(|(kind, _)| &**kind).collect::<Vec<_>>(), ["event_changed"]);
}

#[tokio::test]
async fn mails_are_in_the_language_that_somebody_registered_with_or_chose() {
    let world = World::new();
    let body = json!({"email": "ada@b.co", "password": PASSWORD, "language": "de-AT"});
    let made = world.post("/api/auth/register", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let (mail, _) = world.mailed(0).await;
    let language = async || {
        let found = world.addressees.find(&mail.account, Template::VerifyAddress).await.unwrap();
        let Addressee::Person { language, .. } = found else { panic!("{found:?}") };
        language.map(|tag| tag.as_str().to_owned())
    };
    assert_eq!(language().await.as_deref(), Some("de-AT"));
    let patch = async |body| {
        let token = made.token();
        let ask = Ask { body: Some(body), token: Some(&token), ..Ask::default() };
        world.send("PATCH", "/api/me/notifications", ask).await
    };
    let said = patch(json!({"language": "en", "mail": {"removed": false}})).await;
    assert_eq!(
        (&said.body["language"], &said.body["mail"]["removed"]),
        (&"en".into(), &false.into())
    );
    assert_eq!(language().await.as_deref(), Some("en"));
    let said = patch(json!({"mail": {"removed": true}})).await;
    assert_eq!(said.body["language"], "en", "what is not sent stays");
    let said = patch(json!({"language": "de_AT\r\nX: y"})).await;
    assert_eq!((said.status, said.code()), (StatusCode::BAD_REQUEST, "validation_failed"));
    assert!(said.body["error"]["meta"]["fields"]["language"].is_string(), "{}", said.body);
    let body = json!({"email": "ben@b.co", "password": PASSWORD, "language": ""});
    assert_eq!(world.post("/api/auth/register", body).await.code(), "validation_failed");
}
