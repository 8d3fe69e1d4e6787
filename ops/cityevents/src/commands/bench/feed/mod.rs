//! What people read, with very many public events: lists, pages of events, what is talked about,
//! search, deep pages; how soon a change is there; and the index that it comes from, built and opened.

mod fresh;
pub(super) mod gets;
mod rows;
mod trends;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cityevents_api::index::{Index, IndexMetrics, IndexOptions, IndexPlace};
use cityevents_domain::time::Timestamp;
use cityevents_kit::Config;
use cityevents_runtime::log::Log;
use cityevents_runtime::log::clock::{Clock as _, SystemClock};
use cityevents_runtime::log::local::{LocalLog, LocalOptions};
use cityevents_schemas::topic;
use hyper::Method;
use tokio::runtime::Runtime;

use self::gets::{Gets, Offered, offer};
use self::rows::{CITIES, Maker, ORGANISERS};
use super::Plan;
use super::http::run;
use super::measure::{Goal, Row, resident_bytes};
use super::stage::{Stage, load_runtime};
use crate::instance::topics;
use crate::load::client::Connection;

/// Of lists and events.
const READS_PER_SECOND: u32 = 20_000;
const READ_P99_MS: f64 = 5.0;
/// Of searches.
const SEARCHES_PER_SECOND: u32 = 2_000;
const SEARCH_P99_MS: f64 = 20.0;
/// Different requests of one kind.
const REQUESTS: usize = 2_000;
/// Items of a page.
const PAGE: usize = 20;
/// The page that is compared with the first, where there are so many.
const DEEP_PAGE: usize = 10_000;
/// Items of the pages of the walk there.
const WALK_PAGE: usize = 100;
/// How often it is looked whether the index is ready.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// The index takes no longer, or it is broken.
const READY_MAX: Duration = Duration::from_secs(1_800);
/// What is typed; `{city}`, `{common}` and `{rare}` stand for changing ones.
const MIX: [&str; 12] = [
    "q=jazz",
    "q=jazz&sort=relevance",
    "q=open+air+cin",
    "q=pott",
    "q=th%C3%A9%C3%A2tre&sort=relevance",
    "q=%E6%9D%B1%E4%BA%AC",
    "q=midnight+run&city={city}",
    "q={rare}",
    "q={rare}&sort=relevance",
    "q={common}+chess&exclude_expired=true",
    "q=concert+{city}",
    "q=s",
];

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let mut maker = Maker::new(Timestamp::from_millis(SystemClock.now_ms()));
    let mut figures = Vec::new();
    let prepare = |config: &Config| {
        figures = build(plan, config, &mut maker)?;
        Ok(())
    };
    let stage = Stage::start(folder.path(), prepare)?;
    let load = load_runtime()?;
    let mut rows = figures;
    let offered = Offered {
        rate: READS_PER_SECOND,
        p99_ms: READ_P99_MS,
        warm_up: plan.warm_up,
        seconds: plan.seconds,
    };
    let kinds = kinds(plan, &maker, stage.http);
    for gets in kinds {
        let offered = match gets.what {
            SEARCH => Offered { rate: SEARCHES_PER_SECOND, p99_ms: SEARCH_P99_MS, ..offered },
            _ => offered,
        };
        rows.extend(gets.measure(&load, stage.http, offered)?);
    }
    rows.push(depth(plan, &load, stage.http, offered)?);
    rows.extend(fresh::measure(&load, &stage)?);
    stage.stop();
    Ok(rows)
}

const SEARCH: &str = "search";

/// The requests of each kind.
fn kinds(plan: &Plan, maker: &Maker, address: SocketAddr) -> Vec<Gets> {
    let encoded = |text: &str| text.replace(' ', "+");
    let lists = (0..REQUESTS).map(|number| {
        let city = encoded(maker.city(number));
        match number % 4 {
            0 => "/api/events".to_owned(),
            1 => format!("/api/events?city={city}"),
            2 => format!("/api/feed?city={city}&category=music"),
            _ => "/api/feed?category=film".to_owned(),
        }
    });
    let feeds = (0..REQUESTS).map(|number| {
        let city = encoded(maker.city(number));
        match number % 4 {
            0 => "/api/feed/recommended?type=trending".to_owned(),
            1 => format!("/api/feed/recommended?type=latest&city={city}"),
            _ => format!("/api/feed/recommended?type=trending&city={city}"),
        }
    });
    let events = (0..REQUESTS * 50).map(|number| {
        let number = (number as u64 * 7_919 % u64::from(plan.published)) as u32;
        format!("/api/events/{}", Maker::id(number))
    });
    let searches = (0..REQUESTS).map(|number| {
        let typed = MIX[number % MIX.len()]
            .replace("{city}", &encoded(maker.city(number)))
            .replace("{common}", maker.word(number % 50))
            .replace("{rare}", maker.word(2_000 + number));
        format!("/api/events?{typed}")
    });
    vec![
        Gets::new("list, with and without city and category", address, lists),
        Gets::new("event", address, events),
        Gets::new("what is talked about, and what was published last", address, feeds),
        Gets::new(SEARCH, address, searches),
    ]
}

/// Fills the topic, builds the index from it, and opens it again.
fn build(plan: &Plan, config: &Config, maker: &mut Maker) -> anyhow::Result<Vec<Row>> {
    let data = &config.data.dir;
    std::fs::create_dir_all(data)?;
    let log: Arc<dyn Log> = LocalLog::open(data.join("log"), LocalOptions::default())?;
    topics::create_missing(&*log, &config.log.prefix, config.log.partitions)?;
    let topic: Arc<str> = topic::EVENTS.full_name(&config.log.prefix).into();
    let started = Instant::now();
    maker.write(&log, &topic, plan.published)?;
    let written = started.elapsed();
    trends::write(data, maker)?;
    let million = f64::from(plan.published) / 1e6;
    let open = || -> anyhow::Result<(Index, Duration)> {
        let started = Instant::now();
        let index = Index::start(IndexOptions {
            log: log.clone(),
            topic: topic.clone(),
            place: IndexPlace::Folder(data.join("index")),
            memory_bytes: usize::try_from(config.index.memory)?,
            clock: Arc::new(SystemClock),
            metrics: IndexMetrics::default(),
        })?;
        while let Some(problem) = index.problem() {
            ensure!(started.elapsed() < READY_MAX, "the index is not ready: {problem}");
            std::thread::sleep(LOOK_EVERY);
        }
        ensure!(index.len() == plan.published as usize, "{} events in the index", index.len());
        Ok((index, started.elapsed()))
    };
    let (index, built) = open()?;
    drop(index);
    let before = resident_bytes("self").unwrap_or(0);
    let (index, opened) = open()?;
    let resident = resident_bytes("self").unwrap_or(0).saturating_sub(before);
    drop(index);
    let each = |bytes: u64| bytes as f64 / f64::from(plan.published);
    let conditions = format!(
        "{million:.2} M events in {CITIES} cities by {ORGANISERS} people, from the embedded log, files \
         in the page cache; goal scaled from a million"
    );
    Ok(vec![
        Row::new("P11 index built from the topic", built.as_secs_f64(), "s")
            .goal(Goal::AtMost(60.0 * million))
            .under(conditions.clone()),
        Row::new("P11 index opened from the disk", opened.as_secs_f64(), "s")
            .goal(Goal::AtMost(2.0 * million.max(0.1)))
            .under(conditions),
        Row::new("    memory of it", each(resident), "bytes an event")
            .under("growth of the resident memory, pages of its files included"),
        Row::new("    on the disk", each(folder_bytes(&data.join("index"))?), "bytes an event"),
        Row::new("    events written to the topic", million / written.as_secs_f64(), "M/s")
            .under("made, encoded, durable"),
    ])
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { folder_bytes(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}

/// A page far behind against the first one.
fn depth(
    plan: &Plan,
    load: &Runtime,
    address: SocketAddr,
    offered: Offered,
) -> anyhow::Result<Row> {
    let page = DEEP_PAGE.min(plan.published as usize / PAGE);
    let pages = (page - 1) * PAGE / WALK_PAGE;
    let cursor = run(load, async move {
        let mut connection = Connection::open(address).await?;
        let mut path = format!("/api/events?limit={WALK_PAGE}");
        let mut cursor = String::new();
        for _ in 0..pages {
            let answer = connection.send(Method::GET, &path, &[], Bytes::new()).await?.json()?;
            let next = answer["next_cursor"].as_str().context("the list ends early")?;
            next.clone_into(&mut cursor);
            path = format!("/api/events?limit={WALK_PAGE}&cursor={cursor}");
        }
        Ok(cursor)
    })?;
    let asked = |path: String| Arc::new(Gets::new("", address, [path]).requests);
    let median = |requests: &Arc<Vec<Vec<u8>>>| -> anyhow::Result<f64> {
        let rate = Some(READS_PER_SECOND / 20);
        Ok(offer(load, address, requests, rate, offered)?.latencies.percentile_ms(50.0))
    };
    let first = median(&asked(format!("/api/events?limit={PAGE}")))?;
    let deep = median(&asked(format!("/api/events?limit={PAGE}&cursor={cursor}")))?;
    Ok(Row::new(format!("P11 page {page} against page 1"), deep / first, "×")
        .goal(Goal::AtMost(1.5))
        .under(format!("medians, {deep:.3} ms and {first:.3} ms, at 1 000 /s")))
}
