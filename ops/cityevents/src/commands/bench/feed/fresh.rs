//! How soon a list shows what was published, and shows no more what was taken back, while it has very
//! many others.

use std::time::{Duration, Instant};

use anyhow::ensure;
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::super::http::run;
use super::super::measure::{Goal, Row};
use super::super::stage::Stage;
use crate::load::client::Connection;
use crate::load::crowd::Person;
use crate::load::open_loop::Latencies;

/// Events that are published and taken back, one after the other.
const EVENTS: usize = 300;
const P99_MS: f64 = 1_000.0;
/// A list takes no longer, or it is broken.
const WAIT_MAX: Duration = Duration::from_secs(30);

pub(super) fn measure(load: &Runtime, stage: &Stage) -> anyhow::Result<Vec<Row>> {
    let http = stage.http;
    let owner = stage.people(1)?.remove(0);
    let (shown, gone) = run(load, async move {
        let (mut shown, mut gone) = (Latencies::new()?, Latencies::new()?);
        let mut person = Asking { connection: Connection::open(http).await?, owner };
        let mut reader = Connection::open(http).await?;
        for number in 0..EVENTS {
            let city = format!("Fresh {number}");
            let path = format!("/api/events?limit=1&city=Fresh+{number}");
            let event = person.create(&city).await?;
            shown.record(person.until(&event, "publish", &mut reader, &path, 1).await?);
            gone.record(person.until(&event, "unpublish", &mut reader, &path, 0).await?);
        }
        anyhow::Ok((shown, gone))
    })?;
    let rows = [("published event in its list", shown), ("unpublished one gone from it", gone)];
    Ok(rows
        .into_iter()
        .flat_map(|(what, times)| {
            let latency = |percent| times.percentile_ms(percent);
            let conditions = format!("from the call on, {EVENTS} one after the other, p99");
            [
                Row::new(what, latency(99.0), "ms").goal(Goal::AtMost(P99_MS)).under(conditions),
                Row::new("    p50", latency(50.0), "ms"),
            ]
        })
        .collect())
}

struct Asking {
    connection: Connection,
    owner: Person,
}

impl Asking {
    async fn create(&mut self, city: &str) -> anyhow::Result<String> {
        let mut body: Value = serde_json::from_slice(&Stage::event_body()?)?;
        body["city"] = json!(city);
        let body = Bytes::from(serde_json::to_vec(&body)?);
        let made = self.post("/api/events", body).await?;
        Ok(made["id"].as_str().unwrap_or_default().to_owned())
    }

    async fn post(&mut self, path: &str, body: Bytes) -> anyhow::Result<Value> {
        let answer = self.connection.post_as(&self.owner.bearer, path, None, body).await?;
        ensure!(answer.status.is_success(), "{path} was answered with {}", answer.status);
        answer.json()
    }

    /// Asks for a change, and looks until the list has so many items.
    async fn until(
        &mut self,
        event: &str,
        change: &str,
        reader: &mut Connection,
        path: &str,
        items: usize,
    ) -> anyhow::Result<Duration> {
        let started = Instant::now();
        self.post(&format!("/api/events/{event}/{change}"), Bytes::new()).await?;
        loop {
            let answer = reader.send(Method::GET, path, &[], Bytes::new()).await?;
            ensure!(answer.status == StatusCode::OK, "{path} was answered with {}", answer.status);
            if answer.json()?["items"].as_array().map(Vec::len) == Some(items) {
                return Ok(started.elapsed());
            }
            ensure!(started.elapsed() < WAIT_MAX, "{path} never had {items} items");
        }
    }
}
