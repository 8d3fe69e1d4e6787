//! The ways to sign in, on the page of the account.

use super::*;
use crate::identity::pages::Browser;

const UNLINK: &str = "/account/providers/city/unlink";

#[tokio::test]
async fn a_way_to_sign_in_is_taken_away_on_the_page_unless_it_is_the_last() {
    let (world, provider) = World::with_provider().await;
    let came = world.sign_in(&provider, "ada").await;
    let browser = Browser::of(&world);
    let cookie = came.cookie("refresh_token").unwrap();
    browser.cookies.lock().insert("refresh_token".to_owned(), cookie);
    let page = browser.get("/account").await.text;
    assert!(page.contains("City hall") && page.contains("Your only way in"), "{page}");
    assert!(!page.contains(UNLINK), "{page}");
    let refused = browser.post(UNLINK, &[]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.text);
    assert!(refused.text.contains("Set a password first"), "{}", refused.text);
    // A password first, by mail: its form knows the address.
    assert!(page.contains(r#"name="email" value="ada@example.org""#), "{page}");
    browser.post("/forgot", &[("email", "ada@example.org")]).await;
    let (_, token) = world.mailed(0).await;
    let fields = [("token", &*token), ("new_password", PASSWORD)];
    let set = browser.post("/reset-password", &fields).await;
    assert_eq!(set.location(), "/login?notice=password-set", "{}", set.text);
    browser.post("/login", &[("email", "ada@example.org"), ("password", PASSWORD)]).await;
    let page = browser.get("/account").await.text;
    assert!(page.contains(UNLINK) && !page.contains("Your only way in"), "{page}");
    assert_eq!(browser.post(UNLINK, &[]).await.location(), "/account?done=unlinked");
    let page = browser.get("/account?done=unlinked").await.text;
    assert!(page.contains("You sign in there no more.") && !page.contains("City hall"), "{page}");
    for gone in [UNLINK, "/account/providers/made%20up%2F/unlink"] {
        let answer = browser.post(gone, &[]).await;
        assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/account"));
    }
    let nobody = Browser::of(&world).post(UNLINK, &[]).await;
    assert_eq!(nobody.location(), "/login?return_to=%2F");
}
