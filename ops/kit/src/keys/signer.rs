//! Signs access tokens.

use std::time::Duration;

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use jsonwebtoken::{Algorithm, Header};
use uuid::Uuid;

use super::claims::WireClaims;
use super::{KeyRing, KeysError, now_ms};
use crate::config::Config;

/// Signs access tokens with the current key of the ring.
#[derive(Clone)]
pub struct TokenSigner {
    ring: KeyRing,
    issuer: String,
    audience: String,
    ttl: Duration,
}

impl TokenSigner {
    /// A signer with issuer, audience and lifetime of the configuration.
    pub fn new(ring: KeyRing, config: &Config) -> Self {
        Self {
            ring,
            issuer: config.token_issuer(),
            audience: config.tokens.audience.clone(),
            ttl: config.tokens.ttl,
        }
    }

    /// How long tokens are good when nobody says otherwise.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }

    /// A token with the configured lifetime.
    pub fn sign(&self, subject: &UserId, role: Role, session: &Uuid) -> Result<String, KeysError> {
        self.sign_for(subject, role, session, self.ttl)
    }

    /// A token that is good for `ttl`.
    pub fn sign_for(
        &self,
        subject: &UserId,
        role: Role,
        session: &Uuid,
        ttl: Duration,
    ) -> Result<String, KeysError> {
        self.sign_at(subject, role, session, ttl, now_ms().div_euclid(1_000))
    }

    /// A token issued at a moment, in seconds since 1970.
    pub fn sign_at(
        &self,
        subject: &UserId,
        role: Role,
        session: &Uuid,
        ttl: Duration,
        issued_at: i64,
    ) -> Result<String, KeysError> {
        let ring = self.ring.current();
        let unknown = || KeysError::Unknown { id: "current".to_owned() };
        let key = ring.signing().ok_or_else(unknown)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid.clone());
        let lifetime = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let claims = WireClaims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: subject.to_string(),
            role: role.as_str().to_owned(),
            sid: session.to_string(),
            iat: issued_at,
            nbf: None,
            exp: issued_at.saturating_add(lifetime),
        };
        Ok(jsonwebtoken::encode(&header, &claims, &key.encoding)?)
    }
}
