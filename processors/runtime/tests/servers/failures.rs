//! What is wrong with a cluster or with the settings is said at once, with the fix.

use std::time::Duration;

use cityevents_runtime::log::contract::{BRIEF, NO_LIMIT, numbered};
use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::log::{
    Cleanup, Isolation, Log, LogError, LogErrorKind, TimestampKind, TopicPartition, TopicSpec,
};

use super::cluster::{broker, connect, delete_topic, fixture, options, prefix};

fn refused(options: KafkaOptions) -> LogError {
    match KafkaLog::connect(options, KafkaMetrics::unregistered()) {
        Ok(_) => panic!("this was to be refused"),
        Err(error) => error,
    }
}

#[test]
fn a_wrong_address_is_named_with_the_setting() {
    // Nobody listens on the port of discarded packets here.
    let error =
        refused(KafkaOptions { request_timeout: Duration::from_secs(2), ..options("127.0.0.1:9") });
    assert_eq!(error.kind(), LogErrorKind::Unavailable);
    let message = error.to_string();
    assert!(message.contains("127.0.0.1:9") && message.contains("kafka.brokers"), "{message}");
}

#[test]
fn a_name_that_does_not_resolve_is_named() {
    let error = refused(KafkaOptions {
        request_timeout: Duration::from_secs(2),
        ..options("no-such-host.invalid:9092")
    });
    let message = error.to_string();
    assert!(message.contains("no-such-host.invalid"), "{message}");
    assert!(message.contains("kafka.brokers"), "{message}");
}

#[test]
fn a_misspelt_property_is_named() {
    let mut wrong = options(&broker());
    wrong.properties.insert("linger.seconds".to_owned(), "1".to_owned());
    let error = refused(wrong);
    assert_eq!(error.kind(), LogErrorKind::Configuration);
    assert!(error.to_string().contains("linger.seconds"), "{error}");
}

#[cfg(not(feature = "tls"))]
#[test]
fn tls_without_its_feature_is_named() {
    let mut tls = options(&broker());
    tls.properties.insert("security.protocol".to_owned(), "ssl".to_owned());
    let error = refused(tls);
    assert_eq!(error.kind(), LogErrorKind::Configuration);
    assert!(error.to_string().contains("feature `tls`"), "{error}");
}

#[test]
fn more_copies_than_brokers_are_refused_with_both_numbers() {
    let log = connect(KafkaOptions { replication: 3, min_insync: 2, ..options(&broker()) });
    let spec = TopicSpec {
        name: format!("{}orders", prefix()).into(),
        partitions: 1,
        cleanup: Cleanup::Delete { retention: None },
        timestamps: TimestampKind::LogAppend,
        durable: true,
    };
    let error = log.create_topic(&spec).unwrap_err();
    assert_eq!(error.kind(), LogErrorKind::Configuration);
    let message = error.to_string();
    assert!(message.contains("kafka.replication is 3"), "{message}");
    assert!(message.contains("has 1 brokers"), "{message}");
}

#[test]
fn a_topic_stamped_by_producers_is_described_so() {
    let fixture = fixture();
    let kept = Cleanup::Delete { retention: None };
    let stamped = fixture.topic_with("stamped", 1, kept, TimestampKind::Create);
    let ours = fixture.topic("ours", 1);
    let stamps = |topic| fixture.log.describe(topic).unwrap().spec.timestamps;
    assert_eq!(stamps(&stamped), TimestampKind::Create);
    assert_eq!(stamps(&ours), TimestampKind::LogAppend);
}

#[test]
fn a_reader_of_a_topic_made_anew_is_out_of_range_and_not_at_its_beginning() {
    let fixture = fixture();
    let topic = fixture.topic("commands", 1);
    let place = TopicPartition::new(topic.clone(), 0);
    fixture.append(&place, numbered("old", 0..5));
    let before = fixture.log.describe(&topic).unwrap();
    delete_topic(&broker(), &topic);
    fixture.log.create_topic(&before.spec).unwrap();
    fixture.append(&place, numbered("new", 0..2));

    let mut reader = fixture.log.reader(&place, 5, Isolation::Uncommitted).unwrap();
    let mut out = Vec::new();
    let failed = fixture
        .eventually("the refusal of a reader", || reader.poll(NO_LIMIT, BRIEF, &mut out).err());
    assert_eq!(failed.kind(), LogErrorKind::OffsetOutOfRange);
    assert!(out.is_empty(), "nothing is skipped to");
}

#[test]
fn the_cluster_has_an_id_that_stays() {
    let (one, other) = (connect(options(&broker())), connect(options(&broker())));
    assert!(!one.cluster_id().is_empty());
    assert_eq!(one.cluster_id(), other.cluster_id());
}
