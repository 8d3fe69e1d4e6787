//! Who of a provider is which account.

use super::*;

async fn confirm(world: &World, mail: usize) {
    let (_, token) = world.mailed(mail).await;
    let said = world.post("/api/auth/verify-email/confirm", json!({ "token": token })).await;
    assert_eq!(said.status, StatusCode::NO_CONTENT);
}

/// Begins to link, as a page does.
async fn begin_link(world: &World, token: &str) -> Begun {
    let path = "/api/auth/oauth/city/link?return_to=/settings";
    let request = Request::post(path).header(AUTHORIZATION, format!("Bearer {token}"));
    let mut request = request.body(Body::empty()).unwrap();
    let caller = Authentication::of(request.headers(), &world.verifier);
    request.extensions_mut().insert(caller);
    let response = world.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let set = response.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    let cookie = set.strip_prefix("oauth_flow=").unwrap().split(';').next().unwrap().to_owned();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    begun(body["data"]["location"].as_str().unwrap(), &cookie)
}

async fn link(world: &World, provider: &Provider, token: &str, subject: &str) -> Came {
    let begun = begin_link(world, token).await;
    let code = provider.grant(&begun, subject, |_| ());
    world.come_back(&begun, &[("code", &code), ("state", &begun.asked["state"])]).await
}

async fn unlink(world: &World, token: &str) -> Answer {
    let ask = Ask { token: Some(token), ..Ask::default() };
    world.send("DELETE", "/api/auth/oauth/city/link", ask).await
}

#[tokio::test]
async fn a_verified_address_finds_an_account_whose_own_address_is_verified_and_no_other() {
    let (world, provider) = World::with_provider().await;
    let ada = world.register("ada@example.org").await;
    let came = world.sign_in(&provider, "ada").await;
    let said = (came.status, came.code());
    assert_eq!(said, (StatusCode::CONFLICT, "email_already_exists"), "somebody else may have it");
    confirm(&world, 0).await;
    let unsure = |grant: &mut provider::Grant| grant.claims["email_verified"] = json!(false);
    let came = world.sign_in_saying(&provider, "ada", unsure).await;
    assert_eq!(came.code(), "email_not_verified");
    let linked = world.get("/api/auth/me/oauth", &ada.token()).await;
    assert_eq!(linked.body["data"], json!([]));
    let came = world.sign_in(&provider, "ada").await;
    assert_eq!(id(&world.who(&came).await), id(&ada));
    let linked = world.get("/api/auth/me/oauth", &ada.token()).await;
    let linked = &linked.body["data"][0];
    assert_eq!((&linked["provider"], &linked["name"]), (&json!("city"), &json!("City hall")));
    // Whom the provider has given the address since is somebody else.
    let heir = |grant: &mut provider::Grant| grant.claims["email"] = json!("ada@example.org");
    let came = world.sign_in_saying(&provider, "heir", heir).await;
    assert_eq!(came.code(), "oauth_already_linked", "{came:?}");
    let exported = world.get("/api/auth/me/export", &ada.token()).await;
    let kept = &exported.body["data"]["providers"][0];
    assert_eq!((&kept["issuer"], &kept["subject"]), (&json!(provider.issuer), &json!("ada")));
}

#[tokio::test]
async fn the_same_subject_at_another_provider_is_somebody_else() {
    let (city, village) = (Provider::start().await, Provider::start().await);
    let mut settings = city.settings("city");
    settings.extend(village.settings("village"));
    let world = World::with(&settings);
    let ada = world.who(&world.sign_in(&city, "ada").await).await;
    let at_village = async |email: &str, is_verified: bool| {
        let begun = world.start("/api/auth/oauth/village/start").await;
        let code = village.grant(&begun, "ada", |grant| {
            grant.claims["email"] = json!(email);
            grant.claims["email_verified"] = json!(is_verified);
        });
        let answer = [("code", &*code), ("state", &*begun.asked["state"])];
        world.browse(&callback("village", &answer), &begun.cookie, "*/*").await
    };
    let unsure = at_village("ada@example.org", false).await;
    assert_eq!(unsure.code(), "email_not_verified", "{unsure:?}");
    let other = world.who(&at_village("other@example.org", true).await).await;
    assert_ne!(id(&other), id(&ada));
    assert_eq!(id(&world.who(&world.sign_in(&city, "ada").await).await), id(&ada));
    let again = world.who(&at_village("other@example.org", false).await).await;
    assert_eq!(id(&again), id(&other));
}

#[tokio::test]
async fn of_two_browsers_at_once_both_come_to_the_same_new_account() {
    let (world, provider) = World::with_provider().await;
    let all = (0..4).map(|_| world.sign_in(&provider, "ada"));
    let all = futures::future::join_all(all).await;
    let first = id(&world.who(&all[0]).await);
    for came in &all {
        assert_eq!(id(&world.who(came).await), first);
    }
}

#[tokio::test]
async fn an_account_without_password_is_nobodys_by_password_until_one_is_set_by_mail() {
    let (world, provider) = World::with_provider().await;
    let made = world.who(&world.sign_in(&provider, "ada").await).await;
    for password in ["", PASSWORD] {
        let said = world.login("ada@example.org", password).await;
        let refused = (StatusCode::UNAUTHORIZED, "invalid_credentials");
        assert_eq!((said.status, said.code()), refused);
    }
    let body = json!({"old_password": "", "new_password": PASSWORD});
    let changed = world.ask_as(&made.token(), "/api/auth/password/change", Some(body)).await;
    assert_eq!(changed.code(), "invalid_credentials");
    let only_way = unlink(&world, &made.token()).await;
    let refused = (StatusCode::CONFLICT, "invalid_state");
    assert_eq!((only_way.status, only_way.code()), refused);
    let ask = json!({"email": "ada@example.org"});
    world.post("/api/auth/password/reset/request", ask).await;
    let (_, token) = world.mailed(0).await;
    let body = json!({"token": token, "new_password": PASSWORD});
    let set = world.post("/api/auth/password/reset/confirm", body).await;
    assert_eq!(set.status, StatusCode::NO_CONTENT, "{set:?}");
    let signed_in = world.login("ada@example.org", PASSWORD).await;
    assert_eq!(signed_in.body["data"]["user"]["has_password"], true);
    assert_eq!(unlink(&world, &signed_in.token()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(unlink(&world, &signed_in.token()).await.status, StatusCode::NOT_FOUND);
    // By the address again, since it is verified on both sides.
    assert_eq!(id(&world.who(&world.sign_in(&provider, "ada").await).await), id(&made));
}

#[tokio::test]
async fn who_is_signed_in_links_a_provider_whatever_its_address() {
    let (world, provider) = World::with_provider().await;
    let ada = world.register("ada@b.co").await;
    let came = link(&world, &provider, &ada.token(), "elsewhere").await;
    let to = (came.status, &*came.location);
    assert_eq!(to, (StatusCode::SEE_OTHER, "/settings"), "{came:?}");
    assert_eq!(came.cookie("refresh_token"), None, "the session stays what it is");
    assert!(world.is_free("elsewhere@example.org").await, "no address is taken");
    let unsure = |grant: &mut provider::Grant| grant.claims["email_verified"] = json!(false);
    let came = world.sign_in_saying(&provider, "elsewhere", unsure).await;
    assert_eq!(id(&world.who(&came).await), id(&ada));
    let again = link(&world, &provider, &ada.token(), "elsewhere").await;
    assert_eq!(again.location, "/settings", "{again:?}");
    let other = link(&world, &provider, &ada.token(), "other").await;
    assert_eq!(other.code(), "oauth_already_linked", "one of each provider");
    let eve = world.register("eve@b.co").await;
    let taken = link(&world, &provider, &eve.token(), "elsewhere").await;
    assert_eq!((taken.status, taken.code()), (StatusCode::CONFLICT, "oauth_already_linked"));
    let linked = world.get("/api/auth/me/oauth", &eve.token()).await;
    assert_eq!(linked.body["data"], json!([]), "nothing of it stays");
    let begun = begin_link(&world, &eve.token()).await;
    let denied = [("error", "access_denied"), ("state", &*begun.asked["state"])];
    let came = world.come_back_for(&begun, &denied, "text/html").await;
    assert_eq!(came.location, "/settings?error=oauth_denied");
    let nobody = world.send("POST", "/api/auth/oauth/city/link", Ask::default()).await;
    assert_eq!(nobody.status, StatusCode::UNAUTHORIZED);
    // Signed out everywhere since: whoever began may not be the owner.
    let zoe = world.register("zoe@b.co").await;
    let begun = begin_link(&world, &zoe.token()).await;
    world.pass(1);
    world.ask_as(&zoe.token(), "/api/auth/sessions/revoke", None).await;
    let code = provider.grant(&begun, "zoe", |_| ());
    let answer = [("code", &*code), ("state", &*begun.asked["state"])];
    assert_eq!(world.come_back(&begun, &answer).await.code(), "unauthenticated");
    // The other account lets go, and then it may.
    assert_eq!(unlink(&world, &ada.token()).await.status, StatusCode::NO_CONTENT);
    let came = link(&world, &provider, &eve.token(), "elsewhere").await;
    assert_eq!(came.location, "/settings", "{came:?}");
    assert_eq!(id(&world.who(&world.sign_in(&provider, "elsewhere").await).await), id(&eve));
}

#[tokio::test]
async fn who_is_locked_out_or_erased_does_not_come_back_by_a_provider() {
    let (world, provider) = World::with_provider().await;
    let ada = world.who(&world.sign_in(&provider, "ada").await).await;
    let (_, staff) = world.person("mod@b.co", Role::Moderator).await;
    let ban = format!("/api/auth/mod/users/{}/ban", id(&ada));
    assert_eq!(world.ask_as(&staff.token(), &ban, None).await.status, StatusCode::OK);
    let came = world.sign_in(&provider, "ada").await;
    assert_eq!((came.status, came.code()), (StatusCode::FORBIDDEN, "account_locked"));
    let same_address =
        |grant: &mut provider::Grant| grant.claims["email"] = json!("ada@example.org");
    let came = world.sign_in_saying(&provider, "new subject", same_address).await;
    assert_eq!(came.code(), "account_locked", "nor by the address");
    let eve = world.who(&world.sign_in(&provider, "eve").await).await;
    let token = eve.token();
    let ask = Ask { token: Some(&token), ..Ask::default() };
    assert_eq!(world.send("DELETE", "/api/auth/me", ask).await.status, StatusCode::NO_CONTENT);
    let came_again = world.who(&world.sign_in(&provider, "eve").await).await;
    assert_ne!(id(&came_again), id(&eve), "it is a new account");
}

#[tokio::test]
async fn a_link_that_a_crash_cut_is_made_by_the_next_sign_in() {
    let (world, provider) = World::with_provider().await;
    // Before each of: the flow, the claim of the address, the account, its subject, the session.
    for writes in 0..5 {
        let subject = format!("person-{writes}");
        world.memory.fail_write_after(writes);
        let came = world.sign_in(&provider, &subject).await;
        assert_eq!(came.code(), "unavailable", "{writes}");
        // A claim without its account is taken over after a minute.
        world.pass(61);
        let came = world.sign_in(&provider, &subject).await;
        let first = id(&world.who(&came).await);
        let again = world.who(&world.sign_in(&provider, &subject).await).await;
        assert_eq!(id(&again), first, "{writes}");
    }
}
