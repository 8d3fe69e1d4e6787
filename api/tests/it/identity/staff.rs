//! What staff may do, and what is told of it.

use cityevents_kit::keys::TokenError;

use super::*;

#[tokio::test]
async fn a_ban_is_felt_elsewhere_by_tokens_that_are_out_and_lifted_again() {
    let world = World::new();
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    let (_, staff) = world.person("eve@b.co", Role::Moderator).await;
    let (token, staff) = (out.token(), staff.token());
    assert_eq!(world.get("/api/auth/me", &token).await.status, StatusCode::OK);
    let ban = format!("/api/auth/mod/users/{ada}/ban");
    let said = world.ask_as(&staff, &ban, None).await;
    assert_eq!((said.status, &said.body["data"]["locked"]), (StatusCode::OK, &json!(true)));
    world.known(&ada, 2).await;
    // Whatever is called: the token itself is good no more, without a look at the tables.
    assert_eq!(world.verifier.verify(&token).unwrap_err(), TokenError::Locked);
    let said = world.get("/api/auth/me", &token).await;
    assert_eq!((said.status, said.code()), (StatusCode::FORBIDDEN, "account_locked"));
    assert_eq!(world.login("ada@b.co", PASSWORD).await.code(), "account_locked");
    assert_eq!(world.login("ada@b.co", "something else").await.code(), "invalid_credentials");
    let refreshed = world.refresh(&out.cookie.unwrap()).await;
    assert_eq!(refreshed.status, StatusCode::UNAUTHORIZED, "the session is gone");
    let said = world.ask_as(&staff, &ban, None).await;
    assert_eq!(said.status, StatusCode::OK, "a second ban changes nothing");
    let unban = format!("/api/auth/mod/users/{ada}/unban");
    assert_eq!(world.ask_as(&staff, &unban, None).await.status, StatusCode::OK);
    world.known(&ada, 3).await;
    assert_eq!(world.get("/api/auth/me", &token).await.status, StatusCode::OK);
    assert_eq!(world.login("ada@b.co", PASSWORD).await.status, StatusCode::OK);
}

#[tokio::test]
async fn nobody_moderates_themselves_or_who_is_above_them() {
    let world = World::new();
    let (ada, user) = world.person("ada@b.co", Role::User).await;
    let (eve, moderator) = world.person("eve@b.co", Role::Moderator).await;
    let (root, admin) = world.person("root@b.co", Role::Admin).await;
    let ban = |id: &UserId| format!("/api/auth/mod/users/{id}/ban");
    let role = |id: &UserId| format!("/api/auth/admin/users/{id}/role");
    let to_admin = || Some(json!({"role": "admin"}));
    for (token, path, body) in [
        (user.token(), ban(&eve), None),
        (user.token(), role(&ada), to_admin()),
        (moderator.token(), ban(&eve), None),
        (moderator.token(), ban(&root), None),
        (moderator.token(), role(&eve), to_admin()),
        (admin.token(), ban(&root), None),
    ] {
        let said = world.ask_as(&token, &path, body).await;
        assert_eq!((said.status, said.code()), (StatusCode::FORBIDDEN, "forbidden"), "{path}");
    }
    let nobody = UserId::from_bytes([1; 16]);
    let said = world.ask_as(&admin.token(), &ban(&nobody), None).await;
    assert_eq!(said.code(), "not_found");
    let said = world.ask_as(&admin.token(), &role(&ada), Some(json!({"role": "king"}))).await;
    assert_eq!(said.code(), "validation_failed");
}

#[tokio::test]
async fn a_role_counts_everywhere_for_tokens_that_are_out() {
    let world = World::new();
    let (eve, moderator) = world.person("eve@b.co", Role::Moderator).await;
    let (ada, _) = world.person("ada@b.co", Role::User).await;
    let (_, admin) = world.person("root@b.co", Role::Admin).await;
    let path = format!("/api/auth/admin/users/{eve}/role");
    let said = world.ask_as(&admin.token(), &path, Some(json!({"role": "user"}))).await;
    assert_eq!((said.status, &said.body["data"]["role"]), (StatusCode::OK, &json!("user")));
    let ban = format!("/api/auth/mod/users/{ada}/ban");
    let said = world.ask_as(&moderator.token(), &ban, None).await;
    assert_eq!(said.code(), "forbidden", "whatever the token says");
    world.known(&eve, 2).await;
    let claims = world.verifier.verify(&moderator.token()).unwrap();
    assert_eq!(claims.role, Role::User);
}

#[tokio::test]
async fn somebody_always_administers() {
    let world = World::new();
    let (first, one) = world.person("one@b.co", Role::Admin).await;
    let role = |id: &UserId| format!("/api/auth/admin/users/{id}/role");
    let to_user = || Some(json!({"role": "user"}));
    let said = world.ask_as(&one.token(), &role(&first), to_user()).await;
    assert_eq!((said.status, said.code()), (StatusCode::CONFLICT, "invalid_state"), "{said:?}");
    let (second, two) = world.person("two@b.co", Role::Admin).await;
    // Each makes the other a user at once.
    let (token_one, token_two) = (one.token(), two.token());
    let (path_one, path_two) = (role(&second), role(&first));
    let (a, b) = tokio::join!(
        world.ask_as(&token_one, &path_one, to_user()),
        world.ask_as(&token_two, &path_two, to_user()),
    );
    let stepped_down = [&a, &b].into_iter().filter(|said| said.status == StatusCode::OK).count();
    assert_eq!(stepped_down, 1, "{a:?} {b:?}");
}

#[tokio::test]
async fn revoking_all_sessions_ends_tokens_that_are_out_and_a_new_login_is_good() {
    let world = World::new();
    let (ada, out) = world.person("ada@b.co", Role::User).await;
    let (_, admin) = world.person("root@b.co", Role::Admin).await;
    let path = format!("/api/auth/admin/users/{ada}/sessions/revoke");
    let said = world.ask_as(&admin.token(), &path, None).await;
    assert_eq!(said.status, StatusCode::NO_CONTENT, "{said:?}");
    world.known(&ada, 2).await;
    assert_eq!(world.get("/api/auth/me", &out.token()).await.code(), "unauthenticated");
    assert_eq!(world.refresh(&out.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    let again = world.login("ada@b.co", PASSWORD).await;
    assert_eq!(world.get("/api/auth/me", &again.token()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_a_crash_left_untold_is_found_by_the_sweeper() {
    let world = World::new();
    let (ada, _) = world.person("ada@b.co", Role::User).await;
    let (_, staff) = world.person("eve@b.co", Role::Moderator).await;
    assert_eq!(world.identity.unpublished(10).await.unwrap(), []);
    let mute = world.without_telling();
    let ban = format!("/api/auth/mod/users/{ada}/ban");
    let ask = Ask { token: Some(&staff.token()), ..Ask::default() };
    let said = world.send_to(&mute, "POST", &ban, ask).await;
    assert_eq!(said.status, StatusCode::OK, "{said:?}");
    let untold = world.identity.unpublished(10).await.unwrap();
    assert_eq!(untold.len(), 1, "{untold:?}");
    assert_eq!((untold[0].account, untold[0].version), (ada, 2));
    world.identity.published(ada, 1).await.unwrap();
    assert_eq!(world.identity.unpublished(10).await.unwrap().len(), 1);
    world.identity.published(ada, 2).await.unwrap();
    assert_eq!(world.identity.unpublished(10).await.unwrap(), []);
}

#[tokio::test]
async fn who_is_only_said_to_administer_does_not_count_as_the_last_one() {
    let world = World::new();
    let (first, one) = world.person("one@b.co", Role::Admin).await;
    let (ada, _) = world.person("ada@b.co", Role::User).await;
    let key = RecordKey::new(RecordKind::Administrators, "all");
    let record = world.memory.record(key.clone()).await.unwrap().unwrap();
    let content = json!({"ids": [first.to_string(), ada.to_string()]}).to_string().into_bytes();
    let value = Some(RecordValue { content, expires_at: None });
    let (expected, revision) = (Some(record.revision), Revision([9; 16]));
    let made = world.memory.change(Change { key, expected, revision, value }).await.unwrap();
    assert!(made);
    let path = format!("/api/auth/admin/users/{first}/role");
    let said = world.ask_as(&one.token(), &path, Some(json!({"role": "user"}))).await;
    assert_eq!((said.status, said.code()), (StatusCode::CONFLICT, "invalid_state"), "{said:?}");
}

#[tokio::test]
async fn staff_lists_accounts_by_role_and_only_admins_see_addresses() {
    let world = World::new();
    let (_, user) = world.person("ada@b.co", Role::User).await;
    let (eve, moderator) = world.person("eve@b.co", Role::Moderator).await;
    let (_, admin) = world.person("root@b.co", Role::Admin).await;
    let list = async |token: &str, query: &str| {
        let said = world.get(&format!("/api/auth/admin/users{query}"), token).await;
        assert_eq!(said.status, StatusCode::OK, "{query}: {said:?}");
        said.body["data"].clone()
    };
    let roles = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|one| one["role"].as_str().unwrap().to_owned()).collect()
    };
    let (admin, moderator) = (admin.token(), moderator.token());
    let all = list(&admin, "").await;
    assert_eq!(roles(&all), ["admin", "moderator", "user", "user", "user"], "{all}");
    assert_eq!(all["has_more"], false);
    assert_eq!(all["items"][1]["email"], "staff-eve@b.co");
    let seen = list(&moderator, "").await;
    assert!(!seen.to_string().contains('@'), "{seen}");
    assert_eq!(roles(&list(&moderator, "?q=ada").await), [""; 0], "not by address either");
    assert_eq!(roles(&list(&admin, "?q=ADA@").await), ["user"]);
    let (mut cursor, mut pages) = (String::new(), Vec::new());
    loop {
        let page = list(&admin, &format!("?limit=2{cursor}")).await;
        pages.push(roles(&page).len());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages, [2, 2, 1]);
    // Another role: in the list of that role, and no more in the old one.
    let path = format!("/api/auth/admin/users/{eve}/role");
    world.ask_as(&admin, &path, Some(json!({"role": "user"}))).await;
    assert_eq!(roles(&list(&admin, "?role=moderator").await), [""; 0]);
    assert_eq!(roles(&list(&admin, "?role=user").await).len(), 4);
    let ban = format!("/api/auth/mod/users/{eve}/ban");
    world.ask_as(&admin, &ban, None).await;
    assert_eq!(list(&admin, "?status=locked").await["items"][0]["id"], eve.to_string());
    assert_eq!(roles(&list(&admin, "?status=active").await).len(), 4);
    for bad in ["?role=king", "?status=maybe", "?limit=0", "?cursor=x", "?since=1"] {
        let said = world.get(&format!("/api/auth/admin/users{bad}"), &admin).await;
        assert_eq!((said.status, said.code()), (StatusCode::BAD_REQUEST, "validation_failed"));
    }
    let said = world.get("/api/auth/admin/users", &user.token()).await;
    assert_eq!(said.code(), "forbidden");
}

#[tokio::test]
async fn what_staff_did_is_told_with_who_and_to_whom_and_what_was_not_done_is_not() {
    let world = World::new();
    let (ada, _) = world.person("ada@b.co", Role::User).await;
    let (_, bob) = world.person("bob@b.co", Role::User).await;
    let (eve, moderator) = world.person("eve@b.co", Role::Moderator).await;
    let (root, admin) = world.person("root@b.co", Role::Admin).await;
    let (moderator, admin) = (moderator.token(), admin.token());
    for (token, path, body) in [
        (&moderator, format!("/api/auth/mod/users/{ada}/ban"), None),
        // A second time changes nothing.
        (&moderator, format!("/api/auth/mod/users/{ada}/ban"), None),
        (&admin, format!("/api/auth/mod/users/{ada}/unban"), None),
        (&admin, format!("/api/auth/admin/users/{ada}/role"), Some(json!({"role": "moderator"}))),
        (&admin, format!("/api/auth/admin/users/{eve}/sessions/revoke"), None),
        // Refused.
        (&admin, format!("/api/auth/mod/users/{root}/ban"), None),
    ] {
        world.pass(1);
        world.ask_as(token, &path, body).await;
    }
    let trail = async |query: &str| {
        let said = world.get(&format!("/api/admin/audit-trail{query}"), &admin).await;
        assert_eq!(said.status, StatusCode::OK, "{said:?}");
        said.body["data"].clone()
    };
    let actions = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|one| one["action"].as_str().unwrap().to_owned()).collect()
    };
    let all = trail("").await;
    assert_eq!(actions(&all), ["revoke_sessions", "set_role", "unban", "ban"], "{all}");
    assert_eq!(all["items"][3]["actor"], eve.to_string());
    assert_eq!(all["items"][3]["target"], ada.to_string());
    assert_eq!(all["items"][1]["role"], "moderator");
    assert_eq!(actions(&trail(&format!("?target={ada}")).await), ["set_role", "unban", "ban"]);
    assert_eq!(actions(&trail(&format!("?actor={eve}")).await), ["ban"]);
    let both = trail(&format!("?actor={root}&target={ada}")).await;
    assert_eq!(actions(&both), ["set_role", "unban"]);
    let first = trail("?limit=3").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(actions(&trail(&format!("?limit=3&cursor={cursor}")).await), ["ban"]);
    let said = world.get("/api/admin/audit-trail?actor=x", &admin).await;
    assert_eq!(said.code(), "validation_failed");
    let other = format!("/api/admin/audit-trail?cursor={cursor}&actor={eve}");
    assert_eq!(world.get(&other, &admin).await.status, StatusCode::BAD_REQUEST, "of another list");
    let said = world.get("/api/admin/audit-trail", &bob.token()).await;
    assert_eq!(said.code(), "forbidden");
}

#[tokio::test]
async fn a_ban_that_could_not_be_written_leaves_no_trace() {
    let world = World::new();
    let (ada, _) = world.person("ada@b.co", Role::User).await;
    let (_, staff) = world.person("eve@b.co", Role::Moderator).await;
    // The places are written, the row is not.
    world.memory.fail_next_writes(1);
    let ban = format!("/api/auth/mod/users/{ada}/ban");
    let said = world.ask_as(&staff.token(), &ban, None).await;
    assert_eq!(said.status, StatusCode::SERVICE_UNAVAILABLE, "{said:?}");
    let said = world.get("/api/admin/audit-trail", &staff.token()).await;
    assert_eq!(said.body["data"]["items"], json!([]));
}
