//! Who asks: signing keys, access tokens, callers, API keys.
//!
//! Access tokens are EdDSA JWTs. The keys live in a ring (current, next, retiring), which every
//! process follows, so that rotation needs no restart and ends no session. The ring is in a folder,
//! which processes on several machines share, or sealed in a store that all of them reach
//! ([`RingStore`]). Private keys leave it only as signatures.

mod api_keys;
mod caller;
mod claims;
mod followed;
mod jwks;
mod ring;
mod ring_file;
mod session_cookie;
mod signer;
mod standing;
mod verifier;

pub use self::api_keys::{ApiKeyInfo, ApiKeys, Scope};
pub use self::caller::{Authentication, Caller, OptionalCaller};
pub use self::claims::{Claims, TokenError};
pub use self::followed::{Follow, follow};
pub use self::ring::{KeyInfo, KeyRing, RingStore};
pub use self::ring_file::KeyStatus;
pub use self::session_cookie::SessionCookie;
pub use self::signer::TokenSigner;
pub use self::standing::{Standing, Standings};
pub use self::verifier::TokenVerifier;

use std::path::PathBuf;

/// Keys cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The operating system refuses.
    #[error("cannot use {}: {cause}; check that the folder exists and belongs to this user", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The file is there and makes no sense.
    #[error("{} is damaged or of another version: {reason}; restore it from a backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What makes no sense.
        reason: String,
    },
    /// A store of keys cannot be read or written.
    #[error("cannot use the signing keys in {name}: {reason}")]
    Store {
        /// What the store is called.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No key has this id.
    #[error("there is no key {id}; list them to see which there are")]
    Unknown {
        /// The id as it was given.
        id: String,
    },
    /// The key is in use.
    #[error("key {id} is {status}; rotate first, only a retiring key can be retired")]
    InUse {
        /// The key.
        id: String,
        /// What it is now.
        status: KeyStatus,
    },
    /// Tokens that the key signed may still be good.
    #[error(
        "tokens of key {id} may be good until {until}; retire it then, or now if it was stolen, \
         with --stolen"
    )]
    StillNeeded {
        /// The key.
        id: String,
        /// From when on it is needed no more, RFC 3339.
        until: String,
    },
    /// The machine gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// A token cannot be signed.
    #[error("cannot sign a token: {0}")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

impl KeysError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| Self::Io { path, cause }
    }
}

/// Milliseconds since 1970, by the wall clock.
fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
