//! Golden bytes: what was written once is readable for ever. Each version of each record has files
//! `golden/<Record>/v<n>/<sample>.hex` (the framed record) and `.json` (the same by the names of
//! its fields, as apache-avro reads it, so that two fields that trade places are seen).
//!
//! `UPDATE_GOLDEN=1` writes the files that are missing; it never changes one.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use apache_avro::types::Value;
use apache_avro::{Schema, from_avro_datum};
use cityevents_schemas::{HEADER_BYTES, Record, Version, schema_id};
use serde_json::Value as Json;

use crate::{reread, samples};

const BYTES_PER_LINE: usize = 40;

fn folder(version: &Version) -> PathBuf {
    let name = version.record.name();
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}/v{}", version.number))
}

fn to_hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    bytes.chunks(BYTES_PER_LINE).map(|chunk| line(chunk) + "\n").collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    assert_eq!(digits.len() % 2, 0);
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

/// By names of fields; bytes and ids in hex.
fn to_json(source: &str, framed: &[u8]) -> Json {
    let schema = Schema::parse_str(source).unwrap();
    let mut body = &framed[HEADER_BYTES..];
    let value = from_avro_datum(&schema, &mut body, None).unwrap();
    assert!(body.is_empty());
    Json::try_from(readable(value)).unwrap()
}

fn readable(value: Value) -> Value {
    match value {
        Value::Fixed(_, bytes) | Value::Bytes(bytes) => {
            Value::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
        }
        Value::Union(branch, inner) => Value::Union(branch, Box::new(readable(*inner))),
        Value::Array(items) => Value::Array(items.into_iter().map(readable).collect()),
        Value::Record(fields) => {
            Value::Record(fields.into_iter().map(|(name, value)| (name, readable(value))).collect())
        }
        other => other,
    }
}

/// The names of the samples of a version, and their bytes.
pub fn of(version: &Version) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder(version)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            found.push((name, from_hex(&fs::read_to_string(path).unwrap())));
        }
    }
    found.sort();
    found
}

#[test]
fn encoding_reproduces_the_golden_bytes_of_the_current_version() {
    for record in Record::ALL {
        let version = record.versions().next_back().unwrap();
        let folder = folder(version);
        let mut names = BTreeSet::new();
        for (_, name, bytes) in samples::all().into_iter().filter(|sample| sample.0 == record) {
            names.insert(name.to_owned());
            let (hex, json) =
                (folder.join(format!("{name}.hex")), folder.join(format!("{name}.json")));
            let pretty = serde_json::to_string_pretty(&to_json(version.source, &bytes)).unwrap();
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                fs::create_dir_all(&folder).unwrap();
                if !hex.exists() {
                    fs::write(&hex, to_hex(&bytes)).unwrap();
                }
                if !json.exists() {
                    fs::write(&json, pretty.clone() + "\n").unwrap();
                }
            }
            let golden = fs::read_to_string(&hex).unwrap_or_default();
            assert_eq!(to_hex(&bytes), golden, "{}", hex.display());
            let golden = fs::read_to_string(&json).unwrap_or_default();
            assert_eq!(pretty, golden.trim_end(), "{}", json.display());
        }
        let files: BTreeSet<_> = of(version).into_iter().map(|(name, _)| name).collect();
        assert_eq!(files, names, "{}", folder.display());
    }
}

#[test]
fn every_version_is_readable_by_the_current_reader() {
    for record in Record::ALL {
        let current = record.versions().next_back().unwrap();
        for version in record.versions() {
            let golden = of(version);
            assert!(!golden.is_empty(), "{} v{}", record.name(), version.number);
            for (name, bytes) in golden {
                assert_eq!(schema_id(&bytes), Ok(version.id), "{name}");
                let rewritten = reread::rewritten(record, &bytes);
                assert!(rewritten.is_ok(), "{} {name}: {rewritten:?}", record.name());
                if version == current {
                    assert_eq!(rewritten, Ok(bytes), "{} {name}", record.name());
                }
            }
        }
    }
}
