//! What is left of records after a crash: a change that was answered is there, and so is every change
//! that was answered before it.

use std::fs;

use cityevents_views::Views;
use cityevents_views::records::{
    Change, Place, PlacesQuery, RecordKey, RecordKind, RecordValue, Revision,
};
use cityevents_views::testing::build::at;
use cityevents_views::testing::done;

use crate::crash::{copy, journal_of, kill_who_writes, random, write_until_killed};
use crate::embedded::open_dir;

const LIST: &[u8] = b"steps";

fn revision(step: u64) -> Revision {
    Revision(u128::from(step).to_be_bytes())
}

fn key(name: &str) -> RecordKey {
    RecordKey::new(RecordKind::Account, name)
}

fn value(step: u64) -> Option<RecordValue> {
    // Some with an expiry that is far away: those write two entries.
    let expires_at = step.is_multiple_of(3).then(|| at(i64::MAX / 2));
    Some(RecordValue { content: step.to_be_bytes().repeat(20), expires_at })
}

/// One step: a record of its own, a place, and then the record that says how many there are.
fn write_step(views: &Views, step: u64) {
    let own = Change {
        key: key(&format!("step {step}")),
        expected: None,
        revision: revision(step),
        value: value(step),
    };
    assert!(done(views.records.change(own)));
    let place = Place { list: LIST.to_vec(), position: step.to_be_bytes().to_vec() };
    done(views.records.add_place(place, at(1)));
    let expected = step.checked_sub(1).map(revision);
    let count =
        Change { key: key("count"), expected, revision: revision(step), value: value(step) };
    assert!(done(views.records.change(count)));
}

/// How many steps the records say are done, after checking that they are, and that nothing is left of
/// later ones but what the crash cut.
fn steps_done(views: &Views) -> u64 {
    let (steps, places) = steps_and_places(views);
    // The step that the crash cut may have left its place.
    assert!((steps..=steps + 1).contains(&places), "{places} of {steps}");
    steps
}

/// How many steps the records say are done, after checking that they are, and how many places there
/// are.
fn steps_and_places(views: &Views) -> (u64, u64) {
    let count = done(views.records.record(key("count")));
    let steps = count.map_or(0, |record| {
        let step = u128::from_be_bytes(record.revision.0) as u64;
        assert_eq!(Some(record.value), value(step));
        step + 1
    });
    for step in 0..steps {
        let record = done(views.records.record(key(&format!("step {step}"))));
        assert_eq!(record.map(|record| Some(record.value)), Some(value(step)), "{step} of {steps}");
    }
    let query =
        PlacesQuery { list: LIST.to_vec(), descending: false, after: None, limit: usize::MAX };
    let places = done(views.records.places(query)).len() as u64;
    assert!(steps <= places, "{places} of {steps}");
    (steps, places)
}

/// One step; what is left of one that was cut off goes first: its record is there or not.
fn go_on(views: &Views, step: u64) {
    if let Some(record) = done(views.records.record(key(&format!("step {step}")))) {
        let expected = Some(record.revision);
        let change = Change {
            key: key(&format!("step {step}")),
            expected,
            revision: revision(u64::MAX),
            value: None,
        };
        assert!(done(views.records.change(change)));
    }
    write_step(views, step);
}

#[test]
fn a_journal_of_records_cut_or_damaged_anywhere_leaves_a_beginning_of_what_was_answered() {
    const STEPS: u64 = 60;
    let original = tempfile::tempdir().unwrap();
    let views = open_dir(original.path()).unwrap();
    (0..STEPS).for_each(|step| write_step(&views, step));
    drop(views);
    let bytes = fs::read(journal_of(original.path(), "records")).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let bytes = &bytes[..end];

    let (seed, offsets) = random(16, end);
    println!("SEED={seed}");
    let reopen = |content: &[u8], steps_done: fn(&Views) -> u64| {
        let dir = tempfile::tempdir().unwrap();
        copy(original.path(), dir.path());
        fs::write(journal_of(dir.path(), "records"), content).unwrap();
        open_dir(dir.path()).map(|views| {
            let steps = steps_done(&views);
            // And it can be gone on with.
            go_on(&views, steps);
            assert_eq!(steps_done(&views), steps + 1, "SEED={seed}");
            steps
        })
    };
    assert_eq!(reopen(bytes, steps_done).unwrap(), STEPS);
    // The checksums of the journal do not cover the sequence numbers of its batches: where one of those
    // is damaged, a version of the count may win over later ones.
    let steps_told = |views: &Views| steps_and_places(views).0;
    let mut lost_some = false;
    for offset in offsets {
        lost_some |= reopen(&bytes[..offset], steps_done).unwrap() < STEPS;
        let mut damaged = bytes.to_vec();
        damaged[offset] ^= 0x55;
        match reopen(&damaged, steps_told) {
            Ok(steps) => assert!(steps <= STEPS),
            Err(error) => assert!(
                matches!(error.kind(), "engine" | "damaged_files"),
                "{error}: SEED={seed} offset {offset}"
            ),
        }
    }
    assert!(lost_some, "no cut took anything away: SEED={seed}");
}

#[test]
fn a_killed_process_leaves_every_change_of_a_record_that_was_answered() {
    let chance = random(5, 100);
    println!("SEED={}", chance.0);
    kill_who_writes("crash_records::changes_records_until_it_is_killed", chance, steps_done);
}

#[test]
#[ignore = "a part of the test above, which runs it as a process of its own"]
fn changes_records_until_it_is_killed() {
    write_until_killed(steps_done, go_on, |step| println!("step {step}"));
}
