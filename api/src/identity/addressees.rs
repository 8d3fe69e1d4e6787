//! Who gets a mail, asked by whoever sends it.

use std::sync::Arc;

use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::config::Secret;
use cityevents_kit::seal::{CursorSealer, MailSecrets};
use cityevents_mail::Template;
use cityevents_runtime::log::clock::Clock;
use cityevents_views::records::Records;

use super::account::account_key;
use super::notifications::{Notifications, notifications_key};
use super::one_time::Purpose;
use super::store::{IdentityError, Store};
use super::suppression::Suppressions;
use super::{Account, Address, LanguageTag, unsubscribe};

/// Somebody who gets mails, or why not.
#[derive(Debug, Clone)]
pub enum Addressee {
    /// Somebody.
    Person {
        /// Where mails go.
        address: String,
        /// What the person wants to be called.
        name: Option<String>,
        /// The language that they read, if it is known.
        language: Option<LanguageTag>,
        /// What the link carries by which they get no more mails of this kind. Mails that always
        /// come have none.
        unsubscribe: Option<Secret>,
    },
    /// There never was such an account.
    Unknown,
    /// There is no such account any more.
    Erased,
    /// Staff has locked the account.
    Locked,
    /// The address is known not to take mails.
    Suppressed,
    /// The person does without mails of this kind.
    Declined,
}

/// Looks accounts up for mails. Cheap to clone.
#[derive(Clone)]
pub struct Addressees {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    suppressions: Suppressions,
    secrets: MailSecrets,
}

impl Addressees {
    /// From the records of accounts.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>, cursors: CursorSealer) -> Self {
        let secrets = MailSecrets::new(cursors);
        let store = Store::new(records.clone(), clock.clone());
        let suppressions = Suppressions::new(records, clock, secrets.clone());
        Self { shared: Arc::new(Shared { store, suppressions, secrets }) }
    }

    /// Who gets a mail of this kind.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn find(&self, account: &UserId, kind: Template) -> Result<Addressee, IdentityError> {
        let Shared { store, suppressions, secrets } = &*self.shared;
        let Some(read) = store.read::<Account>(account_key(account)).await? else {
            return Ok(Addressee::Unknown);
        };
        let account = read.value;
        if !account.is_somebodys() {
            return Ok(Addressee::Erased);
        }
        if account.locked {
            return Ok(Addressee::Locked);
        }
        if kind.is_optional() {
            let wishes = store.read::<Notifications>(notifications_key(&account.id)).await?;
            if wishes.is_some_and(|wishes| wishes.value.off.contains(&kind)) {
                return Ok(Addressee::Declined);
            }
        }
        if let Ok(address) = Address::parse(&account.email)
            && suppressions.find(&address).await?.is_some()
        {
            return Ok(Addressee::Suppressed);
        }
        let unsubscribe =
            kind.is_optional().then(|| unsubscribe::token(secrets, &account.id, kind));
        let Account { email: address, name, language, .. } = account;
        Ok(Addressee::Person { address, name, language, unsubscribe })
    }

    /// What the link of a mail carries.
    pub fn token(&self, purpose: Purpose, id: &[u8; 16]) -> Secret {
        self.shared.secrets.token(purpose.as_str(), id)
    }

    /// Whether a link that was asked for then works no more.
    pub fn is_too_late(&self, purpose: Purpose, asked_at: Timestamp) -> bool {
        let now_ms = self.shared.store.now().as_millis();
        now_ms >= asked_at.as_millis().saturating_add(purpose.life_ms())
    }
}
