//! Mails about accounts, and where they go.

mod folder;
mod templates;

use cityevents_domain::time::Timestamp;
use cityevents_views::tables::BoxFuture;
use lettre::message::{Mailbox, header::ContentType};

pub use self::folder::FolderMail;
pub(super) use self::templates::{Template, write};

/// A mail, ready to go.
#[derive(Clone)]
pub struct Mail {
    /// The same for the same mail, however often it is given: hash of what it is about, template and
    /// recipient.
    pub id: String,
    /// Head and body (RFC 5322).
    pub message: Vec<u8>,
}

/// Without the message, which carries secrets.
impl std::fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mail").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A mail could not be written or handed over.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// An address or a name does not fit into a mail.
    #[error("a mail cannot be written: {0}")]
    Message(#[from] lettre::error::Error),
    /// Nor does its address.
    #[error("a mail cannot be written: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// A folder refuses it.
    #[error("a mail cannot be put into {}: {cause}", path.display())]
    Folder {
        /// The file.
        path: std::path::PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
}

/// Where mails go. Giving the same one again does no more than giving it once.
pub trait MailPort: Send + Sync {
    /// Takes a mail over; when this returns it is not forgotten.
    fn send(&self, mail: Mail) -> BoxFuture<'_, Result<(), MailError>>;
}

/// A plain-text mail.
pub(super) fn compose(
    id: &str,
    from: &Mailbox,
    to: Mailbox,
    subject: &str,
    text: String,
    at: Timestamp,
) -> Result<Mail, MailError> {
    let seconds = u64::try_from(at.as_millis() / 1_000).unwrap_or(0);
    let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    let domain = from.email.domain();
    let message = lettre::Message::builder()
        .from(from.clone())
        .to(to)
        .subject(subject)
        .date(date)
        .message_id(Some(format!("<{id}@{domain}>")))
        .header(ContentType::TEXT_PLAIN)
        .body(text)?;
    Ok(Mail { id: id.to_owned(), message: message.formatted() })
}
