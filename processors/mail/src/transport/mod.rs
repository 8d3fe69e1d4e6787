//! How mails are delivered, and what a failure means.

mod capture;
mod folder;
mod smtp;

use std::sync::Arc;

use cityevents_kit::Config;
use cityevents_kit::config::MailBackend;
use futures::future::BoxFuture;

pub use self::capture::CaptureTransport;
pub use self::folder::FolderTransport;
pub use self::smtp::SmtpTransport;
use crate::Mail;

/// The transport of the configuration.
///
/// # Errors
/// When settings do not fit together, certificates cannot be read, or an instance of a cluster would
/// put mails into a folder without having been told so.
pub fn transport(config: &Config) -> Result<Arc<dyn Transport>, TransportError> {
    let mail = &config.mail;
    if mail.backend == MailBackend::Smtp {
        return Ok(Arc::new(SmtpTransport::new(&mail.smtp)?));
    }
    if config.is_cluster() && !mail.allow_folder {
        let problem = "mails of a cluster would stay in a folder of this machine: set it to smtp, \
                       or mail.allow_folder to true if a program of your own hands them on";
        return Err(TransportError::new("mail.backend", problem));
    }
    let folder = mail.folder.clone().unwrap_or_else(|| config.data.dir.join("mails"));
    Ok(Arc::new(FolderTransport::new(folder)))
}

/// The settings of the transport are not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct TransportError {
    /// Which key.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl TransportError {
    fn new(key: &'static str, problem: impl Into<String>) -> Self {
        Self { key, problem: problem.into() }
    }
}

/// Takes mails over. It does not try again, and it keeps no mail: whoever gets an error keeps it.
pub trait Transport: Send + Sync {
    /// Delivers one mail. When this returns without an error, it is not forgotten.
    fn deliver<'mail>(
        &'mail self,
        mail: &'mail Mail,
    ) -> BoxFuture<'mail, Result<(), DeliveryError>>;
}

/// What a failure means for the mail, and for those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// Not this time: another try, later, may do.
    Transient,
    /// Never: another try of the same mail ends the same way.
    Permanent,
    /// It has nothing to do with this mail: none can be delivered at present.
    Downstream,
    /// It may have been delivered: what was said to the whole message was lost.
    Unknown,
}

impl FailureClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Transient, Self::Permanent, Self::Downstream, Self::Unknown];

    /// The word for labels and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Permanent => "permanent",
            Self::Downstream => "downstream",
            Self::Unknown => "unknown",
        }
    }
}

/// A mail was not delivered, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DeliveryError {
    /// What it means.
    pub class: FailureClass,
    /// Why, without addresses and content: it may be logged and kept.
    pub reason: String,
}

impl DeliveryError {
    /// A failure of a class, and why.
    pub fn new(class: FailureClass, reason: impl Into<String>) -> Self {
        Self { class, reason: reason.into() }
    }
}
