//! Accounts in logs: never by their ids, which stand in the log of events for ever and lead to a
//! person. What is logged is a keyed hash: the same for the same account, so that lines about one
//! can be found together, and of no use to who has not the key.

use std::fmt;
use std::sync::OnceLock;

use cityevents_domain::ids::UserId;

use crate::seal::InstanceSecret;

/// What the key is derived for.
const PURPOSE: &str = "cityevents 2026 accounts in logs";

static KEY: OnceLock<[u8; 32]> = OnceLock::new();

/// From now on hashes are the same in every process with this secret. Once, early: a process that
/// logs an account before takes a key that nobody else has.
pub fn hash_accounts_with(secret: &InstanceSecret) {
    let _is_first = KEY.set(secret.derive(PURPOSE));
}

/// An account, for logs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccountHash([u8; 8]);

impl AccountHash {
    /// Of an account.
    pub fn of(user: &UserId) -> Self {
        Self::with(KEY.get_or_init(own_key), user)
    }

    fn with(key: &[u8; 32], user: &UserId) -> Self {
        let mut hash = [0; 8];
        hash.copy_from_slice(&blake3::keyed_hash(key, user.as_bytes()).as_bytes()[..8]);
        Self(hash)
    }
}

/// A machine without random numbers has no instance secret either, and serves nobody.
fn own_key() -> [u8; 32] {
    let mut key = [0; 32];
    let _ = getrandom::fill(&mut key);
    key
}

impl fmt::Display for AccountHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for AccountHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_of_the_account_and_of_the_key() {
        let (ada, bob) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let hash = |key, user| AccountHash::with(&[key; 32], user).to_string();
        assert_eq!(hash(1, &ada), hash(1, &ada));
        assert_ne!(hash(1, &ada), hash(1, &bob));
        assert_ne!(hash(1, &ada), hash(2, &ada));
        assert_eq!(hash(1, &ada).len(), 16);
        assert!(!ada.to_string().contains(&hash(1, &ada)));
    }
}
