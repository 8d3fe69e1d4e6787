//! Passwords: which are taken, and how they are hashed and checked, on threads of their own.
//!
//! Argon2id with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet, 2025; RFC
//! 9106). Hashes of bcrypt, from an earlier platform, are checked too, and replaced when somebody
//! signs in. The threads are few and their queue is short, so that many logins at once take neither
//! the processors nor the memory that joins need; who finds the queue full comes again later.

mod pool;
mod rules;

use std::num::NonZeroUsize;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

pub use self::rules::{BYTES_MAX, Password, PasswordError};

use self::pool::{Pool, PoolFull};

const MEMORY_KIB: u32 = 19 * 1_024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// It is the password.
    Right {
        /// The hash to keep from now on, where the one that was checked is of an older kind.
        upgraded: Option<String>,
    },
    /// It is not.
    Wrong,
}

/// A password could not be hashed or checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HashingError {
    /// Too many are waiting.
    #[error("too many passwords are being checked: try again in a moment")]
    Busy,
    /// The hash that is kept makes no sense, or hashing failed.
    #[error("a password cannot be hashed or checked: {0}")]
    Failed(String),
}

impl From<PoolFull> for HashingError {
    fn from(_: PoolFull) -> Self {
        Self::Busy
    }
}

/// Hashes and checks passwords.
pub struct Passwords {
    pool: Pool,
    /// Of no password; checked for addresses that nobody has, so that they take as long.
    nobody: String,
}

impl Passwords {
    /// Starts half as many threads as there are processors.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start() -> std::io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let pool = Pool::start((processors / 2).max(1))?;
        let nobody = hash(b"").map_err(std::io::Error::other)?;
        Ok(Self { pool, nobody })
    }

    /// The hash of a password, in PHC form.
    ///
    /// # Errors
    /// When too many are waiting, or hashing fails.
    pub async fn hash(&self, password: &Password) -> Result<String, HashingError> {
        let password = password.clone();
        self.pool.run(move || hash(password.as_bytes())).await?
    }

    /// Whether a text is the password of a hash. Takes as long without one, which is never right. A
    /// text that is longer than any password is not hashed.
    ///
    /// # Errors
    /// When too many are waiting, or the hash is none.
    pub async fn check(&self, text: &str, hash: Option<&str>) -> Result<Checked, HashingError> {
        if text.len() > BYTES_MAX {
            return Ok(Checked::Wrong);
        }
        let is_somebody = hash.is_some();
        let hash = hash.unwrap_or(&self.nobody).to_owned();
        let text = text.to_owned();
        let checked = self.pool.run(move || check(text.as_bytes(), &hash)).await??;
        Ok(if is_somebody { checked } else { Checked::Wrong })
    }
}

fn argon2() -> Result<Argon2<'static>, HashingError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None);
    let params = params.map_err(|error| HashingError::Failed(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &[u8]) -> Result<String, HashingError> {
    let hashed = argon2()?.hash_password(password);
    Ok(hashed.map_err(|error| HashingError::Failed(error.to_string()))?.to_string())
}

fn check(password: &[u8], kept: &str) -> Result<Checked, HashingError> {
    let failed = |error: &dyn std::fmt::Display| HashingError::Failed(error.to_string());
    if kept.starts_with("$2") {
        // bcrypt looks at the first 72 bytes only, as it did when the hash was made.
        let is_right = bcrypt::verify(password, kept).map_err(|error| failed(&error))?;
        return match is_right {
            true => Ok(Checked::Right { upgraded: Some(hash(password)?) }),
            false => Ok(Checked::Wrong),
        };
    }
    let parsed = PasswordHash::new(kept).map_err(|error| failed(&error))?;
    let argon2 = argon2()?;
    if argon2.verify_password(password, &parsed).is_err() {
        return Ok(Checked::Wrong);
    }
    let ours = argon2.params();
    let is_ours = Params::try_from(&parsed).is_ok_and(|params| {
        (params.m_cost(), params.t_cost(), params.p_cost())
            == (ours.m_cost(), ours.t_cost(), ours.p_cost())
    });
    let upgraded = if is_ours { None } else { Some(hash(password)?) };
    Ok(Checked::Right { upgraded })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "correct horse battery";

    #[test]
    fn a_password_is_checked_against_its_hash() {
        let kept = hash(RIGHT.as_bytes()).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_eq!(check(RIGHT.as_bytes(), &kept), Ok(Checked::Right { upgraded: None }));
        assert_eq!(check(b"correct horse batterz", &kept), Ok(Checked::Wrong));
        assert_ne!(kept, hash(RIGHT.as_bytes()).unwrap(), "each has a salt of its own");
    }

    #[test]
    fn hashes_of_another_kind_or_strength_are_checked_and_replaced() {
        let bcrypt = bcrypt::hash(RIGHT, 4).unwrap();
        let params = Params::new(64, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let weak = weak.hash_password(RIGHT.as_bytes()).unwrap().to_string();
        for kept in [bcrypt, weak] {
            let Checked::Right { upgraded: Some(upgraded) } =
                check(RIGHT.as_bytes(), &kept).unwrap()
            else {
                panic!("{kept} is right and of another kind");
            };
            let again = check(RIGHT.as_bytes(), &upgraded);
            assert_eq!(again, Ok(Checked::Right { upgraded: None }));
            assert_eq!(check(b"wrong", &kept), Ok(Checked::Wrong));
        }
    }

    #[test]
    fn a_hash_that_is_none_is_an_error_and_no_wrong_password() {
        for kept in ["", "x", "$argon2id$", "$2b$", "plain text"] {
            assert!(matches!(check(b"x", kept), Err(HashingError::Failed(_))), "{kept}");
        }
    }

    #[tokio::test]
    async fn nobodys_password_is_never_right() {
        let passwords = Passwords::start().unwrap();
        for text in ["", RIGHT] {
            assert_eq!(passwords.check(text, None).await, Ok(Checked::Wrong));
        }
    }
}
