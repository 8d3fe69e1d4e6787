//! The ids of a process are chosen once, before anything is written or read. Each case runs in a
//! process of its own: this test binary again, with the case's name in the environment.

use std::process::Command;
use std::sync::Arc;

use cityevents_schemas::message::{decode_command, encode_command};
use cityevents_schemas::{
    BuiltinIds, Codecs, HEADER_BYTES, InstallError, Record, SchemaIds, SchemaLookupError, schema_id,
};

use crate::samples;

const CASE: &str = "CITYEVENTS_TEST_INSTALL_CASE";

/// Gives the records ids of its own.
struct Given;

impl SchemaIds for Given {
    fn current(&self, record: Record) -> Result<u32, SchemaLookupError> {
        Ok(70 + Record::ALL.iter().position(|one| *one == record).unwrap() as u32)
    }

    fn writer(&self, id: u32) -> Result<Option<Arc<str>>, SchemaLookupError> {
        let record = id.checked_sub(70).and_then(|place| Record::ALL.get(place as usize));
        Ok(record.map(|record| record.source().into()))
    }
}

fn given() -> Arc<Codecs> {
    Arc::new(Codecs::new(Arc::new(Given)).unwrap())
}

fn in_own_process(name: &str, case: fn()) {
    if std::env::var(CASE).as_deref() == Ok(name) {
        return case();
    }
    let own = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("install::{name}"), "--nocapture"])
        .env(CASE, name)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&own.stdout);
    assert!(own.status.success(), "{text}{}", String::from_utf8_lossy(&own.stderr));
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn a_process_writes_and_reads_with_the_ids_it_chose() {
    in_own_process("a_process_writes_and_reads_with_the_ids_it_chose", || {
        Codecs::install(given()).unwrap();
        for (record, name, bytes) in samples::all() {
            assert_eq!(schema_id(&bytes).unwrap(), Given.current(record).unwrap(), "{name}");
        }
        let mut bytes = Vec::new();
        encode_command(&samples::join(), &mut bytes);
        assert_eq!(bytes[..HEADER_BYTES], [0, 0, 0, 0, 70]);
        assert_eq!(decode_command(&bytes), Ok(samples::join()));
        assert_eq!(Codecs::install(given()), Err(InstallError::Chosen));
    });
}

#[test]
fn after_the_first_record_it_is_too_late_to_choose() {
    in_own_process("after_the_first_record_it_is_too_late_to_choose", || {
        let mut bytes = Vec::new();
        encode_command(&samples::join(), &mut bytes);
        assert_eq!(schema_id(&bytes).ok(), BuiltinIds.current(Record::EventCommand).ok());
        assert_eq!(Codecs::install(given()), Err(InstallError::TooLate));
        assert_eq!(decode_command(&bytes), Ok(samples::join()));
    });
}
