//! The public keys, for others who check our tokens (RFC 7517, RFC 8037).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::KeyRing;

impl KeyRing {
    /// The set to be served at `/.well-known/jwks.json`: current and next key, and those retiring
    /// keys whose tokens may still be out.
    pub fn jwks(&self) -> Value {
        let ring = self.current();
        let key = |key: &super::ring::RingKey| {
            json!({
                "kty": "OKP",
                "crv": "Ed25519",
                "alg": "EdDSA",
                "use": "sig",
                "kid": key.kid,
                "x": base64url(&key.public),
            })
        };
        json!({ "keys": ring.keys.iter().map(key).collect::<Vec<_>>() })
    }
}

pub(super) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
