//! What a person wants to be told by mail.

use std::collections::BTreeSet;

use cityevents_domain::ids::UserId;
use cityevents_mail::Template;
use cityevents_views::records::{RecordKey, RecordKind};
use serde::{Deserialize, Serialize};

use super::Identity;
use super::store::{IdentityError, Kept};

/// Others may change it at the same time.
const TRIES: u32 = 8;

/// What a person does without. Nothing, until they say so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Notifications {
    pub(super) off: BTreeSet<Template>,
}

impl Kept for Notifications {
    const KIND: &'static str = "notifications";
}

pub(super) fn notifications_key(account: &UserId) -> RecordKey {
    RecordKey::new(RecordKind::Notifications, account.as_bytes().as_slice())
}

impl Identity {
    pub(super) async fn notifications(
        &self,
        account: &UserId,
    ) -> Result<Notifications, IdentityError> {
        let read = self.shared.store.read(notifications_key(account)).await?;
        Ok(read.map(|read| read.value).unwrap_or_default())
    }

    /// Switches kinds on or off, and returns how it is then.
    pub(super) async fn switch_notifications(
        &self,
        account: &UserId,
        wanted: &[(Template, bool)],
    ) -> Result<Notifications, IdentityError> {
        let (store, key) = (&self.shared.store, notifications_key(account));
        for _ in 0..TRIES {
            let read = store.read::<Notifications>(key.clone()).await?;
            let mut changed = read.as_ref().map(|read| read.value.clone()).unwrap_or_default();
            for (kind, on) in wanted {
                if *on {
                    changed.off.remove(kind);
                } else {
                    changed.off.insert(*kind);
                }
            }
            let is_done = match &read {
                Some(read) if read.value == changed => true,
                Some(read) => store.replace(key.clone(), read, &changed).await?,
                None => store.insert(key.clone(), &changed).await?,
            };
            if is_done {
                return Ok(changed);
            }
        }
        Err(IdentityError::Contended { kind: Notifications::KIND })
    }
}
