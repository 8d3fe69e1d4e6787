//! The keys of persons.

use std::collections::BTreeSet;
use std::sync::Barrier;

use super::build::user_id;
use super::done;
use crate::Views;
use crate::row::PersonKey;

pub fn the_first_key_counts(views: &Views) {
    let insert = |user, key| {
        done(views.person_keys.insert_person_key_if_absent(user_id(user), PersonKey([key; 32])))
    };
    assert_eq!(insert(1, 7), Some(PersonKey([7; 32])));
    assert_eq!(insert(1, 8), Some(PersonKey([7; 32])));
    assert_eq!(insert(2, 9), Some(PersonKey([9; 32])));
    assert_eq!(done(views.person_keys.person_key(user_id(1))), Some(PersonKey([7; 32])));
    assert_eq!(done(views.person_keys.person_key(user_id(3))), None);
}

pub fn of_many_at_once_one_key_counts_for_all(views: &Views) {
    const THREADS: u8 = 8;
    for user in 0..10 {
        let barrier = Barrier::new(usize::from(THREADS));
        let race = |thread| {
            barrier.wait();
            let key = PersonKey([thread; 32]);
            done(views.person_keys.insert_person_key_if_absent(user_id(user), key))
        };
        let answers: BTreeSet<_> = std::thread::scope(|scope| {
            let racers: Vec<_> =
                (0..THREADS).map(|thread| scope.spawn(move || race(thread))).collect();
            racers.into_iter().map(|racer| racer.join().unwrap().map(|key| key.0)).collect()
        });
        assert_eq!(answers.len(), 1, "two keys count for user {user}");
        let kept = done(views.person_keys.person_key(user_id(user))).map(|key| key.0);
        assert_eq!(answers.first(), Some(&kept));
    }
}

pub fn an_erased_person_gets_no_key_again(views: &Views) {
    let keys = &views.person_keys;
    let insert =
        |user| done(keys.insert_person_key_if_absent(user_id(user), PersonKey([user as u8; 32])));
    insert(1);
    done(keys.erase_person_key(user_id(1)));
    assert_eq!(done(keys.person_key(user_id(1))), None);
    assert_eq!(insert(1), None);
    assert_eq!(done(keys.person_key(user_id(1))), None);
    // Erased before there was one, and twice.
    done(keys.erase_person_key(user_id(2)));
    done(keys.erase_person_key(user_id(2)));
    assert_eq!(insert(2), None);
    assert!(insert(3).is_some());
}
