//! The topic catalogue keeps the rules that hold between topics.

use std::collections::{BTreeMap, BTreeSet};

use cityevents_schemas::catalog::{Cleanup, Discipline, Key, Timestamps, Value};
use cityevents_schemas::{Record, catalog, topic};

#[test]
fn the_catalogue_has_every_topic_once() {
    let names: Vec<_> = catalog().topics().iter().map(|topic| topic.name).collect();
    let expected = [
        "event-commands",
        "event-facts",
        "command-replies",
        "event-commands-dlq",
        "events",
        "registrations",
        "engagement",
        "engagement-dlq",
        "user-signals",
        "user-signals-dlq",
        "trends",
        "account-changes",
        "emails",
        "emails-bulk",
        "emails-retry-10s",
        "emails-retry-1m",
        "emails-retry-10m",
        "emails-dlq",
    ];
    assert_eq!(names, expected);
    assert_eq!(catalog().topic("event-facts"), Some(&topic::EVENT_FACTS));
    assert_eq!(catalog().topic("nothing"), None);
}

#[test]
fn topics_that_one_topology_joins_have_equal_partitions() {
    for asked in [1, topic::PARTITIONS_DEV, topic::PARTITIONS, 100] {
        let mut groups: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for topic in catalog().topics() {
            groups.entry(topic.group).or_default().insert(topic.partitions(asked));
            assert!(topic.partitions(asked) >= 1, "{}", topic.name);
        }
        for (group, counts) in groups {
            assert_eq!(counts.len(), 1, "group {group} with {asked}");
        }
    }
    let joined = [topic::EVENT_COMMANDS, topic::EVENT_FACTS, topic::ENGAGEMENT];
    for topic in joined {
        assert_eq!((topic.group, topic.divisor, topic.key), ("event", 1, Key::EventId));
    }
}

#[test]
fn retry_tiers_and_dead_letters_name_topics_of_the_catalogue() {
    for topic in catalog().topics() {
        if let Some(name) = topic.dead_letters {
            let dead = catalog().topic(name).unwrap();
            assert_eq!((dead.key, dead.value), (Key::Source, Value::Raw), "{}", topic.name);
        }
        assert_eq!(topic.retries.is_some(), topic.delay_ms.is_some(), "{}", topic.name);
        if let Some(name) = topic.retries {
            let source = catalog().topic(name).unwrap();
            assert_eq!(source.value, topic.value, "{}", topic.name);
            assert_eq!(source.group, topic.group, "{}", topic.name);
            assert_eq!(source.dead_letters, topic.dead_letters, "{}", topic.name);
        }
    }
    let tiers: Vec<_> =
        catalog().retry_tiers(&topic::EMAILS).iter().map(|tier| tier.delay_ms).collect();
    assert_eq!(tiers, [Some(10_000), Some(60_000), Some(600_000)]);
}

#[test]
fn a_dead_letter_topic_is_kept_longer_than_its_source() {
    for topic in catalog().topics() {
        let Some(dead) = topic.dead_letters.and_then(|name| catalog().topic(name)) else {
            continue;
        };
        let least = topic.retention_ms.unwrap_or(0).min(30 * 86_400_000);
        assert!(dead.retention_ms.unwrap() >= least, "{}", topic.name);
    }
}

#[test]
fn topics_whose_readers_must_stop_have_no_dead_letters() {
    for topic in [
        topic::EVENT_FACTS,
        topic::ACCOUNT_CHANGES,
        topic::COMMAND_REPLIES,
        topic::EVENTS,
        topic::REGISTRATIONS,
        topic::TRENDS,
    ] {
        assert_eq!(topic.dead_letters, None, "{}", topic.name);
    }
}

#[test]
fn the_disciplines_are_where_they_are_argued_for() {
    for topic in catalog().topics() {
        let expected = match topic.name {
            "event-facts" => Discipline::Chained,
            "events" | "registrations" | "trends" | "user-signals" => Discipline::Fenced,
            _ => Discipline::Plain,
        };
        assert_eq!(topic.discipline, expected, "{}", topic.name);
        assert_eq!(topic.is_fenced(), expected == Discipline::Fenced);
        // Zombies and compaction: see the design of the fenced topics.
        if topic.is_fenced() {
            // Signals are in the batches of the trends that they come from.
            let is_kept = topic.name != "user-signals";
            assert_eq!(topic.cleanup == Cleanup::Compact, is_kept, "{}", topic.name);
        }
        if topic.cleanup == Cleanup::Compact {
            assert_eq!(topic.retention_ms, None, "{}", topic.name);
        }
        assert_eq!(topic.durable, topic.name != "command-replies", "{}", topic.name);
        // What time they come counts, and nobody's clock but the log's is asked for it.
        let stamped_by_broker = topic.timestamps == Timestamps::Append;
        let expected = ["event-commands", "engagement"].contains(&topic.name);
        assert_eq!(stamped_by_broker, expected, "{}", topic.name);
        assert!(!topic.writers.is_empty() && !topic.readers.is_empty(), "{}", topic.name);
    }
}

#[test]
fn facts_are_kept_for_ever_and_every_record_has_a_topic() {
    assert_eq!(topic::EVENT_FACTS.retention_ms, None);
    for record in Record::ALL {
        let used = catalog().topics().iter().any(|t| t.value == Value::Record(record.name()));
        assert!(used, "{}", record.name());
        assert_eq!(Record::parse(record.name()), Some(record));
    }
}

#[test]
fn names_take_a_prefix() {
    assert_eq!(topic::EVENT_FACTS.full_name(""), "event-facts");
    assert_eq!(topic::EVENT_FACTS.full_name("test."), "test.event-facts");
    assert_eq!(topic::EVENT_FACTS.subject("test."), "test.event-facts-value");
}
