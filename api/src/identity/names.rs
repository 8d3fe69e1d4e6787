//! What people want to be called, for those who see their events.
//!
//! Rows of events carry ids only, so names are looked up when they are read. Popular pages are of few
//! organisers, so a name is kept for a while: another name, or an erasure, shows a minute later.

use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::ids::UserId;
use cityevents_runtime::log::clock::Clock;
use cityevents_views::records::Records;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::Account;
use super::account::account_key;
use super::store::Store;

/// Names that are kept.
const NAMES_MAX: usize = 10_000;
/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Names by account. Cheap to clone.
#[derive(Clone)]
pub struct Names {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    known: Cache<UserId, Known>,
}

#[derive(Clone)]
struct Known {
    name: Option<Arc<str>>,
    until: Instant,
}

impl Names {
    /// From the records of accounts.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>) -> Self {
        let store = Store::new(records, clock);
        Self { shared: Arc::new(Shared { store, known: Cache::new(NAMES_MAX) }) }
    }

    /// What somebody wants to be called. `None` as well when the records cannot be read now: an
    /// event without the name of its organiser is better than none.
    pub(crate) async fn name(&self, user: &UserId) -> Option<Arc<str>> {
        let Shared { store, known } = &*self.shared;
        let now = Instant::now();
        if let Some(known) = known.get(user).filter(|known| known.until > now) {
            return known.name;
        }
        let read = store.read::<Account>(account_key(user)).await;
        let read = read.map_err(|error| tracing::warn!(%error, "a name is not known: {error}"));
        let account = read.ok()?.map(|read| read.value).filter(Account::is_somebodys);
        let name: Option<Arc<str>> = account.and_then(|account| account.name).map(Arc::from);
        known.insert(*user, Known { name: name.clone(), until: now + KEPT_FOR });
        name
    }
}
