//! Accounts and sessions, as a browser meets them.

mod allowances;
mod departures;
mod mails;
mod oauth;
mod pages;
mod pictures;
mod sessions;
mod sign_in;
mod staff;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE};
use axum::http::{Request, StatusCode};
use cityevents_api::identity::{
    Address, Addressees, Identity, IdentityParts, LinkMail, LinkMailError, LinkPurpose, NewAccount,
    RequestLinkMails, router,
};
use cityevents_api::media::{self, Media, MediaMetrics, MediaParts, PictureStore};
use cityevents_api::standing::{
    AccountChanges, AccountStandings, StandingsMetrics, UnpublishedAccounts,
};
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::Config;
use cityevents_kit::breaker::BreakerMetrics;
use cityevents_kit::config::Sources;
use cityevents_kit::keys::{Authentication, KeyRing, TokenSigner, TokenVerifier};
use cityevents_kit::seal::{CursorSealer, InstanceSecret};
use cityevents_runtime::log::clock::{Clock, SystemClock};
use cityevents_runtime::log::memory::MemoryLog;
use cityevents_runtime::log::{Cleanup, Log, TimestampKind, TopicSpec};
use cityevents_views::memory::MemoryViews;
use cityevents_views::records::{
    Change, RecordKey, RecordKind, RecordValue, Records as _, Revision,
};
use cityevents_views::{BoxFuture, Views};
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

/// What was asked for.
#[derive(Default)]
struct Mails(Mutex<Vec<LinkMail>>);

impl RequestLinkMails for Mails {
    fn request(&self, mail: LinkMail) -> BoxFuture<'_, Result<(), LinkMailError>> {
        self.0.lock().push(mail);
        Box::pin(async { Ok(()) })
    }
}

struct World {
    identity: Identity,
    media: Media,
    pictures: PictureStore,
    config: Config,
    memory: Arc<MemoryViews>,
    events: Arc<departures::Events>,
    mails: Arc<Mails>,
    addressees: Addressees,
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
        Self::with(&[])
    }

    /// With some settings.
    fn with(settings: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut overrides = vec![("data.dir".to_owned(), folder.path().display().to_string())];
        overrides.extend_from_slice(settings);
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
        let events = Arc::new(departures::Events::new(memory.clone()));
        let mails = Arc::new(Mails::default());
        let cursors = CursorSealer::new(InstanceSecret::open(&config).unwrap());
        let records = memory.clone();
        let addressees = Addressees::new(records, clock.clone(), cursors.clone());
        let pictures = PictureStore::in_memory();
        let media = Media::new(
            MediaParts {
                views: Views::of_shared(memory.clone()),
                store: pictures.clone(),
                clock: clock.clone(),
                sealer: cursors.clone(),
                metrics: MediaMetrics::default(),
            },
            &config,
        );
        let media = media.unwrap();
        let parts = IdentityParts {
            views: Views::of_shared(memory.clone()),
            leaving: Some(events.clone()),
            signer: signer.clone(),
            clock: clock.clone(),
            changes: Some(changes),
            mails: mails.clone(),
            cursors,
            allowances: None,
            media: Some(media.clone()),
            breakers: BreakerMetrics::default(),
        };
        let identity = Identity::new(parts, &config).unwrap();
        let router = Router::from(router(identity.clone()).merge(media::router(media.clone())));
        Self {
            identity,
            media,
            pictures,
            config,
            memory,
            events,
            mails,
            addressees,
            standings,
            signer,
            verifier,
            clock,
            router,
            folder,
        }
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }

    /// An instance whose changes nobody hears of.
    fn without_telling(&self) -> Router {
        let overrides = vec![("data.dir".to_owned(), self.folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        let parts = IdentityParts {
            views: Views::of_shared(self.memory.clone()),
            leaving: None,
            signer: self.signer.clone(),
            clock: self.clock.clone(),
            changes: None,
            mails: self.mails.clone(),
            cursors: CursorSealer::new(InstanceSecret::open(&config).unwrap()),
            allowances: None,
            media: None,
            breakers: BreakerMetrics::default(),
        };
        Router::from(router(Identity::new(parts, &config).unwrap()))
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

    /// The mail of that number, once it was asked for, and the token that whoever writes it puts
    /// into its link.
    async fn mailed(&self, number: usize) -> (LinkMail, String) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(mail) = self.mails.0.lock().get(number) {
                let token = self.addressees.token(mail.purpose, &mail.token);
                return (mail.clone(), token.expose().to_owned());
            }
            assert!(Instant::now() < deadline, "mail {number} does not come");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the other instance knows a version of an account.
    async fn known(&self, account: &UserId, version: u64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.standings.version(account) < Some(version) {
            assert!(Instant::now() < deadline, "version {version} is not known");
            tokio::task::yield_now().await;
        }
    }

    /// Waits until the other instance refuses a token.
    async fn is_refused(&self, token: &str) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let said = self.get("/api/auth/me", token).await;
            if said.status == StatusCode::UNAUTHORIZED {
                assert_eq!(said.code(), "unauthenticated");
                return;
            }
            assert!(Instant::now() < deadline, "the token goes on being good");
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
            language: None,
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
