//! How far every group is behind, in records and in seconds, partition by partition; and how old
//! the oldest undecided command is, against the time that commands are kept.
//!
//! One look tells where everybody stands. Who looks again and again gives each look to a
//! [`Lookout`], which tells whether they get on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use cityevents_processors::{
    mailer, notifier, profiles, projection, publisher, registration, trend_rows, trending,
};
use cityevents_runtime::lag::verdict::{Sample, Verdict, Window};
use cityevents_runtime::lag::{Counts, Lag, expiry_warning, of_group_knowing, retention_of};
use cityevents_runtime::log::{GroupMember, TopicDescription, TopicPartition};
use cityevents_schemas::catalog::{Topic, catalog};
use cityevents_schemas::topic;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Context, Progress};

/// Readers of the catalogue whose groups are not ours.
const FOREIGN_READER: &str = "connect";

/// A group in one partition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The group.
    pub group: String,
    /// The topic that it reads.
    pub topic: String,
    /// The partition.
    pub partition: u32,
    /// The next offset that it reads.
    pub committed: Option<u64>,
    /// The first offset still kept.
    pub low: Option<u64>,
    /// The offset that the next record gets.
    pub end: Option<u64>,
    /// Records that wait.
    pub records: Option<u64>,
    /// How long the oldest one waits.
    pub seconds: Option<f64>,
    /// Whether it has lived through half of the time that it is kept.
    pub expires: bool,
    /// Whether anybody is in the group; not known everywhere.
    pub has_members: Option<bool>,
    /// Who of them holds the partition.
    #[serde(default)]
    pub owner: Option<String>,
    /// Where it stands, in words.
    pub verdict: String,
    /// Whether nothing is wrong, as far as one look tells.
    pub good: bool,
}

/// A group, and the partitions that it may read.
struct Group {
    name: String,
    topics: Vec<(TopicDescription, Counts)>,
    is_ours: bool,
}

/// Who works on which topic.
fn groups(context: &Context, foreign: &[String]) -> anyhow::Result<Vec<Group>> {
    let source = &context.source;
    let log = context.log();
    let full_name = |topic: &Topic| Arc::<str>::from(topic.full_name(&context.prefix));
    let (commands, facts) = (source.commands.clone(), source.facts.clone());
    let facts = (facts, Counts::Linked);
    let all = |topic: &Topic| (full_name(topic), Counts::All);
    let mails = [&topic::EMAILS, &topic::EMAILS_BULK].into_iter();
    let mails = mails.chain(catalog().retry_tiers(&topic::EMAILS));
    let ours = [
        (registration::NAME, vec![(commands, Counts::All)]),
        (projection::NAME, vec![facts.clone()]),
        (publisher::NAME, vec![facts.clone()]),
        (notifier::NAME, vec![facts.clone()]),
        (trending::NAME, vec![facts, all(&topic::ENGAGEMENT)]),
        (trend_rows::NAME, vec![all(&topic::TRENDS)]),
        (profiles::NAME, vec![all(&topic::USER_SIGNALS)]),
        (mailer::NAME, mails.map(all).collect()),
    ];
    let mut groups = Vec::new();
    for (name, topics) in ours {
        let describe = |(topic, counts): &(Arc<str>, Counts)| Ok((log.describe(topic)?, *counts));
        let topics = topics.iter().map(describe).collect::<anyhow::Result<Vec<_>>>()?;
        groups.push(Group { name: context.group(name), topics, is_ours: true });
    }
    for name in foreign {
        let flat = catalog().topics().iter();
        let flat = flat.filter(|topic| topic.readers.contains(&FOREIGN_READER));
        let mut topics = Vec::new();
        for topic in flat {
            topics.push((log.describe(&topic.full_name(&context.prefix))?, Counts::All));
        }
        groups.push(Group { name: name.clone(), topics, is_ours: false });
    }
    Ok(groups)
}

/// Looks once.
///
/// # Errors
/// When there is no log to ask, or our topics are not in it.
pub fn rows(
    context: &Context,
    foreign: &[String],
    lookout: &Lookout,
    progress: Progress<'_>,
) -> anyhow::Result<Vec<Row>> {
    let groups = groups(context, foreign)?;
    let partitions = |group: &Group| -> u64 {
        group.topics.iter().map(|(topic, _)| u64::from(topic.spec.partitions)).sum()
    };
    let total: u64 = groups.iter().map(partitions).sum();
    let mut done = 0;
    let mut rows = Vec::new();
    for group in groups {
        let before = rows.len();
        let members = context.log().members(&group.name).unwrap_or_default();
        let has_members = members.as_ref().map(|members| !members.is_empty());
        let owners = owners(&group, members.unwrap_or_default());
        for (topic, counts) in &group.topics {
            for partition in 0..topic.spec.partitions {
                let place = TopicPartition::new(topic.spec.name.clone(), partition);
                let row = row(context, &group, topic, &place, *counts, lookout);
                // A group of others reads what it likes.
                if group.is_ours || row.committed.is_some() || !row.good {
                    rows.push(Row { has_members, owner: owners.get(&place).cloned(), ..row });
                }
                done += 1;
                progress(done, total);
            }
        }
        if rows.len() == before {
            rows.push(unknown(group.name));
        }
    }
    Ok(rows)
}

/// Who holds which partition. Members of ours that read several topics ask Kafka for those of the
/// first only, and hold the same numbers of the others.
fn owners(group: &Group, members: Vec<GroupMember>) -> HashMap<TopicPartition, String> {
    let mut owners = HashMap::new();
    let first = group.topics.first().map(|(topic, _)| &topic.spec.name);
    for GroupMember { name, partitions } in members {
        for place in partitions {
            if group.is_ours && first == Some(&place.topic) {
                for (other, _) in &group.topics {
                    let beside = TopicPartition::new(other.spec.name.clone(), place.partition);
                    owners.insert(beside, name.clone());
                }
            }
            owners.insert(place, name.clone());
        }
    }
    owners
}

/// A group that reads nothing of ours.
fn unknown(group: String) -> Row {
    let verdict = "never read any of our flat topics: is its name right?".to_owned();
    Row { verdict, good: false, ..Row::of(group, &TopicPartition::new("", 0)) }
}

impl Row {
    fn of(group: String, place: &TopicPartition) -> Self {
        Self {
            group,
            topic: place.topic.to_string(),
            partition: place.partition,
            committed: None,
            low: None,
            end: None,
            records: None,
            seconds: None,
            expires: false,
            has_members: None,
            owner: None,
            verdict: String::new(),
            good: true,
        }
    }
}

fn row(
    context: &Context,
    group: &Group,
    topic: &TopicDescription,
    place: &TopicPartition,
    counts: Counts,
    lookout: &Lookout,
) -> Row {
    let row = Row::of(group.name.clone(), place);
    let now_ms = context.source.clock.now_ms();
    let known = |from, end| lookout.estimate(&group.name, place, from, end, now_ms);
    let lag = match of_group_knowing(&**context.log(), &group.name, place, counts, known) {
        Ok(lag) => lag,
        Err(error) => return Row { verdict: error.to_string(), good: false, ..row },
    };
    let age = age(context, lag.oldest_at_ms);
    let kept = retention_of(topic);
    Row {
        committed: lag.committed,
        low: Some(lag.low),
        end: Some(lag.end),
        records: Some(lag.records),
        seconds: Some(age.as_secs_f64()),
        expires: kept.is_some_and(|kept| expiry_warning(&place.topic, age, kept).is_some()),
        verdict: in_words(&lag),
        good: lag.expired() == 0,
        ..row
    }
}

fn in_words(lag: &Lag) -> String {
    match (lag.expired(), lag.records, lag.committed) {
        (0, 0, _) => "keeps up".to_owned(),
        (0, _, None) => "never began".to_owned(),
        (0, _, Some(_)) => "is behind".to_owned(),
        (expired, ..) => format!("{expired} records were thrown away unread"),
    }
}

pub(super) fn lag(
    context: &Context,
    foreign: &[String],
    progress: Progress<'_>,
) -> anyhow::Result<Value> {
    let rows = rows(context, foreign, &Lookout::default(), progress)?;
    let commands = &*context.source.commands;
    let ages = rows.iter().filter(|row| row.topic == commands).filter_map(|row| row.seconds);
    let oldest = Duration::from_secs_f64(ages.fold(0.0, f64::max));
    Ok(json!({ "rows": rows, "commands": undecided(context, oldest)? }))
}

fn undecided(context: &Context, age: Duration) -> anyhow::Result<Value> {
    let topic = context.log().describe(&context.source.commands)?;
    let kept = retention_of(&topic);
    Ok(json!({
        "topic": &*topic.spec.name,
        "oldest_undecided_seconds": age.as_secs_f64(),
        "kept_seconds": kept.map(|kept| kept.as_secs()),
        "warning": kept.and_then(|kept| expiry_warning(&topic.spec.name, age, kept)),
    }))
}

fn age(context: &Context, stamp_ms: Option<i64>) -> Duration {
    let waits_ms = stamp_ms.map_or(0, |stamp_ms| context.source.clock.now_ms() - stamp_ms);
    // Clocks of machines differ a little.
    Duration::from_millis(u64::try_from(waits_ms).unwrap_or(0))
}

/// What was seen of every group in every partition lately.
#[derive(Debug, Default)]
pub struct Lookout {
    windows: BTreeMap<(String, String, u32), Window>,
}

impl Lookout {
    /// Takes what was seen of a group in a partition, and tells how it gets on. `None`: nothing
    /// was seen.
    pub fn judge(&mut self, row: &Row, at_ms: i64) -> Option<Verdict> {
        let sample = Sample {
            at_ms,
            committed: row.committed,
            low: row.low?,
            end: row.end?,
            records: row.records?,
            expires: row.expires,
            has_members: row.has_members,
        };
        let window = self.windows.entry(key_of(row)).or_default();
        window.push(sample);
        Some(window.verdict())
    }

    /// How the looks so far judge a group in a partition; `None` when nobody looked.
    pub fn verdict(&self, row: &Row) -> Option<Verdict> {
        self.windows.get(&key_of(row)).map(Window::verdict)
    }

    /// How many records a second came into a partition, and how many the group took from it, over
    /// the looks so far.
    pub fn pace(&self, row: &Row) -> Option<(f64, f64)> {
        let window = self.windows.get(&key_of(row))?;
        let (first, last) = (window.earliest()?, window.latest()?);
        let seconds = (last.at_ms - first.at_ms).max(0) as f64 / 1_000.0;
        let of = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
        let began = first.committed.unwrap_or(first.low);
        let took = last.committed.map_or(0.0, |to| of(began, to));
        (seconds > 0.0).then(|| (of(first.end, last.end), took))
    }

    /// About when the record at `from` came, if it came after the last look. Exact stamps are for
    /// those who wait for longer: each takes a reader of its own.
    fn estimate(
        &self,
        group: &str,
        place: &TopicPartition,
        from: u64,
        end: u64,
        now_ms: i64,
    ) -> Option<i64> {
        let key = (group.to_owned(), place.topic.to_string(), place.partition);
        let last = self.windows.get(&key)?.latest()?;
        let (came, before) = (end.checked_sub(last.end)?, from.checked_sub(last.end)?);
        let passed_ms = (now_ms - last.at_ms).max(0) as f64;
        let share = (came > 0).then(|| before as f64 / came as f64)?;
        Some(last.at_ms + (passed_ms * share) as i64)
    }
}

fn key_of(row: &Row) -> (String, String, u32) {
    (row.group.clone(), row.topic.clone(), row.partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(committed: u64, end: u64) -> Row {
        let row = Row::of("mailer".into(), &TopicPartition::new("emails", 3));
        Row {
            committed: Some(committed),
            low: Some(0),
            end: Some(end),
            records: Some(end - committed),
            ..row
        }
    }

    #[test]
    fn what_came_since_the_last_look_is_estimated_and_nothing_else() {
        let mut lookout = Lookout::default();
        let place = TopicPartition::new("emails", 3);
        let estimate =
            |lookout: &Lookout, from, end| lookout.estimate("mailer", &place, from, end, 11_000);
        assert_eq!(estimate(&lookout, 5, 10), None, "nobody looked before");
        lookout.judge(&seen(90, 100), 1_000);
        assert_eq!(estimate(&lookout, 150, 200), Some(6_000));
        assert_eq!(estimate(&lookout, 100, 200), Some(1_000));
        assert_eq!(estimate(&lookout, 99, 200), None, "it was there at the last look");
        assert_eq!(estimate(&lookout, 100, 100), None);
        assert_eq!(lookout.estimate("others", &place, 150, 200, 11_000), None);
    }

    #[test]
    fn partitions_are_judged_one_by_one() {
        let mut lookout = Lookout::default();
        for at_ms in (0..100_000).step_by(10_000) {
            lookout.judge(&seen(5, 10), at_ms);
            lookout.judge(&Row { partition: 4, ..seen(10, 10) }, at_ms);
        }
        assert_eq!(lookout.judge(&seen(5, 11), 100_000), Some(Verdict::Stalled));
        let other = Row { partition: 4, ..seen(10, 10) };
        assert_eq!(lookout.judge(&other, 100_000), Some(Verdict::Ok));
        let unseen = Row { end: None, ..other.clone() };
        assert_eq!(lookout.judge(&unseen, 100_000), None);
        assert_eq!(lookout.verdict(&seen(5, 11)), Some(Verdict::Stalled));
        assert_eq!(lookout.verdict(&Row { partition: 5, ..other }), None, "nobody looked there");
    }

    #[test]
    fn the_pace_is_what_came_and_what_was_taken_a_second() {
        let mut lookout = Lookout::default();
        assert_eq!(lookout.pace(&seen(0, 0)), None);
        lookout.judge(&seen(10, 100), 0);
        assert_eq!(lookout.pace(&seen(10, 100)), None, "one look has no pace");
        lookout.judge(&seen(30, 150), 10_000);
        lookout.judge(&seen(50, 300), 20_000);
        assert_eq!(lookout.pace(&seen(50, 300)), Some((10.0, 2.0)));
    }
}
