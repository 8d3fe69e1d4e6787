//! Sealing: what leaves the instance and must come back unread and unchanged, and what is stored
//! and must be forgettable.
//!
//! Cursors are sealed with a key that is derived from the instance's secret; free text about a
//! person with that person's key, so that deleting the key deletes the text everywhere.

mod check_in;
mod cursor;
mod instance_secret;
mod mails;
mod person;
mod receipt;
mod ticket;
mod upload;
mod visitor;

pub use self::check_in::{CheckInCodes, NotAdmitted};
pub use self::cursor::{CursorSealer, FilterHash, UnsealError};
pub use self::instance_secret::{InstanceSecret, InstanceSecretError};
pub use self::mails::MailSecrets;
pub use self::person::PersonKey;
pub use self::receipt::Receipts;
pub use self::ticket::Ticket;
pub use self::upload::UploadTokens;
pub use self::visitor::{Visitor, VisitorCookies};
