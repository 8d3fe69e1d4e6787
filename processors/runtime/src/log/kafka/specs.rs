//! A topic's settings in the words of Kafka, there and back.
//!
//! Kafka has no word for a topic whose records may be lost with their broker; ours is that any
//! broker may lead it, in sync or not (`unclean.leader.election.enable`), and that one copy is
//! enough to acknowledge. Both are what such a topic wants: it stays writable.

use std::time::Duration;

use rdkafka::admin::ConfigResource;

use super::options::KafkaOptions;
use crate::log::{Cleanup, Copies, LogError, LogErrorKind, TimestampKind, TopicSpec};

const CLEANUP: &str = "cleanup.policy";
const RETENTION: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";
const TIMESTAMPS: &str = "message.timestamp.type";
const UNCLEAN: &str = "unclean.leader.election.enable";
const MIN_INSYNC: &str = "min.insync.replicas";

/// How many copies a topic is to have.
pub(super) fn copies(spec: &TopicSpec, options: &KafkaOptions) -> Copies {
    let min_insync = if spec.durable { options.min_insync } else { 1 };
    Copies { replication: options.replication.into(), min_insync: min_insync.into() }
}

/// Settings of a topic to be made.
pub(super) fn to_config(spec: &TopicSpec, options: &KafkaOptions) -> Vec<(&'static str, String)> {
    let min_insync = copies(spec, options).min_insync;
    let timestamps = match spec.timestamps {
        TimestampKind::LogAppend => "LogAppendTime",
        TimestampKind::Create => "CreateTime",
    };
    let mut config = vec![
        (TIMESTAMPS, timestamps.to_owned()),
        (UNCLEAN, (!spec.durable).to_string()),
        (MIN_INSYNC, min_insync.to_string()),
    ];
    match spec.cleanup {
        Cleanup::Compact => config.push((CLEANUP, "compact".to_owned())),
        Cleanup::Delete { retention } => {
            let age = retention.map_or_else(|| "-1".to_owned(), |age| age.as_millis().to_string());
            config.push((CLEANUP, "delete".to_owned()));
            config.push((RETENTION, age));
            config.push((RETENTION_BYTES, "-1".to_owned()));
        }
    }
    config
}

/// How many brokers have to have a record of a topic before it is acknowledged.
pub(super) fn min_insync(name: &str, config: &ConfigResource) -> Result<u32, LogError> {
    let told = value(name, config, MIN_INSYNC)?;
    told.parse().map_err(|_| {
        let message = format!("topic {name} has {MIN_INSYNC} = {told}, which is no number");
        LogError::new(LogErrorKind::Configuration, message)
    })
}

/// Settings of a topic as it is.
pub(super) fn from_config(
    name: &str,
    partitions: u32,
    config: &ConfigResource,
) -> Result<TopicSpec, LogError> {
    let value = |setting| value(name, config, setting);
    let cleanup = if value(CLEANUP)?.contains("compact") {
        Cleanup::Compact
    } else {
        let age_ms = value(RETENTION)?.parse::<i64>().unwrap_or(-1);
        let retention = u64::try_from(age_ms).ok().map(Duration::from_millis);
        Cleanup::Delete { retention }
    };
    let timestamps = match value(TIMESTAMPS)? {
        "LogAppendTime" => TimestampKind::LogAppend,
        _ => TimestampKind::Create,
    };
    let durable = value(UNCLEAN)? != "true";
    Ok(TopicSpec { name: name.into(), partitions, cleanup, timestamps, durable })
}

fn value<'c>(name: &str, config: &'c ConfigResource, setting: &str) -> Result<&'c str, LogError> {
    let found = config.get(setting).and_then(|entry| entry.value.as_deref());
    found.ok_or_else(|| {
        let message =
            format!("topic {name} does not tell its {setting}: give this user the right to");
        LogError::new(LogErrorKind::NotAuthorized, message)
    })
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigSource, OwnedResourceSpecifier};

    use super::*;

    fn resource(config: &[(&str, String)]) -> ConfigResource {
        let entry = |(name, value): &(&str, String)| ConfigEntry {
            name: (*name).to_owned(),
            value: Some(value.clone()),
            source: ConfigSource::DynamicTopic,
            is_read_only: false,
            is_default: false,
            is_sensitive: false,
        };
        let entries = config.iter().map(entry).collect();
        ConfigResource { specifier: OwnedResourceSpecifier::Topic("t".to_owned()), entries }
    }

    #[test]
    fn settings_read_back_as_they_were() {
        let options = KafkaOptions::new("localhost:9092");
        let day = Some(Duration::from_secs(86_400));
        for cleanup in [
            Cleanup::Compact,
            Cleanup::Delete { retention: None },
            Cleanup::Delete { retention: day },
        ] {
            for timestamps in [TimestampKind::LogAppend, TimestampKind::Create] {
                for durable in [true, false] {
                    let spec =
                        TopicSpec { name: "t".into(), partitions: 3, cleanup, timestamps, durable };
                    let config = resource(&to_config(&spec, &options));
                    assert_eq!(from_config("t", 3, &config).unwrap(), spec);
                }
            }
        }
    }

    #[test]
    fn a_setting_that_is_not_told_is_missed_by_name() {
        let refused = from_config("t", 1, &resource(&[])).unwrap_err();
        assert!(refused.to_string().contains("cleanup.policy"));
    }
}
