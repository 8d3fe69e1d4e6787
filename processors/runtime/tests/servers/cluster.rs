//! How the tests reach the servers, and keep out of each other's way on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cityevents_runtime::log::contract::Fixture;
use cityevents_runtime::log::kafka::{GroupProtocol, KafkaLog, KafkaMetrics, KafkaOptions};
use futures::executor::block_on;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;

/// An address from what `ops/stack env` prints.
pub fn address(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: start the servers with ops/stack, or run ops/test")
    })
}

/// The one broker.
pub fn broker() -> String {
    address("CITYEVENTS_STACK_KAFKA")
}

/// Settings for one broker.
pub fn options(brokers: &str) -> KafkaOptions {
    KafkaOptions {
        client_id: "contract".to_owned(),
        session_timeout: Duration::from_secs(6),
        replication: 1,
        min_insync: 1,
        ..KafkaOptions::new(brokers)
    }
}

pub fn connect(options: KafkaOptions) -> Arc<KafkaLog> {
    KafkaLog::connect(options, KafkaMetrics::unregistered()).unwrap()
}

/// A prefix that no other test of any run has.
pub fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("t{now:x}-{}-{number}-", std::process::id())
}

/// A log of one test's own on the shared broker.
pub fn fixture() -> Fixture {
    fixture_with(options(&broker()))
}

/// The same, where the broker shares partitions out.
pub fn fixture_of_consumer_protocol() -> Fixture {
    let group_protocol = GroupProtocol::Consumer;
    fixture_with(KafkaOptions { group_protocol, ..options(&broker()) })
}

pub fn fixture_with(options: KafkaOptions) -> Fixture {
    let log = connect(options.clone());
    let brokers = options.brokers.clone();
    let prefix = prefix();
    let topics = TopicsOf { brokers: brokers.clone(), prefix: prefix.clone() };
    Fixture {
        prefix,
        guard: Some(Box::new(topics)),
        // Longer than the session of a member that went without a word.
        patience: Duration::from_secs(60),
        reopen: Some(Box::new(move || connect(options))),
        delete_topic: Some(Box::new(move |topic| delete_topic(&brokers, topic))),
        ..Fixture::new(log)
    }
}

/// Takes a test's topics away when it is over.
struct TopicsOf {
    brokers: String,
    prefix: String,
}

impl Drop for TopicsOf {
    fn drop(&mut self) {
        let admin = admin(&self.brokers);
        let Ok(metadata) = admin.inner().fetch_metadata(None, Duration::from_secs(10)) else {
            return;
        };
        let names: Vec<_> = metadata.topics().iter().map(|topic| topic.name()).collect();
        let ours: Vec<_> =
            names.into_iter().filter(|name| name.starts_with(&self.prefix)).collect();
        if !ours.is_empty() {
            // What is left behind disturbs nobody.
            let _left = block_on(admin.delete_topics(&ours, &AdminOptions::new()));
        }
    }
}

pub fn admin(brokers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap()
}

pub fn delete_topic(brokers: &str, topic: &str) {
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    for result in block_on(admin(brokers).delete_topics(&[topic], &options)).unwrap() {
        result.unwrap();
    }
}
