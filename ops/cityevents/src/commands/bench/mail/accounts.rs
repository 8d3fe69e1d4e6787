//! Many people with accounts. Passwords of all of them would take an hour to hash: one is registered,
//! and the others are written into the tables as that one, under other ids and addresses.

use std::path::Path;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cityevents_domain::ids::UserId;
use cityevents_views::Views;
use cityevents_views::embedded::Options;
use cityevents_views::records::{Change, RecordKey, RecordKind, RecordValue, Records, Revision};
use futures::executor::block_on;
use hyper::Method;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::commands::bench::stage::Stage;
use crate::commands::random_id;
use crate::load::client::Connection;
use crate::load::crowd::Person;

/// Accounts written at once.
const BATCH: usize = 1_000;

/// So many, of the instance on a folder, which does not run.
pub(super) fn people(folder: &Path, load: &Runtime, count: usize) -> anyhow::Result<Vec<Person>> {
    let mut tables = None;
    let stage = Stage::start(folder, |config| {
        tables = Some(config.data.dir.join("views"));
        Ok(())
    })?;
    let first = load.block_on(register(stage.http))?;
    let people = stage.people(count)?;
    stage.stop();
    let tables = tables.context("the instance has tables")?;
    let views = Views::embedded(&tables, Options::default())?;
    let records = &*views.records;
    let row = block_on(records.record(key(&first)))?.context("who registers has an account")?;
    let row: Value = serde_json::from_slice(&row.value.content)?;
    for (number, batch) in people.chunks(BATCH).enumerate() {
        write(records, &row, batch, number * BATCH)?;
    }
    Ok(people)
}

fn key(user: &UserId) -> RecordKey {
    RecordKey::new(RecordKind::Account, user.as_bytes().as_slice())
}

fn write(
    records: &dyn Records,
    row: &Value,
    people: &[Person],
    first: usize,
) -> anyhow::Result<()> {
    let mut changes = Vec::with_capacity(people.len());
    for (number, person) in people.iter().enumerate() {
        let mut row = row.clone();
        row["id"] = json!(person.user.to_string());
        row["email"] = json!(format!("person{}@example.org", first + number));
        let content = serde_json::to_vec(&row)?;
        let value = Some(RecordValue { content, expires_at: None });
        let revision = Revision(random_id());
        changes.push(Change { key: key(&person.user), expected: None, revision, value });
    }
    for made in block_on(records.change_all(changes)) {
        ensure!(made?, "an account was there already");
    }
    Ok(())
}

async fn register(http: std::net::SocketAddr) -> anyhow::Result<UserId> {
    let mut connection = Connection::open(http).await?;
    let body = json!({ "email": "first@example.org", "password": "correct horse battery" });
    let headers = [("content-type", "application/json")];
    let body = Bytes::from(serde_json::to_vec(&body)?);
    let made = connection.send(Method::POST, "/api/auth/register", &headers, body).await?;
    let made: Value = made.json()?;
    let id = made["data"]["user"]["id"].as_str().context("who registers gets an id")?;
    Ok(id.parse()?)
}
