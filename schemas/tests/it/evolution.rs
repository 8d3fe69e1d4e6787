//! Readers of any version read records of any other: those in this crate, and versions made up
//! here, older and newer, to prove that the way works before the first real one needs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apache_avro::schema_compatibility::SchemaCompatibility;
use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum, to_avro_datum};
use cityevents_domain::command::CommandKind;
use cityevents_schemas::message::{decode_link, encode_command};
use cityevents_schemas::{
    BuiltinIds, Codecs, DecodeError, ErrorClass, HEADER_BYTES, Record, SchemaIds, SchemaLookupError,
};
use serde_json::{Value as Json, json};

use crate::{golden, samples};

const OLDER: u32 = 91_001;
const NEWER: u32 = 91_002;
const CURRENT: u32 = 91_003;
const SAME: u32 = 91_004;

/// The record in a schema, at any depth, whose name is `name`.
fn record<'j>(schema: &'j mut Json, name: &str) -> Option<&'j mut Json> {
    if schema["type"] == "record" && schema["name"] == name {
        return Some(schema);
    }
    match schema {
        Json::Array(items) => items.iter_mut().find_map(|item| record(item, name)),
        Json::Object(entries) => entries.values_mut().find_map(|value| record(value, name)),
        _ => None,
    }
}

fn fields<'j>(schema: &'j mut Json, name: &str) -> &'j mut Vec<Json> {
    record(schema, name).unwrap()["fields"].as_array_mut().unwrap()
}

/// The schema without a field of one of its records.
fn without(source: &str, name: &str, field: &str) -> String {
    let mut schema: Json = serde_json::from_str(source).unwrap();
    let fields = fields(&mut schema, name);
    let before = fields.len();
    fields.retain(|f| f["name"] != field);
    assert_eq!(fields.len(), before - 1);
    schema.to_string()
}

/// The schema with one more field in one of its records, at the front, where it moves all others.
fn with(source: &str, name: &str, field: Json) -> String {
    let mut schema: Json = serde_json::from_str(source).unwrap();
    fields(&mut schema, name).insert(0, field);
    schema.to_string()
}

/// The schema with other words about it: what it reads and writes is the same.
fn with_other_words(source: &str) -> String {
    let mut schema: Json = serde_json::from_str(source).unwrap();
    schema["doc"] = json!("In other words.");
    schema.to_string()
}

/// A command as a version before knew it: without ticks, and bans had no end.
fn older() -> String {
    without(
        &without(Record::EventCommand.source(), "EventCommand", "tick"),
        "PersonBody",
        "expires_at",
    )
}

/// A command as a version to come may know it: a priority, and a body of a new kind.
fn newer() -> String {
    let body = json!({
        "type": "record", "name": "TransferBody", "doc": "New.",
        "fields": [{ "name": "to", "type": "Id", "doc": "To whom." }],
    });
    let body =
        json!({ "name": "transfer", "type": ["null", body], "default": null, "doc": "New." });
    let priority = json!({ "name": "priority", "type": "long", "default": 0, "doc": "New." });
    let source = with(Record::EventCommand.source(), "PersonBody", priority);
    let mut schema: Json = serde_json::from_str(&source).unwrap();
    fields(&mut schema, "EventCommand").push(body);
    schema.to_string()
}

/// A registry that knows the versions made up here, and can be down.
#[derive(Default)]
struct Registry {
    is_down: AtomicBool,
}

impl SchemaIds for Registry {
    fn current(&self, record: Record) -> Result<u32, SchemaLookupError> {
        match record {
            Record::EventCommand => Ok(CURRENT),
            other => BuiltinIds.current(other),
        }
    }

    fn writer(&self, id: u32) -> Result<Option<Arc<str>>, SchemaLookupError> {
        if self.is_down.load(Ordering::Relaxed) {
            return Err(SchemaLookupError { reason: "down".into() });
        }
        Ok(match id {
            OLDER => Some(older().into()),
            NEWER => Some(newer().into()),
            CURRENT => Some(Record::EventCommand.source().into()),
            SAME => Some(with_other_words(Record::EventCommand.source()).into()),
            _ => None,
        })
    }
}

/// A current record as a writer of another version would have written it.
fn rewritten(source: &str, id: u32, framed: &[u8]) -> Vec<u8> {
    let current = Schema::parse_str(Record::EventCommand.source()).unwrap();
    let other = Schema::parse_str(source).unwrap();
    let value = from_avro_datum(&current, &mut &framed[HEADER_BYTES..], Some(&other)).unwrap();
    let mut out = vec![0];
    out.extend_from_slice(&id.to_be_bytes());
    out.extend(to_avro_datum(&other, value).unwrap());
    out
}

#[test]
fn all_versions_of_a_record_read_each_other() {
    for record in Record::ALL {
        for writer in record.versions() {
            let schema = Schema::parse_str(writer.source).unwrap();
            for reader in record.versions() {
                let reader = Schema::parse_str(reader.source).unwrap();
                SchemaCompatibility::mutual_read(&schema, &reader).unwrap();
                for (name, bytes) in golden::of(writer) {
                    let mut body = &bytes[HEADER_BYTES..];
                    let value = from_avro_datum(&schema, &mut body, Some(&reader));
                    assert!(value.is_ok(), "{name}: {value:?}");
                }
            }
        }
    }
}

#[test]
fn the_made_up_versions_obey_the_rule_and_a_field_without_default_would_not() {
    let current = Schema::parse_str(Record::EventCommand.source()).unwrap();
    for source in [older(), newer()] {
        let other = Schema::parse_str(&source).unwrap();
        SchemaCompatibility::mutual_read(&current, &other).unwrap();
    }
    let field = json!({ "name": "must", "type": "long", "doc": "New." });
    let broken = with(Record::EventCommand.source(), "EventCommand", field);
    let broken = Schema::parse_str(&broken).unwrap();
    assert!(SchemaCompatibility::mutual_read(&current, &broken).is_err());
}

#[test]
fn records_of_an_older_and_of_a_newer_version_are_read() {
    let codecs = Codecs::new(Arc::new(Registry::default())).unwrap();
    for (record, name, bytes) in samples::all() {
        if record != Record::EventCommand || name == "tick" {
            continue;
        }
        let mut expected = cityevents_schemas::message::decode_command(&bytes).unwrap();
        let newer = rewritten(&newer(), NEWER, &bytes);
        assert_ne!(newer[HEADER_BYTES..], bytes[HEADER_BYTES..]);
        assert_eq!(codecs.decode_command(&newer).as_ref(), Ok(&expected), "{name}");
        if let CommandKind::Ban { expires_at, .. } = &mut expected.kind {
            *expires_at = None;
        }
        let older = rewritten(&older(), OLDER, &bytes);
        assert_eq!(codecs.decode_command(&older), Ok(expected), "{name}");
    }
}

#[test]
fn an_older_reader_reads_what_is_written_now() {
    let current = Schema::parse_str(Record::EventCommand.source()).unwrap();
    let older = Schema::parse_str(&older()).unwrap();
    for (_, name, bytes) in samples::all().iter().filter(|s| s.0 == Record::EventCommand) {
        let mut body = &bytes[HEADER_BYTES..];
        let value = from_avro_datum(&current, &mut body, Some(&older)).unwrap();
        let Value::Record(fields) = value else { panic!("{name} is no record") };
        let kind = fields.iter().find(|(field, _)| field == "kind").unwrap();
        assert!(matches!(kind.1, Value::String(_)), "{name}");
        assert!(fields.iter().all(|(field, _)| field != "tick"));
    }
}

#[test]
fn a_registrys_ids_are_written_and_read() {
    let codecs = Codecs::new(Arc::new(Registry::default())).unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    encode_command(&samples::join(), &mut ours);
    codecs.encode_command(&samples::join(), &mut theirs);
    assert_eq!(theirs[..HEADER_BYTES], [&[0][..], &CURRENT.to_be_bytes()].concat());
    assert_eq!(theirs[HEADER_BYTES..], ours[HEADER_BYTES..]);
    assert_eq!(codecs.decode_command(&theirs), Ok(samples::join()));
    // Built-in ids mean nothing to a registry that did not give them.
    let id = Codecs::builtin().id(Record::EventCommand);
    assert_eq!(codecs.decode_command(&ours), Err(DecodeError::UnknownSchema { id }));
}

#[test]
fn a_registry_that_is_down_is_asked_again_and_is_no_poison() {
    let registry = Arc::new(Registry::default());
    let codecs = Codecs::new(registry.clone()).unwrap();
    let mut current = Vec::new();
    encode_command(&samples::join(), &mut current);
    let bytes = rewritten(&newer(), NEWER, &current);
    registry.is_down.store(true, Ordering::Relaxed);
    let error = codecs.decode_command(&bytes).unwrap_err();
    assert_eq!((error.kind(), error.class()), ("schema_unavailable", ErrorClass::Retry));
    registry.is_down.store(false, Ordering::Relaxed);
    assert_eq!(codecs.decode_command(&bytes), Ok(samples::join()));
    // What was asked once is not asked again.
    registry.is_down.store(true, Ordering::Relaxed);
    assert_eq!(codecs.decode_command(&bytes), Ok(samples::join()));
}

#[test]
fn a_schema_under_a_second_id_is_read_as_strictly_as_under_the_first() {
    let codecs = Codecs::new(Arc::new(Registry::default())).unwrap();
    for (_, name, mut bytes) in samples::all().into_iter().filter(|s| s.0 == Record::EventCommand) {
        let expected = cityevents_schemas::message::decode_command(&bytes);
        bytes[1..HEADER_BYTES].copy_from_slice(&SAME.to_be_bytes());
        assert_eq!(codecs.decode_command(&bytes), expected, "{name}");
        bytes.push(0);
        assert_eq!(codecs.decode_command(&bytes), Err(DecodeError::TrailingBytes { bytes: 1 }));
        bytes.truncate(bytes.len() - 2);
        assert!(codecs.decode_command(&bytes).is_err(), "{name}");
    }
}

#[test]
fn a_cut_or_longer_record_of_another_version_is_refused() {
    let codecs = Codecs::new(Arc::new(Registry::default())).unwrap();
    let mut current = Vec::new();
    encode_command(&samples::join(), &mut current);
    let mut bytes = rewritten(&newer(), NEWER, &current);
    for end in 0..bytes.len() {
        assert!(codecs.decode_command(&bytes[..end]).is_err(), "{end}");
    }
    bytes.push(0);
    assert_eq!(codecs.decode_command(&bytes), Err(DecodeError::TrailingBytes { bytes: 1 }));
    assert!(decode_link(&bytes).is_err());
}
