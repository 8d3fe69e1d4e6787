//! Bytes that were cut, changed or made up are refused or read, and nothing panics.

use std::sync::{Arc, LazyLock};

use cityevents_schemas::message::{
    decode_command, decode_email, decode_event, decode_link, decode_registration, decode_reply,
};
use cityevents_schemas::{Codecs, DecodeError, HEADER_BYTES, Record, SchemaIds, SchemaLookupError};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::generate::check;
use crate::{reread, samples};

const CASES: u32 = 3_000;
/// Cases that go through apache-avro, which is slow.
const CASES_RESOLVED: u32 = 600;

fn read_all(bytes: &[u8]) {
    let _ = decode_command(bytes);
    let _ = decode_link(bytes);
    let _ = decode_reply(bytes);
    let _ = decode_event(bytes);
    let _ = decode_registration(bytes);
    let _ = decode_email(bytes);
}

#[test]
fn a_record_that_is_cut_anywhere_or_longer_is_refused() {
    for (record, name, bytes) in samples::all() {
        for end in 0..bytes.len() {
            assert!(reread::rewritten(record, &bytes[..end]).is_err(), "{name} at {end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(reread::rewritten(record, &longer).is_err(), "{name}");
    }
}

/// A sample with some bytes after the header changed, cut out or put in.
fn mutated() -> impl Strategy<Value = (Record, Vec<u8>)> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4_u8);
    (select(samples::all()), vec(change, 1..6)).prop_map(|((record, _, mut bytes), changes)| {
        for (at, byte, how) in changes {
            let at = HEADER_BYTES + at.index(bytes.len() - HEADER_BYTES);
            match how {
                0 => bytes[at] ^= 1 << (byte % 8),
                1 => bytes[at] = byte,
                2 => bytes.insert(at, byte),
                _ if bytes.len() > HEADER_BYTES + 1 => drop(bytes.remove(at)),
                _ => {}
            }
        }
        (record, bytes)
    })
}

#[test]
fn a_mutated_record_is_refused_or_read_and_then_reads_back() {
    check(CASES, mutated(), |(record, bytes)| {
        if let Ok(once) = reread::rewritten(record, &bytes) {
            prop_assert_eq!(reread::rewritten(record, &once), Ok(once));
        }
        Ok(())
    });
}

#[test]
fn any_bytes_behind_a_header_are_refused_or_read() {
    let record = select(&Record::ALL[..]);
    check(CASES, (record, vec(any::<u8>(), 0..200)), |(record, body)| {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&Codecs::builtin().id(record).to_be_bytes());
        bytes.extend(body);
        read_all(&bytes);
        Ok(())
    });
}

/// Every id is of the schema that was meant, and none is current: all goes through apache-avro.
struct Foreign(Record);

impl SchemaIds for Foreign {
    fn current(&self, _: Record) -> Result<u32, SchemaLookupError> {
        Ok(0)
    }

    fn writer(&self, _: u32) -> Result<Option<Arc<str>>, SchemaLookupError> {
        Ok(Some(self.0.source().into()))
    }
}

fn read_foreign(record: Record, bytes: &[u8]) -> Result<(), DecodeError> {
    static CODECS: LazyLock<Vec<Codecs>> = LazyLock::new(|| {
        let codecs = |record| Codecs::new(Arc::new(Foreign(record))).unwrap();
        Record::ALL.into_iter().map(codecs).collect()
    });
    let codecs = &CODECS[Record::ALL.iter().position(|other| *other == record).unwrap()];
    match record {
        Record::EventCommand => codecs.decode_command(bytes).map(drop),
        Record::EventFact => codecs.decode_link(bytes).map(drop),
        Record::CommandReply => codecs.decode_reply(bytes).map(drop),
        Record::Event => codecs.decode_event(bytes).map(drop),
        Record::Registration => codecs.decode_registration(bytes).map(drop),
        Record::AccountChange => codecs.decode_account_change(bytes).map(drop),
        Record::Email => codecs.decode_email(bytes).map(drop),
        Record::Engagement => codecs.decode_engagement(bytes).map(drop),
        Record::UserSignal => codecs.decode_user_signal(bytes).map(drop),
        Record::Trend => codecs.decode_trend(bytes).map(drop),
    }
}

#[test]
fn a_record_of_another_version_that_is_cut_anywhere_is_refused() {
    for (record, name, bytes) in samples::all() {
        assert_eq!(read_foreign(record, &bytes), Ok(()), "{name}");
        for end in 0..bytes.len() {
            assert!(read_foreign(record, &bytes[..end]).is_err(), "{name} at {end}");
        }
    }
}

#[test]
fn a_mutated_record_of_another_version_is_refused_or_read() {
    check(CASES_RESOLVED, mutated(), |(record, bytes)| {
        let _ = read_foreign(record, &bytes);
        Ok(())
    });
}
