//! Accounts and sessions, as a browser meets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{Request, StatusCode};
use cityevents_api::identity::mail::{FolderMail, Mail, MailError, MailPort};
use cityevents_api::identity::{Address, Identity, IdentityParts, NewAccount, router};
use cityevents_api::standing::{
    AccountChanges, AccountStandings, StandingsMetrics, UnpublishedAccounts,
};
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::Config;
use cityevents_kit::config::Sources;
use cityevents_kit::keys::{Authentication, KeyRing, TokenSigner, TokenVerifier};
use cityevents_runtime::log::clock::{Clock, SystemClock};
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{Cleanup, Log, TimestampKind, TopicSpec};
use cityevents_views::BoxFuture;
use cityevents_views::memory::MemoryViews;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tower::ServiceExt;
use uuid::Uuid;

const HOST_NAME: &str = "city.test:8080";
const PAGE: &str = "http://city.test:8080";
const PASSWORD: &str = "correct horse battery";

const TOPIC: &str = "account-changes";

fn account_changes() -> (Arc<dyn Log>, AccountChanges) {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new(SystemClock));
    log.create_topic(&TopicSpec {
        name: TOPIC.into(),
        partitions: 1,
        cleanup: Cleanup::Compact,
        timestamps: TimestampKind::Create,
        durable: true,
    })
    .unwrap();
    let changes = AccountChanges::start(log.clone(), TOPIC.into()).unwrap();
    (log, changes)
}

/// The wall clock, and what somebody turned it by: tokens are signed by the wall clock.
#[derive(Default)]
struct Turned(AtomicI64);

impl Clock for Turned {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

/// What was sent.
#[derive(Default)]
struct Mails(Mutex<Vec<Mail>>);

impl MailPort for Mails {
    fn send(&self, mail: Mail) -> BoxFuture<'_, Result<(), MailError>> {
        self.0.lock().push(mail);
        Box::pin(async { Ok(()) })
    }
}

struct World {
    identity: Identity,
    memory: Arc<MemoryViews>,
    mails: Arc<Mails>,
    standings: Arc<AccountStandings>,
    signer: TokenSigner,
    verifier: TokenVerifier,
    clock: Arc<Turned>,
    router: Router,
    folder: tempfile::TempDir,
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    /// The refresh cookie that was set; empty when it was cleared.
    cookie: Option<String>,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn token(&self) -> String {
        self.body["data"]["tokens"]["access_token"].as_str().unwrap().to_owned()
    }
}

#[derive(Default)]
struct Ask<'a> {
    body: Option<Value>,
    cookie: Option<&'a str>,
    origin: Option<&'a str>,
    token: Option<&'a str>,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let overrides = vec![("data.dir".to_owned(), folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        let ring = KeyRing::open(&config.keys_dir()).unwrap();
        let signer = TokenSigner::new(ring.clone(), &config);
        // As in another instance: all it knows of changes is what the log says.
        let (log, changes) = account_changes();
        let standings =
            AccountStandings::start(&log, TOPIC.into(), StandingsMetrics::default()).unwrap();
        let standings = Arc::new(standings);
        let verifier = TokenVerifier::new(ring, &config).with_standings(standings.clone());
        let clock = Arc::new(Turned::default());
        let memory = Arc::new(MemoryViews::default());
        let mails = Arc::new(Mails::default());
        let parts = IdentityParts {
            records: memory.clone(),
            signer: signer.clone(),
            clock: clock.clone(),
            changes: Some(changes),
            mail: mails.clone(),
        };
        let identity = Identity::new(parts, &config).unwrap();
        let router = router(identity.clone());
        Self { identity, memory, mails, standings, signer, verifier, clock, router, folder }
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// An instance whose changes nobody hears of.
    fn without_telling(&self) -> Router {
        let overrides = vec![("data.dir".to_owned(), self.folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        let parts = IdentityParts {
            records: self.memory.clone(),
            signer: self.signer.clone(),
            clock: self.clock.clone(),
            changes: None,
            mail: self.mails.clone(),
        };
        router(Identity::new(parts, &config).unwrap())
    }

    async fn send(&self, method: &str, path: &str, ask: Ask<'_>) -> Answer {
        self.send_to(&self.router, method, path, ask).await
    }

    async fn send_to(&self, router: &Router, method: &str, path: &str, ask: Ask<'_>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header(HOST, HOST_NAME);
        if let Some(cookie) = ask.cookie {
            request = request.header(COOKIE, format!("theme=dark; refresh_token={cookie}"));
        }
        if let Some(origin) = ask.origin {
            request = request.header(ORIGIN, origin);
        }
        if let Some(token) = ask.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match &ask.body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        let mut request = request.body(body).unwrap();
        let caller = Authentication::of(request.headers(), &self.verifier);
        request.extensions_mut().insert(caller);
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let cookie = response.headers().get(SET_COOKIE).map(|set| {
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
            let value = set.strip_prefix("refresh_token=").unwrap();
            value.split(';').next().unwrap().to_owned()
        });
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status, cookie, body }
    }

    /// The token of the mail of that number, once it has come.
    async fn mailed(&self, number: usize) -> (String, String) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(mail) = self.mails.0.lock().get(number) {
                let text = String::from_utf8(mail.message.clone()).unwrap().replace("=\r\n", "");
                let token = text.split("token=").nth(1).unwrap().trim_start_matches("3D");
                let token = token.split_whitespace().next().unwrap().to_owned();
                return (text, token);
            }
            assert!(Instant::now() < deadline, "mail {number} does not come");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the other instance knows a version of an account.
    async fn known(&self, account: &UserId, version: u64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.standings.version(account) < Some(version) {
            assert!(Instant::now() < deadline, "version {version} is not known");
            tokio::task::yield_now().await;
        }
    }

    /// Somebody with a role, and a token.
    async fn person(&self, email: &str, role: Role) -> (UserId, Answer) {
        let made = self.register(email).await;
        let id: UserId = made.body["data"]["user"]["id"].as_str().unwrap().parse().unwrap();
        if role == Role::User {
            return (id, made);
        }
        let account = NewAccount {
            email: Address::parse(&format!("staff-{email}")).unwrap(),
            name: None,
            password_hash: None,
            role,
        };
        let staff = self.identity.create_account(account).await.unwrap().unwrap();
        // Somebody who signs in elsewhere.
        let token = self.signer.sign(&staff.id, role, &Uuid::from_bytes([5; 16])).unwrap();
        let body = json!({"data": {"tokens": {"access_token": token}}});
        (staff.id, Answer { status: StatusCode::OK, cookie: None, body })
    }

    async fn ask_as(&self, token: &str, path: &str, body: Option<Value>) -> Answer {
        self.send("POST", path, Ask { body, token: Some(token), ..Ask::default() }).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, Ask { body: Some(body), ..Ask::default() }).await
    }

    async fn register(&self, email: &str) -> Answer {
        self.post("/api/auth/register", json!({"email": email, "password": PASSWORD})).await
    }

    async fn login(&self, email: &str, password: &str) -> Answer {
        self.post("/api/auth/login", json!({"email": email, "password": password})).await
    }

    async fn refresh(&self, cookie: &str) -> Answer {
        let ask = Ask { cookie: Some(cookie), origin: Some(PAGE), ..Ask::default() };
        self.send("POST", "/api/auth/refresh", ask).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.send("GET", path, Ask { token: Some(token), ..Ask::default() }).await
    }
}

#[tokio::test]
async fn who_registers_is_signed_in_and_can_sign_in_again() {
    let world = World::new();
    let body = json!({"email": " Ada@Example.org ", "password": PASSWORD, "name": " Ada "});
    let made = world.post("/api/auth/register", body).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
    let user = &made.body["data"]["user"];
    assert_eq!((&user["email"], &user["name"]), (&json!("Ada@Example.org"), &json!("Ada")));
    assert_eq!((&user["role"], &user["has_password"]), (&json!("user"), &json!(true)));
    assert_eq!((&user["email_verified"], &user["locked"]), (&json!(false), &json!(false)));
    assert_eq!(made.body["data"]["tokens"]["token_type"], "Bearer");
    let me = world.get("/api/auth/me", &made.token()).await;
    assert_eq!(&me.body["data"], user);
    let again = world.login("ada@example.ORG", PASSWORD).await;
    assert_eq!(again.status, StatusCode::OK, "{again:?}");
    assert_eq!(&again.body["data"]["user"], user);
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
    let second = world.refresh(&first).await.cookie.unwrap();
    world.pass(11);
    let replayed = world.refresh(&first).await;
    assert_eq!(replayed.status, StatusCode::UNAUTHORIZED, "{replayed:?}");
    assert_eq!(replayed.cookie.as_deref(), Some(""));
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
    let forged = format!("{}AAAAAAAAAA", &good[..54]);
    for bad in ["", "x", &"A".repeat(64), &"A".repeat(5_000), &forged] {
        let said = world.refresh(bad).await;
        assert_eq!(said.status, StatusCode::UNAUTHORIZED, "{bad}");
        assert_eq!(said.cookie.as_deref(), Some(""));
    }
}

#[tokio::test]
async fn who_signs_out_is_out_on_this_device_only() {
    let world = World::new();
    let here = world.register("ada@b.co").await.cookie.unwrap();
    let there = world.login("ada@b.co", PASSWORD).await;
    let ask = Ask { cookie: Some(&here), origin: Some(PAGE), ..Ask::default() };
    let out = world.send("POST", "/api/auth/logout", ask).await;
    assert_eq!((out.status, out.cookie.as_deref()), (StatusCode::NO_CONTENT, Some("")));
    assert_eq!(world.refresh(&here).await.status, StatusCode::UNAUTHORIZED);
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
    assert_eq!(world.refresh(&first.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    let ended = world.send("POST", "/api/auth/sessions/revoke", ask()).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    assert_eq!(world.refresh(&second.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.refresh(&stranger.cookie.unwrap()).await.status, StatusCode::OK);
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
    assert_eq!(change(PASSWORD, "short").await.code(), "validation_failed");
    assert_eq!(change(PASSWORD, NEW).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.refresh(&first.cookie.unwrap()).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.login("ada@b.co", PASSWORD).await.code(), "invalid_credentials");
    assert_eq!(world.login("ada@b.co", NEW).await.status, StatusCode::OK);
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
