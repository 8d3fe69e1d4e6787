//! The keys that sign access tokens.

use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::Serialize;

use super::followed::{Follow, Followed};
use super::ring_file::{FILE_VERSION, KeyStatus, RingFile, StoredKey};
use super::{KeysError, now_ms};
use crate::files;

/// The ring's file in the folder of the keys.
const FILE_NAME: &str = "signing-keys.json";

/// What the header of an Ed25519 private key in PKCS #8 looks like; the seed follows.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The keys of an instance, followed while other processes change them. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing {
    file: Arc<Followed<Ring>>,
}

/// What may be told about a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its id, `kid` in tokens.
    pub kid: String,
    /// What it is for.
    pub status: KeyStatus,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// The public part, base64url.
    pub public_key: String,
}

pub(super) struct Ring {
    pub(super) keys: Vec<RingKey>,
    stored: Vec<StoredKey>,
}

pub(super) struct RingKey {
    pub(super) kid: String,
    pub(super) status: KeyStatus,
    pub(super) public: [u8; 32],
    pub(super) encoding: EncodingKey,
    pub(super) decoding: DecodingKey,
    created_at_ms: i64,
}

impl KeyRing {
    /// Opens the ring of a folder. Folder and ring are made, for the owner only, if there is none.
    pub fn open(dir: &Path) -> Result<Self, KeysError> {
        let path = dir.join(FILE_NAME);
        if !path.exists() {
            files::create_private_dir(dir).map_err(KeysError::io(dir))?;
            let content = RingFile::generate(now_ms())?.to_bytes();
            files::create_private(&path, &content).map_err(KeysError::io(&path))?;
        }
        Ok(Self { file: Arc::new(Followed::open(path, Ring::parse)?) })
    }

    /// The key that was next signs from now on, the one that signed is retiring, and there is a
    /// new next one. Answers with the key that signs now.
    pub fn rotate(&self) -> Result<KeyInfo, KeysError> {
        self.file.change(|ring| {
            let mut keys = ring.stored.clone();
            for key in &mut keys {
                key.status = match key.status {
                    KeyStatus::Next => KeyStatus::Current,
                    KeyStatus::Current | KeyStatus::Retiring => KeyStatus::Retiring,
                };
            }
            keys.push(StoredKey::generate(KeyStatus::Next, now_ms())?);
            Ok((RingFile { version: FILE_VERSION, keys }.to_bytes(), ()))
        })?;
        let current = self.list().into_iter().find(|key| key.status == KeyStatus::Current);
        current.ok_or_else(|| KeysError::Damaged {
            path: self.file.path().to_owned(),
            reason: "it has no current key".to_owned(),
        })
    }

    /// Takes a retiring key away: what it has signed is no longer good.
    pub fn retire(&self, kid: &str) -> Result<(), KeysError> {
        self.file.change(|ring| {
            let unknown = || KeysError::Unknown { id: kid.to_owned() };
            let key = ring.stored.iter().find(|key| key.kid == kid).ok_or_else(unknown)?;
            if key.status != KeyStatus::Retiring {
                return Err(KeysError::InUse { id: kid.to_owned(), status: key.status });
            }
            let keys = ring.stored.iter().filter(|key| key.kid != kid).cloned().collect();
            Ok((RingFile { version: FILE_VERSION, keys }.to_bytes(), ()))
        })
    }

    /// The keys, the oldest first.
    pub fn list(&self) -> Vec<KeyInfo> {
        self.current().keys.iter().map(RingKey::info).collect()
    }

    pub(super) fn current(&self) -> arc_swap::Guard<Arc<Ring>> {
        self.file.current()
    }

    pub(super) fn generation(&self) -> u64 {
        self.file.generation()
    }
}

impl Follow for KeyRing {
    fn reload(&self) -> Result<(), KeysError> {
        self.file.reload()
    }
}

impl Ring {
    fn parse(content: &[u8]) -> Result<Self, String> {
        let stored = RingFile::parse(content)?.keys;
        let keys = stored.iter().map(RingKey::of).collect::<Result<_, _>>()?;
        Ok(Self { keys, stored })
    }

    /// The key that signs.
    pub(super) fn signing(&self) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.status == KeyStatus::Current)
    }

    pub(super) fn find(&self, kid: &str) -> Option<&RingKey> {
        self.keys.iter().find(|key| key.kid == kid)
    }
}

impl RingKey {
    fn of(stored: &StoredKey) -> Result<Self, String> {
        let signing: SigningKey = stored.signing_key()?;
        let public = signing.verifying_key().to_bytes();
        let private = [PKCS8_PREFIX.as_slice(), signing.as_bytes()].concat();
        Ok(Self {
            kid: stored.kid.clone(),
            status: stored.status,
            public,
            encoding: EncodingKey::from_ed_der(&private),
            decoding: DecodingKey::from_ed_der(&public),
            created_at_ms: stored.created_at_ms,
        })
    }

    fn info(&self) -> KeyInfo {
        let created_at = jiff::Timestamp::from_millisecond(self.created_at_ms);
        KeyInfo {
            kid: self.kid.clone(),
            status: self.status,
            created_at: created_at.unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string(),
            public_key: super::jwks::base64url(&self.public),
        }
    }
}
