//! Who somebody is, asked when a mail is sent: the log knows accounts only.

use std::time::Duration;

use cityevents_kit::config::Secret;
use cityevents_mail::Recipient;
use cityevents_schemas::message::Email;
use cityevents_views::BoxFuture;

/// Looks accounts up.
pub trait Directory: Send + Sync {
    /// Whom a mail goes to, and with which token.
    fn addressee<'a>(
        &'a self,
        email: &'a Email,
    ) -> BoxFuture<'a, Result<Addressee, DirectoryError>>;
}

/// Whom a mail goes to.
#[derive(Debug, Clone)]
pub enum Addressee {
    /// To this person.
    Person {
        /// Who.
        recipient: Recipient,
        /// Where mails to the person are handed over: the domain of the address.
        destination: String,
        /// What the link of the mail carries, if it has one.
        token: Option<Secret>,
    },
    /// To nobody.
    Nobody(DropReason),
}

/// Why a mail is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// There never was such an account: tokens of tests and load runs have none. Counted only.
    Unknown,
    /// The account is gone.
    Erased,
    /// The account is locked.
    Locked,
    /// The address is known to bounce, or complained.
    Suppressed,
    /// The person does without this kind of mail.
    Declined,
    /// The link would not work any more.
    Expired,
}

impl DropReason {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Unknown,
        Self::Erased,
        Self::Locked,
        Self::Suppressed,
        Self::Declined,
        Self::Expired,
    ];

    /// The word for the ledger and for labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Erased => "erased",
            Self::Locked => "locked",
            Self::Suppressed => "suppressed",
            Self::Declined => "declined",
            Self::Expired => "expired",
        }
    }
}

/// Nobody can be looked up now.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct DirectoryError {
    /// Why.
    pub reason: String,
    /// When to try again.
    pub retry_after: Duration,
}
