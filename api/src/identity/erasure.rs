//! Erasing an account: what is personal goes, and what others build on stays under an id that says
//! nothing of anybody.
//!
//! The row says first that the account is gone, which shuts every door; sessions, the claim of the
//! address, what the person likes and the key that sealed what was written about them follow. A crash in between is
//! finished by the sweeper ([`super::departures`]), so the address stays in the row until its claim
//! is released, and so do the id of the avatar and who the person is at other providers. On the log there are ids only, and
//! texts that nobody can open without the key.

use std::pin::pin;

use cityevents_domain::actor::Role;
use cityevents_domain::event::EventStatus;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::time::Millis;
use cityevents_kit::event_body::is_ended;
use cityevents_views::{Mutation, ProfileRow, WriteTimestamp};
use futures::TryStreamExt as _;
use futures::future::ready;

use super::account::{account_key, address_key};
use super::notifications::notifications_key;
use super::roles::RoleError;
use super::store::{IdentityError, Kept as _};
use super::{Account, Address, Identity, own_rows};

/// Longer than the log keeps what people did.
const SIGNALS_KEPT: Millis = Millis::hours(32 * 24);

/// Why an account is not erased.
#[derive(Debug, thiserror::Error)]
pub(super) enum ErasureError {
    /// People have places at an event of the person.
    #[error("call off your event {0} first, or wait until it is over: people have places there")]
    OwnsEvent(EventId),
    /// Nobody would administer any more.
    #[error("this is the last administrator: make somebody else one first")]
    LastAdministrator,
    /// The tables or the log cannot be reached.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl Identity {
    /// Erases an account for ever.
    pub(super) async fn erase(&self, account: &Account) -> Result<(), ErasureError> {
        let id = &account.id;
        if let Some(event) = self.coming_event_of(id).await? {
            return Err(ErasureError::OwnsEvent(event));
        }
        self.announce_departure(id).await?;
        // Before anything else is lost: who cannot be let go now stays whole and tries again.
        self.leave_events(id).await?;
        if account.role == Role::Admin {
            self.step_down(id).await.map_err(|error| match error {
                RoleError::Identity(error) => ErasureError::Identity(error),
                _ => ErasureError::LastAdministrator,
            })?;
        }
        let erased = self.change_account(id, |account| Some(account.erased())).await?;
        if erased.is_some_and(|account| account.erased) {
            // The row is what counts; the sweeper does the same again.
            if let Some(row) = self.row(id).await? {
                self.finish_erasing(&row).await?;
            }
        }
        Ok(())
    }

    /// Takes away what the row of an erased account still leads to. As often as wanted.
    pub(super) async fn finish_erasing(&self, account: &Account) -> Result<(), IdentityError> {
        let store = &self.shared.store;
        self.end_sessions(&account.id).await?;
        self.shared.views.person_keys.erase_person_key(account.id).await?;
        self.forget_taste(&account.id).await?;
        store.take_away(notifications_key(&account.id)).await?;
        self.release_subjects(account).await?;
        if let (Some(media), Some(avatar)) = (&self.shared.media, &account.avatar) {
            media.discard(&account.id, avatar).await?;
        }
        // One that is none by today's rules is claimed by nobody, and goes all the same.
        if let Ok(address) = Address::parse(&account.email) {
            self.release(&address, &account.id).await?;
        }
        let without = |account: &Account| {
            let has_one = account.erased && (!account.email.is_empty() || account.avatar.is_some());
            has_one.then(|| Account { email: String::new(), avatar: None, ..account.clone() })
        };
        store.update(account_key(&account.id), without).await?;
        Ok(())
    }

    /// Takes away what the person likes. Nothing that comes late brings it back: an empty row stands
    /// in its place, written later than any signal can be, until the log has none of theirs.
    async fn forget_taste(&self, account: &UserId) -> Result<(), IdentityError> {
        let at = self.shared.store.now();
        let row = ProfileRow {
            person: *account.as_bytes(),
            signals: Vec::new(),
            at,
            expires_at: at + SIGNALS_KEPT,
        };
        // Signals are written with their offsets, which stay far below.
        let timestamp = WriteTimestamp(at.as_millis().max(0).cast_unsigned().saturating_mul(1_000));
        self.shared.views.write.write(vec![Mutation::new(row, timestamp)]).await?;
        Ok(())
    }

    /// Gives an address free, unless it is somebody else's by now.
    async fn release(&self, address: &Address, account: &UserId) -> Result<(), IdentityError> {
        let store = &self.shared.store;
        let key = address_key(address);
        let Some(claim) = store.read::<super::account::Claim>(key.clone()).await? else {
            return Ok(());
        };
        if claim.value.account == *account && !store.remove(key, &claim).await? {
            return Err(IdentityError::Contended { kind: super::account::Claim::KIND });
        }
        Ok(())
    }

    /// A published event of a person that is not over.
    pub(super) async fn coming_event_of(
        &self,
        owner: &UserId,
    ) -> Result<Option<EventId>, IdentityError> {
        let now = self.shared.store.now();
        let statuses = Some(vec![EventStatus::Published]);
        let published = own_rows::events(&self.shared.views, *owner, statuses);
        let coming = published.try_filter(|row| ready(!is_ended(&row.event, now)));
        Ok(pin!(coming).try_next().await?.map(|row| row.event.id))
    }
}

impl Account {
    /// Without anything personal but the address, which its claim is found by, and who the person is
    /// at providers and the id of the avatar, for the same reason.
    fn erased(&self) -> Self {
        Self {
            name: None,
            password: None,
            role: Role::User,
            language: None,
            email_verified: false,
            locked: true,
            erased: true,
            ..self.clone()
        }
    }
}
