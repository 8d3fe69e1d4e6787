//! Check-in codes: what a person shows at the door, short enough for a small picture.
//!
//! A code names a person and proves that this service gave it out for one event. It stays the same
//! for as long as the instance's secret does, so that a picture in a calendar goes on working; that
//! the person has a place, and has not come through before, is decided at the door and from the log.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_domain::ids::{EventId, UserId};

use super::CursorSealer;
use super::ticket::{TICKET_LETTERS, Ticket};

const PURPOSE: &str = "check-in code";
const USER_BYTES: usize = 16;
/// Guesses are made over the network, by somebody who manages the event and needs no code: eight
/// bytes are plenty, and make 32 characters of the whole.
const PROOF_BYTES: usize = 8;
const CODE_BYTES: usize = USER_BYTES + PROOF_BYTES;

/// Why what somebody shows lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Changed, cut, made up, or of another service.
    #[error("is not a code for this event")]
    Unknown,
    /// A ticket of this service.
    #[error("is a ticket for another event")]
    OtherEvent,
}

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
        are_equal(proof, &self.proof(event, &user)).then_some(user)
    }

    /// Whom the thing that is shown for this event belongs to: a code, a ticket ([`Ticket`]), or the
    /// address that a picture of a ticket leads to.
    ///
    /// # Errors
    /// When it lets nobody in.
    pub fn whose(&self, event: &EventId, shown: &str) -> Result<UserId, NotAdmitted> {
        let shown = shown.trim();
        let shown = shown.rsplit_once('/').map_or(shown, |(_, last)| last);
        if shown.len() != TICKET_LETTERS {
            return self.read(event, shown).ok_or(NotAdmitted::Unknown);
        }
        let ticket = Ticket::proven(shown, &self.sealer).ok_or(NotAdmitted::Unknown)?;
        if ticket.event == *event { Ok(ticket.user) } else { Err(NotAdmitted::OtherEvent) }
    }

    fn proof(&self, event: &EventId, user: &UserId) -> [u8; PROOF_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.sealer.derive(PURPOSE));
        hasher.update(event.as_bytes()).update(user.as_bytes());
        let mut proof = [0; PROOF_BYTES];
        hasher.finalize_xof().fill(&mut proof);
        proof
    }
}

/// Compares every byte, so that time does not tell where the first wrong one stands.
pub(super) fn are_equal(shown: &[u8], expected: &[u8; PROOF_BYTES]) -> bool {
    let differs = shown.iter().zip(expected).fold(0, |found, (one, other)| found | (one ^ other));
    shown.len() == PROOF_BYTES && differs == 0
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use ed25519_dalek::{Signature, VerifyingKey};

    use super::*;
    use crate::config::{Config, Sources};
    use crate::keys::KeyRing;
    use crate::seal::InstanceSecret;

    fn sealer(folder: &Path) -> CursorSealer {
        let overrides = vec![("data.dir".to_owned(), folder.display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        CursorSealer::new(InstanceSecret::open(&config).unwrap())
    }

    fn codes(folder: &Path) -> CheckInCodes {
        CheckInCodes::new(sealer(folder))
    }

    fn ticket(event: u8, user: u8) -> Ticket {
        Ticket { event: EventId::from_bytes([event; 16]), user: UserId::from_bytes([user; 16]) }
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
    #[test]
    fn a_ticket_is_good_at_its_event_also_after_its_key_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(&folder.path().join("keys")).unwrap();
        let mine = ticket(1, 3);
        let shown = mine.give(&ring, &sealer(folder.path())).unwrap();
        assert_eq!(Ticket::claimed(&shown), Some(mine));
        let signed_with = ring.list()[0].kid.clone();
        ring.rotate().unwrap();
        ring.retire_at(&signed_with, Duration::ZERO, i64::MAX).unwrap();
        let codes = codes(folder.path());
        for shown in
            [&shown, &format!("https://city.example/check-in/{shown}"), &format!(" {shown}\n")]
        {
            assert_eq!(codes.whose(&mine.event, shown), Ok(mine.user), "{shown}");
        }
        let other = EventId::from_bytes([2; 16]);
        assert_eq!(codes.whose(&other, &shown), Err(NotAdmitted::OtherEvent));
        let code = codes.give(&mine.event, &mine.user);
        assert_eq!(codes.whose(&mine.event, &code), Ok(mine.user));
        assert_eq!(codes.whose(&other, &code), Err(NotAdmitted::Unknown));
    }

    #[test]
    fn a_ticket_can_be_checked_with_the_published_keys_alone() {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(&folder.path().join("keys")).unwrap();
        let shown = ticket(1, 3).give(&ring, &sealer(folder.path())).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(shown).unwrap();
        let message = [b"cityevents ticket v1\n", &bytes[1..33]].concat();
        let signature = Signature::from_slice(&bytes[33..97]).unwrap();
        let published = ring.jwks();
        let verifying = published["keys"].as_array().unwrap().iter().filter(|key| {
            let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
            let key = VerifyingKey::from_bytes(&public.try_into().unwrap()).unwrap();
            key.verify_strict(&message, &signature).is_ok()
        });
        assert_eq!(verifying.count(), 1);
    }

    #[test]
    fn a_forged_ticket_and_one_of_another_service_let_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::open(&folder.path().join("keys")).unwrap();
        let (codes, mine) = (codes(folder.path()), ticket(1, 3));
        let shown = mine.give(&ring, &sealer(folder.path())).unwrap();
        for index in 0..shown.len() {
            let mut forged = shown.clone().into_bytes();
            forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
            let forged = std::str::from_utf8(&forged).unwrap();
            assert_eq!(codes.whose(&mine.event, forged), Err(NotAdmitted::Unknown), "{index}");
        }
        let elsewhere = tempfile::tempdir().unwrap();
        // Even with the same signing keys: those may have been stolen.
        let foreign = mine.give(&ring, &sealer(elsewhere.path())).unwrap();
        assert_eq!(codes.whose(&mine.event, &foreign), Err(NotAdmitted::Unknown));
        for wrong in ["", "/", "A", &"A".repeat(TICKET_LETTERS), &"ä".repeat(TICKET_LETTERS / 2)] {
            assert_eq!(codes.whose(&mine.event, wrong), Err(NotAdmitted::Unknown), "{wrong}");
            assert_eq!(Ticket::claimed(wrong), None, "{wrong}");
        }
    }
}
