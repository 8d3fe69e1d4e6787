//! Check-in codes: what a person shows at the door, short enough for a small picture.
//!
//! A code names a person and proves that this service gave it out for one event. It stays the same
//! for as long as the instance's secret does, so that a picture in a calendar goes on working; that
//! the person has a place, and has not come through before, is decided at the door and from the log.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_domain::ids::{EventId, UserId};

use super::CursorSealer;

const PURPOSE: &str = "check-in code";
const USER_BYTES: usize = 16;
/// Guesses are made over the network, by somebody who manages the event and needs no code: eight
/// bytes are plenty, and make 32 characters of the whole.
const PROOF_BYTES: usize = 8;
const CODE_BYTES: usize = USER_BYTES + PROOF_BYTES;

/// Gives and reads check-in codes.
#[derive(Clone)]
pub struct CheckInCodes {
    sealer: CursorSealer,
}

impl CheckInCodes {
    /// With the keys of the instance's secret.
    pub const fn new(sealer: CursorSealer) -> Self {
        Self { sealer }
    }

    /// The code of a person for an event: 32 characters of letters, digits, `-` and `_`.
    pub fn give(&self, event: &EventId, user: &UserId) -> String {
        let proof = self.proof(event, user);
        URL_SAFE_NO_PAD.encode([user.as_bytes().as_slice(), &proof].concat())
    }

    /// Whose code it is; `None` unless it was given out for this event.
    pub fn read(&self, event: &EventId, code: &str) -> Option<UserId> {
        // Decoding a longer text than any code has is a waste.
        if code.len() != CODE_BYTES.div_ceil(3) * 4 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(code).ok()?;
        let (user, proof) = bytes.split_first_chunk::<USER_BYTES>()?;
        let user = UserId::from_bytes(*user);
        let expected = self.proof(event, &user);
        // Every byte is compared, so that time does not tell where the first wrong one stands.
        let differs =
            proof.iter().zip(&expected).fold(0, |found, (one, other)| found | (one ^ other));
        (proof.len() == PROOF_BYTES && differs == 0).then_some(user)
    }

    fn proof(&self, event: &EventId, user: &UserId) -> [u8; PROOF_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.sealer.derive(PURPOSE));
        hasher.update(event.as_bytes()).update(user.as_bytes());
        let mut proof = [0; PROOF_BYTES];
        hasher.finalize_xof().fill(&mut proof);
        proof
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use crate::seal::InstanceSecret;

    fn codes(folder: &std::path::Path) -> CheckInCodes {
        let overrides = vec![("data.dir".to_owned(), folder.display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        CheckInCodes::new(CursorSealer::new(InstanceSecret::open(&config).unwrap()))
    }

    #[test]
    fn a_code_names_one_person_at_one_event_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (event, other) = (EventId::from_bytes([1; 16]), EventId::from_bytes([2; 16]));
        let user = UserId::from_bytes([3; 16]);
        let code = codes(folder.path()).give(&event, &user);
        assert_eq!(code.len(), 32);
        assert_eq!(codes(folder.path()).read(&event, &code), Some(user));
        assert_eq!(codes(folder.path()).read(&other, &code), None);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(codes(elsewhere.path()).read(&event, &code), None);
    }

    #[test]
    fn a_changed_cut_or_made_up_code_is_nobodys() {
        let folder = tempfile::tempdir().unwrap();
        let codes = codes(folder.path());
        let event = EventId::from_bytes([1; 16]);
        let code = codes.give(&event, &UserId::from_bytes([3; 16]));
        for index in 0..code.len() {
            let mut changed = code.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert_eq!(codes.read(&event, std::str::from_utf8(&changed).unwrap()), None, "{index}");
            assert_eq!(codes.read(&event, &code[..index]), None);
        }
        for wrong in ["", "ä", &"A".repeat(32), &"ä".repeat(16), &format!("{code}A")] {
            assert_eq!(codes.read(&event, wrong), None, "{wrong}");
        }
    }
}
