//! Passwords: which are taken, and how they are hashed and checked, on threads of their own.
//!
//! Argon2id with 19 MiB, two passes and one lane (OWASP Password Storage Cheat Sheet, 2025; RFC
//! 9106). Hashes of bcrypt, from an earlier platform, are checked too, and replaced when somebody
//! signs in. Half of the processors hash, one at least; the queue is short and the system runs them
//! after everything else of this process, so that many logins at once take neither the processors nor
//! the memory that joins need. The other half is left free because that order holds within a process
//! only: threads of the system that finish what the log has to keep wait behind a hash as behind
//! anything else. Who finds the queue full comes again later.
//!
//! Whoever is refused has cost the same, so that time does not tell who has an account: one run of
//! argon2id, and one of bcrypt too, from the moment at which this process has met a hash of bcrypt.

mod argon2id;
mod rules;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use argon2::Params;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};

use self::argon2id::{Argon2id, check_library, params};
pub use self::rules::{BYTES_MAX, Password, PasswordError};
use crate::threads::{Pool, PoolFull};

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
    hasher: Arc<Hasher>,
}

/// How many hashes were computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashed {
    /// Of argon2id.
    pub argon2: u64,
    /// Of bcrypt.
    pub bcrypt: u64,
}

impl Passwords {
    /// Starts a thread for every second processor.
    ///
    /// # Errors
    /// When a thread cannot be started, or hashes come out wrong on this processor.
    pub fn start() -> std::io::Result<Self> {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let pool = Pool::start("passwords", processors.div_ceil(2))?;
        let hasher = Hasher::new().map_err(std::io::Error::other)?;
        Ok(Self { pool, hasher: Arc::new(hasher) })
    }

    /// How many hashes were computed so far.
    pub fn hashed(&self) -> Hashed {
        self.hasher.hashed()
    }

    /// The hash of a password, in PHC form.
    ///
    /// # Errors
    /// When too many are waiting, or hashing fails.
    pub async fn hash(&self, password: &Password) -> Result<String, HashingError> {
        let (password, hasher) = (password.clone(), self.hasher.clone());
        self.pool.run(move || hasher.hash(password.as_bytes())).await?
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
        let (text, hash) = (text.to_owned(), hash.map(str::to_owned));
        let hasher = self.hasher.clone();
        self.pool.run(move || hasher.check(text.as_bytes(), hash.as_deref())).await?
    }
}

/// What the threads work with.
struct Hasher {
    /// Of no password; checked for addresses that nobody has.
    nobody: String,
    /// The highest cost of bcrypt that was met; 0: none was.
    bcrypt_cost: AtomicU32,
    argon2_runs: AtomicU64,
    bcrypt_runs: AtomicU64,
}

impl Hasher {
    fn new() -> Result<Self, HashingError> {
        check_library().map_err(|error| failed(&error))?;
        let mut hasher = Self {
            nobody: String::new(),
            bcrypt_cost: AtomicU32::new(0),
            argon2_runs: AtomicU64::new(0),
            bcrypt_runs: AtomicU64::new(0),
        };
        hasher.nobody = hasher.hash(b"")?;
        Ok(hasher)
    }

    fn hashed(&self) -> Hashed {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Hashed { argon2: read(&self.argon2_runs), bcrypt: read(&self.bcrypt_runs) }
    }

    fn hash(&self, password: &[u8]) -> Result<String, HashingError> {
        self.argon2_runs.fetch_add(1, Ordering::Relaxed);
        let hashed = Argon2id.hash_password(password);
        Ok(hashed.map_err(|error| failed(&error))?.to_string())
    }

    fn check(&self, password: &[u8], kept: Option<&str>) -> Result<Checked, HashingError> {
        match kept {
            Some(kept) if kept.starts_with("$2") => self.check_bcrypt(password, kept),
            kept => self.check_argon2(password, kept),
        }
    }

    /// Of an account that has a hash of bcrypt. Right or wrong, argon2id runs once as well.
    fn check_bcrypt(&self, password: &[u8], kept: &str) -> Result<Checked, HashingError> {
        let cost = cost_of(kept)?;
        self.bcrypt_runs.fetch_add(1, Ordering::Relaxed);
        // bcrypt looks at the first 72 bytes only, as it did when the hash was made.
        let is_right = bcrypt::verify(password, kept).map_err(|error| failed(&error))?;
        // Only a cost that worked: everybody else pays it from now on.
        self.bcrypt_cost.fetch_max(cost, Ordering::Relaxed);
        let argon2 = self.hash(password)?;
        Ok(if is_right { Checked::Right { upgraded: Some(argon2) } } else { Checked::Wrong })
    }

    /// Of an account that has a hash of argon2id, or of nobody.
    fn check_argon2(&self, password: &[u8], kept: Option<&str>) -> Result<Checked, HashingError> {
        let parsed = PasswordHash::new(kept.unwrap_or(&self.nobody));
        let parsed = parsed.map_err(|error| failed(&error))?;
        self.argon2_runs.fetch_add(1, Ordering::Relaxed);
        let is_right = Argon2id.verify_password(password, &parsed).is_ok() && kept.is_some();
        if !is_right {
            self.run_bcrypt_too(password)?;
            return Ok(Checked::Wrong);
        }
        let ours = params().map_err(|error| failed(&error))?;
        let is_ours = Params::try_from(&parsed).is_ok_and(|params| {
            (params.m_cost(), params.t_cost(), params.p_cost())
                == (ours.m_cost(), ours.t_cost(), ours.p_cost())
        });
        let upgraded = if is_ours { None } else { Some(self.hash(password)?) };
        Ok(Checked::Right { upgraded })
    }

    /// What a refusal costs where there are hashes of bcrypt.
    fn run_bcrypt_too(&self, password: &[u8]) -> Result<(), HashingError> {
        let cost = self.bcrypt_cost.load(Ordering::Relaxed);
        if cost > 0 {
            self.bcrypt_runs.fetch_add(1, Ordering::Relaxed);
            bcrypt::hash_with_salt(password, cost, [0; 16]).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}

/// The cost of a hash of bcrypt: `$2b$12$…`.
fn cost_of(kept: &str) -> Result<u32, HashingError> {
    let cost = kept.split('$').nth(2).and_then(|cost| cost.parse().ok());
    cost.ok_or_else(|| HashingError::Failed("the hash that is kept tells no cost".to_owned()))
}

fn failed(error: &dyn std::fmt::Display) -> HashingError {
    HashingError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::{Algorithm, Argon2, Version};

    use super::*;

    const RIGHT: &str = "correct horse battery";

    fn hasher() -> Hasher {
        Hasher::new().unwrap()
    }

    #[test]
    fn a_password_is_checked_against_its_hash() {
        let hasher = hasher();
        let kept = hasher.hash(RIGHT.as_bytes()).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        let check = |password: &[u8]| hasher.check(password, Some(&kept));
        assert_eq!(check(RIGHT.as_bytes()), Ok(Checked::Right { upgraded: None }));
        assert_eq!(check(b"correct horse batterz"), Ok(Checked::Wrong));
        assert_ne!(kept, hasher.hash(RIGHT.as_bytes()).unwrap(), "each has a salt of its own");
    }

    #[test]
    fn every_character_of_a_password_counts_as_it_is() {
        let hasher = hasher();
        let password = format!("{}\u{e9} End ", "Long enough ".repeat(8));
        let kept = hasher.hash(password.as_bytes()).unwrap();
        let check = |text: &str| hasher.check(text.as_bytes(), Some(&kept)).unwrap();
        assert_eq!(check(&password), Checked::Right { upgraded: None });
        let others = [
            password.to_lowercase(),
            password.trim_end().to_owned(),
            password[..72].to_owned(),
            format!("{password}x"),
            password.replace('\u{e9}', "e\u{301}"),
        ];
        for other in others {
            assert_eq!(check(&other), Checked::Wrong, "{other:?}");
        }
    }

    #[test]
    fn hashes_of_another_kind_or_strength_are_checked_and_replaced() {
        let hasher = hasher();
        let bcrypt = bcrypt::hash(RIGHT, 4).unwrap();
        let params = Params::new(64, 1, 1, None).unwrap();
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let weak = weak.hash_password(RIGHT.as_bytes()).unwrap().to_string();
        for kept in [bcrypt, weak] {
            let Checked::Right { upgraded: Some(upgraded) } =
                hasher.check(RIGHT.as_bytes(), Some(&kept)).unwrap()
            else {
                panic!("{kept} is right and of another kind");
            };
            let again = hasher.check(RIGHT.as_bytes(), Some(&upgraded));
            assert_eq!(again, Ok(Checked::Right { upgraded: None }));
            assert_eq!(hasher.check(b"wrong", Some(&kept)), Ok(Checked::Wrong));
        }
    }

    #[test]
    fn whoever_is_refused_has_cost_the_same_account_or_not_and_whatever_its_hash_is() {
        let hasher = hasher();
        let argon2 = hasher.hash(RIGHT.as_bytes()).unwrap();
        let bcrypt = bcrypt::hash(RIGHT, 4).unwrap();
        let cost = |kept: Option<&str>| {
            let before = hasher.hashed();
            assert_eq!(hasher.check(b"wrong", kept), Ok(Checked::Wrong));
            let after = hasher.hashed();
            (after.argon2 - before.argon2, after.bcrypt - before.bcrypt)
        };
        // Where nobody has a hash of bcrypt, none is computed.
        assert_eq!([cost(None), cost(Some(&argon2))], [(1, 0); 2]);
        assert_eq!([cost(Some(&bcrypt)), cost(None), cost(Some(&argon2))], [(1, 1); 3]);
        let before = hasher.hashed();
        hasher.check(RIGHT.as_bytes(), Some(&argon2)).unwrap();
        let after = hasher.hashed();
        assert_eq!((after.argon2, after.bcrypt), (before.argon2 + 1, before.bcrypt));
    }

    #[test]
    fn a_hash_that_is_none_is_an_error_and_no_wrong_password() {
        for kept in ["", "x", "$argon2id$", "$2b$", "$2b$99$", "plain text"] {
            let checked = hasher().check(b"x", Some(kept));
            assert!(matches!(checked, Err(HashingError::Failed(_))), "{kept}");
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
