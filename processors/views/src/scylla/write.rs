//! Writing: the winning rows of a call, their places first, progress last.
//!
//! Statements of one partition go together, as one unlogged batch, which the database applies at
//! once; those of different partitions go side by side, as many as may be under way.

use std::collections::HashMap;

use cityevents_domain::time::Timestamp;
use futures::future::{BoxFuture, FutureExt, ready};
use futures::stream::{TryStreamExt, iter};
use scylla::value::CqlValue;

use super::ScyllaViews;
use super::keys::{blob, cql_timestamp, line_bucket, millis, registration_bucket, trend_list};
use super::statements::Statement;
use crate::codec::encode;
use crate::error::ViewsError;
use crate::row::{
    EventRow, Mutation, OutcomeRow, ProgressRow, RegistrationRow, Row, TrendRow, WriteTimestamp,
};
use crate::tables::{EXPIRY_SLACK_MS, WriteTables};

/// Most statements in one batch.
const BATCH_STATEMENTS_MAX: usize = 64;

/// The longest time to live. Both databases count expiry in seconds of 32 bits; whatever should live
/// longer is kept for this long.
const TTL_SECONDS_MAX: i64 = 2 * 365 * 86_400;

/// Buckets that are the same whoever writes them have this timestamp.
const CONSTANT_TIMESTAMP: CqlValue = CqlValue::BigInt(1);

impl WriteTables for ScyllaViews {
    fn write(&self, mutations: Vec<Mutation>) -> BoxFuture<'_, Result<(), ViewsError>> {
        if mutations.is_empty() {
            return ready(Ok(())).boxed();
        }
        let now = (self.clock)();
        self.on_runtime(move |views| async move {
            let plan = Plan::of(mutations, now);
            for step in [plan.places, plan.rows, plan.progress] {
                views.write_step(step).await?;
            }
            Ok(())
        })
    }

    /// Every write is as durable when it returns as the database is set to make it.
    fn flush(&self) -> BoxFuture<'_, Result<(), ViewsError>> {
        ready(Ok(())).boxed()
    }
}

impl ScyllaViews {
    async fn write_step(&self, step: Step) -> Result<(), ViewsError> {
        let batches = step.into_batches().map(Ok);
        let write = |(statement, values)| self.requests.write(statement, values);
        let writes_max = self.requests.writes_max();
        iter(batches).try_for_each_concurrent(writes_max, write).await
    }
}

/// The values of one statement.
type Values = Vec<CqlValue>;

/// Statements whose order does not matter, by partition.
#[derive(Default)]
struct Step(HashMap<(Statement, Vec<u8>), Vec<Values>>);

impl Step {
    fn put(&mut self, statement: Statement, partition: &[&[u8]], values: Values) {
        self.0.entry((statement, partition.concat())).or_default().push(values);
    }

    fn into_batches(self) -> impl Iterator<Item = (Statement, Vec<Values>)> {
        self.0.into_iter().flat_map(|((statement, _), mut values)| {
            std::iter::from_fn(move || {
                let kept = values.len().saturating_sub(BATCH_STATEMENTS_MAX);
                let batch = values.split_off(kept);
                (!batch.is_empty()).then_some((statement, batch))
            })
        })
    }
}

/// What a call of `write` does, in order.
#[derive(Default)]
struct Plan {
    /// Places, and rows that have none.
    places: Step,
    /// Rows that have places.
    rows: Step,
    /// Progress, once everything else is written.
    progress: Step,
}

/// A row ready to be written.
struct Candidate {
    key: (u8, Vec<u8>),
    timestamp: WriteTimestamp,
    content: Vec<u8>,
    row: Row,
}

impl Candidate {
    fn of(Mutation { row, timestamp }: Mutation) -> Self {
        let (key, content) = match &row {
            Row::Event(row) => {
                ((1, row.event.id.as_bytes().to_vec()), encode::<EventRow>(row, timestamp))
            }
            Row::Registration(row) => {
                let user = row.registration.user.as_bytes();
                let key = [row.event.as_bytes().as_slice(), user].concat();
                ((2, key), encode(row, timestamp))
            }
            Row::Ban(row) => {
                let key = [row.event.as_bytes().as_slice(), row.user.as_bytes()].concat();
                ((3, key), encode(row, timestamp))
            }
            Row::Counters(row) => ((4, row.event.as_bytes().to_vec()), encode(row, timestamp)),
            Row::Outcome(row) => {
                ((5, row.command.as_bytes().to_vec()), encode::<OutcomeRow>(row, timestamp))
            }
            Row::Progress(row) => ((6, progress_key(row)), encode(row, timestamp)),
            Row::Trend(row) => ((7, trend_key(row)), encode::<TrendRow>(row, timestamp)),
            Row::Profile(row) => ((8, row.person.to_vec()), encode(row, timestamp)),
        };
        Self { key, timestamp, content, row }
    }
}

fn progress_key(row: &ProgressRow) -> Vec<u8> {
    [&row.partition.to_be_bytes(), row.projection.as_bytes()].concat()
}

fn trend_key(row: &TrendRow) -> Vec<u8> {
    [&row.partition.to_be_bytes(), &row.slot.to_be_bytes()[..], row.list.as_bytes()].concat()
}

impl Plan {
    fn of(mutations: Vec<Mutation>, now: Timestamp) -> Self {
        let mut candidates: Vec<_> = mutations.into_iter().map(Candidate::of).collect();
        // By key, the winner first: the others of one key fall away.
        candidates.sort_unstable_by(|one, other| {
            let rank = |candidate: &Candidate| candidate.timestamp;
            (one.key.cmp(&other.key))
                .then_with(|| rank(other).cmp(&rank(one)))
                .then_with(|| other.content.cmp(&one.content))
        });
        candidates.dedup_by(|later, first| later.key == first.key);
        let mut plan = Self::default();
        for candidate in candidates {
            plan.add(candidate, now);
        }
        plan
    }

    fn add(&mut self, Candidate { timestamp, content, row, .. }: Candidate, now: Timestamp) {
        let at = CqlValue::BigInt(cql_timestamp(timestamp));
        match row {
            Row::Event(row) => self.add_event(&row, content, at),
            Row::Registration(row) => self.add_registration(&row, content, at),
            Row::Ban(row) => {
                let (event, user) = (row.event.as_bytes(), row.user.as_bytes());
                let values = vec![blob(event), blob(user), CqlValue::Blob(content), at];
                self.places.put(Statement::InsertBan, &[event], values);
            }
            Row::Counters(row) => {
                let event = row.event.as_bytes();
                let values = vec![blob(event), CqlValue::Blob(content), at];
                self.places.put(Statement::InsertCounters, &[event], values);
            }
            Row::Outcome(row) => {
                let Some(ttl_seconds) = ttl_seconds(row.expires_at, now) else { return };
                let command = row.command.as_bytes();
                let values =
                    vec![blob(command), CqlValue::Blob(content), at, CqlValue::Int(ttl_seconds)];
                self.places.put(Statement::InsertOutcome, &[command], values);
            }
            Row::Trend(row) => {
                let values = vec![
                    CqlValue::Text(trend_list(&row.list).to_owned()),
                    CqlValue::BigInt(row.partition.into()),
                    CqlValue::BigInt(row.slot.into()),
                    CqlValue::Blob(content),
                    at,
                ];
                self.places.put(Statement::InsertTrend, &[row.list.as_bytes()], values);
            }
            Row::Profile(row) => {
                let Some(ttl_seconds) = ttl_seconds(row.expires_at, now) else { return };
                let ttl = CqlValue::Int(ttl_seconds);
                let values = vec![blob(&row.person), CqlValue::Blob(content), at, ttl];
                self.places.put(Statement::InsertProfile, &[&row.person], values);
            }
            Row::Progress(row) => {
                let key = progress_key(&row);
                let number = CqlValue::BigInt(i64::from(row.partition));
                let values =
                    vec![CqlValue::Text(row.projection), number, CqlValue::Blob(content), at];
                self.progress.put(Statement::InsertProgress, &[&key], values);
            }
        }
    }

    fn add_event(&mut self, row: &EventRow, content: Vec<u8>, at: CqlValue) {
        let event = &row.event;
        let (id, owner) = (event.id.as_bytes(), event.owner.as_bytes());
        let owned = vec![blob(owner), millis(event.created_at), blob(id), at.clone(), at.clone()];
        self.places.put(Statement::InsertOwned, &[owner], owned);
        self.rows.put(Statement::InsertEvent, &[id], vec![blob(id), CqlValue::Blob(content), at]);
    }

    fn add_registration(&mut self, row: &RegistrationRow, content: Vec<u8>, at: CqlValue) {
        let registration = &row.registration;
        let (event, user) = (row.event.as_bytes(), registration.user.as_bytes());
        let joined_at = millis(registration.joined_at);
        let content = CqlValue::Blob(content);
        let participant =
            vec![blob(event), joined_at.clone(), blob(user), content.clone(), at.clone()];
        self.places.put(Statement::InsertParticipant, &[event], participant);
        let join = vec![blob(user), joined_at, blob(event), at.clone(), at.clone()];
        self.places.put(Statement::InsertJoin, &[user], join);
        if let Some(ticket) = row.line_ticket() {
            let bucket = line_bucket(ticket);
            let (ticket, number) = (CqlValue::BigInt(ticket.into()), CqlValue::Int(bucket));
            let place =
                vec![blob(event), number.clone(), ticket, blob(user), at.clone(), at.clone()];
            let partition = [event.as_slice(), &bucket.to_be_bytes()];
            self.places.put(Statement::InsertLine, &partition, place);
            let bucket = vec![blob(event), number, CONSTANT_TIMESTAMP];
            let key = (Statement::InsertLineBucket, event.to_vec());
            let buckets = self.places.0.entry(key).or_default();
            if !buckets.contains(&bucket) {
                buckets.push(bucket);
            }
        }
        let bucket = registration_bucket(&registration.user);
        let values = vec![blob(event), CqlValue::SmallInt(bucket), blob(user), content, at];
        let partition = [event.as_slice(), &bucket.to_be_bytes()];
        self.rows.put(Statement::InsertRegistration, &partition, values);
    }
}

/// How long an expiring row is kept from now on; `None` when its time has passed.
fn ttl_seconds(expires_at: Timestamp, now: Timestamp) -> Option<i32> {
    let left_ms =
        expires_at.as_millis().saturating_add(EXPIRY_SLACK_MS).saturating_sub(now.as_millis());
    let left_seconds = left_ms.saturating_add(999).div_euclid(1_000).min(TTL_SECONDS_MAX);
    i32::try_from(left_seconds).ok().filter(|left| *left > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_time_to_live_covers_the_slack_and_ends_with_it() {
        let slack_seconds = (EXPIRY_SLACK_MS / 1_000) as i32;
        assert_eq!(ttl_seconds(at(10_000), at(0)), Some(slack_seconds + 10));
        assert_eq!(ttl_seconds(at(10_001), at(0)), Some(slack_seconds + 11));
        assert_eq!(ttl_seconds(at(0), at(EXPIRY_SLACK_MS - 1)), Some(1));
        assert_eq!(ttl_seconds(at(0), at(EXPIRY_SLACK_MS)), None);
        assert_eq!(ttl_seconds(at(i64::MIN), at(i64::MAX)), None);
        assert_eq!(ttl_seconds(at(i64::MAX), at(0)), Some(TTL_SECONDS_MAX as i32));
    }

    #[test]
    fn a_partition_goes_in_batches_of_a_bounded_size() {
        let mut step = Step::default();
        for number in 0..150 {
            step.put(Statement::InsertBan, &[b"one"], vec![CqlValue::Int(number)]);
        }
        step.put(Statement::InsertBan, &[b"other"], vec![CqlValue::Int(7)]);
        let mut sizes: Vec<_> = step.into_batches().map(|(_, values)| values.len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 22, 64, 64]);
    }
}
