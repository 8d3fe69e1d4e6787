//! What is sent by mail, and what its links do.

use super::*;

#[tokio::test]
async fn who_registers_gets_a_link_that_shows_once_that_the_address_is_theirs() {
    let world = World::new();
    let made = world.register("ada@b.co").await;
    let (text, token) = world.mailed(0).await;
    assert!(text.contains("To: ada@b.co") && text.contains("/verify-email?token="), "{text}");
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
async fn a_mail_is_put_into_its_folder_once() {
    let folder = tempfile::tempdir().unwrap();
    let mails = FolderMail::new(folder.path().join("mails"));
    let mail = Mail { id: "0123".to_owned(), message: b"Subject: x\r\n\r\nHello".to_vec() };
    for _ in 0..2 {
        mails.send(mail.clone()).await.unwrap();
    }
    let files: Vec<_> = std::fs::read_dir(folder.path().join("mails")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let read = std::fs::read(folder.path().join("mails/0123.eml")).unwrap();
    assert_eq!(read, mail.message);
    assert!(!format!("{mail:?}").contains("Hello"));
}
