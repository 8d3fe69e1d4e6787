//! Makes mails of letters.

mod message;
mod plain;

use cityevents_domain::time::Timestamp;
use cityevents_kit::Config;
use lettre::message::Mailbox;

use crate::{Letter, Mail, MailId};

/// Who gets a mail.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// How the person wants to be called.
    pub name: Option<String>,
    /// The language the person reads, as a tag (BCP 47). Without, or when there is no translation:
    /// the default.
    pub language: Option<String>,
    /// Link by which the person gets no more mails of this kind, with one click (RFC 8058). Left
    /// out of mails that always come.
    pub unsubscribe: Option<String>,
}

/// Without anything of the person.
impl std::fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Recipient")
            .field("language", &self.language)
            .finish_non_exhaustive()
    }
}

/// From where mails come.
#[derive(Debug, Clone)]
pub struct Site {
    /// Address under which people reach the service, without a slash at the end.
    pub public_url: String,
    /// Whom mails are from.
    pub from: Mailbox,
}

/// The settings of mails are not usable.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SiteError {
    /// Which key.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl Site {
    /// Of the settings of the instance.
    ///
    /// # Errors
    /// When a value is no address.
    pub fn of(config: &Config) -> Result<Self, SiteError> {
        let from = config.mail.from.parse().map_err(|error| SiteError {
            key: "mail.from",
            problem: format!("{error}; write CityEvents <mail@example.org>"),
        })?;
        let public_url = config.public_url();
        Ok(Self { public_url: public_url.trim_end_matches('/').to_owned(), from })
    }
}

/// The templates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WriterError {}

/// A letter cannot be written: not now, and not later.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The address is none, or does not fit into a mail.
    #[error("the address cannot be used: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// The parts do not make a mail.
    #[error("the mail cannot be put together: {0}")]
    Message(#[from] lettre::error::Error),
}

/// Writes letters.
#[derive(Debug, Clone)]
pub struct Writer {
    site: Site,
}

impl Writer {
    /// A writer. Files of the folder take the place of the built-in templates.
    ///
    /// # Errors
    /// When a template cannot be used.
    pub fn new(site: Site, _overrides: Option<&std::path::Path>) -> Result<Self, WriterError> {
        Ok(Self { site })
    }

    /// Writes a letter to somebody. `at` is the time that the mail carries: the one of what it
    /// tells, so that the same mail is the same at every try.
    ///
    /// # Errors
    /// [`WriteError`]: trying again does not help.
    pub fn write(
        &self,
        id: &MailId,
        letter: &Letter,
        recipient: &Recipient,
        at: Timestamp,
    ) -> Result<Mail, WriteError> {
        let (subject, text) = plain::render(&self.site, letter, recipient);
        message::compose(&self.site, id, recipient, (&subject, text), at)
    }
}
