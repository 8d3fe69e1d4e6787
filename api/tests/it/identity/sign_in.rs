//! Making an account and signing in.

use super::*;

#[tokio::test]
async fn who_registers_is_signed_in_and_can_sign_in_again() {
    let world = World::new();
    let body = json!({"email": " Ada@Example.org ", "password": PASSWORD, "name": " Ada "});
    let made = world.post("/api/auth/register", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let user = &made.body["data"]["user"].clone();
    assert_eq!((&user["email"], &user["name"]), (&json!("Ada@Example.org"), &json!("Ada")));
    assert_eq!((&user["role"], &user["has_password"]), (&json!("user"), &json!(true)));
    assert_eq!((&user["email_verified"], &user["locked"]), (&json!(false), &json!(false)));
    assert_eq!(made.body["data"]["tokens"]["token_type"], "Bearer");
    let me = world.get("/api/auth/me", &made.token()).await;
    assert_eq!(&me.body["data"], user);
    let again = world.login("ada@example.ORG", PASSWORD).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    assert_eq!(&again.body["data"]["user"], user);
    // Each time a session of its own, and the one before goes on.
    let sessions = world.get("/api/auth/sessions", &again.token()).await;
    let sessions = sessions.body["data"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    assert_ne!(sessions[0]["id"], sessions[1]["id"]);
    assert_eq!(world.refresh(&made.cookie.unwrap()).await.status, StatusCode::OK);
    let status = world.get("/api/auth/me/status", &again.token()).await;
    assert_eq!(status.body["data"]["role"], "user");
}

#[tokio::test]
async fn bad_registrations_name_every_field() {
    let world = World::new();
    let name = "x".repeat(121);
    let body = json!({"email": "nobody", "password": "short", "name": name});
    let said = world.post("/api/auth/register", body).await;
    assert_eq!((said.status, said.code()), (StatusCode::BAD_REQUEST, "validation_failed"));
    let fields = said.body["error"]["meta"]["fields"].to_string();
    for field in ["email", "password", "name"] {
        assert!(fields.contains(field), "{fields}");
    }
    for password in ["password1234".to_owned(), "x".repeat(1_025), String::new()] {
        let body = json!({"email": "a@b.co", "password": password});
        let said = world.post("/api/auth/register", body).await;
        assert_eq!(said.code(), "validation_failed", "{password}");
        assert!(!said.body.to_string().contains("xxxxx"), "no password comes back");
    }
    let body = json!({"email": "a@b.co\r\nBcc: c@d.ef", "password": PASSWORD});
    assert_eq!(world.post("/api/auth/register", body).await.code(), "validation_failed");
}

#[tokio::test]
async fn of_many_registrations_of_one_address_at_once_one_is_made() {
    let world = World::new();
    let emails = ["ada@b.co", "Ada@b.co", "ADA@B.CO", "ada@B.co"];
    let made = emails.map(|email| world.register(email));
    let [a, b, c, d] = made;
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    let all = [a, b, c, d];
    let made: Vec<_> = all.iter().filter(|one| one.status == StatusCode::CREATED).collect();
    assert_eq!(made.len(), 1, "{all:?}");
    let taken = all.iter().filter(|one| one.code() == "email_already_exists").count();
    assert_eq!(taken, 3, "{all:?}");
}

#[tokio::test]
async fn a_claim_that_a_crash_left_behind_is_taken_over_after_a_while() {
    let world = World::new();
    // The claim is made, the account is not.
    let address = Address::parse("ada@b.co").unwrap();
    world.memory.fail_write_after(1);
    assert_eq!(world.register("ada@b.co").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(world.identity.account_of(&address).await.unwrap().is_none());
    assert_eq!(world.register("ada@b.co").await.code(), "email_already_exists");
    world.pass(61);
    // Taken over by somebody who does not come to the end of it either.
    world.memory.fail_write_after(1);
    assert_eq!(world.register("ada@b.co").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.register("ada@b.co").await.status, StatusCode::CREATED);
    assert!(world.identity.account_of(&address).await.unwrap().is_some());
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_address_are_answered_alike() {
    let world = World::new();
    world.register("ada@b.co").await;
    let wrong = world.login("ada@b.co", "correct horse batterz").await;
    let unknown = world.login("eda@b.co", PASSWORD).await;
    let none = world.login("nobody", PASSWORD).await;
    let long = world.login("ada@b.co", &"x".repeat(2_000)).await;
    for said in [&wrong, &unknown, &none, &long] {
        assert_eq!((said.status, said.code()), (StatusCode::UNAUTHORIZED, "invalid_credentials"));
        assert!(said.cookie.is_none());
        assert_eq!(said.body["error"]["message"], wrong.body["error"]["message"]);
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_is_told() {
    let world = World::new();
    for path in ["/api/auth/me", "/api/auth/me/status", "/api/auth/sessions"] {
        let said = world.send("GET", path, Ask::default()).await;
        assert_eq!((said.status, said.code()), (StatusCode::UNAUTHORIZED, "unauthenticated"));
        let said = world.get(path, "eyJhbGciOiJub25lIn0.e30.").await;
        assert_eq!(said.status, StatusCode::UNAUTHORIZED, "{path}");
    }
}

#[tokio::test]
async fn while_the_tables_are_away_signing_in_says_when_to_come_again() {
    let world = World::new();
    world.register("ada@b.co").await;
    world.mailed(0).await;
    world.memory.fail_next_writes(1);
    let said = world.login("ada@b.co", PASSWORD).await;
    assert_eq!((said.status, said.code()), (StatusCode::SERVICE_UNAVAILABLE, "unavailable"));
    assert_eq!(world.login("ada@b.co", PASSWORD).await.status, StatusCode::OK);
    // Nothing of a session that was not begun is left in the list.
    let token = world.login("ada@b.co", PASSWORD).await.token();
    let listed = world.get("/api/auth/sessions", &token).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 3, "{listed:?}");
}

#[tokio::test]
async fn one_account_is_tried_so_often_from_wherever_and_whether_it_is_there_or_not() {
    // Nothing comes back while it is counted, however long hashing takes.
    let limit = [("limits.account.requests", "5"), ("limits.account.window", "24h")];
    let world = World::with(&limit.map(|(key, value)| (key.to_owned(), value.to_owned())));
    world.register("ada@b.co").await;
    for email in ["ada@b.co", "Nobody@b.co"] {
        for _ in 0..5 {
            assert_eq!(world.login(email, "wrong").await.code(), "invalid_credentials");
        }
        let said = world.login(email, "wrong").await;
        assert_eq!((said.status, said.code()), (StatusCode::TOO_MANY_REQUESTS, "rate_limited"));
    }
    let said = world.login("ADA@b.co", PASSWORD).await;
    assert_eq!(said.code(), "rate_limited", "the right password is not looked at either");
    assert_eq!(world.login("eve@b.co", "wrong").await.code(), "invalid_credentials");
}
