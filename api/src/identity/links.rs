//! Mails with links: asked for here, written and sent by others.
//!
//! What is asked for names a token by its id. The token itself is derived from it when the mail is
//! written, and here when its hash is kept; in between nobody has it.

use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::telemetry::AccountHash;
use cityevents_trace::Scope;
use cityevents_views::BoxFuture;

use super::one_time::Purpose;
use super::store::IdentityError;
use super::{Account, Identity};

/// A mail with a link, to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkMail {
    /// What the link is for.
    pub purpose: Purpose,
    /// To whom.
    pub account: UserId,
    /// Which token it carries.
    pub token: [u8; 16],
    /// When it was asked for.
    pub at: Timestamp,
}

/// A mail was not asked for, as far as is known.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a mail cannot be asked for: {reason}")]
pub struct LinkMailError {
    /// Why.
    pub reason: String,
}

/// Where mails with links are asked for.
pub trait RequestLinkMails: Send + Sync {
    /// Asks for a mail; when this returns it is not forgotten.
    fn request(&self, mail: LinkMail) -> BoxFuture<'_, Result<(), LinkMailError>>;
}

impl Identity {
    /// Asks for a mail with a link, while who wanted it is answered already: how long it takes would
    /// tell whether there is an account.
    pub(super) fn mail_in_background(&self, purpose: Purpose, account: Account) {
        let identity = self.clone();
        tokio::spawn(Scope::carry(async move {
            if let Err(error) = identity.mail_link(purpose, &account).await {
                let account_hash = AccountHash::of(&account.id);
                tracing::error!(%error, %account_hash, "a mail is not sent: {error}");
            }
        }));
    }

    async fn mail_link(&self, purpose: Purpose, account: &Account) -> Result<(), IdentityError> {
        let token = self.give_token(purpose, account).await?;
        let at = self.shared.store.now();
        Ok(self.shared.mails.request(LinkMail { purpose, account: account.id, token, at }).await?)
    }
}
