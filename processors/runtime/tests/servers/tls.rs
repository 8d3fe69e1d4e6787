//! TLS and SASL: `ops/stack up kafka-tls`, and the feature `tls`.

use std::time::Duration;

use cityevents_runtime::log::contract::{Fixture, numbered};
use cityevents_runtime::log::kafka::{KafkaLog, KafkaMetrics, KafkaOptions};
use cityevents_runtime::log::{Isolation, LogError, LogErrorKind};

use super::cluster::{address, connect, options, prefix};

fn secure(changes: &[(&str, &str)]) -> KafkaOptions {
    let authority = address("CITYEVENTS_STACK_KAFKA_TLS_CA");
    let user = address("CITYEVENTS_STACK_KAFKA_TLS_USER");
    let password = address("CITYEVENTS_STACK_KAFKA_TLS_PASSWORD");
    let usual = [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("ssl.ca.location", &*authority),
        ("sasl.username", &*user),
        ("sasl.password", &*password),
    ];
    let mut options = KafkaOptions {
        request_timeout: Duration::from_secs(30),
        ..options(&address("CITYEVENTS_STACK_KAFKA_TLS"))
    };
    for (name, value) in usual.iter().chain(changes) {
        options.properties.insert((*name).to_owned(), (*value).to_owned());
    }
    options
}

fn refused(options: KafkaOptions) -> LogError {
    match KafkaLog::connect(options, KafkaMetrics::unregistered()) {
        Ok(_) => panic!("this was to be refused"),
        Err(error) => error,
    }
}

#[test]
fn records_go_there_and_back_over_tls_and_topics_tell_their_ids() {
    let fixture = Fixture { prefix: prefix(), ..Fixture::new(connect(secure(&[]))) };
    let place = fixture.partition("orders");
    assert_eq!(fixture.append(&place, numbered("v", 0..3)), [0, 1, 2]);
    assert_eq!(fixture.values(&place, Isolation::Committed), ["v0", "v1", "v2"]);
    assert!(!fixture.log.describe(&place.topic).unwrap().id.is_empty());
}

#[test]
fn a_wrong_password_is_refused_and_says_where_it_stands() {
    let error = refused(secure(&[("sasl.password", "wrong")]));
    assert_eq!(error.kind(), LogErrorKind::NotAuthorized);
    let message = error.to_string();
    assert!(message.contains("sasl.password"), "{message}");
    assert!(!message.contains("wrong"), "the password is not told: {message}");
}

#[test]
fn a_certificate_that_nobody_known_signed_is_refused() {
    let error = refused(secure(&[("ssl.ca.location", "/etc/ssl/certs")]));
    assert_eq!(error.kind(), LogErrorKind::Configuration);
    assert!(error.to_string().contains("ssl.ca.location"), "{error}");
}

#[test]
fn a_plain_connection_to_a_broker_that_wants_tls_names_the_property() {
    // The broker only hangs up, which could pass.
    let plain = secure(&[("security.protocol", "plaintext")]);
    let error = refused(KafkaOptions { request_timeout: Duration::from_secs(10), ..plain });
    assert!(error.to_string().contains("security.protocol"), "{error}");
}

/// librdkafka does not tell an expired certificate from one that a stranger signed.
#[test]
fn an_expired_certificate_is_refused_and_its_dates_are_pointed_to() {
    let expired = address("CITYEVENTS_STACK_KAFKA_TLS_EXPIRED");
    let error = refused(KafkaOptions { brokers: expired, ..secure(&[]) });
    assert_eq!(error.kind(), LogErrorKind::Configuration);
    let message = error.to_string();
    assert!(message.contains("valid today"), "{message}");
}
