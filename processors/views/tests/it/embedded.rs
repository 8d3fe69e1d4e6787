//! The adapter in a folder.

use std::fs;
use std::path::Path;

use cityevents_views::embedded::{Options, discard_rows};
use cityevents_views::testing::build::{active, at, event, event_id, user_id};
use cityevents_views::testing::{done, put};
use cityevents_views::{OwnEventsQuery, PersonKey, Views, ViewsError};

pub(crate) fn open_dir(dir: &Path) -> Result<Views, ViewsError> {
    Views::embedded(dir, Options::default())
}

fn open() -> (Views, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (open_dir(dir.path()).unwrap(), dir)
}

cityevents_views::contract_suite!(open);

fn refused(dir: &Path) -> ViewsError {
    open_dir(dir).err().unwrap()
}

#[test]
fn rows_lists_and_keys_are_there_after_opening_again() {
    let (views, dir) = open();
    put(&views, event(1, 100), 5);
    put(&views, active(1, 2, 50), 5);
    let insert = |views: &Views, key| {
        done(views.person_keys.insert_person_key_if_absent(user_id(1), PersonKey([key; 32])))
    };
    insert(&views, 1);
    done(views.person_keys.erase_person_key(user_id(2)));
    drop(views);
    let views = open_dir(dir.path()).unwrap();
    assert_eq!(done(views.events.event(event_id(1))), Some(event(1, 100)));
    let query = OwnEventsQuery { owner: user_id(1), statuses: None, after: None, limit: 10 };
    assert_eq!(done(views.events.own_events(query)).items, [event(1, 100)]);
    assert_eq!(done(views.registrations.own_joins(user_id(2), None, 10)).items.len(), 1);
    assert_eq!(insert(&views, 2), Some(PersonKey([1; 32])));
    assert_eq!(
        done(views.person_keys.insert_person_key_if_absent(user_id(2), PersonKey([3; 32]))),
        None
    );
    // What was written before still counts against late writes.
    put(&views, event(1, 900), 4);
    assert_eq!(done(views.events.event(event_id(1))), Some(event(1, 100)));
}

#[test]
fn an_erased_key_is_in_no_file_of_the_folder() {
    let (views, dir) = open();
    let key = [0xa7; 32];
    done(views.person_keys.insert_person_key_if_absent(user_id(1), PersonKey(key)));
    assert!(holds(dir.path(), &key), "the search finds what is there");
    done(views.person_keys.erase_person_key(user_id(1)));
    assert!(!holds(dir.path(), &key));
}

fn holds(dir: &Path, needle: &[u8]) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        fs::read(&path).unwrap().windows(needle.len()).any(|window| window == needle)
    })
}

#[test]
fn a_folder_in_use_is_refused_with_the_process_that_has_it() {
    let (views, dir) = open();
    let error = refused(dir.path());
    let pid = std::process::id();
    assert!(matches!(error, ViewsError::InUse { holder: Some(holder), .. } if holder == pid));
    assert!(error.to_string().contains(&format!("process {pid}")), "{error}");
    assert!(matches!(discard_rows(dir.path()), Err(ViewsError::InUse { .. })));
    drop(views);
    open_dir(dir.path()).unwrap();
}

#[test]
fn a_folder_with_other_files_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("holiday.jpg"), "x").unwrap();
    assert!(matches!(refused(dir.path()), ViewsError::ForeignFolder { .. }));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_of_a_newer_program_is_refused_and_left_as_it_is() {
    let (views, dir) = open();
    put(&views, event(1, 100), 1);
    drop(views);
    let marker = dir.path().join("FORMAT");
    let known = fs::read_to_string(&marker).unwrap();
    fs::write(&marker, "cityevents tables, format 4000000000\n").unwrap();
    let error = refused(dir.path());
    assert!(matches!(error, ViewsError::NewerFolder { found: 4_000_000_000, .. }), "{error}");
    fs::write(&marker, known).unwrap();
    let views = open_dir(dir.path()).unwrap();
    assert_eq!(done(views.events.event(event_id(1))), Some(event(1, 100)));
}

#[test]
fn a_damaged_marker_is_named() {
    let (views, dir) = open();
    drop(views);
    let marker = dir.path().join("FORMAT");
    for damaged in ["", "cityevents tables, format ", "cityevents tables, format 1", "format 1\n"] {
        fs::write(&marker, damaged).unwrap();
        let error = refused(dir.path());
        assert!(matches!(&error, ViewsError::DamagedMarker { file } if *file == marker));
        assert_eq!(error.kind(), "damaged_marker");
    }
}

#[test]
fn damaged_tables_are_refused_and_can_be_discarded_without_losing_keys() {
    let (views, dir) = open();
    put(&views, event(1, 100), 1);
    let key = PersonKey([5; 32]);
    done(views.person_keys.insert_person_key_if_absent(user_id(1), key));
    drop(views);
    for entry in fs::read_dir(dir.path().join("rows")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::write(path, "garbage").unwrap();
        }
    }
    let error = refused(dir.path());
    assert_eq!((error.kind(), error.is_transient()), ("engine", false), "{error}");
    discard_rows(dir.path()).unwrap();
    let views = open_dir(dir.path()).unwrap();
    assert_eq!(done(views.events.event(event_id(1))), None);
    assert_eq!(done(views.person_keys.person_key(user_id(1))), Some(key));
}

#[test]
fn a_damaged_key_is_an_error_and_not_an_absent_key() {
    let (views, dir) = open();
    done(views.person_keys.insert_person_key_if_absent(user_id(1), PersonKey([5; 32])));
    let shard = fs::read_dir(dir.path().join("keys")).unwrap().next().unwrap().unwrap().path();
    let file = shard.join(user_id(1).to_string());
    for (content, kind) in
        [(&[][..], "damaged_row"), (&[1, 1, 7], "damaged_row"), (&[2, 1, 7], "newer_row")]
    {
        fs::write(&file, content).unwrap();
        let answer = futures::executor::block_on(views.person_keys.person_key(user_id(1)));
        assert_eq!(answer.unwrap_err().kind(), kind);
    }
}

#[test]
fn expired_outcomes_are_taken_away_when_table_files_are_merged() {
    use cityevents_views::embedded::EmbeddedViews;
    use cityevents_views::testing::build::command_id;
    use cityevents_views::{Mutation, OutcomeRow, OutcomeVerdict, WriteTables, WriteTimestamp};

    const DAY_MS: i64 = 86_400_000;
    let dir = tempfile::tempdir().unwrap();
    let views = EmbeddedViews::open(dir.path(), Options::default()).unwrap();
    let write = |numbers: std::ops::Range<u64>, decided_at: i64| {
        let row = |number| OutcomeRow {
            command: command_id(number),
            event: Some(event_id(1)),
            user: Some(user_id(2)),
            verdict: OutcomeVerdict::Undecodable,
            at: at(decided_at),
            expires_at: at(decided_at + DAY_MS),
        };
        let rows = numbers.map(|number| Mutation::new(row(number), WriteTimestamp(1))).collect();
        done(views.write(rows));
    };
    write(0..20_000, 0);
    views.compact().unwrap();
    let before_bytes = views.disk_bytes();
    write(20_000..20_010, 3 * DAY_MS);
    views.compact().unwrap();
    let after_bytes = views.disk_bytes();
    assert!(after_bytes < before_bytes / 10, "{before_bytes} bytes, then {after_bytes}");
}
