//! A mail, ready to go.

use lettre::Address;

use crate::MailId;

/// A mail, ready to go.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Which.
    pub id: MailId,
    /// Whom servers tell when it cannot be delivered (the sender of the envelope).
    pub from: Address,
    /// Who gets it.
    pub to: Address,
    /// Head and body (RFC 5322), in ASCII unless an address is not.
    pub message: Vec<u8>,
}

/// Without addresses and message, which are personal and carry secrets.
impl std::fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mail").field("id", &self.id).finish_non_exhaustive()
    }
}
