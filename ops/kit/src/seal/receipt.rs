//! Receipts: proof, for any process of the service, that a person's write was taken in.
//!
//! The id of a command is derived from the request and registered nowhere, so until it is decided
//! nobody can tell it from one that never was. Whoever takes a write in hands the receipt out with
//! the id, and whoever is asked for the outcome, on whatever machine, can say *pending*.

use cityevents_domain::ids::{CommandId, UserId};

use super::{CursorSealer, FilterHash};

/// As long as outcomes are kept: afterwards nothing is known of a command.
const GOOD_FOR_MS: i64 = 24 * 3_600_000;

/// Binds a receipt to what it is.
const PURPOSE: &str = "receipt";

/// Gives and checks receipts.
#[derive(Clone)]
pub struct Receipts {
    sealer: CursorSealer,
}

impl Receipts {
    /// With the keys of the instance's secret.
    pub const fn new(sealer: CursorSealer) -> Self {
        Self { sealer }
    }

    /// The receipt for a write of a person at `now_ms`.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn give(
        &self,
        command: &CommandId,
        user: &UserId,
        now_ms: i64,
    ) -> Result<String, getrandom::Error> {
        self.sealer.seal(PURPOSE, &bound_to(command, user), &now_ms.to_be_bytes())
    }

    /// Whether a receipt is for this command of this person, and outcomes of its time are still
    /// kept.
    pub fn proves(&self, receipt: &str, command: &CommandId, user: &UserId, now_ms: i64) -> bool {
        let Ok(position) = self.sealer.open(PURPOSE, &bound_to(command, user), receipt) else {
            return false;
        };
        let given_ms = position.try_into().map(i64::from_be_bytes);
        given_ms.is_ok_and(|given_ms| now_ms.saturating_sub(given_ms) < GOOD_FOR_MS)
    }
}

fn bound_to(command: &CommandId, user: &UserId) -> FilterHash {
    FilterHash::of([("command", command.to_string().as_str()), ("user", user.to_string().as_str())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use crate::seal::InstanceSecret;

    #[test]
    fn a_receipt_proves_one_write_of_one_person_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = vec![("data.dir".to_owned(), folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        let receipts = || Receipts::new(CursorSealer::new(InstanceSecret::open(&config).unwrap()));
        let (user, other) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let command = CommandId::derive(&user, "POST", "/a", "key");
        let another = CommandId::derive(&user, "POST", "/b", "key");
        let receipt = receipts().give(&command, &user, 1_000).unwrap();
        let elsewhere = receipts();
        assert!(elsewhere.proves(&receipt, &command, &user, 2_000));
        assert!(!elsewhere.proves(&receipt, &command, &other, 2_000));
        assert!(!elsewhere.proves(&receipt, &another, &user, 2_000));
        assert!(!elsewhere.proves(&receipt, &command, &user, 1_000 + GOOD_FOR_MS));
        assert!(!elsewhere.proves("made-up", &command, &user, 2_000));
    }
}
