//! The ring as it stands in its file.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use super::KeysError;

/// The layout of the file; raised with every change that an older program could not read.
pub(super) const FILE_VERSION: u32 = 1;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyStatus {
    /// Signs.
    Current,
    /// Will sign after the next rotation; published already, so that everybody knows it by then.
    Next,
    /// Signs no more; what it has signed stays good until it expires.
    Retiring,
}

impl std::fmt::Display for KeyStatus {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Current => "current",
            Self::Next => "next",
            Self::Retiring => "retiring",
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RingFile {
    pub(super) version: u32,
    pub(super) keys: Vec<StoredKey>,
}

/// One key. `seed` is the private part: it must never be printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoredKey {
    pub(super) kid: String,
    pub(super) status: KeyStatus,
    pub(super) created_at_ms: i64,
    seed: String,
}

impl StoredKey {
    /// Makes a key.
    pub(super) fn generate(status: KeyStatus, now_ms: i64) -> Result<Self, KeysError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let public = SigningKey::from_bytes(&seed).verifying_key();
        let kid = blake3::hash(public.as_bytes()).to_hex()[..16].to_owned();
        Ok(Self { kid, status, created_at_ms: now_ms, seed: URL_SAFE_NO_PAD.encode(seed) })
    }

    pub(super) fn signing_key(&self) -> Result<SigningKey, String> {
        let seed = URL_SAFE_NO_PAD.decode(&self.seed);
        let seed = seed.map_err(|_| format!("the seed of key {} is not base64url", self.kid))?;
        let seed: [u8; 32] = seed
            .try_into()
            .map_err(|_| format!("the seed of key {} has a wrong size", self.kid))?;
        Ok(SigningKey::from_bytes(&seed))
    }
}

impl RingFile {
    /// A ring with a key that signs and one that will.
    pub(super) fn generate(now_ms: i64) -> Result<Self, KeysError> {
        let keys = vec![
            StoredKey::generate(KeyStatus::Current, now_ms)?,
            StoredKey::generate(KeyStatus::Next, now_ms)?,
        ];
        Ok(Self { version: FILE_VERSION, keys })
    }

    /// The file's content.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers always serialise.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(content).map_err(|error| {
            // The message could quote a seed.
            format!("not readable at line {} column {}", error.line(), error.column())
        })?;
        if file.version != FILE_VERSION {
            return Err(format!("its version is {} and not {FILE_VERSION}", file.version));
        }
        for status in [KeyStatus::Current, KeyStatus::Next] {
            let count = file.keys.iter().filter(|key| key.status == status).count();
            if count != 1 {
                return Err(format!("it has {count} keys that are {status}, and needs one"));
            }
        }
        Ok(file)
    }
}
