//! Telling people at once where they stand: whoever follows their own registrations hears of each
//! fact that changes one, as it is folded.

use std::collections::HashMap;

use cityevents_domain::fact::{Change, Fact};
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::registration::Registration;
use parking_lot::RwLock;
use tokio::sync::broadcast;

/// A power of two, well above the number of threads that fold.
const SHARDS: usize = 64;
/// Changes that wait for one listener; one who is slower reads the rows again.
const WAITING_MAX: usize = 32;

/// A registration that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) event: EventId,
    pub(crate) registration: Registration,
}

/// Those who listen, by person.
#[derive(Debug)]
pub(super) struct Listeners {
    shards: Vec<RwLock<HashMap<UserId, broadcast::Sender<Told>>>>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }
}

impl Listeners {
    /// Everything about a person from now on.
    pub(super) fn listen(&self, user: UserId) -> broadcast::Receiver<Told> {
        let mut people = self.shard(&user).write();
        // Here and not when a listener goes, which nobody notices.
        people.retain(|_, sender| sender.receiver_count() > 0);
        let sender = people.entry(user).or_insert_with(|| broadcast::Sender::new(WAITING_MAX));
        sender.subscribe()
    }

    /// Tells those whom a fact is about.
    pub(super) fn tell(&self, fact: &Fact) {
        for change in &fact.changes {
            if let Change::Registration { registration, .. } = change {
                let people = self.shard(&registration.user).read();
                if let Some(sender) = people.get(&registration.user) {
                    let told = Told { event: fact.event, registration: *registration };
                    // Nobody may listen any more.
                    let _listeners = sender.send(told);
                }
            }
        }
    }

    fn shard(&self, user: &UserId) -> &RwLock<HashMap<UserId, broadcast::Sender<Told>>> {
        let [.., last] = user.as_bytes();
        &self.shards[usize::from(*last) % SHARDS]
    }
}
