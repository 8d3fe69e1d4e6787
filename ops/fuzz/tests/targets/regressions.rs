//! Inputs that once failed, the smallest of each kind.

use cityevents_fuzz::{Seen, run_one};
use cityevents_runtime::chain::Cursor;
use cityevents_runtime::snapshot::Description;

use super::{domain, runtime};

/// What an input came to. Fails as its target would.
fn seen(check: impl FnMut(&[u8]) -> Result<Seen, String>, input: &[u8]) -> Seen {
    run_one("regression", input, check).unwrap_or_else(|failure| panic!("{failure}"))
}

/// When the state below was written, in milliseconds since 1970.
const LOG_TIME: i64 = 1_800_000_000_000;

/// A state with one published event and some remembered commands, each of a time.
fn state(version: u32, seq: u64, tickets_drawn: u32, remembered_at: &[i64]) -> Vec<u8> {
    let time = |offset: i64| (LOG_TIME + offset).to_le_bytes();
    let mut out = Vec::new();
    out.extend(time(0));
    out.extend(1_u32.to_le_bytes());
    out.push(0);
    // The event: id, owner, texts, times, capacity 1, a line of 9, no opening, no pictures.
    out.extend([[0xe1; 16], [0x0a; 16]].concat());
    for _ in 0..5 {
        out.extend([1, 0, 0, 0, b'x']);
    }
    out.extend([time(3_600_000), time(7_200_000)].concat());
    out.extend([1, 0, 0, 0]);
    out.extend([1, 9, 0, 0, 0]);
    out.push(0);
    out.extend([0; 4]);
    out.push(1);
    out.extend(version.to_le_bytes());
    out.extend([time(0), time(0)].concat());
    out.push(1);
    out.extend(time(0));
    out.push(0);
    // Its state: nothing due, nobody expired, nobody registered, nobody banned.
    out.extend(seq.to_le_bytes());
    out.extend(tickets_drawn.to_le_bytes());
    out.push(0);
    out.extend([0; 12]);
    out.extend((remembered_at.len() as u32).to_le_bytes());
    for (number, at) in remembered_at.iter().enumerate() {
        out.extend([number as u8; 16]);
        out.extend([0; 8]);
        out.extend(time(*at));
        out.push(1);
    }
    out
}

#[test]
fn a_good_state_is_read_and_used() {
    assert_eq!(seen(domain::check, &state(1, 1, 0, &[-5, 0])), Seen::Accepted);
    assert_eq!(seen(domain::check, &state(1, 1 << 40, 7, &[])), Seen::Accepted);
}

#[test]
fn a_state_whose_next_fact_would_have_no_number_is_refused() {
    for near in [0, 1, 9] {
        let last = u64::MAX - near;
        assert_eq!(seen(domain::check, &state(1, last, 0, &[])), Seen::Refused, "{last}");
    }
}

#[test]
fn a_state_whose_next_version_would_have_no_number_is_refused() {
    for near in [0, 1, 9] {
        let last = u32::MAX - near;
        assert_eq!(seen(domain::check, &state(last, 1, 0, &[])), Seen::Refused, "{last}");
    }
}

#[test]
fn a_state_whose_next_ticket_would_be_none_is_refused() {
    for near in [0, 1, 9] {
        let last = u32::MAX - near;
        assert_eq!(seen(domain::check, &state(1, 1, last, &[])), Seen::Refused, "{last}");
    }
}

#[test]
fn a_state_that_remembers_a_command_of_later_is_refused() {
    // Reading it forgot two commands with each that came; reading it again forgot two more.
    let days = 48 * 3_600_000;
    assert_eq!(seen(domain::check, &state(1, 1, 0, &[0, 0, 0, days])), Seen::Refused);
}

#[test]
fn a_cursor_behind_which_no_command_can_come_is_refused() {
    let cursor = |offset| Cursor { offset, digest: [7; 16] }.to_text().into_bytes();
    assert_eq!(seen(runtime::check_cursor, &cursor(i64::MAX)), Seen::Refused);
    assert_eq!(seen(runtime::check_cursor, &cursor(i64::MAX - 1)), Seen::Accepted);
}

fn description(topology: &str) -> Description {
    Description {
        topology: topology.to_owned(),
        fold_version: 1,
        command_topic_id: "c".to_owned(),
        fact_topic_id: "f".to_owned(),
        partition: 0,
        fact_offset: 1,
        cursor: Cursor { offset: 4, digest: [5; 16] }.to_text(),
        taken_at_ms: 6,
        state_bytes: 5,
    }
}

#[test]
fn a_snapshot_that_claims_another_length_than_its_state_has_is_refused() {
    let snapshots = runtime::Snapshots::new();
    let file = snapshots.file_of(&description("t"), b"state");
    let body = &file[..file.len() - blake3::OUT_LEN];
    let claiming = |bytes: &str| {
        // As long as before where it has one digit; else the length of the description moves.
        let mut body = body.to_vec();
        let key = b"\"state_bytes\":";
        let at = body.windows(key.len()).position(|part| part == key).unwrap() + key.len();
        body.splice(at..=at, bytes.bytes());
        body[8] += (bytes.len() - 1) as u8;
        runtime::sealed(&body)
    };
    let check = |input: &[u8]| snapshots.check(input);
    assert_eq!(seen(check, &claiming("5")), Seen::Accepted);
    for wrong in ["0", "4", "9", "65536", "68719476736", "18446744073709551615"] {
        assert_eq!(seen(check, &claiming(wrong)), Seen::Refused, "{wrong}");
    }
}

#[test]
fn a_snapshot_is_found_again_whatever_signs_its_topology_has() {
    let snapshots = runtime::Snapshots::new();
    for topology in ["a{b", "100%", "ä", "a b", ".."] {
        let file = snapshots.file_of(&description(topology), b"state");
        assert_eq!(seen(|input| snapshots.check(input), &file), Seen::Accepted, "{topology}");
    }
}
