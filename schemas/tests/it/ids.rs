//! Built-in schema ids and frozen versions never change: logs carry them.

use cityevents_schemas::{BuiltinIds, Codecs, Record, SchemaIds, Version};

/// Id, record, version, and a fingerprint of the schema. Add lines for new versions; change
/// none.
const FROZEN: [(u32, &str, u32, u64); 12] = [
    (1001, "EventCommand", 1, 0xcd96_9c39_b644_08a6),
    (1002, "EventCommand", 2, 0x4ee7_d3f6_75ab_184d),
    (2001, "EventFact", 1, 0xc838_5f5f_7f4c_3e62),
    (3001, "CommandReply", 1, 0xea23_0872_9c2a_daac),
    (4001, "Event", 1, 0x4b6c_9a7b_a26e_8bf6),
    (5001, "Registration", 1, 0x1133_0277_3977_8999),
    (6001, "AccountChange", 1, 0x60bb_bcd1_09d6_96a5),
    (6002, "AccountChange", 2, 0xf82a_920a_6db3_bc28),
    (7001, "Email", 1, 0x82a8_fd04_9a62_d571),
    (8001, "Engagement", 1, 0x3cb1_aa28_9ad0_bb68),
    (9001, "UserSignal", 1, 0x61af_d772_d137_35c3),
    (10001, "Trend", 1, 0x6a62_d196_bf4e_2394),
];

fn versions() -> Vec<&'static Version> {
    Record::ALL.into_iter().flat_map(Record::versions).collect()
}

/// FNV-1a of the source's text: the comments and defaults count too.
fn fingerprint(source: &str) -> u64 {
    source.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[test]
fn ids_and_the_schemas_that_they_stand_for_never_change() {
    let found: Vec<_> = versions()
        .into_iter()
        .map(|v| (v.id, v.record.name(), v.number, fingerprint(v.source)))
        .collect();
    assert_eq!(found, FROZEN);
}

#[test]
fn the_current_schema_is_the_last_frozen_version() {
    for record in Record::ALL {
        let last = record.versions().next_back().unwrap();
        assert_eq!(
            record.source(),
            last.source,
            "{0}.avsc differs from its version {1}: add avro/versions/{0}/v{2}.avsc",
            record.name(),
            last.number,
            last.number + 1,
        );
        let numbers: Vec<_> = record.versions().map(|version| version.number).collect();
        assert_eq!(numbers, (1..=last.number).collect::<Vec<_>>());
        assert_eq!(BuiltinIds.current(record), Ok(last.id));
        assert_eq!(Codecs::builtin().id(record), last.id);
    }
}

#[test]
fn the_built_in_ids_find_their_schemas_and_no_others() {
    for version in versions() {
        assert_eq!(BuiltinIds.writer(version.id).unwrap().as_deref(), Some(version.source));
    }
    assert_eq!(BuiltinIds.writer(0), Ok(None));
}
