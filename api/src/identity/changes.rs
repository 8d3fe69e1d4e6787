//! Changes of accounts that every instance has to know at once: locked, another role, all sessions
//! revoked.
//!
//! The row is changed first and the change told afterwards. Before the row, a place in a list says
//! that a change is on its way, so that a sweeper finds what a crash left untold.

use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_schemas::message::{AccountChange, AccountStatus};
use cityevents_views::ViewsError;
use cityevents_views::records::{Place, PlacesQuery};
use cityevents_views::tables::BoxFuture;

use super::account::account_key;
use super::store::{IdentityError, Kept as _};
use super::{Account, Identity};
use crate::standing::UnpublishedAccounts;

/// The list of changes that may not be told yet, the oldest first.
const LIST: &[u8] = b"accounts/untold";
/// Whoever announced a change and has not made it by then never will.
const PATIENCE_MS: i64 = 60_000;
/// Others may change the same account at the same time.
const TRIES: u32 = 8;
/// Places that are looked at for those of one account.
const LOOKED_MAX: usize = 1_000;

/// When a change was announced, of which account, to which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Announced {
    at_ms: i64,
    account: UserId,
    version: u64,
}

impl Announced {
    fn place(&self) -> Place {
        let at = self.at_ms.max(0).cast_unsigned().to_be_bytes();
        let version = self.version.to_be_bytes();
        let position = [at.as_slice(), self.account.as_bytes(), &version].concat();
        Place { list: LIST.to_vec(), position }
    }

    fn parse(position: &[u8]) -> Option<Self> {
        let (at, rest) = position.split_first_chunk::<8>()?;
        let (account, version) = rest.split_first_chunk::<16>()?;
        Some(Self {
            at_ms: u64::from_be_bytes(*at).cast_signed(),
            account: UserId::from_bytes(*account),
            version: u64::from_be_bytes(version.try_into().ok()?),
        })
    }
}

impl Account {
    /// What others have to know of it.
    fn change_at(&self, now: Timestamp) -> AccountChange {
        let status = match (self.erased, self.locked) {
            (true, _) => AccountStatus::Erased,
            (false, true) => AccountStatus::Locked,
            (false, false) => AccountStatus::Active,
        };
        AccountChange {
            account: self.id,
            version: self.version,
            role: self.role,
            status,
            revoked_before: self.revoked_before_ms.map(Timestamp::from_millis),
            kept_session: None,
            updated_at: now,
            ended_session: None,
        }
    }
}

impl Identity {
    /// Changes what others have to know of an account, and tells them. `change` says with `None`
    /// that there is nothing to do. The answer is the account as it is then.
    pub(super) async fn change_account(
        &self,
        id: &UserId,
        mut change: impl FnMut(&Account) -> Option<Account>,
    ) -> Result<Option<Account>, IdentityError> {
        let store = &self.shared.store;
        for _ in 0..TRIES {
            let read = store.read::<Account>(account_key(id)).await?;
            let Some(read) = read.filter(|read| read.value.is_somebodys()) else {
                return Ok(None);
            };
            let Some(changed) = change(&read.value) else { return Ok(Some(read.value)) };
            let changed = Account { version: read.value.version + 1, ..changed };
            let now = store.now();
            let (at_ms, version) = (now.as_millis(), changed.version);
            let announced = Announced { at_ms, account: *id, version };
            store.add_place(announced.place()).await?;
            if changed.role != read.value.role {
                self.list_under_role(&changed).await?;
            }
            if store.replace(account_key(id), &read, &changed).await? {
                self.tell(&changed.change_at(now), announced).await;
                return Ok(Some(changed));
            }
        }
        Err(IdentityError::Contended { kind: Account::KIND })
    }

    /// The row is right whatever comes of this; what is not told now is told by the sweeper.
    async fn tell(&self, change: &AccountChange, announced: Announced) {
        let Some(changes) = &self.shared.changes else { return };
        if let Err(error) = changes.publish(change).await {
            tracing::warn!(%error, "a change of an account is told later: {error}");
            return;
        }
        if let Err(error) = self.shared.store.remove_place(announced.place()).await {
            tracing::debug!(%error, "a change of an account is told twice: {error}");
        }
    }

    async fn announced(&self, limit: usize) -> Result<Vec<Announced>, IdentityError> {
        let query = PlacesQuery { list: LIST.to_vec(), descending: false, after: None, limit };
        let positions = self.shared.store.places(query).await?;
        Ok(positions.iter().filter_map(|position| Announced::parse(position)).collect())
    }

    async fn untold(&self, limit: usize) -> Result<Vec<AccountChange>, IdentityError> {
        let store = &self.shared.store;
        let now = store.now();
        let mut untold: Vec<AccountChange> = Vec::new();
        for announced in self.announced(limit).await? {
            let account = self.row(&announced.account).await?;
            match account.filter(|account| account.version >= announced.version) {
                Some(account) if untold.iter().any(|one| one.account == account.id) => {}
                Some(account) => untold.push(account.change_at(now)),
                None if now.as_millis() < announced.at_ms.saturating_add(PATIENCE_MS) => {}
                None => store.remove_place(announced.place()).await?,
            }
        }
        Ok(untold)
    }

    async fn told(&self, account: UserId, version: u64) -> Result<(), IdentityError> {
        for announced in self.announced(LOOKED_MAX).await? {
            if announced.account == account && announced.version <= version {
                self.shared.store.remove_place(announced.place()).await?;
            }
        }
        Ok(())
    }
}

impl UnpublishedAccounts for Identity {
    fn unpublished(&self, limit: usize) -> BoxFuture<'_, Result<Vec<AccountChange>, ViewsError>> {
        Box::pin(async move { self.untold(limit).await.map_err(into_views) })
    }

    fn published(&self, account: UserId, version: u64) -> BoxFuture<'_, Result<(), ViewsError>> {
        Box::pin(async move { self.told(account, version).await.map_err(into_views) })
    }
}

fn into_views(error: IdentityError) -> ViewsError {
    match error {
        IdentityError::Tables(error) => error,
        error => ViewsError::Refused { detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_reads_back_and_older_ones_come_first() {
        let one =
            |at_ms, version| Announced { at_ms, account: UserId::from_bytes([7; 16]), version };
        let (older, later) = (one(5, 900), one(6, 1));
        assert_eq!(Announced::parse(&older.place().position), Some(older));
        assert!(older.place() < later.place());
        assert_eq!(Announced::parse(b"short"), None);
    }
}
