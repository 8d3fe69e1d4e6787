//! The reads over rows and facts, asked as a client asks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::response::Parts;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use cityevents_api::feed::{self, Feed};
use cityevents_api::identity::Names;
use cityevents_api::index::{Index, IndexPlace};
use cityevents_api::lines::Lines;
use cityevents_api::{ApiMetrics, ProjectionProgress, Reads, ReadsParts, router};
use cityevents_domain::actor::{Actor, Role};
use cityevents_domain::command::CommandKind;
use cityevents_domain::event::EventFields;
use cityevents_domain::ids::{CommandId, EventId, UserId};
use cityevents_domain::refusal::Refusal;
use cityevents_domain::time::Timestamp;
use cityevents_kit::config::Sources;
use cityevents_kit::keys::{Authentication, Caller, KeyRing, Standing, Standings};
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::seal::{CheckInCodes, CursorSealer, InstanceSecret, Receipts, VisitorCookies};
use cityevents_kit::{Config, Shutdown};
use cityevents_runtime::log::clock::Clock;
use cityevents_views::{Mutation, OutcomeVerdict, ProgressRow, Views, WriteTimestamp};
use http_body_util::BodyExt;
use parking_lot::Mutex;
use serde_json::Value;
use tower::ServiceExt;

use super::facts::{Facts, Linked, person, user};
use super::published::Published;
use super::rows;

pub const PROJECTION: &str = "projection";
pub const OWNER: u32 = 1_000;
pub const STAFF: u32 = 2_000;
const PARTITIONS: u32 = 2;

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Nobody,
    Person(u32),
    Staff,
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// How accounts stand, as a test says; of others the token is believed.
#[derive(Default)]
pub struct Stands(pub Mutex<BTreeMap<UserId, Standing>>);

impl Standings for Stands {
    fn standing(&self, caller: &Caller) -> Standing {
        self.0.lock().get(&caller.user).copied().unwrap_or(Standing::Allowed(caller.role))
    }
}

pub struct World {
    pub facts: Facts,
    pub views: Views,
    pub lines: Arc<Lines>,
    pub index: Arc<Index>,
    pub published: Published,
    pub progress: Arc<ProjectionProgress>,
    pub pending: Arc<Mutex<BTreeSet<(CommandId, UserId)>>>,
    /// Those of whoever takes writes in.
    pub receipts: Receipts,
    /// Those of whoever lets people in.
    pub codes: CheckInCodes,
    /// Those of people without an account.
    pub visitors: VisitorCookies,
    /// How people stand of whom something was said.
    pub standings: Arc<Stands>,
    /// Of the process.
    pub draining: Shutdown,
    /// Whether the projection tells of its progress, or only stores it.
    pub tells_progress: bool,
    router: Router,
    _folder: tempfile::TempDir,
}

impl World {
    pub fn new() -> Self {
        Self::waiting(Duration::from_millis(40))
    }

    pub fn waiting(consistency_wait: Duration) -> Self {
        let facts = Facts::new(PARTITIONS);
        let views = Views::memory();
        let lines = Arc::new(crate::lines::start(&facts, PARTITIONS));
        let published = Published::new(&facts.log, PARTITIONS);
        let index = published.index(&facts.log, facts.clock(), IndexPlace::Memory);
        let progress = Arc::new(ProjectionProgress::new(PARTITIONS));
        let folder = tempfile::tempdir().unwrap();
        let overrides = vec![("data.dir".to_owned(), folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        let pending = Arc::new(Mutex::new(BTreeSet::new()));
        let known = Arc::clone(&pending);
        let cursors = CursorSealer::new(InstanceSecret::open(&config).unwrap());
        let receipts = Receipts::new(cursors.clone());
        let codes = CheckInCodes::new(cursors.clone());
        let sealer = cursors.clone();
        let standings = Arc::new(Stands::default());
        let draining = Shutdown::new();
        let parts = ReadsParts {
            views: views.clone(),
            names: Names::new(views.records.clone(), facts.clock()),
            lines: Arc::clone(&lines),
            index: Arc::clone(&index),
            progress: Arc::clone(&progress),
            projection: PROJECTION.to_owned(),
            cursors,
            keys: KeyRing::open(&folder.path().join("keys")).unwrap(),
            standings: standings.clone(),
            clock: facts.clock(),
            consistency_wait,
            is_pending: Arc::new(move |id, user| known.lock().contains(&(*id, *user))),
            draining: draining.clone(),
            pictures: PictureAddresses::default(),
            metrics: ApiMetrics::default(),
        };
        let reads = Reads::new(parts);
        let visitors = VisitorCookies::new(sealer, &config);
        let feed = feed::router(Feed::new(reads.clone(), visitors.clone()));
        let router = Router::from(router(reads).merge(feed));
        let tells_progress = true;
        Self {
            facts,
            views,
            lines,
            index,
            published,
            progress,
            pending,
            receipts,
            codes,
            visitors,
            standings,
            draining,
            tells_progress,
            router,
            _folder: folder,
        }
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.facts.clock.now_ms())
    }

    /// Lets a person ask something, and waits until rows and lines show it.
    pub async fn ask(
        &mut self,
        who: u32,
        event: EventId,
        kind: CommandKind,
    ) -> Result<Linked, Refusal> {
        self.ask_as(person(who), event, kind).await.1
    }

    pub async fn ask_as(
        &mut self,
        actor: Actor,
        event: EventId,
        kind: CommandKind,
    ) -> (CommandId, Result<Linked, Refusal>) {
        let id = self.facts.next_id();
        let asked = self.facts.ask_as(id, actor, event, kind);
        match &asked {
            Ok(linked) => self.show(linked).await,
            Err(refusal) => {
                if let Some(user) = actor.user() {
                    let verdict = OutcomeVerdict::Refused(*refusal);
                    let row = rows::outcome(id, event, user, verdict, self.now());
                    self.write(vec![Mutation::new(row, WriteTimestamp(1))]).await;
                }
            }
        }
        (id, asked)
    }

    pub async fn create(&mut self, owner: u32, fields: EventFields) -> EventId {
        let (event, linked) = self.facts.create(owner, fields);
        self.show(&linked).await;
        event
    }

    pub async fn publish(&mut self, owner: u32, fields: EventFields) -> EventId {
        let event = self.create(owner, fields).await;
        self.ask(owner, event, CommandKind::Publish).await.unwrap();
        event
    }

    /// Does what the projection would, and waits for the lines.
    pub async fn show(&self, linked: &Linked) {
        self.show_rows(linked).await;
        let at_most = Duration::from_secs(60);
        assert!(self.lines.wait(linked.partition, linked.offset, at_most).await);
    }

    pub async fn show_rows(&self, linked: &Linked) {
        if let Some(fact) = &linked.fact {
            let last = self.published.publish(fact);
            if let Some((partition, offset)) = last {
                let at_most = Duration::from_secs(60);
                let is_there = self.index.wait(partition, offset, false, at_most).await;
                assert!(is_there, "{:?}", self.index.problem());
            }
        }
        let mut mutations = linked.fact.as_ref().map(rows::of_fact).unwrap_or_default();
        let next_offset = linked.offset + 1;
        let progress = ProgressRow {
            projection: PROJECTION.to_owned(),
            partition: linked.partition,
            next_offset,
            cursor: String::new(),
        };
        mutations.push(Mutation::new(progress, WriteTimestamp(next_offset)));
        self.write(mutations).await;
        if self.tells_progress {
            self.progress.advance(linked.partition, next_offset);
        }
    }

    /// Waits until searches find everything that is public.
    pub async fn searched(&self) {
        for (partition, offset) in self.published.last() {
            let at_most = Duration::from_secs(60);
            assert!(self.index.wait(partition, offset, true, at_most).await);
        }
    }

    pub async fn write(&self, mutations: Vec<Mutation>) {
        self.views.write.write(mutations).await.unwrap();
    }

    pub async fn get(&self, who: Who, uri: &str) -> Answered {
        self.get_with(who, uri, &[]).await
    }

    pub async fn get_with(&self, who: Who, uri: &str, headers: &[(&str, &str)]) -> Answered {
        let (parts, bytes) = self.whole(who, uri, headers).await;
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answered { status: parts.status, headers: parts.headers, body }
    }

    /// Type and text of an answer that is no JSON.
    pub async fn text(&self, who: Who, uri: &str) -> (String, String) {
        let (parts, bytes) = self.whole(who, uri, &[]).await;
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(parts.status, StatusCode::OK, "{uri}: {text}");
        (parts.headers[CONTENT_TYPE].to_str().unwrap().to_owned(), text)
    }

    async fn whole(&self, who: Who, uri: &str, headers: &[(&str, &str)]) -> (Parts, Bytes) {
        let (parts, body) = self.open(who, uri, headers).await.into_parts();
        (parts, body.collect().await.unwrap().to_bytes())
    }

    /// An answer whose body is not read yet.
    pub async fn open(&self, who: Who, uri: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = Request::get(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::empty()).unwrap();
        let caller = |number, role| {
            let (user, session) = (user(number), <_>::default());
            Authentication::Caller(Caller { user, role, session, issued_at_ms: 0 })
        };
        request.extensions_mut().insert(match who {
            Who::Nobody => Authentication::Anonymous,
            Who::Person(number) => caller(number, Role::User),
            Who::Staff => caller(STAFF, Role::Moderator),
        });
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// The body of an answer that must be a success.
    pub async fn body(&self, who: Who, uri: &str) -> Value {
        let answered = self.get(who, uri).await;
        assert_eq!(answered.status, StatusCode::OK, "{uri}: {}", answered.body);
        answered.body
    }

    /// Status and code of an answer.
    pub async fn code(&self, who: Who, uri: &str) -> (u16, String) {
        let answered = self.get(who, uri).await;
        let code = answered.body["error"]["code"].as_str().unwrap_or_default();
        (answered.status.as_u16(), code.to_owned())
    }
}

/// One member of all items.
pub fn each<'a>(body: &'a Value, member: &str) -> Vec<&'a str> {
    let items = body["items"].as_array().unwrap();
    items.iter().map(|item| item[member].as_str().unwrap_or_default()).collect()
}
