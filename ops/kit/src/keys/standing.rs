//! What an account may do now, whatever the token in hand says.

use cityevents_domain::actor::Role;

use super::{Caller, Claims};

/// How an account stands at this moment, for the bearer of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// They may do what this role may.
    Allowed(Role),
    /// The account is banned.
    Locked,
    /// The token was issued before all sessions of the account were revoked, or the account is gone.
    Revoked,
}

/// Knows how accounts stand. Asked with every request, after everything else about the token is
/// found good, and as long as an answer to it goes on: so it answers from memory and never waits.
pub trait Standings: Send + Sync {
    /// How the account of a token stands now. Of an account that nobody said anything about, the
    /// token is believed.
    fn standing(&self, caller: &Caller) -> Standing;
}

impl Claims {
    /// The earliest moment at which the token can have been issued, in milliseconds since 1970.
    ///
    /// Tokens tell whole seconds. A session whose id is a UUID of version 7 tells when it began, to
    /// the millisecond, and no token of it is older: so the first token of a session that began
    /// just after all others were revoked is not taken for one of theirs.
    pub fn issued_at_ms(&self) -> i64 {
        let second_ms = self.iat.saturating_mul(1_000);
        let began_ms = self.sid.get_timestamp().filter(|_| self.sid.get_version_num() == 7);
        let began_ms = began_ms.map(|at| {
            let (seconds, nanos) = at.to_unix();
            i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1_000)
                + i64::from(nanos / 1_000_000)
        });
        match began_ms {
            Some(began_ms) if began_ms.div_euclid(1_000) == self.iat => began_ms,
            _ => second_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use cityevents_domain::ids::UserId;
    use uuid::Uuid;

    use super::*;

    fn issued_at_ms(sid: Uuid) -> i64 {
        let sub = UserId::from_bytes([1; 16]);
        Claims { sub, role: Role::User, sid, iat: 1_790_000_000, nbf: None, exp: 0 }.issued_at_ms()
    }

    /// The id of a session that began at a moment, in milliseconds since 1970.
    fn session(began_ms: u64) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(began_ms, &[0xab; 10]).into_uuid()
    }

    #[test]
    fn the_first_token_of_a_session_is_as_old_as_the_session_to_the_millisecond() {
        assert_eq!(issued_at_ms(session(1_790_000_000_017)), 1_790_000_000_017);
        assert_eq!(issued_at_ms(session(1_790_000_000_999)), 1_790_000_000_999);
        // A later token of an older session, and clocks that disagree: the whole second.
        assert_eq!(issued_at_ms(session(1_789_999_999_999)), 1_790_000_000_000);
        assert_eq!(issued_at_ms(session(1_790_000_001_000)), 1_790_000_000_000);
        // An id that tells no time.
        assert_eq!(issued_at_ms(Uuid::from_bytes([0x45; 16])), 1_790_000_000_000);
    }
}
