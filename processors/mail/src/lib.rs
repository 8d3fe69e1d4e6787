//! Mails to people: what they say, and how they are delivered.
//!
//! A [`Letter`] is what somebody is to be told. A [`Writer`] makes a [`Mail`] of it for one
//! [`Recipient`]: the same letter gives the same mail, to the byte, under the same [`MailId`], so
//! that a mail that is sent twice can be told to be one. A [`Transport`] hands a mail over, and says
//! of a failure what it means for this mail and for others ([`FailureClass`]).
//!
//! It keeps nothing and decides nothing: no log, no tables, no retries, no clock. Whether somebody
//! is to be told at all, when it is tried again, and what was sent already is the affair of whoever
//! uses it. Addresses and bodies are never logged, nor do they show in errors.

mod id;
mod letter;
mod mail;
pub mod samples;
pub mod transport;
mod writer;

pub use lettre::Address;
pub use lettre::message::Mailbox;

pub use self::id::{InvalidMailId, MailId};
pub use self::letter::{EventCard, Letter, Standing, Template};
pub use self::mail::Mail;
pub use self::transport::{
    CaptureTransport, DeliveryError, FailureClass, FolderTransport, SmtpTransport, Transport,
    TransportError, transport,
};
/// Languages that mails are written in from the start.
pub const LANGUAGES: [&str; 2] = ["en", "de"];

pub use self::writer::{
    Parts, Recipient, Site, SiteError, TemplateProblem, WriteError, Writer, WriterError,
};
