//! When a "later" that one person gets is trouble that everybody has.
//!
//! A mail server that puts one person off (greylisting, a full box, a connection that was lost) is
//! asked again later for that mail, in the tiers. One that puts everybody off would send every mail
//! of a long queue through all tiers, into the dead letters, while nothing is wrong with any of them.
//! So different people who are put off in a row, with no mail delivered in between, are counted: from
//! the limit on it is the server that is in trouble, nothing is moved, and the breaker is told.

use std::collections::BTreeSet;

use cityevents_domain::ids::UserId;
use parking_lot::Mutex;

/// So many people in a row are everybody. Fewer mails than that go to the tiers in vain.
const PEOPLE_MAX: usize = 20;

/// The people who were put off since a mail was delivered last.
#[derive(Debug, Default)]
pub struct Deferrals {
    people: Mutex<BTreeSet<UserId>>,
}

impl Deferrals {
    /// Somebody got a mail: the server takes mails.
    pub(super) fn delivered(&self) {
        self.people.lock().clear();
    }

    /// Somebody is put off. Whether everybody is: then it says nothing about this mail.
    pub(super) fn put_off(&self, person: UserId) -> bool {
        let mut people = self.people.lock();
        if people.len() < PEOPLE_MAX {
            people.insert(person);
        }
        people.len() >= PEOPLE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: u8) -> UserId {
        UserId::from_bytes([number; 16])
    }

    #[test]
    fn one_person_who_is_put_off_again_and_again_is_not_everybody() {
        let deferrals = Deferrals::default();
        assert!((0..1_000).all(|_| !deferrals.put_off(person(1))));
    }

    #[test]
    fn many_in_a_row_are_everybody_until_somebody_gets_a_mail() {
        let deferrals = Deferrals::default();
        let last = PEOPLE_MAX as u8 - 1;
        assert!((0..last).all(|number| !deferrals.put_off(person(number))));
        assert!(deferrals.put_off(person(last)));
        assert!(deferrals.put_off(person(0)), "whoever it is");
        deferrals.delivered();
        assert!((0..last).all(|number| !deferrals.put_off(person(number))));
    }
}
