//! A mail, ready to go.

use cityevents_trace::{TRACE_PARENT, TraceParent};
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

impl Mail {
    /// With the trace that it belongs to, in front of its head as relays put theirs.
    #[must_use]
    pub fn traced(mut self, trace: Option<&TraceParent>) -> Self {
        if let Some(trace) = trace {
            let header = format!("{TRACE_PARENT}: {trace}\r\n").into_bytes();
            self.message.splice(..0, header);
        }
        self
    }
}

/// Without addresses and message, which are personal and carry secrets.
impl std::fmt::Debug for Mail {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Mail").field("id", &self.id).finish_non_exhaustive()
    }
}
