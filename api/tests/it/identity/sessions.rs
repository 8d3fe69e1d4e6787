//! Going on, signing out, and what ends a session.

use cityevents_domain::time::Timestamp;
use cityevents_views::records::Place;

use super::*;

#[tokio::test]
async fn a_refresh_token_is_replaced_and_the_one_before_leads_to_the_same_successor_for_ten_seconds()
 {
    let world = World::new();
    let first = world.register("ada@b.co").await.cookie.unwrap();
    let second = world.refresh(&first).await;
    assert_eq!(second.status, StatusCode::OK, "{second:?}");
    assert_eq!(second.body["data"]["user"]["email"], "ada@b.co");
    assert_eq!(world.get("/api/auth/me", &second.token()).await.status, StatusCode::OK);
    let second = second.cookie.unwrap();
    assert_ne!(first, second);
    world.pass(4);
    let again = world.refresh(&first).await;
    assert_eq!((again.status, again.cookie), (StatusCode::OK, Some(second.clone())));
    let third = world.refresh(&second).await.cookie.unwrap();
    assert_ne!(second, third);
    assert_eq!(world.refresh(&third).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_ends_the_session() {
    let world = World::new();
    let first = world.register("ada@b.co").await.cookie.unwrap();
    let other = world.login("ada@b.co", PASSWORD).await.cookie.unwrap();
    let second = world.refresh(&first).await;
    let (robbed_token, second) = (second.token(), second.cookie.unwrap());
    world.pass(11);
    let replayed = world.refresh(&first).await;
    assert_eq!(replayed.status, StatusCode::UNAUTHORIZED, "{replayed:?}");
    assert_eq!(replayed.cookie.as_deref(), Some(""));
    world.is_refused(&robbed_token).await;
    let robbed = world.refresh(&second).await;
    assert_eq!(robbed.status, StatusCode::UNAUTHORIZED, "who has the last one cannot go on either");
    assert_eq!(world.refresh(&other).await.status, StatusCode::OK, "other sessions go on");
}

#[tokio::test]
async fn of_two_refreshes_at_once_both_lead_to_one_session() {
    let world = World::new();
    let first = world.register("ada@b.co").await.cookie.unwrap();
    let (one, two) = tokio::join!(world.refresh(&first), world.refresh(&first));
    assert_eq!((one.status, two.status), (StatusCode::OK, StatusCode::OK));
    assert_eq!(one.cookie, two.cookie);
    assert_eq!(world.refresh(&one.cookie.unwrap()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_ends_after_seven_idle_days_and_after_thirty_in_any_case() {
    const DAY: i64 = 86_400;
    let world = World::new();
    let mut cookie = world.register("ada@b.co").await.cookie.unwrap();
    let idle = world.login("ada@b.co", PASSWORD).await.cookie.unwrap();
    for _ in 0..4 {
        world.pass(7 * DAY - 60);
        cookie = world.refresh(&cookie).await.cookie.unwrap();
    }
    assert_eq!(world.refresh(&idle).await.status, StatusCode::UNAUTHORIZED);
    world.pass(2 * DAY + 300);
    assert_eq!(world.refresh(&cookie).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn foreign_pages_cannot_refresh_or_sign_out() {
    let world = World::new();
    let cookie = world.register("ada@b.co").await.cookie.unwrap();
    for path in ["/api/auth/refresh", "/api/auth/logout"] {
        for origin in [None, Some("http://evil.test"), Some("null"), Some("http://city.test")] {
            let ask = Ask { cookie: Some(&cookie), origin, ..Ask::default() };
            let said = world.send("POST", path, ask).await;
            assert_eq!(said.status, StatusCode::FORBIDDEN, "{path} from {origin:?}");
        }
    }
    assert_eq!(world.refresh(&cookie).await.status, StatusCode::OK);
}

#[tokio::test]
async fn cookies_that_are_no_tokens_are_refused_and_cleared() {
    let world = World::new();
    let good = world.register("ada@b.co").await.cookie.unwrap();
    let forged = format!("{}{}", &good[..24], "A".repeat(62));
    for bad in ["", "x", &"A".repeat(86), &"A".repeat(5_000), &forged] {
        let said = world.refresh(bad).await;
        assert_eq!(said.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert_eq!(said.cookie.as_deref(), Some(""));
    }
    let said = world.refresh(&good).await;
    assert_eq!(said.status, StatusCode::OK, "who knows a session's id cannot end it");
}

#[tokio::test]
async fn who_signs_out_is_out_on_this_device_only() {
    let world = World::new();
    let made = world.register("ada@b.co").await;
    let (token, here) = (made.token(), made.cookie.unwrap());
    let there = world.login("ada@b.co", PASSWORD).await;
    assert_eq!(world.get("/api/auth/me", &token).await.status, StatusCode::OK);
    let ask = Ask { cookie: Some(&here), origin: Some(PAGE), ..Ask::default() };
    let out = world.send("POST", "/api/auth/logout", ask).await;
    assert_eq!((out.status, out.cookie.as_deref()), (StatusCode::NO_CONTENT, Some("")));
    assert_eq!(world.refresh(&here).await.status, StatusCode::UNAUTHORIZED);
    world.is_refused(&token).await;
    let sessions = world.get("/api/auth/sessions", &there.token()).await;
    let sessions = sessions.body["data"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
    assert_eq!(sessions[0]["current"], true);
    assert_eq!(world.refresh(&there.cookie.unwrap()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn own_sessions_are_listed_and_ended_and_nobody_elses() {
    let world = World::new();
    let first = world.register("ada@b.co").await;
    world.pass(1);
    let second = world.login("ada@b.co", PASSWORD).await;
    let stranger = world.register("eda@b.co").await;
    let listed = world.get("/api/auth/sessions", &second.token()).await;
    let id = listed.body["data"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/auth/sessions/{id}");
    let token = stranger.token();
    let ask = || Ask { token: Some(&token), ..Ask::default() };
    assert_eq!(world.send("DELETE", &path, ask()).await.status, StatusCode::NOT_FOUND);
    let token = second.token();
    let ask = || Ask { token: Some(&token), ..Ask::default() };
    assert_eq!(world.send("DELETE", &path, ask()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.send("DELETE", &path, ask()).await.status, StatusCode::NOT_FOUND);
    world.is_refused(&first.token()).await;
    assert_eq!(world.get("/api/auth/me", &second.token()).await.status, StatusCode::OK);
    assert_eq!(world.refresh(&first.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    let ended = world.send("POST", "/api/auth/sessions/revoke", ask()).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(world.refresh(&second.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.refresh(&stranger.cookie.unwrap()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_is_found_behind_any_number_of_those_that_are_over() {
    let world = World::new();
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    let at = Timestamp::from_millis(world.clock.now_ms());
    for number in 1..=250_u64 {
        let created = at.as_millis().unsigned_abs() + number;
        let position = [created.to_be_bytes().as_slice(), &[7; 16]].concat();
        let list = [b"sessions/".as_slice(), ada.as_bytes()].concat();
        world.memory.add_place(Place { list, position }, at).await.unwrap();
    }
    world.pass(120);
    let listed = world.get("/api/auth/sessions", &out.token()).await.body;
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(1), "{listed}");
}

#[tokio::test]
async fn a_changed_password_ends_all_sessions() {
    const NEW: &str = "another long password";
    let world = World::new();
    let first = world.register("ada@b.co").await;
    let token = first.token();
    let change = async |old: &str, new: &str| {
        let body = Some(json!({"old_password": old, "new_password": new}));
        let ask = Ask { body, token: Some(&token), ..Ask::default() };
        world.send("POST", "/api/auth/password/change", ask).await
    };
    assert_eq!(change("wrong", NEW).await.code(), "invalid_credentials");
    assert_eq!(change(&"x".repeat(2_000), NEW).await.code(), "invalid_credentials");
    assert_eq!(change(PASSWORD, "short").await.code(), "validation_failed");
    assert_eq!(change(PASSWORD, NEW).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.refresh(&first.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.login("ada@b.co", PASSWORD).await.code(), "invalid_credentials");
    assert_eq!(world.login("ada@b.co", NEW).await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_signs_out_with_a_token_needs_no_page_and_ends_that_session_only() {
    let world = World::new();
    let here = world.register("ada@b.co").await;
    let there = world.login("ada@b.co", PASSWORD).await;
    let out = world.ask_as(&here.token(), "/api/auth/logout", None).await;
    assert_eq!(out.status, StatusCode::NO_CONTENT, "{out:?}");
    assert_eq!(world.refresh(&here.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    // With a cookie beside it that a foreign page made the browser send: the cookie does nothing.
    let cookie = there.cookie.unwrap();
    let token = world.login("ada@b.co", PASSWORD).await.token();
    let ask = Ask {
        cookie: Some(&cookie),
        origin: Some("http://evil.test"),
        token: Some(&token),
        ..Ask::default()
    };
    assert_eq!(world.send("POST", "/api/auth/logout", ask).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.refresh(&cookie).await.status, StatusCode::OK);
}
