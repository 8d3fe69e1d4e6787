//! The routes behind the edge, on a durable log in a folder, with real registration workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, StatusCode};
use bytes::Bytes;
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_ingest::{
    ClientOptions, CommandClient, IngestMetrics, IngestState, Reasons, WriteOptions, route_policy,
    router,
};
use cityevents_kit::Shutdown;
use cityevents_kit::config::{Config, Sources};
use cityevents_kit::http::{Edge, EdgeParts, RoutePolicy};
use cityevents_kit::keys::{ApiKeys, KeyRing, Scope, TokenSigner, TokenVerifier};
use cityevents_kit::seal::{CheckInCodes, CursorSealer, InstanceSecret};
use cityevents_kit::telemetry::{HttpMetrics, MetricsRegistry};
use cityevents_processors::registration::{NAME, Registration};
use cityevents_runtime::host::{Host, HostOptions, PanicPolicy};
use cityevents_runtime::log::clock::SystemClock;
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_runtime::log::{Cleanup, Log, TimestampKind, TopicSpec};
use cityevents_runtime::metrics::RuntimeMetrics;
use cityevents_runtime::standby::Source;
use cityevents_runtime::worker::{WorkerOptions, make_task};
use cityevents_schemas::catalog::Timestamps;
use cityevents_schemas::{catalog, topic};
use cityevents_trace::Tracer;
use cityevents_views::Views;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

pub const PARTITIONS: u32 = 4;
pub const OWNER: UserId = UserId::from_bytes([0x0a; 16]);

pub struct Setup {
    pub workers: bool,
    pub client: ClientOptions,
    pub write: WriteOptions,
    pub overrides: Vec<(&'static str, &'static str)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            workers: true,
            client: ClientOptions::default(),
            write: WriteOptions { wait: Duration::from_secs(60), ..WriteOptions::default() },
            overrides: vec![("limits.enabled", "false")],
        }
    }
}

pub struct App {
    pub router: Router,
    pub client: CommandClient,
    pub log: Arc<dyn Log>,
    pub views: Views,
    pub draining: Shutdown,
    /// Those that people are shown.
    pub codes: CheckInCodes,
    signer: TokenSigner,
    api_key: String,
    host: Option<Host>,
    _folder: TempDir,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    /// The code of the problem that this answer is; empty for a success.
    pub fn code(&self) -> String {
        if self.status.is_success() {
            return String::new();
        }
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json", "{:?}", self.body);
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        self
    }
}

/// One call, put together bit by bit.
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Body,
}

impl Call {
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Body::empty() }
    }

    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
        self
    }

    /// With a stand-in in its path replaced.
    pub fn at(mut self, stand_in: &str, event: &str) -> Self {
        self.path = self.path.replace(stand_in, event);
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn json(self, value: &Value) -> Self {
        self.text(&value.to_string())
    }

    /// A body that says it is JSON, whatever it is.
    pub fn text(self, text: &str) -> Self {
        let mut call = self.header("content-type", "application/json");
        call.body = Body::from(text.to_owned());
        call
    }

    pub fn stream(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

pub fn user(number: u8) -> UserId {
    UserId::from_bytes([number; 16])
}

/// An event that is fine.
pub fn event_fields() -> Value {
    json!({
        "title": "Summer concert", "description": "Music in the park", "city": "Bern",
        "category": "music", "start_time": "2035-07-01T18:00:00Z",
        "end_time": "2035-07-01T22:00:00Z", "capacity": 2, "waitlist_limit": 1
    })
}

impl App {
    pub async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub async fn with(setup: Setup) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log: Arc<dyn Log> =
            LocalLog::open(folder.path().join("log"), LocalOptions::default()).unwrap();
        create_topics(&*log);
        let overrides = setup.overrides.iter();
        let overrides = overrides.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let data = ("data.dir".to_owned(), folder.path().display().to_string());
        let overrides = overrides.chain([data]);
        let sources =
            Sources { file: None, environment: Vec::new(), overrides: overrides.collect() };
        let config = Config::load(sources).unwrap().config;
        let keys_dir = folder.path().join("keys");
        let ring = KeyRing::open(&keys_dir).unwrap();
        let api_keys = ApiKeys::open(&keys_dir).unwrap();
        let (_, api_key) = api_keys.create(&[Scope::Ingest], "tests").unwrap();
        let registry = MetricsRegistry::new("0", "tests");
        let metrics = registry.register(IngestMetrics::new);
        let client = CommandClient::start(&log, &setup.client, metrics).unwrap();
        let views = Views::memory();
        let draining = Shutdown::new();
        let sealer = CursorSealer::new(InstanceSecret::open(&config).unwrap());
        let state = IngestState::new(
            client.clone(),
            Reasons::new(views.person_keys.clone()),
            api_keys,
            setup.write,
            draining.clone(),
            sealer.clone(),
        );
        let parts = EdgeParts {
            policy: |method, route| route_policy(method, route).unwrap_or(RoutePolicy::GENERAL),
            verifier: TokenVerifier::new(ring.clone(), &config),
            metrics: HttpMetrics::new(&registry),
            tracer: Tracer::off(),
        };
        let mut app = Self {
            router: Edge::new(&config, parts).around(router(state).into()),
            signer: TokenSigner::new(ring, &config),
            api_key: api_key.expose().to_owned(),
            client,
            log,
            views,
            draining,
            codes: CheckInCodes::new(sealer),
            host: None,
            _folder: folder,
        };
        if setup.workers {
            app.start_workers();
        }
        app
    }

    pub fn start_workers(&mut self) {
        let source = Source {
            topology: NAME,
            log: Arc::clone(&self.log),
            commands: topic::EVENT_COMMANDS.name.into(),
            facts: topic::EVENT_FACTS.name.into(),
            snapshots: None,
            clock: Arc::new(SystemClock),
            metrics: RuntimeMetrics::unregistered(),
        };
        let options =
            WorkerOptions::new(topic::COMMAND_REPLIES.name, topic::EVENT_COMMANDS_DLQ.name);
        let host = HostOptions {
            name: NAME,
            group: NAME.to_owned(),
            topics: vec![topic::EVENT_COMMANDS.name.into()],
            member: "tests".to_owned(),
            panics: PanicPolicy::default(),
        };
        let metrics = RuntimeMetrics::unregistered();
        let task = make_task(source, options, Registration::default);
        self.host = Some(Host::start(&self.log, host, metrics, task).unwrap());
    }

    pub fn token(&self, user: UserId, role: Role) -> String {
        self.signer.sign(&user, role, &Uuid::from_bytes([1; 16])).unwrap()
    }

    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    pub async fn call(&self, call: Call) -> Answer {
        let response = self.open(call).await;
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: head.status, headers: head.headers, body }
    }

    /// The answer with its body still to come.
    pub async fn open(&self, call: Call) -> axum::response::Response {
        let mut request = Request::builder().method(call.method).uri(call.path);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(call.body).unwrap();
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn as_user(&self, user: UserId, call: Call) -> Answer {
        self.as_role(user, Role::User, call).await
    }

    pub async fn as_role(&self, user: UserId, role: Role, call: Call) -> Answer {
        let bearer = format!("Bearer {}", self.token(user, role));
        self.call(call.header(AUTHORIZATION.as_str(), &bearer)).await
    }

    /// A published event with two places and one place in line.
    pub async fn published(&self) -> String {
        let created = self.as_user(OWNER, Call::post("/api/events").json(&event_fields())).await;
        let id = created.expect(201).json()["id"].as_str().unwrap().to_owned();
        let publish = Call::post(&format!("/api/events/{id}/publish"));
        self.as_user(OWNER, publish).await.expect(200);
        id
    }

    pub async fn join(&self, event: &str, user: UserId, key: &str) -> Answer {
        self.as_user(user, Call::post(&format!("/api/events/{event}/join")).key(key)).await
    }

    /// One line an answer.
    pub async fn upload(&self, query: &str, body: Body) -> Vec<Value> {
        let call = Call::post(&format!("/api/ingest{query}")).stream(body);
        let call = call.header("authorization", &format!("Bearer {}", self.api_key));
        let answer = self.call(call).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        lines(&answer.body)
    }
}

pub fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn join_line(event: &str, user: UserId, key: &str) -> String {
    json!({"type": "join", "event_id": event, "user_id": user.to_string(), "idempotency_key": key})
        .to_string()
}

/// How often each status stands in the answers of an upload.
pub fn by_status(answers: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for answer in answers {
        *counts.entry(answer["status"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

fn create_topics(log: &dyn Log) {
    let needed = [
        topic::EVENT_COMMANDS,
        topic::EVENT_FACTS,
        topic::COMMAND_REPLIES,
        topic::EVENT_COMMANDS_DLQ,
    ];
    for topic in needed {
        let retention = topic.retention_ms.map(Duration::from_millis);
        let spec = TopicSpec {
            name: topic.name.into(),
            partitions: topic.partitions(PARTITIONS),
            cleanup: match topic.cleanup {
                catalog::Cleanup::Delete => Cleanup::Delete { retention },
                catalog::Cleanup::Compact => Cleanup::Compact,
            },
            timestamps: match topic.timestamps {
                Timestamps::Append => TimestampKind::LogAppend,
                Timestamps::Create => TimestampKind::Create,
            },
            durable: topic.durable,
        };
        log.create_topic(&spec).unwrap();
    }
}
