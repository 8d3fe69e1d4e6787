//! Where the servers are, from the environment that `ops/stack env` prints.

use std::time::{SystemTime, UNIX_EPOCH};

/// The address of one server.
fn address(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: start the servers with ops/stack, or run ops/test")
    })
}

/// Kafka, one broker.
pub fn kafka() -> String {
    address("CITYEVENTS_STACK_KAFKA")
}

/// Kafka that speaks TLS and wants a password, and something about it.
pub fn kafka_tls(what: &str) -> String {
    address(&format!("CITYEVENTS_STACK_KAFKA_TLS{what}"))
}

/// Cassandra.
pub fn cassandra() -> String {
    address("CITYEVENTS_STACK_CASSANDRA")
}

/// The schema registry, up to where `/subjects` follows.
pub fn registry() -> String {
    address("CITYEVENTS_STACK_REGISTRY")
}

/// PostgreSQL.
pub fn postgres() -> String {
    address("CITYEVENTS_STACK_POSTGRES")
}

/// The REST listener of Kafka Connect.
pub fn connect() -> String {
    address("CITYEVENTS_STACK_CONNECT")
}

/// Where connectors write files.
pub fn connect_folder() -> String {
    address("CITYEVENTS_STACK_CONNECT_FOLDER")
}

/// Redis.
pub fn redis() -> String {
    address("CITYEVENTS_STACK_REDIS")
}

/// A mail server that wants STARTTLS and a password, and something about it.
pub fn smtp(what: &str) -> String {
    address(&format!("CITYEVENTS_STACK_SMTP{what}"))
}

/// An S3 server.
pub fn s3() -> String {
    address("CITYEVENTS_STACK_S3")
}

/// A prefix for topics, subjects and the like that no other test has: the servers are shared.
pub fn unique_prefix(name: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("{name}-{}-{}.", std::process::id(), now.as_nanos())
}
