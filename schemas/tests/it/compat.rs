//! The generated codecs write the same bytes as apache-avro and read what it reads.

use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use cityevents_schemas::message::{
    encode_account_change, encode_command, encode_email, encode_engagement, encode_event,
    encode_link, encode_registration, encode_reply, encode_trend, encode_user_signal,
};
use cityevents_schemas::{HEADER_BYTES, Record, Wire, wire};
use proptest::prelude::*;

use crate::generate::{self, check};
use crate::schema_values;

const CASES: u32 = 200;

/// For any value of the schema: apache-avro's bytes are read, and written again the same.
fn agrees(record: Record, reencode: impl Fn(&[u8]) -> Vec<u8>) {
    let schema = Schema::parse_str(record.source()).unwrap();
    check(CASES, schema_values::value(&schema), |value| {
        let bytes = to_avro_datum(&schema, value).unwrap();
        prop_assert_eq!(reencode(&bytes), bytes);
        Ok(())
    });
}

/// Reads all the bytes and writes what was read.
fn reencoded<'a, T: Wire<'a>>(mut bytes: &'a [u8]) -> Vec<u8> {
    let value = T::decode(&mut bytes).unwrap();
    assert!(bytes.is_empty());
    let mut out = Vec::new();
    value.encode(&mut out);
    out
}

#[test]
fn commands_have_the_bytes_of_apache_avro() {
    agrees(Record::EventCommand, |bytes| reencoded::<wire::EventCommand<'_>>(bytes));
}

#[test]
fn links_have_the_bytes_of_apache_avro() {
    agrees(Record::EventFact, |bytes| reencoded::<wire::EventFact<'_>>(bytes));
}

#[test]
fn replies_have_the_bytes_of_apache_avro() {
    agrees(Record::CommandReply, |bytes| reencoded::<wire::CommandReply<'_>>(bytes));
}

#[test]
fn flat_events_have_the_bytes_of_apache_avro() {
    agrees(Record::Event, |bytes| reencoded::<wire::Event<'_>>(bytes));
}

#[test]
fn flat_registrations_have_the_bytes_of_apache_avro() {
    agrees(Record::Registration, |bytes| reencoded::<wire::Registration<'_>>(bytes));
}

#[test]
fn account_changes_have_the_bytes_of_apache_avro() {
    agrees(Record::AccountChange, |bytes| reencoded::<wire::AccountChange<'_>>(bytes));
}

#[test]
fn mails_have_the_bytes_of_apache_avro() {
    agrees(Record::Email, |bytes| reencoded::<wire::Email<'_>>(bytes));
}

#[test]
fn what_trends_are_made_of_has_the_bytes_of_apache_avro() {
    agrees(Record::Engagement, |bytes| reencoded::<wire::Engagement<'_>>(bytes));
    agrees(Record::UserSignal, |bytes| reencoded::<wire::UserSignal<'_>>(bytes));
    agrees(Record::Trend, |bytes| reencoded::<wire::Trend<'_>>(bytes));
}

/// What we wrote is read by apache-avro to its end, and written again the same.
fn assert_same(schema: &Schema, framed: &[u8]) -> Result<(), TestCaseError> {
    let mut body = &framed[HEADER_BYTES..];
    let value = from_avro_datum(schema, &mut body, None).unwrap();
    prop_assert!(body.is_empty());
    prop_assert_eq!(to_avro_datum(schema, value).unwrap(), &framed[HEADER_BYTES..]);
    Ok(())
}

fn writes_same<S: Strategy>(record: Record, strategy: S, encode: impl Fn(&S::Value, &mut Vec<u8>))
where
    S::Value: std::fmt::Debug,
{
    let schema = Schema::parse_str(record.source()).unwrap();
    check(CASES, strategy, |value| {
        let mut out = Vec::new();
        encode(&value, &mut out);
        assert_same(&schema, &out)
    });
}

#[test]
fn apache_avro_reads_and_rewrites_every_message() {
    writes_same(Record::EventCommand, generate::command(), encode_command);
    writes_same(Record::EventFact, generate::link(), |link, out| {
        encode_link(link.fact.as_ref(), &link.closed, link.genesis.as_ref(), link.at, out);
    });
    writes_same(Record::CommandReply, generate::reply(), encode_reply);
    writes_same(Record::Event, generate::event(), encode_event);
    writes_same(Record::Registration, generate::registration(), |(event, registration), out| {
        encode_registration(event, registration, out);
    });
    writes_same(Record::AccountChange, generate::account_change(), encode_account_change);
    writes_same(Record::Email, generate::email(), encode_email);
    writes_same(Record::Engagement, generate::engagement(), encode_engagement);
    writes_same(Record::UserSignal, generate::user_signal(), encode_user_signal);
    writes_same(Record::Trend, generate::trend(), encode_trend);
}
