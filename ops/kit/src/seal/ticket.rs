//! Tickets: what a person shows at the door as a picture, for a camera to read.
//!
//! ```text
//! layout 1 | event 16 | user 16 | signature 64 | proof 8      base64url, 140 characters
//! ```
//!
//! The signature is Ed25519 over `cityevents ticket v1`, a line feed, event and user, by the key that
//! signed access tokens when the ticket was given out: whoever has the published keys can check it
//! without asking anybody. The proof covers everything before it with a key of the instance's
//! secret, and is what this service itself goes by, so that a ticket on paper outlives the rotation
//! of signing keys, and no stolen signing key makes one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_domain::ids::{EventId, UserId};

use super::CursorSealer;
use crate::keys::{KeyRing, KeysError};

const LAYOUT: u8 = 1;
const SIGNED: &[u8] = b"cityevents ticket v1\n";
const PURPOSE: &str = "ticket";
const ID_BYTES: usize = 16;
const SIGNATURE_BYTES: usize = 64;
/// As of a code that is typed in.
const PROOF_BYTES: usize = 8;
const PROVEN_BYTES: usize = 1 + 2 * ID_BYTES + SIGNATURE_BYTES;
const TICKET_BYTES: usize = PROVEN_BYTES + PROOF_BYTES;
/// Letters of a ticket.
pub(super) const TICKET_LETTERS: usize = TICKET_BYTES / 3 * 4;

/// Whose ticket for which event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The event.
    pub event: EventId,
    /// The person.
    pub user: UserId,
}

impl Ticket {
    /// What a ticket says, which nothing proves: enough to lead to the door of its event.
    pub fn claimed(text: &str) -> Option<Self> {
        Some(Self::parse(&bytes_of(text)?))
    }

    /// Gives it out.
    ///
    /// # Errors
    /// When there is no key that signs.
    pub fn give(self, ring: &KeyRing, sealer: &CursorSealer) -> Result<String, KeysError> {
        let ids = [self.event.as_bytes().as_slice(), self.user.as_bytes()].concat();
        let signature = ring.sign(&[SIGNED, &ids].concat())?;
        let mut bytes = [&[LAYOUT], ids.as_slice(), &signature].concat();
        bytes.extend(proof(sealer, &bytes));
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Whose ticket it is, if this service gave it out.
    pub(super) fn proven(text: &str, sealer: &CursorSealer) -> Option<Self> {
        let bytes = bytes_of(text)?;
        let (proven, shown) = bytes.split_at(PROVEN_BYTES);
        super::check_in::are_equal(shown, &proof(sealer, proven)).then(|| Self::parse(&bytes))
    }

    fn parse(bytes: &[u8; TICKET_BYTES]) -> Self {
        let id = |from: usize| {
            let mut id = [0; ID_BYTES];
            id.copy_from_slice(&bytes[from..from + ID_BYTES]);
            id
        };
        Self { event: EventId::from_bytes(id(1)), user: UserId::from_bytes(id(1 + ID_BYTES)) }
    }
}

fn bytes_of(text: &str) -> Option<[u8; TICKET_BYTES]> {
    if text.len() != TICKET_LETTERS {
        return None;
    }
    let bytes: [u8; TICKET_BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
    (bytes[0] == LAYOUT).then_some(bytes)
}

fn proof(sealer: &CursorSealer, proven: &[u8]) -> [u8; PROOF_BYTES] {
    let mut hasher = blake3::Hasher::new_keyed(&sealer.derive(PURPOSE));
    let mut proof = [0; PROOF_BYTES];
    hasher.update(proven).finalize_xof().fill(&mut proof);
    proof
}
