//! `demo`: a drop from beginning to end, and the proof that it was fair.
//!
//! What people were told over HTTP is compared with the lists that the organiser sees, and the
//! audit reads the log as an outsider.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cityevents_domain::actor::Role;
use cityevents_kit::Config;
use cityevents_kit::keys::{KeyRing, TokenSigner};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::admin::{self, Question};
use crate::cli::{Demo, FAILURE, Place, Usage};
use crate::instance::roles::ProcessRoles;
use crate::instance::{self, Instance};
use crate::load::client::Connection;
use crate::load::crowd::{Ask, Person, Rush, Told, publish_event, rush};
use crate::output::{self, Format};

/// One person in so many leaves again.
const LEAVES_EVERY: usize = 20;
/// One person in so many asks a second time.
const TWICE_EVERY: usize = 10;
/// The capacity is raised by one place for so many.
const RAISED_BY_EVERY: u32 = 10;
/// Rows of a page.
const PAGE_ROWS: usize = 100;
/// How long the lists may take to show the last write.
const LISTS_WAIT: Duration = Duration::from_secs(60);

pub(super) fn run(arguments: Demo) -> anyhow::Result<ExitCode> {
    let folder = tempfile::tempdir()?;
    let own = || arguments.data.clone().unwrap_or_else(|| folder.path().join("cityevents"));
    let place = Place { data: arguments.url.is_none().then(own), ..Place::default() };
    let settings = [
        ("http.listen", "127.0.0.1:0"),
        ("ops.listen", "127.0.0.1:0"),
        ("limits.enabled", "false"),
        ("telemetry.access_log", "off"),
        ("telemetry.log_level", "warn"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = place.load(settings.to_vec())?.config;
    cityevents_kit::telemetry::init_logging(&config.telemetry)?;
    let running = arguments.url.is_some();
    let signer = running.then(|| super::signer_for(arguments.keys.as_deref(), &config));
    let signer = signer.transpose()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let verdict = runtime.block_on(drop_and_stop(&arguments, &config, signer.as_ref()))?;
    report(&verdict, arguments.output)?;
    Ok(if verdict.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FAILURE) })
}

/// Where the drop takes place.
struct Stage {
    http: SocketAddr,
    ops: SocketAddr,
    signer: TokenSigner,
    own: Option<Instance>,
}

impl Stage {
    async fn build(
        arguments: &Demo,
        config: &Config,
        signer: Option<&TokenSigner>,
    ) -> anyhow::Result<Self> {
        let (Some(url), Some(signer)) = (&arguments.url, signer) else {
            let instance = instance::start(config, &ProcessRoles::all()).await?;
            instance.wait_ready().await?;
            let signer = TokenSigner::new(KeyRing::open(&config.keys_dir())?, config);
            let http = instance.http().context("an instance with all roles listens")?;
            let ops = instance.ops();
            return Ok(Self { http, ops, signer, own: Some(instance) });
        };
        let ops = arguments.ops_url.as_deref().unwrap_or_default();
        let (http, ops) = (address_of(url)?, address_of(ops)?);
        check_keys(http, signer).await?;
        Ok(Self { http, ops, signer: signer.clone(), own: None })
    }
}

/// Whether an instance takes tokens that are signed here.
pub(super) async fn check_keys(http: SocketAddr, signer: &TokenSigner) -> anyhow::Result<()> {
    let somebody = Person::new(signer, Role::User)?;
    let headers = [("authorization", somebody.bearer.as_str())];
    let mut connection = Connection::open(http).await?;
    let answer = connection.send(Method::GET, "/api/me/joins", &headers, Bytes::new()).await?;
    ensure!(answer.status != StatusCode::UNAUTHORIZED, super::UNKNOWN_KEYS);
    Ok(())
}

/// Where a URL points.
pub(super) fn address_of(url: &str) -> anyhow::Result<SocketAddr> {
    use std::net::ToSocketAddrs as _;
    let wrong = || Usage(format!("{url} is not of the form http://host:port"));
    let place = url.strip_prefix("http://").ok_or_else(wrong)?.trim_end_matches('/');
    Ok(place.to_socket_addrs().map_err(|_| wrong())?.next().ok_or_else(wrong)?)
}

/// What came of it.
struct Verdict {
    people: u32,
    capacity: u32,
    raised_to: u32,
    told: BTreeMap<String, usize>,
    joins: Rush,
    again: usize,
    left: usize,
    active: usize,
    waiting: usize,
    audit: Value,
    broken: Vec<String>,
}

async fn drop_and_stop(
    arguments: &Demo,
    config: &Config,
    signer: Option<&TokenSigner>,
) -> anyhow::Result<Verdict> {
    let stage = Stage::build(arguments, config, signer).await?;
    let verdict = drop_places(arguments, &stage).await;
    if let Some(instance) = stage.own {
        instance.stop().await;
    }
    verdict
}

async fn drop_places(arguments: &Demo, stage: &Stage) -> anyhow::Result<Verdict> {
    let bar = output::progress(arguments.people.into(), "people arrive ");
    let mut people = Vec::with_capacity(arguments.people as usize);
    for _ in 0..arguments.people {
        people.push(Person::new(&stage.signer, Role::User)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let people = Arc::new(people);
    let owner = Person::new(&stage.signer, Role::User)?;
    let mut connection = Connection::open(stage.http).await?;
    let capacity = arguments.capacity;
    let event = publish_event(&mut connection, &owner, "The drop", capacity, None).await?;

    let join: Arc<str> = format!("/api/events/{event}/join").into();
    let ask = |person, path: &Arc<str>, key: &str| Ask {
        person,
        path: path.clone(),
        key: format!("{key}-{person}"),
    };
    let asks: Vec<_> = (0..people.len()).map(|person| ask(person, &join, "join")).collect();
    let bar = output::progress(asks.len() as u64, "people join   ");
    let joins = rush(stage.http, people.clone(), asks, &bar).await?;
    bar.finish_and_clear();
    let mut broken = Vec::new();

    let twice: Vec<_> = (0..people.len()).step_by(TWICE_EVERY).collect();
    let key = |index: usize| if index.is_multiple_of(2) { "join" } else { "other" };
    let asks = twice.iter().map(|person| ask(*person, &join, key(person / TWICE_EVERY))).collect();
    let bar = output::progress(twice.len() as u64, "some try twice");
    let again = rush(stage.http, people.clone(), asks, &bar).await?;
    bar.finish_and_clear();
    for (person, told) in twice.iter().zip(&again.told) {
        if told.word != joins.told[*person].word {
            let (first, second) = (&joins.told[*person].word, &told.word);
            broken.push(format!("somebody was told {first}, and asking again {second}"));
        }
    }

    let actives = (0..people.len()).filter(|person| joins.told[*person].word == "active");
    let leavers: Vec<_> = actives.step_by(LEAVES_EVERY).collect();
    let leave: Arc<str> = format!("/api/events/{event}/cancel").into();
    let asks = leavers.iter().map(|person| ask(*person, &leave, "leave")).collect();
    let bar = output::progress(leavers.len() as u64, "some leave    ");
    let left = rush(stage.http, people.clone(), asks, &bar).await?;
    bar.finish_and_clear();

    let raised_to = capacity + (capacity / RAISED_BY_EVERY).max(1);
    let body = Bytes::from(serde_json::to_vec(&json!({ "capacity": raised_to }))?);
    let path = format!("/api/events/{event}");
    let headers = [("authorization", owner.bearer.as_str())];
    let raised = connection.send(Method::PATCH, &path, &headers, body).await?;
    let consistency = Told::of(&raised)?.consistency;
    ensure!(raised.status.is_success(), "raising the capacity was answered {}", raised.status);

    let mut lists = Lists { connection, owner, event, consistency };
    let count = |word: &str| joins.told.iter().filter(|told| told.word == word).count();
    let living = count("active") + count("waitlisted") - leavers.len();
    let places = raised_to as usize;
    let active = lists.settled("participants?status=active&", places.min(living)).await?;
    let waiting = lists.all("waitlist?").await?;
    check(&mut broken, &people, &joins, &leavers, &active, &waiting, places);
    let expected_waiting = living.saturating_sub(places);
    if waiting.len() != expected_waiting {
        let seen = waiting.len();
        broken.push(format!("{seen} people wait, {expected_waiting} should"));
    }
    if left.told.iter().any(|told| told.word != "canceled") {
        broken.push("somebody left and was not told so".to_owned());
    }
    let mut told = BTreeMap::new();
    for answer in &joins.told {
        *told.entry(answer.word.clone()).or_default() += 1;
    }
    let ops = stage.ops;
    let audited =
        tokio::task::spawn_blocking(move || admin::ask_running(ops, &Question::Audit)).await?;
    let audit = audited.unwrap_or_else(|error| {
        broken.push(format!("the audit found: {error}"));
        Value::Null
    });
    Ok(Verdict {
        people: arguments.people,
        capacity,
        raised_to,
        told,
        joins,
        again: twice.len(),
        left: leavers.len(),
        active: active.len(),
        waiting: waiting.len(),
        audit,
        broken,
    })
}

/// What the organiser sees.
struct Lists {
    connection: Connection,
    owner: Person,
    event: String,
    consistency: Option<String>,
}

impl Lists {
    async fn all(&mut self, query: &str) -> anyhow::Result<Vec<String>> {
        let mut users = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/events/{}/{query}limit={PAGE_ROWS}{cursor}", self.event);
            let mut headers = vec![("authorization", self.owner.bearer.as_str())];
            let token = self.consistency.as_deref();
            headers.extend(token.map(|token| ("x-consistency-token", token)));
            let answer = self.connection.send(Method::GET, &path, &headers, Bytes::new()).await?;
            let page = answer.json()?;
            let items = page["items"].as_array();
            let items = items.with_context(|| format!("{path} was answered with {page}"))?;
            let ids = items.iter().filter_map(|item| item["user_id"].as_str());
            users.extend(ids.map(str::to_owned));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(users),
            }
        }
    }

    /// Reads until a list has the length that it has to come to. A raise lets people in by steps,
    /// and the lists follow the facts.
    async fn settled(&mut self, query: &str, expected: usize) -> anyhow::Result<Vec<String>> {
        let deadline = std::time::Instant::now() + LISTS_WAIT;
        loop {
            let users = self.all(query).await?;
            if users.len() == expected || std::time::Instant::now() > deadline {
                return Ok(users);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Compares what people were told with what the lists say.
fn check(
    broken: &mut Vec<String>,
    people: &[Person],
    joins: &Rush,
    leavers: &[usize],
    active: &[String],
    waiting: &[String],
    places: usize,
) {
    if active.len() > places {
        broken.push(format!("{} people have one of {places} places", active.len()));
    }
    let told: HashMap<String, &Told> =
        people.iter().map(|person| person.user.to_string()).zip(&joins.told).collect();
    let leavers: HashSet<_> =
        leavers.iter().map(|person| people[*person].user.to_string()).collect();
    let inside: HashSet<_> = active.iter().collect();
    if inside.len() != active.len() {
        broken.push("somebody has two places".to_owned());
    }
    for (user, told) in &told {
        if told.word == "active" && !leavers.contains(user) && !inside.contains(user) {
            broken.push(format!("{user} was told active and has no place"));
        }
        let is_in = inside.contains(user) || waiting.contains(user);
        if is_in && !matches!(told.word.as_str(), "active" | "waitlisted") {
            broken.push(format!("{user} was told {} and is in", told.word));
        }
    }
    let position = |user: &String| told.get(user).and_then(|told| told.position);
    let last_in = active.iter().filter_map(position).max().unwrap_or(0);
    if let Some(overtaken) =
        waiting.iter().find(|user| position(user).is_some_and(|at| at < last_in))
    {
        broken.push(format!("{overtaken} was overtaken"));
    }
}

fn report(verdict: &Verdict, format: Format) -> anyhow::Result<()> {
    let joins = &verdict.joins;
    let seconds = joins.took.as_secs_f64();
    let rate = joins.told.len() as f64 / seconds;
    let latency = |percent| joins.latencies.percentile_ms(percent);
    if format == Format::Json {
        return output::json(&json!({
            "people": verdict.people,
            "capacity": verdict.capacity,
            "raised_to": verdict.raised_to,
            "told": verdict.told,
            "asked_again": verdict.again,
            "left": verdict.left,
            "active": verdict.active,
            "waiting": verdict.waiting,
            "retries": joins.retries,
            "seconds": seconds,
            "joins_per_second": rate,
            "latency_ms": { "p50": latency(50.0), "p95": latency(95.0), "p99": latency(99.0) },
            "audit": verdict.audit,
            "broken": verdict.broken,
        }));
    }
    let mut rows = vec![
        ("people who asked", joins.told.len().to_string()),
        ("places", format!("{}, then {}", verdict.capacity, verdict.raised_to)),
    ];
    let told: Vec<_> = verdict
        .told
        .iter()
        .map(|(word, count)| (format!("told {word}"), count.to_string()))
        .collect();
    rows.extend(told.iter().map(|(what, count)| (what.as_str(), count.clone())));
    rows.extend([
        ("asked a second time", verdict.again.to_string()),
        ("left again", verdict.left.to_string()),
        ("have a place in the end", verdict.active.to_string()),
        ("wait in the end", verdict.waiting.to_string()),
        ("refused for load and asked again", joins.retries.to_string()),
        ("joins a second", format!("{rate:.0}")),
        (
            "p50 / p95 / p99",
            format!("{:.1} / {:.1} / {:.1} ms", latency(50.0), latency(95.0), latency(99.0)),
        ),
    ]);
    output::table(
        &["the drop", ""],
        rows.into_iter().map(|(what, text)| vec![what.to_owned(), text]),
    );
    if !verdict.audit.is_null() {
        super::audit::print(&verdict.audit);
    }
    if verdict.broken.is_empty() {
        output::line("nobody got a place twice, nobody was overtaken, nothing was lost");
    }
    for promise in &verdict.broken {
        output::line(&format!("BROKEN: {promise}"));
    }
    Ok(())
}
