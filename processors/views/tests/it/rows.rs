//! Stored rows: what their bytes are, and what is refused.

use cityevents_domain::refusal::Refusal;
use cityevents_views::codec::{Table, decode, encode};
use cityevents_views::testing::build::{
    active, at, ban, command_id, counters, event, event_id, waiting,
};
use cityevents_views::testing::trends::{profile, taken};
use cityevents_views::{
    BanRow, CountersRow, EventRow, OutcomeRow, OutcomeVerdict, ProfileRow, ProgressRow,
    RegistrationRow, TrendRow, ViewsError, WriteTimestamp,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn progress() -> ProgressRow {
    ProgressRow { projection: "rows".into(), partition: 3, next_offset: 300, cursor: "c".into() }
}

fn outcome() -> OutcomeRow {
    OutcomeRow {
        command: command_id(3),
        event: Some(event_id(1)),
        user: None,
        verdict: OutcomeVerdict::Refused(Refusal::NotOpenYet { opens_at: at(-7) }),
        at: at(5),
        expires_at: at(86_400_005),
    }
}

#[test]
fn the_bytes_of_rows_never_change() {
    let at = WriteTimestamp(300);
    assert_eq!(hex(&encode(&event(1, 100), at)), EVENT);
    assert_eq!(hex(&encode(&waiting(1, 2, 50, 7), at)), REGISTRATION);
    assert_eq!(hex(&encode(&ban(1, 2), at)), BAN);
    assert_eq!(hex(&encode(&counters(1, 5, 9), at)), COUNTERS);
    assert_eq!(hex(&encode(&progress(), at)), PROGRESS);
    assert_eq!(hex(&encode(&outcome(), at)), OUTCOME);
    assert_eq!(hex(&encode(&taken("Bern", 1, 200, 3), at)), TREND);
    assert_eq!(hex(&encode(&profile(4, 1_000), at)), PROFILE);
}

#[test]
fn a_row_of_a_newer_version_is_refused_by_name() {
    let mut bytes = encode(&counters(1, 5, 9), WriteTimestamp(1));
    bytes[0] = 2;
    let error = decode::<CountersRow>(&bytes).unwrap_err();
    assert!(matches!(error, ViewsError::NewerRow { table: "counters", found: 2, known: 1 }));
    bytes[0] = 0;
    assert_eq!(decode::<CountersRow>(&bytes).unwrap_err().kind(), "damaged_row");
}

fn refuses_every_damage<R: Table + Clone + PartialEq + std::fmt::Debug>(row: &R) {
    let bytes = encode(row, WriteTimestamp(7));
    assert_eq!(decode::<R>(&bytes).unwrap(), (row.clone(), WriteTimestamp(7)));
    for length in 0..bytes.len() {
        let error = decode::<R>(&bytes[..length]).unwrap_err();
        assert_eq!(error.kind(), "damaged_row", "{length} of {} bytes", bytes.len());
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(decode::<R>(&longer).unwrap_err().kind(), "damaged_row");
    // Whatever a flipped bit does, it is an answer.
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << bit;
            drop(decode::<R>(&flipped));
        }
    }
}

#[test]
fn a_row_cut_short_or_with_bytes_left_over_is_refused() {
    refuses_every_damage::<EventRow>(&event(1, 100));
    refuses_every_damage::<RegistrationRow>(&active(1, 2, 50));
    refuses_every_damage::<BanRow>(&ban(1, 2));
    refuses_every_damage::<CountersRow>(&counters(1, 5, 9));
    refuses_every_damage::<ProgressRow>(&progress());
    refuses_every_damage::<OutcomeRow>(&outcome());
    refuses_every_damage::<TrendRow>(&taken("Bern", 1, 200, 3));
    let empty = TrendRow { entry: None, ..taken("Bern", 1, 200, 3) };
    refuses_every_damage::<TrendRow>(&empty);
    refuses_every_damage::<ProfileRow>(&profile(4, 1_000));
}

const EVENT: &str = "\
    01ac0202e0e0e0e0e0e0e0e00000000000000001a0a0a0a0a0a0a0a0000000000000000109707562\
    6c69736865640c4a617a7a206e696768742031054bc3b66c6e054d75736963224f70656e20616972\
    2c20776974682074686520c581c3b364c5ba207175617274657400c8019811640107010102030303\
    0303030303030303030303030304040404040404040404040404040404021628011e00";
const REGISTRATION: &str = "\
    01ac02e0e0e0e0e0e0e0e00000000000000001a0a0a0a0a0a0a0a000000000000000020a77616974\
    6c69737465646464010700066a6f696e6564010800";
const BAN: &str = "\
    01ac02e0e0e0e0e0e0e0e00000000000000001a0a0a0a0a0a0a0a0000000000000000201a0a0a0a0\
    a0a0a0a00000000000000002a0a0a0a0a0a0a0a000000000000000013c015001030001ff";
const COUNTERS: &str = "01ac02e0e0e0e0e0e0e0e0000000000000000109050301";
const PROGRESS: &str = "01ac0204726f777303ac020163";
const TREND: &str = "\
    01ac02046265726e01c80101e0e0e0e0e0e0e0e00000000000000003056d75736963c8019003a39c\
    e30901ac020264";
const PROFILE: &str = "\
    01ac02d0ffb252d00f0404040404040404040404040404040403cc0f0102020202020202020a6361\
    7465676f72792032ce0f0001010101010101010a63617465676f72792031d00f0100000000000000\
    000a63617465676f72792030";
const OUTCOME: &str = "\
    01ac028af0b2520ac0c0c0c0c0c0c0c0000000000000000301e0e0e0e0e0e0e0e000000000000000\
    0100030c6e6f745f6f70656e5f796574010d";
