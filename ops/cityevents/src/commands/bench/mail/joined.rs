//! From the answer to a join until the mail lies in its folder.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};

use crate::commands::bench::Plan;
use crate::commands::bench::measure::{Goal, Row};
use crate::commands::bench::stage::{Stage, load_runtime};
use crate::load::client::Connection;

/// People who join, one after the other.
const PEOPLE: usize = 40;
/// Longest wait for a mail.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks into the folder.
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(super) fn measure(plan: &Plan) -> anyhow::Result<Vec<Row>> {
    let folder = plan.folder()?;
    let mut inbox = None;
    let stage = Stage::start(folder.path(), |config| {
        inbox = Some(config.data.dir.join("mails"));
        Ok(())
    })?;
    let inbox = inbox.context("the instance has a folder of mails")?;
    let load = load_runtime()?;
    let event = stage.publish(&load, 1)?.remove(0);
    let mut waited = load.block_on(async {
        let mut connection = Connection::open(stage.http).await?;
        let mut waited = Vec::new();
        for number in 0..PEOPLE {
            let bearer = register(&mut connection, number).await?;
            // The one that asks to verify the address.
            wait_for(&inbox, 2 * number + 1).await?;
            let path = format!("/api/events/{event}/join");
            let key = format!("join-{number}");
            let joined = connection.post_as(&bearer, &path, Some(&key), Bytes::new()).await?;
            ensure!(joined.status.is_success(), "a join was answered with {}", joined.status);
            let answered = Instant::now();
            wait_for(&inbox, 2 * number + 2).await?;
            waited.push(answered.elapsed());
        }
        anyhow::Ok(waited)
    })?;
    stage.stop();
    waited.sort_unstable();
    let milliseconds = |at: usize| waited[at.min(waited.len() - 1)].as_secs_f64() * 1_000.0;
    Ok(vec![
        Row::new("from a join to its mail, p50", milliseconds(PEOPLE / 2), "ms")
            .goal(Goal::AtMost(1_000.0))
            .under(format!("{PEOPLE} joins one after the other, from the answer to the file")),
        Row::new("    the slowest", milliseconds(PEOPLE - 1), "ms").goal(Goal::AtMost(1_000.0)),
    ])
}

async fn register(connection: &mut Connection, number: usize) -> anyhow::Result<String> {
    let body = json!({
        "email": format!("person{number}@example.org"), "password": "correct horse battery",
    });
    let headers = [("content-type", "application/json")];
    let body = Bytes::from(serde_json::to_vec(&body)?);
    let made = connection.send(Method::POST, "/api/auth/register", &headers, body).await?;
    let made: Value = made.json()?;
    let token = made["data"]["tokens"]["access_token"].as_str();
    Ok(format!("Bearer {}", token.context("who registers gets a token")?))
}

async fn wait_for(inbox: &Path, count: usize) -> anyhow::Result<()> {
    let started = Instant::now();
    while std::fs::read_dir(inbox).map_or(0, Iterator::count) < count {
        ensure!(started.elapsed() < PATIENCE, "mail {count} does not come");
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}
