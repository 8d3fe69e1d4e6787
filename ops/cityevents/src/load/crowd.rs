//! A crowd: many people, each with a token, who go for places over a bounded number of connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::keys::TokenSigner;
use hyper::StatusCode;
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::client::{Answer, Connection};
use super::open_loop::Latencies;
use crate::commands::random_id;

/// Connections that a crowd shares.
const CONNECTIONS: usize = 128;
/// A refusal for load is asked again with the same key so often.
const TRIES_MAX: u32 = 200;
/// Wait before asking again after a refusal for load.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a token of the crowd is good.
const TOKEN_TTL: Duration = Duration::from_secs(3_600);

/// One of them.
#[derive(Debug, Clone)]
pub struct Person {
    /// Their account.
    pub user: UserId,
    /// `Bearer …`
    pub bearer: String,
}

impl Person {
    /// Somebody new.
    ///
    /// # Errors
    /// When the keys cannot sign.
    pub fn new(signer: &TokenSigner, role: Role) -> anyhow::Result<Self> {
        let user = UserId::from_bytes(random_id());
        let session = Uuid::from_bytes(random_id());
        let token = signer.sign_for(&user, role, &session, TOKEN_TTL)?;
        Ok(Self { user, bearer: format!("Bearer {token}") })
    }
}

/// What somebody was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Status of the answer.
    pub status: StatusCode,
    /// The body's `status`, or the code of the refusal.
    pub word: String,
    /// Position in the line.
    pub position: Option<u64>,
    /// Token for reads that are to see this.
    pub consistency: Option<String>,
}

impl Told {
    /// Reads an answer.
    ///
    /// # Errors
    /// When it is none of the contract.
    pub fn of(answer: &Answer) -> anyhow::Result<Self> {
        let body: Value = if answer.body.is_empty() { Value::Null } else { answer.json()? };
        let word = body["status"].as_str().or_else(|| body["error"]["code"].as_str());
        let token = answer.headers.get("x-consistency-token");
        Ok(Self {
            status: answer.status,
            word: word.unwrap_or_default().to_owned(),
            position: body["position"].as_u64(),
            consistency: token.and_then(|token| token.to_str().ok()).map(str::to_owned),
        })
    }
}

/// What came of a rush.
#[derive(Debug)]
pub struct Rush {
    /// What each was told, in the order of the requests.
    pub told: Vec<Told>,
    /// How long each waited for a decision, retries included.
    pub latencies: Latencies,
    /// How long all took together.
    pub took: Duration,
    /// Requests refused for load and asked again.
    pub retries: u64,
}

/// One request of a rush.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Index of the person.
    pub person: usize,
    /// Path.
    pub path: Arc<str>,
    /// Idempotency key.
    pub key: String,
}

/// Everybody asks, all at once, over as many connections as there are.
///
/// # Errors
/// When the server cannot be reached or answers outside its contract.
pub async fn rush(
    address: SocketAddr,
    people: Arc<Vec<Person>>,
    asks: Vec<Ask>,
    bar: &ProgressBar,
) -> anyhow::Result<Rush> {
    let asks = Arc::new(asks);
    let next = Arc::new(AtomicUsize::new(0));
    let retries = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS.min(asks.len()) {
        let (people, asks, next) = (people.clone(), asks.clone(), next.clone());
        let (retries, bar) = (retries.clone(), bar.clone());
        workers.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut told = Vec::new();
            let mut latencies = Latencies::new()?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(ask) = asks.get(index) else { break };
                let begun = Instant::now();
                let bearer = &people[ask.person].bearer;
                let answer = ask_one(&mut connection, bearer, ask, &retries).await?;
                latencies.record(begun.elapsed());
                told.push((index, answer));
                bar.inc(1);
            }
            anyhow::Ok((told, latencies))
        });
    }
    let mut told: Vec<Option<Told>> = vec![None; asks.len()];
    let mut latencies = Latencies::new()?;
    while let Some(worker) = workers.join_next().await {
        let (answers, waited) = worker??;
        latencies.add(&waited)?;
        for (index, answer) in answers {
            told[index] = Some(answer);
        }
    }
    let took = started.elapsed();
    let told: Option<Vec<_>> = told.into_iter().collect();
    let told = told.context("a request was lost on the way")?;
    Ok(Rush { told, latencies, took, retries: retries.load(Ordering::Relaxed) })
}

async fn ask_one(
    connection: &mut Connection,
    bearer: &str,
    ask: &Ask,
    retries: &AtomicU64,
) -> anyhow::Result<Told> {
    let body = Bytes::new();
    Told::of(&decided(connection, bearer, (&ask.path, &ask.key), body, retries).await?)
}

/// The answer with a decision: refused for load, or not decided in time, the same key asks for the same
/// decision again.
async fn decided(
    connection: &mut Connection,
    bearer: &str,
    (path, key): (&str, &str),
    body: Bytes,
    retries: &AtomicU64,
) -> anyhow::Result<Answer> {
    for _ in 0..TRIES_MAX {
        let answer = connection.post_as(bearer, path, Some(key), body.clone()).await?;
        if ![StatusCode::SERVICE_UNAVAILABLE, StatusCode::ACCEPTED].contains(&answer.status) {
            return Ok(answer);
        }
        retries.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(RETRY_PAUSE).await;
    }
    bail!("{path} was not decided after {TRIES_MAX} tries")
}

/// Makes and publishes an event of `owner`; returns its id.
///
/// # Errors
/// When it is refused.
pub async fn publish_event(
    connection: &mut Connection,
    owner: &Person,
    title: &str,
    capacity: u32,
    waitlist_limit: Option<u32>,
) -> anyhow::Result<String> {
    let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 7);
    let mut event = json!({
        "title": title,
        "description": "Made by a load run.",
        "city": "Springfield",
        "category": "music",
        "start_time": start.to_string(),
        "end_time": (start + jiff::SignedDuration::from_hours(3)).to_string(),
        "capacity": capacity,
    });
    if let Some(limit) = waitlist_limit {
        event["waitlist_limit"] = json!(limit);
    }
    let body = Bytes::from(serde_json::to_vec(&event)?);
    let (key, retries) = (Uuid::from_bytes(random_id()).to_string(), AtomicU64::new(0));
    let asked = ("/api/events", &*key);
    let created = decided(connection, &owner.bearer, asked, body, &retries).await?;
    let id = created.json()?["id"].as_str().map(str::to_owned);
    let id = id.with_context(|| refusal("creating an event", &created))?;
    let path = format!("/api/events/{id}/publish");
    let key = format!("{key}-publish");
    let asked = (&*path, &*key);
    let published = decided(connection, &owner.bearer, asked, Bytes::new(), &retries).await?;
    if published.status != StatusCode::OK {
        bail!(refusal("publishing the event", &published));
    }
    Ok(id)
}

fn refusal(what: &str, answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    format!("{what} was answered with {}: {body}", answer.status)
}
