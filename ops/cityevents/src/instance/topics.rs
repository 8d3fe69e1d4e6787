//! The topics of an instance: names from the catalogue, made where they are missing, checked where
//! they are not.

use std::sync::Arc;
use std::time::Duration;

use cityevents_runtime::log::{Cleanup, Log, LogError, LogErrorKind, TimestampKind, TopicSpec};
use cityevents_schemas::catalog::{self, Topic, catalog};

/// A topic that is not as the catalogue says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// Its full name.
    pub topic: String,
    /// Which setting.
    pub setting: &'static str,
    /// As the catalogue says.
    pub expected: String,
    /// As it is.
    pub actual: String,
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
    let present: Vec<_> = log.topics()?.into_iter().map(|topic| topic.spec.name).collect();
    let mut created = Vec::new();
    for topic in catalog().topics() {
        let spec = spec_of(topic, prefix, partitions);
        if !present.contains(&spec.name) {
            log.create_topic(&spec)?;
            created.push(spec.name);
        }
    }
    Ok(created)
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
    let present = log.topics()?;
    let mut differences = Vec::new();
    for topic in catalog().topics() {
        let expected = spec_of(topic, prefix, partitions);
        let name = expected.name.to_string();
        let mut differs = |setting, expected: String, actual: String| {
            if expected != actual {
                let topic = name.clone();
                differences.push(Difference { topic, setting, expected, actual });
            }
        };
        let Some(found) = present.iter().find(|found| found.spec.name == expected.name) else {
            differs("exists", "yes".into(), "no".into());
            continue;
        };
        let actual = &found.spec;
        let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
        differs("partitions", text(&expected.partitions), text(&actual.partitions));
        differs("cleanup", text(&expected.cleanup), text(&actual.cleanup));
        differs("timestamps", text(&expected.timestamps), text(&actual.timestamps));
        differs("durable", text(&expected.durable), text(&actual.durable));
    }
    Ok(differences)
}

/// Refuses to start on topics that do not fit together.
///
/// # Errors
/// With everything that differs, and what to do.
pub fn check(log: &dyn Log, prefix: &str, partitions: u32) -> Result<(), LogError> {
    let differences = differences(log, prefix, partitions)?;
    if differences.is_empty() {
        return Ok(());
    }
    let lines: Vec<_> = differences
        .iter()
        .map(|one| {
            format!("{}: {} is {}, not {}", one.topic, one.setting, one.actual, one.expected)
        })
        .collect();
    let message = format!(
        "the topics are not as the catalogue says: {}. Set log.partitions to what the topics \
         have, or begin with an empty data folder",
        lines.join("; ")
    );
    Err(LogError::new(LogErrorKind::Configuration, message))
}
