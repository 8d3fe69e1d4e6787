//! The keys that sign access tokens.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::time::Timestamp;
use ed25519_dalek::{Signer as _, SigningKey};
use jsonwebtoken::{DecodingKey, EncodingKey};
use parking_lot::Mutex;
use serde::Serialize;

use super::followed::{Follow, Followed, Kept};
use super::ring_file::{FILE_VERSION, KeyStatus, RingFile, StoredKey};
use super::{KeysError, now_ms};
use crate::event_body::WireTime;
use crate::files;

/// The ring's file in the folder of the keys.
const FILE_NAME: &str = "signing-keys.json";

/// How long another process may go on signing with a key after a rotation: until it has read the
/// file, with time to spare.
const FOLLOWED_WITHIN_MS: i64 = 2_000;

/// Most looks at the file in a second for keys that nobody knows, so that made-up ones cost little.
const UNKNOWN_KEY_LOOKS_MAX: u32 = 100;

/// What the header of an Ed25519 private key in PKCS #8 looks like; the seed follows.
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The keys of an instance, followed while other processes change them. Cheap to clone.
#[derive(Clone)]
pub struct KeyRing {
    file: Arc<Followed<Ring>>,
    /// Looks at the file for unknown keys.
    looks: Arc<Mutex<Looks>>,
}

/// Keeps the content of a ring for several machines. Calls wait for it.
pub trait RingStore: Send + Sync {
    /// What it is called, for errors.
    fn name(&self) -> String;

    /// The content, if there is one.
    ///
    /// # Errors
    /// [`KeysError::Store`] when it cannot be read.
    fn read(&self) -> Result<Option<Vec<u8>>, KeysError>;

    /// Replaces the content, unless it is another one than `before` by now. Says whether it did.
    ///
    /// # Errors
    /// [`KeysError::Store`] when it cannot be written.
    fn replace(&self, before: Option<&[u8]>, content: &[u8]) -> Result<bool, KeysError>;
}

/// The ring of a store.
struct InStore(Arc<dyn RingStore>);

impl Kept for InStore {
    fn name(&self) -> PathBuf {
        self.0.name().into()
    }

    fn read(&self) -> Result<Vec<u8>, KeysError> {
        let gone = || KeysError::Store { name: self.0.name(), reason: "it is gone".to_owned() };
        self.0.read()?.ok_or_else(gone)
    }

    fn replace(&self, before: &[u8], content: &[u8]) -> Result<bool, KeysError> {
        self.0.replace(Some(before), content)
    }
}

/// How often the file was looked at for unknown keys in one second.
#[derive(Default)]
struct Looks {
    second: i64,
    count: u32,
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
    /// Until when it signed, RFC 3339, if it signs no more.
    pub signed_until: Option<String>,
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
    signed_until_ms: Option<i64>,
}

impl KeyRing {
    /// The file of the ring of a folder.
    pub fn file_in(dir: &Path) -> PathBuf {
        dir.join(FILE_NAME)
    }

    /// Opens the ring of a folder. Folder and ring are made, for the owner only, if there is none.
    pub fn open(dir: &Path) -> Result<Self, KeysError> {
        let path = dir.join(FILE_NAME);
        if !path.exists() {
            files::create_private_dir(dir).map_err(KeysError::io(dir))?;
            let content = RingFile::generate(now_ms())?.to_bytes();
            files::create_private(&path, &content).map_err(KeysError::io(&path))?;
        }
        let file = Arc::new(Followed::open(path, Ring::parse)?);
        Ok(Self { file, looks: Arc::default() })
    }

    /// Opens the ring of a store that several machines share. Where there is none yet it takes over
    /// the ring of a folder, so that tokens that are out stay good, or makes one.
    ///
    /// # Errors
    /// When the store cannot be read or written, or what is in it makes no sense.
    pub fn open_in(store: Arc<dyn RingStore>, dir: &Path) -> Result<Self, KeysError> {
        if store.read()?.is_none() {
            let path = dir.join(FILE_NAME);
            let content = match path.exists() {
                true => std::fs::read(&path).map_err(KeysError::io(&path))?,
                false => RingFile::generate(now_ms())?.to_bytes(),
            };
            // Somebody else may have made one at the same moment: theirs counts then.
            store.replace(None, &content)?;
        }
        let file = Arc::new(Followed::of(Box::new(InStore(store)), Ring::parse)?);
        Ok(Self { file, looks: Arc::default() })
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
            path: self.file.name(),
            reason: "it has no current key".to_owned(),
        })
    }

    /// Takes a retiring key away once nothing that it signed can still be good, which is
    /// `token_life` after it stopped.
    ///
    /// # Errors
    /// [`KeysError::StillNeeded`] before that; [`KeysError::InUse`] for a key that is not retiring.
    pub fn retire(&self, kid: &str, token_life: Duration) -> Result<(), KeysError> {
        self.retire_at(kid, token_life, now_ms())
    }

    /// [`KeyRing::retire`] at a moment, in milliseconds since 1970.
    pub fn retire_at(&self, kid: &str, token_life: Duration, now_ms: i64) -> Result<(), KeysError> {
        self.remove(kid, |key| match key.good_until_ms(token_life) {
            Some(until_ms) if now_ms < until_ms => {
                Err(KeysError::StillNeeded { id: kid.to_owned(), until: rfc3339(until_ms) })
            }
            _ => Ok(()),
        })
    }

    /// Takes a retiring key away at once: for one that was stolen. Tokens that it signed are no
    /// longer good, and their holders refresh them.
    pub fn retire_stolen(&self, kid: &str) -> Result<(), KeysError> {
        self.remove(kid, |_| Ok(()))
    }

    /// Takes away all retiring keys whose time has come, and answers with their ids.
    pub fn retire_due(&self, token_life: Duration) -> Result<Vec<String>, KeysError> {
        let now_ms = now_ms();
        let is_due = |key: &RingKey| {
            let until_ms = key.good_until_ms(token_life);
            key.status == KeyStatus::Retiring && until_ms.is_some_and(|until| until <= now_ms)
        };
        if !self.current().keys.iter().any(is_due) {
            return Ok(Vec::new());
        }
        self.file.change(|ring| {
            let due = ring.keys.iter().filter(|key| is_due(key)).map(|key| key.kid.clone());
            let due: Vec<_> = due.collect();
            Ok((ring.without(&due), due))
        })
    }

    fn remove(
        &self,
        kid: &str,
        may: impl Fn(&RingKey) -> Result<(), KeysError>,
    ) -> Result<(), KeysError> {
        self.file.change(|ring| {
            let unknown = || KeysError::Unknown { id: kid.to_owned() };
            let key = ring.find(kid).ok_or_else(unknown)?;
            if key.status != KeyStatus::Retiring {
                return Err(KeysError::InUse { id: kid.to_owned(), status: key.status });
            }
            may(key)?;
            Ok((ring.without(&[kid.to_owned()]), ()))
        })
    }

    /// The keys, the oldest first.
    pub fn list(&self) -> Vec<KeyInfo> {
        self.current().keys.iter().map(RingKey::info).collect()
    }

    /// A signature of something else than a token, by the key that signs. What is signed says what
    /// it is, so that it is good for nothing else.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<[u8; 64], KeysError> {
        let ring = self.current();
        let signing = ring.stored.iter().find(|key| key.status == KeyStatus::Current);
        let unknown = || KeysError::Unknown { id: "current".to_owned() };
        let damaged = |reason| KeysError::Damaged { path: self.file.name(), reason };
        let key = signing.ok_or_else(unknown)?.signing_key().map_err(damaged)?;
        Ok(key.sign(message).to_bytes())
    }

    pub(super) fn current(&self) -> arc_swap::Guard<Arc<Ring>> {
        self.file.current()
    }

    /// The ring with a key, if there is such a key. After two rotations in quick succession
    /// somebody signs with a key that was not read here yet, so an unknown one is looked for in the
    /// file at once.
    pub(super) fn with_key(&self, kid: &str) -> Option<arc_swap::Guard<Arc<Ring>>> {
        let ring = self.current();
        if ring.find(kid).is_some() {
            return Some(ring);
        }
        // One looks, and the others that came meanwhile find what it found.
        let mut looks = self.looks.lock();
        let ring = self.current();
        if ring.find(kid).is_some() {
            return Some(ring);
        }
        let second = now_ms().div_euclid(1_000);
        if looks.second != second {
            *looks = Looks { second, count: 0 };
        }
        if looks.count == UNKNOWN_KEY_LOOKS_MAX {
            return None;
        }
        looks.count += 1;
        // Who follows the file tells what is wrong with it.
        let _told_elsewhere = self.reload();
        let ring = self.current();
        ring.find(kid).is_some().then_some(ring)
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
        let keys = stored.iter().enumerate().map(|(index, key)| {
            // A rotation makes one key and stops another one, which then stands two before it. Where
            // one between them was taken away this is later than it was, which harms nobody.
            let stopped = stored.get(index + 2).or(stored.last());
            let signed_until_ms = match key.status {
                KeyStatus::Retiring => stopped.map(|made| made.created_at_ms),
                KeyStatus::Current | KeyStatus::Next => None,
            };
            RingKey::of(key, signed_until_ms)
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, stored })
    }

    /// The file's content without some keys.
    fn without(&self, kids: &[String]) -> Vec<u8> {
        let keys = self.stored.iter().filter(|key| !kids.contains(&key.kid)).cloned().collect();
        RingFile { version: FILE_VERSION, keys }.to_bytes()
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
    fn of(stored: &StoredKey, signed_until_ms: Option<i64>) -> Result<Self, String> {
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
            signed_until_ms,
        })
    }

    /// From when on nothing that it signed is good, if it signs no more.
    fn good_until_ms(&self, token_life: Duration) -> Option<i64> {
        let life_ms = i64::try_from(token_life.as_millis()).unwrap_or(i64::MAX);
        let stopped_ms = self.signed_until_ms?.saturating_add(FOLLOWED_WITHIN_MS);
        Some(stopped_ms.saturating_add(life_ms))
    }

    fn info(&self) -> KeyInfo {
        KeyInfo {
            kid: self.kid.clone(),
            status: self.status,
            created_at: rfc3339(self.created_at_ms),
            signed_until: self.signed_until_ms.map(rfc3339),
            public_key: super::jwks::base64url(&self.public),
        }
    }
}

fn rfc3339(at_ms: i64) -> String {
    WireTime(Timestamp::from_millis(at_ms)).to_string()
}
