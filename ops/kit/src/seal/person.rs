//! Free text about a person, sealed with that person's key.
//!
//! The key is kept in the tables and deleted when the person is erased; every copy of the text, in
//! the log and in snapshots, is unreadable from then on.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::UnsealError;

const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;

/// The key of one person.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonKey([u8; 32]);

impl std::fmt::Debug for PersonKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PersonKey([redacted])")
    }
}

impl PersonKey {
    /// Makes a key.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// A key as it was stored.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals a text. `bound_to` says where it stands (a field and the ids around it); elsewhere it
    /// does not open.
    pub fn seal(&self, bound_to: &[u8], text: &str) -> Result<Vec<u8>, getrandom::Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let payload = Payload { msg: text.as_bytes(), aad: bound_to };
        // Fails only for texts of 256 GiB and more.
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        Ok([&[FORMAT], nonce.as_slice(), &sealed].concat())
    }

    /// Opens a text.
    pub fn open(&self, bound_to: &[u8], sealed: &[u8]) -> Result<String, UnsealError> {
        let rest = sealed.strip_prefix(&[FORMAT]).ok_or(UnsealError)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_BYTES).ok_or(UnsealError)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| UnsealError)?;
        let payload = Payload { msg: sealed, aad: bound_to };
        let text = self.cipher().decrypt(&XNonce::from(nonce), payload);
        String::from_utf8(text.map_err(|_| UnsealError)?).map_err(|_| UnsealError)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.0.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_opens_with_the_key_and_the_place_it_was_sealed_with() {
        let key = PersonKey::generate().unwrap();
        let sealed = key.seal(b"ban reason of event 1", "rude to the cat").unwrap();
        let open = |key: &PersonKey, place: &[u8], sealed: &[u8]| key.open(place, sealed);
        assert_eq!(open(&key, b"ban reason of event 1", &sealed).unwrap(), "rude to the cat");
        assert_eq!(open(&key, b"ban reason of event 2", &sealed), Err(UnsealError));
        let other = PersonKey::generate().unwrap();
        assert_eq!(open(&other, b"ban reason of event 1", &sealed), Err(UnsealError));
        assert_eq!(open(&key, b"ban reason of event 1", &sealed[..10]), Err(UnsealError));
        assert_ne!(sealed, key.seal(b"ban reason of event 1", "rude to the cat").unwrap());
        assert_eq!(format!("{key:?}"), "PersonKey([redacted])");
    }
}
