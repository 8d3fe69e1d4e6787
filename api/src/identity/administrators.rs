//! Who administers: one record, so that two who step down at once cannot leave nobody behind.
//!
//! The row of the account comes first when somebody begins, and the record first when somebody ends.
//! A crash between the two, or both at once, can leave somebody in the record whose row says
//! otherwise: they do not count.

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_views::records::{RecordKey, RecordKind};
use serde::{Deserialize, Serialize};

use super::Identity;
use super::store::{IdentityError, Kept};

/// Others may change it at the same time.
const TRIES: u32 = 8;

/// Ids of accounts, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Administrators {
    ids: Vec<String>,
}

impl Kept for Administrators {
    const KIND: &'static str = "administrators";
}

fn key() -> RecordKey {
    RecordKey::new(RecordKind::Administrators, "all")
}

impl Identity {
    /// Somebody administers from now on.
    pub(super) async fn add_administrator(&self, id: &UserId) -> Result<(), IdentityError> {
        let (store, id) = (&self.shared.store, id.to_string());
        for _ in 0..TRIES {
            let Some(read) = store.read::<Administrators>(key()).await? else {
                let first = Administrators { ids: vec![id.clone()] };
                if store.insert(key(), &first).await? {
                    return Ok(());
                }
                continue;
            };
            if read.value.ids.contains(&id) {
                return Ok(());
            }
            let mut more = read.value.clone();
            more.ids.push(id.clone());
            if store.replace(key(), &read, &more).await? {
                return Ok(());
            }
        }
        Err(IdentityError::Contended { kind: Administrators::KIND })
    }

    /// Somebody administers no more; `false` when nobody else would.
    pub(super) async fn remove_administrator(&self, id: &UserId) -> Result<bool, IdentityError> {
        let (store, id) = (&self.shared.store, id.to_string());
        for _ in 0..TRIES {
            let Some(read) = store.read::<Administrators>(key()).await? else { return Ok(false) };
            let mut fewer = read.value.clone();
            fewer.ids.retain(|other| *other != id);
            // After the record was read: whoever ends changes it before their row, and then the
            // record is not the one that was read.
            if !self.any_administers(&fewer.ids).await? {
                return Ok(false);
            }
            if fewer == read.value || store.replace(key(), &read, &fewer).await? {
                return Ok(true);
            }
        }
        Err(IdentityError::Contended { kind: Administrators::KIND })
    }

    /// Whether one of these administers by their row.
    async fn any_administers(&self, ids: &[String]) -> Result<bool, IdentityError> {
        for id in ids.iter().filter_map(|id| id.parse().ok()) {
            let account = self.account(&id).await?;
            if account.is_some_and(|account| account.role == Role::Admin && !account.locked) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
