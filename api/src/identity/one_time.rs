//! Tokens that are good once: what a mail's link carries. Kept as hashes; a token is derived from
//! its id and the instance's secret wherever it is needed.

use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_views::records::{RecordKey, RecordKind};
use serde::{Deserialize, Serialize};

use super::store::{IdentityError, Kept, random};
use super::{Account, Identity};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To show that an address is one's own.
    VerifyAddress,
    /// To set another password.
    ResetPassword,
}

impl Purpose {
    /// Its word: another purpose has another token of the same id.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyAddress => "verify_address",
            Self::ResetPassword => "reset_password",
        }
    }

    pub(super) const fn life_ms(self) -> i64 {
        match self {
            Self::VerifyAddress => 24 * 3_600_000,
            Self::ResetPassword => 30 * 60_000,
        }
    }

    /// What must not have changed since the token was given: with another address, or another
    /// password, older links are worth nothing.
    fn bound_to(self, account: &Account) -> [u8; 32] {
        let about = match self {
            Self::VerifyAddress => account.email.as_bytes(),
            Self::ResetPassword => account.password.as_deref().unwrap_or_default().as_bytes(),
        };
        blake3::derive_key("cityevents 2026 what a one-time token is bound to", about)
    }
}

/// A token as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct OneTimeToken {
    purpose: Purpose,
    #[serde(with = "super::as_text")]
    account: UserId,
    bound_to: [u8; 32],
    expires_at_ms: i64,
    used: bool,
}

impl Kept for OneTimeToken {
    const KIND: &'static str = "one-time tokens";

    fn expires_at(&self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(self.expires_at_ms))
    }
}

/// The hash of a secret, which is all that is kept of it.
fn hash_of(text: &str) -> [u8; 32] {
    blake3::derive_key("cityevents 2026 one-time token", text.as_bytes())
}

fn key_of(text: &str) -> RecordKey {
    RecordKey::new(RecordKind::OneTimeToken, hash_of(text).as_slice())
}

impl Identity {
    /// A token for an account: its id, which is all that may be handed on.
    pub(super) async fn give_token(
        &self,
        purpose: Purpose,
        account: &Account,
    ) -> Result<[u8; 16], IdentityError> {
        let store = &self.shared.store;
        let id = random::<16>()?;
        let text = self.shared.secrets.token(purpose.as_str(), &id);
        let token = OneTimeToken {
            purpose,
            account: account.id,
            bound_to: purpose.bound_to(account),
            expires_at_ms: store.now().as_millis() + purpose.life_ms(),
            used: false,
        };
        if store.insert(key_of(text.expose()), &token).await? {
            Ok(id)
        } else {
            Err(IdentityError::Contended { kind: OneTimeToken::KIND })
        }
    }

    /// The account of a token that could be used now.
    pub(super) async fn look_at_token(
        &self,
        purpose: Purpose,
        text: &str,
    ) -> Result<Option<Account>, IdentityError> {
        let read = self.shared.store.read::<OneTimeToken>(key_of(text)).await?;
        let is_good = |token: &OneTimeToken| token.purpose == purpose && !token.used;
        let Some(token) = read.map(|read| read.value).filter(is_good) else { return Ok(None) };
        let account = self.account(&token.account).await?;
        Ok(account.filter(|account| purpose.bound_to(account) == token.bound_to))
    }

    /// Uses a token up. Of many at once one does.
    pub(super) async fn use_token(
        &self,
        purpose: Purpose,
        text: &str,
    ) -> Result<Option<Account>, IdentityError> {
        let store = &self.shared.store;
        let Some(account) = self.look_at_token(purpose, text).await? else { return Ok(None) };
        let Some(read) = store.read::<OneTimeToken>(key_of(text)).await? else { return Ok(None) };
        if read.value.used {
            return Ok(None);
        }
        // A change to another value, and no removal: nobody can tell who removed a record.
        let used = OneTimeToken { used: true, ..read.value.clone() };
        Ok(store.replace(key_of(text), &read, &used).await?.then_some(account))
    }
}
