//! What is remembered of tables by name: in each what it is made of, and in the main ones which are
//! live.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail, ensure};
use cityevents_views::Views;
use cityevents_views::records::{Change, RecordKey, RecordKind, RecordValue, Revision};
use futures::executor::block_on;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::TablesName;
use crate::commands::random_id;

const MADE: &[u8] = b"made";
const LIVE: &[u8] = b"live";

/// What tables are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// The id of the topic of the facts: one that was made anew has other offsets.
    pub facts: String,
    /// Only what was decided until then, in milliseconds since 1970.
    pub until_ms: Option<i64>,
}

/// Which tables are live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Live {
    /// Their name.
    pub tables: String,
    /// Who said so.
    pub by: String,
    /// Why, where they were not equal to the ones before.
    pub reason: Option<String>,
    /// When, in milliseconds since 1970; 0: nobody ever said so.
    pub at_ms: i64,
    /// Others that are being dropped, and cannot become live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropping: Option<String>,
}

/// What tables are made of, if a replay made them.
///
/// # Errors
/// When that cannot be read.
pub fn made(views: &Views) -> anyhow::Result<Option<Made>> {
    Ok(read(views, MADE)?.map(|(_, made)| made))
}

/// Writes down what new tables are made of.
///
/// # Errors
/// When that cannot be written, or is known already.
pub fn set_made(views: &Views, made: &Made) -> anyhow::Result<()> {
    write(views, MADE, None, made)
}

/// Which tables are live, if anybody ever said so.
///
/// # Errors
/// When that cannot be read.
pub fn live(main: &Views) -> anyhow::Result<Option<(Revision, Live)>> {
    read(main, LIVE)
}

/// The name of the live tables.
///
/// # Errors
/// When that cannot be read.
pub fn live_name(main: &Views) -> anyhow::Result<TablesName> {
    let Some((_, live)) = live(main)? else { return Ok(TablesName::main()) };
    let named: Result<TablesName, String> = live.tables.parse();
    named.map_err(|reason| anyhow!("{:?}, which are live, is no name: {reason}", live.tables))
}

/// Other tables are live from now on, if nobody said something else meanwhile.
///
/// # Errors
/// When that cannot be written, or somebody did.
pub fn set_live(main: &Views, expected: Option<Revision>, live: &Live) -> anyhow::Result<()> {
    write(main, LIVE, expected, live)
}

/// Tables are being dropped from now on, unless they are live. In the record of the live ones, so that
/// of two who do the one and the other at the same moment one fails.
///
/// # Errors
/// When they are live, or that cannot be written.
pub fn begin_drop(main: &Views, name: &TablesName) -> anyhow::Result<()> {
    let (revision, mut live) = match live(main)? {
        Some((revision, live)) => (Some(revision), live),
        None => {
            let (tables, by) = (TablesName::main().to_string(), String::new());
            (None, Live { tables, by, reason: None, at_ms: 0, dropping: None })
        }
    };
    ensure!(
        live.tables != name.as_str(),
        "{name} are the live tables; `cityevents replay switch` makes others live first"
    );
    live.dropping = Some(name.to_string());
    set_live(main, revision, &live)
}

/// No tables are being dropped any more.
///
/// # Errors
/// When that cannot be written: who drops them again writes it then.
pub fn end_drop(main: &Views, name: &TablesName) -> anyhow::Result<()> {
    let Some((revision, mut live)) = live(main)? else { return Ok(()) };
    if live.dropping.as_deref() != Some(name.as_str()) {
        return Ok(());
    }
    live.dropping = None;
    match live.at_ms {
        0 => change(main, LIVE, Some(revision), None),
        _ => set_live(main, Some(revision), &live),
    }
}

fn read<T: DeserializeOwned>(views: &Views, id: &[u8]) -> anyhow::Result<Option<(Revision, T)>> {
    let key = RecordKey::new(RecordKind::Tables, id);
    let Some(record) = block_on(views.records.record(key))? else { return Ok(None) };
    let value = serde_json::from_slice(&record.value.content)
        .context("a record about tables is damaged or of a newer version")?;
    Ok(Some((record.revision, value)))
}

fn write(
    views: &Views,
    id: &[u8],
    expected: Option<Revision>,
    value: &impl Serialize,
) -> anyhow::Result<()> {
    change(views, id, expected, Some(serde_json::to_vec(value)?))
}

fn change(
    views: &Views,
    id: &[u8],
    expected: Option<Revision>,
    content: Option<Vec<u8>>,
) -> anyhow::Result<()> {
    let key = RecordKey::new(RecordKind::Tables, id);
    let revision = Revision(random_id());
    let value = content.map(|content| RecordValue { content, expires_at: None });
    if !block_on(views.records.change(Change { key, expected, revision, value }))? {
        bail!("somebody else changed this at the same moment; look, and try again");
    }
    Ok(())
}

/// Milliseconds since 1970.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
