//! Proves that nobody's personal data is in the log: reads every record of every topic, and every
//! snapshot, as whoever gets hold of a copy would.
//!
//! Two proofs, neither of which trusts the other. Every text and every piece of bytes is in a field
//! whose form is known ([`forms`]): an id, a word of ours, what an organiser publishes, or sealed. And
//! nowhere do the bytes have an address or a name of an account, whatever field they are in
//! ([`search`]). What people publish about their events is theirs to publish: what stands there of an
//! account is counted, and is no finding.

mod forms;
mod record;
mod search;
mod snapshots;

use std::fmt;
use std::ops::Range;

use anyhow::{Context as _, bail, ensure};
use cityevents_runtime::log::{
    Isolation, LogErrorKind, PollLimit, Record, TopicPartition, poll_below,
};
use cityevents_schemas::catalog::{Topic, catalog};
use cityevents_schemas::{Codecs, LeafReader};
use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::record::{Offence, Published, Seen, check};
use self::search::{Search, Wanted};
use super::{Context, Progress};

const READ: PollLimit = PollLimit { records: 4_096, bytes: 8 << 20 };
/// A partition that gives nothing for so long is not read to its end.
const READ_WAIT: std::time::Duration = std::time::Duration::from_secs(10);
/// Accounts that are looked for.
const ACCOUNTS_MAX: usize = 10_000_000;

/// What somebody wants to be looked for.
#[derive(Clone, Serialize, Deserialize)]
pub struct AskedText(pub String);

/// Without the text: questions are logged.
impl fmt::Debug for AskedText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AskedText(…)")
    }
}

/// Reads everything.
///
/// # Errors
/// With the first record that has personal data, and when something cannot be read.
pub(super) fn prove(
    context: &Context,
    look_for: &[AskedText],
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    let wanted = wanted(context, look_for)?;
    let search = Search::new(&wanted)?;
    let places = places(context)?;
    let total: u64 = places.iter().map(|(_, _, offsets)| offsets.end - offsets.start).sum();
    let leaves = LeafReader::new(Codecs::installed());
    let published = Published::new();
    let mut reading = Reading { context, search: &search, leaves, published, done: 0 };
    let mut rows: Vec<(&Topic, Seen)> = Vec::new();
    for (topic, place, offsets) in places {
        let seen = reading.partition(topic, &place, offsets, &mut |done| progress(done, total))?;
        match rows.last_mut() {
            Some((last, sum)) if last.name == topic.name => *sum += seen,
            _ => rows.push((topic, seen)),
        }
    }
    let snapshots = snapshots::check_all(context, &search, &reading.published)?;
    let rows: Vec<_> = rows.iter().map(|(topic, seen)| row(topic, seen)).collect();
    Ok(json!({
        "topics": rows,
        "snapshots": snapshots,
        "addresses": wanted.addresses(),
        "names": wanted.names(),
        "names_too_common": wanted.too_common(),
        "given": look_for.len(),
    }))
}

fn row(topic: &Topic, seen: &Seen) -> Value {
    json!({
        "topic": topic.name,
        "records": seen.records,
        "texts": seen.texts,
        "sealed": seen.sealed,
        "undecodable": seen.undecodable,
        "published": seen.published,
    })
}

fn wanted(context: &Context, look_for: &[AskedText]) -> anyhow::Result<Wanted> {
    let identity = context.identity.get().context(
        "this process does not serve accounts, so that it does not know whom to look for: ask one \
         with the role api",
    )?;
    let (accounts, has_more) = block_on(identity.accounts_of(None, ACCOUNTS_MAX))?;
    ensure!(
        !has_more,
        "there are more than {ACCOUNTS_MAX} accounts, which are not looked for at once"
    );
    let mut wanted = Wanted::default();
    for account in &accounts {
        wanted.account(&account.id.to_string(), &account.email, account.name.as_deref());
    }
    for text in look_for {
        ensure!(!text.0.is_empty(), "there is nothing to look for in an empty text");
        wanted.given(&text.0);
    }
    Ok(wanted)
}

type Place = (&'static Topic, TopicPartition, Range<u64>);

/// Every partition of every topic, as far as it goes now.
fn places(context: &Context) -> anyhow::Result<Vec<Place>> {
    let mut places = Vec::new();
    for topic in catalog().topics() {
        let name = topic.full_name(&context.prefix);
        for partition in 0..context.log().describe(&name)?.spec.partitions {
            let place = context.partition(topic, partition);
            let marks = context.log().watermarks(&place)?;
            places.push((topic, place, marks.low..marks.high));
        }
    }
    Ok(places)
}

struct Reading<'a> {
    context: &'a Context,
    search: &'a Search,
    leaves: LeafReader<'a>,
    published: Published,
    /// Offsets passed, for who watches.
    done: u64,
}

impl Reading<'_> {
    fn partition(
        &mut self,
        topic: &Topic,
        place: &TopicPartition,
        offsets: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> anyhow::Result<Seen> {
        let log = self.context.log();
        // What a fenced writer took back lies in the log all the same.
        let mut reader = log.reader(place, offsets.start, Isolation::Uncommitted)?;
        let (mut seen, mut batch) = (Seen::default(), Vec::new());
        loop {
            let before = reader.position();
            match poll_below(&mut *reader, place, offsets.end, READ, READ_WAIT, &mut batch) {
                Ok(true) => {}
                Ok(false) => return Ok(seen),
                // Thrown away while this was read: it is in no copy any more.
                Err(error) if error.kind() == LogErrorKind::OffsetOutOfRange => {
                    let low = log.watermarks(place)?.low;
                    ensure!(low > before, "{place} has no offset {before}: {error}");
                    reader = log.reader(place, low, Isolation::Uncommitted)?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            for record in &batch {
                seen += self.record(topic, place, record)?;
            }
            self.done += reader.position() - before;
            progress(self.done);
        }
    }

    fn record(
        &mut self,
        topic: &Topic,
        place: &TopicPartition,
        record: &Record,
    ) -> anyhow::Result<Seen> {
        let checked = check(topic, record, &mut self.leaves, self.search, &mut self.published)
            .with_context(|| format!("{place} offset {} cannot be read", record.offset))?;
        match checked {
            Ok(seen) => Ok(seen),
            Err(Offence { field, what }) => {
                bail!("personal data at {place} offset {}: {field} {what}", record.offset)
            }
        }
    }
}
