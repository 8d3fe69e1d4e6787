//! The topics of an instance: names from the catalogue, made where they are missing, checked where
//! they are not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::chain::is_before_seal;
use cityevents_runtime::log::{
    Cleanup, Copies, Log, LogError, LogErrorKind, TimestampKind, TopicDescription, TopicPartition,
    TopicSpec, read_one,
};
use cityevents_schemas::catalog::{self, Topic, catalog};
use cityevents_schemas::topic;

/// Longest wait for a record that is known to be there.
const READ_WAIT: Duration = Duration::from_secs(10);

/// A topic that is not as the catalogue says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Its full name.
    pub topic: String,
    /// Which setting.
    pub setting: Setting,
    /// As the catalogue says.
    pub expected: String,
    /// As it is.
    pub actual: String,
    /// Whether nothing goes wrong with it.
    pub harmless: bool,
    /// What to do.
    pub fix: String,
}

/// What can be different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Setting {
    /// Whether it is there.
    Exists,
    /// How many it has.
    Partitions,
    /// What is thrown away, and when.
    Cleanup,
    /// Who stamps records.
    Timestamps,
    /// Whether acknowledged records survive the loss of brokers.
    Durable,
    /// Copies of every record.
    Replication,
    /// Copies that an acknowledgement waits for.
    MinInsync,
}

/// How a topic of the catalogue is to be in this instance.
pub fn spec_of(topic: &Topic, prefix: &str, partitions: u32) -> TopicSpec {
    TopicSpec {
        name: topic.full_name(prefix).into(),
        partitions: topic.partitions(partitions),
        cleanup: match topic.cleanup {
            catalog::Cleanup::Compact => Cleanup::Compact,
            catalog::Cleanup::Delete => {
                Cleanup::Delete { retention: topic.retention_ms.map(Duration::from_millis) }
            }
        },
        timestamps: match topic.timestamps {
            catalog::Timestamps::Append => TimestampKind::LogAppend,
            catalog::Timestamps::Create => TimestampKind::Create,
        },
        durable: topic.durable,
    }
}

/// Makes the topics that are missing and returns their names.
///
/// # Errors
/// When the log refuses one.
pub fn create_missing(
    log: &dyn Log,
    prefix: &str,
    partitions: u32,
) -> Result<Vec<Arc<str>>, LogError> {
    let mut created = Vec::new();
    for topic in catalog().topics() {
        let spec = spec_of(topic, prefix, partitions);
        if find(log, &spec.name)?.is_some() {
            continue;
        }
        match log.create_topic(&spec) {
            Ok(_) => created.push(spec.name),
            // Another process made it at the same moment.
            Err(error) if error.kind() == LogErrorKind::TopicExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(created)
}

/// A topic as it is, if it is there.
///
/// # Errors
/// When the log cannot be read.
pub fn find(log: &dyn Log, name: &str) -> Result<Option<TopicDescription>, LogError> {
    match log.describe_topic(name) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == LogErrorKind::UnknownTopic => Ok(None),
        Err(error) => Err(error),
    }
}

/// Compares the topics with the catalogue.
///
/// # Errors
/// When the log cannot be read.
pub fn differences(
    log: &dyn Log,
    prefix: &str,
    partitions: u32,
) -> Result<Vec<Difference>, LogError> {
    let mut found = Vec::new();
    let mut counts: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for topic in catalog().topics() {
        let as_it_is = find(log, &topic.full_name(prefix))?.map(|found| found.spec);
        if let Some(actual) = &as_it_is {
            counts.entry(topic.group).or_default().insert(actual.partitions);
        }
        found.push((topic, as_it_is));
    }
    let mut differences = Vec::new();
    for (topic, as_it_is) in found {
        let expected = spec_of(topic, prefix, partitions);
        let Some(actual) = as_it_is else {
            differences.push(Difference {
                topic: expected.name.to_string(),
                setting: Setting::Exists,
                expected: "yes".to_owned(),
                actual: "no".to_owned(),
                harmless: false,
                fix: "make it with `cityevents topics create`".to_owned(),
            });
            continue;
        };
        let copies = log.copies(&expected)?;
        let is_alone = counts.get(topic.group).is_none_or(|counts| counts.len() == 1);
        let fix = fix_of_partitions(topic, &actual, is_alone, copies.is_some());
        // Who writes and reads it asks how many there are.
        let any_partitions = topic.name == topic::ACCOUNT_CHANGES.name;
        compare(&expected, &actual, copies, fix, any_partitions, &mut differences);
    }
    Ok(differences)
}

/// Partitions can be added and never taken away, and adding some would send keys elsewhere.
fn fix_of_partitions(
    topic: &Topic,
    actual: &TopicSpec,
    others_agree: bool,
    is_cluster: bool,
) -> String {
    if others_agree {
        return format!("set log.partitions = {}", actual.partitions * topic.divisor);
    }
    let group = catalog().topics().iter().filter(|other| other.group == topic.group);
    let names: Vec<_> = group.map(|other| other.name).collect();
    let others = match is_cluster {
        true => "another log.prefix, or delete these while there is nothing in them",
        false => "an empty data folder",
    };
    format!(
        "{} need one and the same number of partitions: begin with new topics ({others})",
        names.join(", ")
    )
}

fn compare(
    expected: &TopicSpec,
    actual: &TopicSpec,
    copies: Option<(Copies, Copies)>,
    fix_of_partitions: String,
    any_partitions: bool,
    differences: &mut Vec<Difference>,
) {
    let name = &*expected.name;
    let mut differs = |setting, is_to_be: String, is: String, harmless, fix: String| {
        if is_to_be != is {
            let topic = name.to_owned();
            let difference =
                Difference { topic, setting, expected: is_to_be, actual: is, harmless, fix };
            differences.push(difference);
        }
    };
    // What Kafka lets somebody change later, and what nobody can change on one machine.
    let alter = |settings: &str| match copies {
        Some(_) => format!(
            "kafka-configs --bootstrap-server BROKER --alter --entity-type topics --entity-name \
             {name} --add-config {settings}"
        ),
        None => "begin with an empty data folder".to_owned(),
    };
    differs(
        Setting::Partitions,
        expected.partitions.to_string(),
        actual.partitions.to_string(),
        any_partitions,
        fix_of_partitions,
    );
    differs(
        Setting::Cleanup,
        cleanup_text(expected.cleanup),
        cleanup_text(actual.cleanup),
        keeps_longer(actual.cleanup, expected.cleanup),
        alter(&cleanup_config(expected.cleanup)),
    );
    differs(
        Setting::Timestamps,
        timestamps_text(expected.timestamps).to_owned(),
        timestamps_text(actual.timestamps).to_owned(),
        false,
        alter(&format!("message.timestamp.type={}", timestamps_text(expected.timestamps))),
    );
    differs(
        Setting::Durable,
        expected.durable.to_string(),
        actual.durable.to_string(),
        false,
        alter(&format!("unclean.leader.election.enable={}", !expected.durable)),
    );
    if let Some((is, is_to_be)) = copies {
        differs(
            Setting::Replication,
            is_to_be.replication.to_string(),
            is.replication.to_string(),
            is.replication > is_to_be.replication,
            format!(
                "move its partitions to {} brokers with kafka-reassign-partitions, or set \
                 kafka.replication",
                is_to_be.replication
            ),
        );
        differs(
            Setting::MinInsync,
            is_to_be.min_insync.to_string(),
            is.min_insync.to_string(),
            // More is safer, unless nobody could write.
            (is_to_be.min_insync..=is.replication).contains(&is.min_insync),
            alter(&format!("min.insync.replicas={}", is_to_be.min_insync)),
        );
    }
}

/// What is thrown away, in words.
pub fn cleanup_text(cleanup: Cleanup) -> String {
    match cleanup {
        Cleanup::Compact => "compact".to_owned(),
        Cleanup::Delete { retention: None } => "keep for ever".to_owned(),
        Cleanup::Delete { retention: Some(age) } => format!("delete after {}", age_text(age)),
    }
}

fn age_text(age: Duration) -> String {
    const UNITS_MS: [(u128, &str); 4] =
        [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let age_ms = age.as_millis();
    let unit = UNITS_MS.into_iter().find(|(unit_ms, _)| age_ms.is_multiple_of(*unit_ms));
    let (unit_ms, unit) = unit.unwrap_or((1, "ms"));
    format!("{} {unit}", age_ms / unit_ms)
}

fn cleanup_config(cleanup: Cleanup) -> String {
    match cleanup {
        Cleanup::Compact => "cleanup.policy=compact".to_owned(),
        Cleanup::Delete { retention } => {
            let age_ms =
                retention.map_or_else(|| "-1".to_owned(), |age| age.as_millis().to_string());
            format!("cleanup.policy=delete,retention.ms={age_ms}")
        }
    }
}

/// Who stamps records, in Kafka's word.
pub const fn timestamps_text(timestamps: TimestampKind) -> &'static str {
    match timestamps {
        TimestampKind::LogAppend => "LogAppendTime",
        TimestampKind::Create => "CreateTime",
    }
}

/// Whether records are thrown away later than they have to be, which somebody wanted so.
fn keeps_longer(actual: Cleanup, expected: Cleanup) -> bool {
    match (actual, expected) {
        (Cleanup::Delete { retention: None }, Cleanup::Delete { .. }) => true,
        (
            Cleanup::Delete { retention: Some(actual) },
            Cleanup::Delete { retention: Some(expected) },
        ) => actual > expected,
        _ => false,
    }
}

/// Refuses to start on topics that do not fit together. Records may be kept longer than the
/// catalogue says, and in more copies.
///
/// # Errors
/// With everything that differs, and what to do.
pub fn check(log: &dyn Log, prefix: &str, partitions: u32) -> Result<(), LogError> {
    let mut differences = differences(log, prefix, partitions)?;
    differences.retain(|one| !one.harmless);
    if differences.is_empty() {
        return Ok(());
    }
    let mut lines: Vec<_> = differences.iter().map(Difference::to_string).collect();
    // The same mistake is often made with every topic: the way out is told once for each kind.
    let mut told = BTreeSet::new();
    for one in &differences {
        if told.insert(one.setting) {
            lines.push(format!("to mend {}: {}", one.topic, one.fix));
        }
    }
    let message = format!(
        "the topics are not as the catalogue says (`cityevents topics check` lists all): {}",
        lines.join("; ")
    );
    Err(LogError::new(LogErrorKind::Configuration, message))
}

/// Whether all facts are there, in topics that they are carried into: nobody works before, since rows and
/// mails would come of what is not whole. Looks at the first partition and at the last one, which is
/// sealed last.
///
/// # Errors
/// When they are not, or the log cannot be read.
pub fn check_whole(log: &dyn Log, prefix: &str) -> Result<(), LogError> {
    let facts: Arc<str> = topic::EVENT_FACTS.full_name(prefix).into();
    let count = log.describe(&facts)?.spec.partitions;
    for partition in BTreeSet::from([0, count - 1]) {
        let place = TopicPartition::new(facts.clone(), partition);
        let marks = log.watermarks(&place)?;
        if marks.high == marks.low {
            continue;
        }
        let last = read_one(log, &place, marks.high - 1, READ_WAIT)?;
        if last.as_ref().is_some_and(is_before_seal) {
            let message = format!(
                "facts are being carried into {place}, and not all are there: `cityevents replay facts \
                 {prefix} --switch` with the settings of the topics that they come from, then start again"
            );
            return Err(LogError::new(LogErrorKind::Configuration, message));
        }
    }
    Ok(())
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, expected, actual, .. } = self;
        let setting = match self.setting {
            Setting::Exists => return write!(formatter, "{topic} is missing"),
            Setting::Partitions => "partitions",
            Setting::Cleanup => "cleanup",
            Setting::Timestamps => "timestamps",
            Setting::Durable => "durable",
            Setting::Replication => "replication",
            Setting::MinInsync => "min.insync.replicas",
        };
        write!(formatter, "{topic}: {setting} is {actual}, not {expected}")
    }
}
