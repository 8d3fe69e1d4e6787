//! Records and places.

use std::sync::Barrier;
use std::sync::atomic::{AtomicU8, Ordering};

use cityevents_domain::time::Timestamp;

use super::{done, walk_places};
use crate::Views;
use crate::records::{
    Change, Place, PlacesQuery, Record, RecordKey, RecordKind, RecordValue, Revision,
};

const THREADS: usize = 8;

fn key(id: &str) -> RecordKey {
    RecordKey::new(RecordKind::Account, id)
}

fn revision(number: u8) -> Revision {
    Revision([number; 16])
}

fn value(content: &str) -> RecordValue {
    RecordValue { content: content.into(), expires_at: None }
}

fn change(id: &str, expected: Option<u8>, number: u8, content: Option<&str>) -> Change {
    Change {
        key: key(id),
        expected: expected.map(revision),
        revision: revision(number),
        value: content.map(value),
    }
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as i64)
}

fn place(list: &str, position: &str) -> Place {
    Place { list: list.into(), position: position.into() }
}

fn all(views: &Views, list: &str, descending: bool) -> Vec<String> {
    walk_places(|after| {
        let query = PlacesQuery { list: list.into(), descending, after, limit: 2 };
        done(views.records.places(query))
    })
}

pub fn a_record_reads_back_as_it_was_written(views: &Views) {
    assert_eq!(done(views.records.record(key("a"))), None);
    assert!(done(views.records.change(change("a", None, 1, Some("first")))));
    let expected = Record { revision: revision(1), value: value("first") };
    assert_eq!(done(views.records.record(key("a"))), Some(expected));
    assert!(done(views.records.change(change("empty", None, 1, Some("")))));
    assert_eq!(done(views.records.record(key("empty"))).unwrap().value, value(""));
    assert_eq!(done(views.records.record(key("b"))), None);
}

pub fn a_record_is_changed_only_by_who_knows_its_revision(views: &Views) {
    assert!(!done(views.records.change(change("a", Some(1), 2, Some("of nothing")))));
    assert!(done(views.records.change(change("a", None, 1, Some("first")))));
    assert!(!done(views.records.change(change("a", None, 2, Some("again")))));
    assert!(!done(views.records.change(change("a", Some(9), 2, Some("guessed")))));
    assert!(!done(views.records.change(change("a", Some(9), 2, None))));
    assert!(done(views.records.change(change("a", Some(1), 2, Some("second")))));
    assert!(!done(views.records.change(change("a", Some(1), 3, Some("late")))));
    let expected = Record { revision: revision(2), value: value("second") };
    assert_eq!(done(views.records.record(key("a"))), Some(expected));
}

pub fn many_changes_are_answered_one_by_one_in_their_order(views: &Views) {
    assert!(done(views.records.change(change("a", None, 1, Some("first")))));
    let changes = vec![
        change("b", None, 2, Some("new")),
        change("a", Some(9), 3, Some("guessed")),
        change("a", Some(1), 4, Some("second")),
        change("c", Some(1), 5, Some("of nothing")),
        change("d", None, 6, Some("new")),
    ];
    let answers = futures::executor::block_on(views.records.change_all(changes));
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [true, false, true, false, true]);
    for (id, content) in [("a", "second"), ("b", "new"), ("d", "new")] {
        assert_eq!(done(views.records.record(key(id))).unwrap().value, value(content));
    }
    assert_eq!(done(views.records.record(key("c"))), None);
    let twice = ["e", "e"].map(|id| change(id, None, 7, Some("once"))).to_vec();
    let answers = futures::executor::block_on(views.records.change_all(twice));
    let made = answers.into_iter().filter(|answer| matches!(answer, Ok(true))).count();
    assert_eq!(made, 1);
}

pub fn a_record_that_was_taken_away_can_be_made_again(views: &Views) {
    assert!(done(views.records.change(change("a", None, 1, Some("first")))));
    assert!(done(views.records.change(change("a", Some(1), 2, None))));
    assert_eq!(done(views.records.record(key("a"))), None);
    assert!(!done(views.records.change(change("a", Some(1), 3, Some("of nothing")))));
    assert!(done(views.records.change(change("a", None, 4, Some("second")))));
    assert_eq!(done(views.records.record(key("a"))).unwrap().value, value("second"));
}

pub fn kinds_are_apart(views: &Views) {
    assert!(done(views.records.change(change("a", None, 1, Some("account")))));
    let address = RecordKey::new(RecordKind::Address, "a");
    assert_eq!(done(views.records.record(address.clone())), None);
    let other = Change { key: address.clone(), ..change("a", None, 2, Some("address")) };
    assert!(done(views.records.change(other)));
    assert_eq!(done(views.records.record(address)).unwrap().value, value("address"));
    assert_eq!(done(views.records.record(key("a"))).unwrap().value, value("account"));
}

/// Lets many threads make a change at once: one of them makes it.
fn race(views: &Views, change: impl Fn(u8) -> Change + Sync) {
    let (barrier, next) = (Barrier::new(THREADS), AtomicU8::new(100));
    std::thread::scope(|scope| {
        let work = || {
            let number = next.fetch_add(1, Ordering::Relaxed);
            barrier.wait();
            futures::executor::block_on(views.records.change(change(number)))
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        let told: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let made = told.iter().filter(|told| matches!(told, Ok(true))).count();
        // Among many at once a database may not find out for some.
        let is_unknown = told.iter().any(|told| told.is_err());
        assert!(made == 1 || made == 0 && is_unknown, "{told:?}");
    });
}

pub fn of_many_at_once_one_makes_a_record(views: &Views) {
    for round in 0..10 {
        let id = format!("round {round}");
        race(views, |number| change(&id, None, number, Some(&number.to_string())));
        let record = done(views.records.record(key(&id))).unwrap();
        assert_eq!(record.value, value(&record.revision.0[0].to_string()));
    }
}

pub fn of_many_at_once_one_changes_each_revision(views: &Views) {
    assert!(done(views.records.change(change("a", None, 0, Some("0")))));
    for _ in 0..10 {
        let before = done(views.records.record(key("a"))).unwrap().revision.0[0];
        race(views, |number| {
            let number = number ^ before & 0x80 ^ 0x80;
            change("a", Some(before), number, Some(&number.to_string()))
        });
        let record = done(views.records.record(key("a"))).unwrap();
        assert_ne!(record.revision.0[0], before);
        assert_eq!(record.value, value(&record.revision.0[0].to_string()));
    }
}

pub fn what_expires_is_there_until_then(views: &Views) {
    let soon = Timestamp::from_millis(now().as_millis() + 60_000);
    let session = |number: u8, expected: Option<u8>, at| Change {
        value: Some(RecordValue { content: vec![number], expires_at: Some(at) }),
        ..change("a", expected, number, None)
    };
    assert!(done(views.records.change(session(1, None, soon))));
    assert_eq!(done(views.records.record(key("a"))).unwrap().value.expires_at, Some(soon));
    let later = Timestamp::from_millis(soon.as_millis() + 60_000);
    assert!(done(views.records.change(session(2, Some(1), later))));
    let record = done(views.records.record(key("a"))).unwrap();
    assert_eq!(record.value, RecordValue { content: vec![2], expires_at: Some(later) });
    // What expired long ago may be gone, and is made anew either way.
    let past = Timestamp::from_millis(now().as_millis() - 7_200_000);
    assert!(done(views.records.change(session(3, Some(2), past))));
    for other in ["b", "c", "d"] {
        assert!(done(views.records.change(change(other, None, 1, Some("other")))));
        assert_eq!(done(views.records.record(key(other))).unwrap().value, value("other"));
    }
    let left = done(views.records.record(key("a"))).map(|record| record.revision.0[0]);
    assert!(done(views.records.change(session(4, left, later))));
    for other in ["e", "f"] {
        assert!(done(views.records.change(change(other, None, 1, Some("other")))));
    }
    assert_eq!(done(views.records.record(key("a"))).unwrap().value.content, vec![4]);
}

pub fn places_come_in_order_and_by_pages(views: &Views) {
    assert_eq!(all(views, "list", false), Vec::<String>::new());
    for position in ["c", "a", "b", "aa", "d"] {
        done(views.records.add_place(place("list", position), now()));
    }
    done(views.records.add_place(place("list", "a"), now()));
    assert_eq!(all(views, "list", false), ["a", "aa", "b", "c", "d"]);
    assert_eq!(all(views, "list", true), ["d", "c", "b", "aa", "a"]);
}

pub fn a_place_that_was_taken_away_is_not_there(views: &Views) {
    let at = now();
    let later = Timestamp::from_millis(at.as_millis() + 1);
    for position in ["a", "b"] {
        done(views.records.add_place(place("list", position), at));
    }
    done(views.records.remove_place(place("list", "a"), later));
    done(views.records.remove_place(place("list", "never there"), later));
    assert_eq!(all(views, "list", false), ["b"]);
    let latest = Timestamp::from_millis(at.as_millis() + 2);
    done(views.records.add_place(place("list", "a"), latest));
    assert_eq!(all(views, "list", false), ["a", "b"]);
}

pub fn lists_are_apart_even_where_one_name_begins_another(views: &Views) {
    for (list, position) in [("l", "ist"), ("li", "st"), ("lis", "t"), ("l", "\u{ff}")] {
        done(views.records.add_place(place(list, position), now()));
    }
    assert_eq!(all(views, "l", false), ["ist", "\u{ff}"]);
    assert_eq!(all(views, "li", true), ["st"]);
    assert_eq!(all(views, "lis", false), ["t"]);
}
