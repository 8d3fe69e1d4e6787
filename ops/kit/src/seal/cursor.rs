//! Cursors: where a list goes on, sealed.
//!
//! A cursor carries the position of the last row (a keyset, never a number of rows), and is bound
//! to its purpose and to the filters of the list: with other filters it does not open.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::InstanceSecret;
use crate::problem::Problem;

/// First byte of a cursor; raised when what a position means changes.
const FORMAT: u8 = 1;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// Longest cursor that is looked at.
const TEXT_BYTES_MAX: usize = 2048;

/// What was sealed does not open: changed, cut, made up, of another instance, or of another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this list with these filters; start without a cursor")]
pub struct UnsealError;

impl From<UnsealError> for Problem {
    fn from(error: UnsealError) -> Self {
        Self::invalid("cursor", error.to_string())
    }
}

/// The filters of a list, as far as a cursor is bound to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterHash([u8; 32]);

impl FilterHash {
    /// Of names and values, in the order given; an absent filter is left out.
    pub fn of<'a>(filters: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for (name, value) in filters {
            for part in [name, value] {
                hasher.update(&(part.len() as u64).to_be_bytes());
                hasher.update(part.as_bytes());
            }
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// Of a list without filters.
    pub fn none() -> Self {
        Self::of([])
    }
}

/// Seals and opens cursors.
#[derive(Clone)]
pub struct CursorSealer {
    secret: InstanceSecret,
}

impl CursorSealer {
    /// A sealer with a key derived from the instance's secret.
    pub fn new(secret: InstanceSecret) -> Self {
        Self { secret }
    }

    /// The cursor for a position in the list `purpose` with these filters.
    pub fn seal(
        &self,
        purpose: &str,
        filters: &FilterHash,
        position: &[u8],
    ) -> Result<String, getrandom::Error> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce)?;
        let bound = bound_to(purpose, filters);
        let payload = Payload { msg: position, aad: &bound };
        // Fails only for texts of 256 GiB and more.
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload).unwrap_or_default();
        let mut bytes = Vec::with_capacity(1 + nonce.len() + sealed.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The position that a cursor carries.
    pub fn open(
        &self,
        purpose: &str,
        filters: &FilterHash,
        cursor: &str,
    ) -> Result<Vec<u8>, UnsealError> {
        if cursor.len() > TEXT_BYTES_MAX {
            return Err(UnsealError);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| UnsealError)?;
        let (format, rest) = bytes.split_first().ok_or(UnsealError)?;
        if *format != FORMAT || rest.len() < NONCE_BYTES + TAG_BYTES {
            return Err(UnsealError);
        }
        let (nonce, sealed) = rest.split_at(NONCE_BYTES);
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| UnsealError)?;
        let bound = bound_to(purpose, filters);
        let payload = Payload { msg: sealed, aad: &bound };
        self.cipher().decrypt(&XNonce::from(nonce), payload).map_err(|_| UnsealError)
    }

    /// A key for another purpose than cursors, from the same secret.
    pub(super) fn derive(&self, purpose: &str) -> [u8; 32] {
        self.secret.derive(purpose)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&self.secret.derive("cursor").into())
    }
}

fn bound_to(purpose: &str, filters: &FilterHash) -> Vec<u8> {
    [&[FORMAT], filters.0.as_slice(), purpose.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn sealer(folder: &std::path::Path) -> CursorSealer {
        let dir = folder.display().to_string();
        let overrides = vec![("data.dir".to_owned(), dir)];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        CursorSealer::new(InstanceSecret::open(&config).unwrap())
    }

    #[test]
    fn a_cursor_opens_for_its_list_and_filters_only() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = sealer(folder.path());
        let filters = FilterHash::of([("city", "Bern")]);
        let cursor = sealer.seal("events", &filters, b"position").unwrap();
        assert_eq!(sealer.open("events", &filters, &cursor), Ok(b"position".to_vec()));
        let others = FilterHash::of([("city", "Basel")]);
        assert_eq!(sealer.open("events", &others, &cursor), Err(UnsealError));
        assert_eq!(sealer.open("joins", &filters, &cursor), Err(UnsealError));
        assert_ne!(cursor, sealer.seal("events", &filters, b"position").unwrap());
    }

    #[test]
    fn a_cursor_survives_a_restart_and_does_not_open_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let cursor = sealer(folder.path()).seal("events", &FilterHash::none(), b"p").unwrap();
        let again = sealer(folder.path());
        assert_eq!(again.open("events", &FilterHash::none(), &cursor), Ok(b"p".to_vec()));
        let elsewhere = tempfile::tempdir().unwrap();
        let other = sealer(elsewhere.path());
        assert_eq!(other.open("events", &FilterHash::none(), &cursor), Err(UnsealError));
    }

    #[test]
    fn a_changed_or_cut_cursor_never_opens() {
        let folder = tempfile::tempdir().unwrap();
        let sealer = sealer(folder.path());
        let cursor = sealer.seal("events", &FilterHash::none(), b"position").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            let text = URL_SAFE_NO_PAD.encode(changed);
            assert_eq!(sealer.open("events", &FilterHash::none(), &text), Err(UnsealError));
            let cut = URL_SAFE_NO_PAD.encode(&bytes[..index]);
            assert_eq!(sealer.open("events", &FilterHash::none(), &cut), Err(UnsealError));
        }
        for wrong in ["", "!", "ä", &"A".repeat(5000)] {
            assert_eq!(sealer.open("events", &FilterHash::none(), wrong), Err(UnsealError));
        }
    }

    #[test]
    fn filters_that_only_look_alike_hash_differently() {
        assert_ne!(FilterHash::of([("a", "bc")]), FilterHash::of([("ab", "c")]));
        assert_ne!(FilterHash::of([("a", "")]), FilterHash::none());
    }
}
