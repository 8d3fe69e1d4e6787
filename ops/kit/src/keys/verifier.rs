//! Checks access tokens, each signature once.
//!
//! A signature costs a hundred microseconds and a client sends the same token with every request,
//! so verified tokens are remembered by their hash. What time, the ring and the standing of the
//! account decide is looked at every time: an expired token, one of a retired key and one of a
//! banned account are refused at once.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, Validation};
use quick_cache::sync::Cache;

use super::claims::{Claims, TokenError, WireClaims};
use super::{Caller, KeyRing, Standing, Standings};
use crate::config::Config;

/// Longest token that is looked at.
const TOKEN_BYTES_MAX: usize = 4096;

/// Checks access tokens against the ring. Cheap to clone; all clones share what they remember.
#[derive(Clone)]
pub struct TokenVerifier {
    shared: Arc<Shared>,
    standings: Option<Arc<dyn Standings>>,
}

struct Shared {
    ring: KeyRing,
    validation: Validation,
    leeway_seconds: i64,
    verified: Cache<[u8; 32], Verified>,
}

#[derive(Clone, Copy)]
struct Verified {
    claims: Claims,
    /// The ring as it was when the signature was checked.
    generation: u64,
}

impl TokenVerifier {
    /// A verifier for tokens of the configured issuer and audience.
    pub fn new(ring: KeyRing, config: &Config) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[config.token_issuer()]);
        validation.set_audience(&[&config.tokens.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // Time is looked at here, with every request.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let leeway = config.tokens.leeway.as_secs();
        Self {
            shared: Arc::new(Shared {
                ring,
                validation,
                leeway_seconds: i64::try_from(leeway).unwrap_or(i64::MAX),
                verified: Cache::new(config.tokens.cache_max as usize),
            }),
            standings: None,
        }
    }

    /// The same, with every token held against how its account stands now: the role of the answer
    /// is the account's and not the token's.
    #[must_use]
    pub fn with_standings(self, standings: Arc<dyn Standings>) -> Self {
        Self { standings: Some(standings), ..self }
    }

    /// What the token says, if it is good now.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        self.verify_at(token, i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
    }

    /// What the token says, if it is good at a moment, in seconds since 1970.
    pub fn verify_at(&self, token: &str, now: i64) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let shared = &self.shared;
        let hash = *blake3::hash(token.as_bytes()).as_bytes();
        let generation = shared.ring.generation();
        let known = shared.verified.get(&hash).filter(|known| known.generation == generation);
        let claims = match known {
            Some(known) => known.claims,
            None => {
                let claims = shared.check_signature(token)?;
                shared.verified.insert(hash, Verified { claims, generation });
                claims
            }
        };
        let leeway = shared.leeway_seconds;
        if now >= claims.exp.saturating_add(leeway) {
            return Err(TokenError::Expired);
        }
        let good_from = claims.nbf.unwrap_or(claims.iat);
        if now < good_from.saturating_sub(leeway) {
            return Err(TokenError::NotYetValid);
        }
        match self.standings.as_ref().map(|standings| standings.standing(&Caller::from(claims))) {
            None => Ok(claims),
            Some(Standing::Allowed(role)) => Ok(Claims { role, ..claims }),
            Some(Standing::Locked) => Err(TokenError::Locked),
            Some(Standing::Revoked) => Err(TokenError::Revoked),
        }
    }
}

impl Shared {
    fn check_signature(&self, token: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        let kid = header.kid.ok_or(TokenError::Invalid)?;
        let ring = self.ring.with_key(&kid).ok_or(TokenError::Invalid)?;
        let key = ring.find(&kid).ok_or(TokenError::Invalid)?;
        // Refuses every algorithm but the configured one before it looks at the signature.
        jsonwebtoken::decode::<WireClaims>(token, &key.decoding, &self.validation)
            .map_err(|_| TokenError::Invalid)?
            .claims
            .parse()
    }
}
