//! What is sent by mail, and what its links do.

use cityevents_api::identity::{Addressee, MailKind, SuppressionReason};
use cityevents_domain::time::Timestamp;

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

#[tokio::test]
async fn a_mail_goes_to_who_is_there_and_wants_it() {
    let world = World::new();
    let made = world.register("Ada@b.co").await;
    let (mail, _) = world.mailed(0).await;
    let kind = Some(MailKind::EventChanged);
    let find = async |kind| world.addressees.find(&mail.account, kind).await.unwrap();
    let ada = Addressee::Person { address: "Ada@b.co".to_owned(), name: None };
    assert_eq!(find(kind).await, ada);
    let ask = Ask {
        body: Some(json!({"mail": {"event_changed": false}})),
        token: Some(&made.token()),
        ..Ask::default()
    };
    let said = world.send("PATCH", "/api/me/notifications", ask).await;
    assert_eq!(said.status, StatusCode::OK, "{said:?}");
    assert_eq!(find(kind).await, Addressee::Declined);
    assert_eq!(find(Some(MailKind::EventCanceled)).await, ada);
    assert_eq!(find(None).await, ada, "what concerns the account always comes");
    let address = Address::parse("ada@B.co").unwrap();
    let suppressions = world.identity.suppressions();
    let made = suppressions.add(&address, SuppressionReason::Bounced, "root").await.unwrap();
    let again = suppressions.add(&address, SuppressionReason::Complaint, "eve").await.unwrap();
    assert_eq!(made, again, "the first word counts");
    assert_eq!(find(None).await, Addressee::Suppressed);
    let all = suppressions.all().await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(suppressions.remove(&address).await.unwrap());
    assert!(!suppressions.remove(&address).await.unwrap());
    assert_eq!(suppressions.all().await.unwrap(), []);
    assert_eq!(find(None).await, ada);
    let nobody = UserId::from_bytes([9; 16]);
    assert_eq!(world.addressees.find(&nobody, None).await.unwrap(), Addressee::Unknown);
    let late = |seconds: i64| {
        let asked_at = Timestamp::from_millis(world.clock.now_ms() - seconds * 1_000);
        world.addressees.is_too_late(LinkPurpose::ResetPassword, asked_at)
    };
    assert!(!late(29 * 60) && late(30 * 60));
}
