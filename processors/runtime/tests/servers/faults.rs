//! Producers under faults that librdkafka's own mock of a cluster plays.

use std::time::Duration;

use cityevents_runtime::log::contract::{BRIEF, numbered};
use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::log::{Delivery, Log, LogErrorKind, Producer, TopicPartition};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::cluster::options;

const TOPIC: &str = "orders";

struct Mock {
    cluster: MockCluster<'static, DefaultProducerContext>,
    log: std::sync::Arc<KafkaLog>,
}

fn mock(ack_timeout: Duration) -> Mock {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 2, 1).unwrap();
    let options = KafkaOptions { ack_timeout, ..options(&cluster.bootstrap_servers()) };
    let log = KafkaLog::connect(options, KafkaMetrics::unregistered()).unwrap();
    Mock { cluster, log }
}

fn place(partition: u32) -> TopicPartition {
    TopicPartition::new(TOPIC, partition)
}

fn deliveries(producer: &mut dyn Producer) -> Vec<Delivery> {
    let mut out = Vec::new();
    while producer.in_flight() > 0 {
        producer.poll(BRIEF, &mut out).unwrap();
    }
    out
}

#[test]
fn a_producer_that_failed_once_fails_for_ever_and_another_goes_on() {
    let mock = mock(Duration::from_secs(10));
    let mut producer = mock.log.producer("orders").unwrap();
    producer.append(&place(0), numbered("before", 0..3)).unwrap();
    assert!(deliveries(&mut *producer).iter().all(|delivery| delivery.result.is_ok()));

    let refusal = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
    mock.cluster.request_errors(RDKafkaApiKey::Produce, &refusal);
    producer.append(&place(0), numbered("failed", 0..1)).unwrap();
    let failed = deliveries(&mut *producer).remove(0).result.unwrap_err();
    assert_eq!(failed.kind(), LogErrorKind::NotAuthorized);

    mock.cluster.clear_request_errors(RDKafkaApiKey::Produce);
    for partition in [0, 1] {
        let refused = producer.append(&place(partition), numbered("later", 0..1)).unwrap_err();
        assert_eq!(refused.kind(), LogErrorKind::NotAuthorized, "it says why it is broken");
    }
    assert_eq!(producer.in_flight(), 0);
    let mut other = mock.log.producer("orders").unwrap();
    other.append(&place(0), numbered("other", 0..1)).unwrap();
    assert!(deliveries(&mut *other).iter().all(|delivery| delivery.result.is_ok()));
}

#[test]
fn an_append_that_nobody_acknowledges_fails_within_its_time() {
    let mock = mock(Duration::from_secs(3));
    let mut producer = mock.log.producer("orders").unwrap();
    producer.append(&place(0), numbered("before", 0..1)).unwrap();
    assert!(deliveries(&mut *producer).iter().all(|delivery| delivery.result.is_ok()));
    mock.cluster.broker_down(1).unwrap();
    let started = std::time::Instant::now();
    producer.append(&place(0), numbered("lost", 0..5)).unwrap();
    let all = deliveries(&mut *producer);
    assert!(started.elapsed() < Duration::from_secs(30), "it took {:?}", started.elapsed());
    assert_eq!(all.iter().map(|delivery| delivery.count).sum::<u64>(), 5);
    for delivery in all {
        assert_eq!(delivery.result.unwrap_err().kind(), LogErrorKind::TimedOut);
    }
}

#[test]
fn a_record_that_the_log_had_before_is_acknowledged_without_an_offset() {
    let mock = mock(Duration::from_secs(10));
    let mut producer = mock.log.producer("orders").unwrap();
    let again = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER];
    mock.cluster.request_errors(RDKafkaApiKey::Produce, &again);
    producer.append(&place(0), numbered("twice", 0..1)).unwrap();
    let all = deliveries(&mut *producer);
    assert!(matches!(all[0].result, Ok(None)), "{all:?}");
}

#[test]
fn appends_wait_while_too_much_is_in_flight() {
    let mock = mock(Duration::from_secs(10));
    let options =
        KafkaOptions { in_flight_bytes_max: 10_000, ..options(&mock.cluster.bootstrap_servers()) };
    let log = KafkaLog::connect(options, KafkaMetrics::unregistered()).unwrap();
    let mut producer = log.producer("orders").unwrap();
    let delay = Duration::from_millis(200);
    mock.cluster.broker_round_trip_time(1, delay).unwrap();
    let large = || vec![cityevents_runtime::log::contract::text("k", &"x".repeat(9_999))];
    let started = std::time::Instant::now();
    producer.append(&place(0), large()).unwrap();
    producer.append(&place(0), large()).unwrap();
    assert!(started.elapsed() >= delay / 2, "it waited {:?}", started.elapsed());
    assert!(deliveries(&mut *producer).iter().all(|delivery| delivery.result.is_ok()));
}
