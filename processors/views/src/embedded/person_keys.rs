//! The keys of persons: one file each, so that an erased key is nowhere any more, in no journal and
//! no older table file. Written rarely, and durable before a call returns.

use std::fs;
use std::path::PathBuf;

use cityevents_domain::ids::UserId;
use futures::future::{BoxFuture, FutureExt};
use parking_lot::Mutex;

use super::EmbeddedViews;
use super::folder::{create_dir, file_error, replace};
use crate::error::ViewsError;
use crate::row::PersonKey;
use crate::tables::PersonKeys;

const TABLE: &str = "person_keys";
const FILE_VERSION: u8 = 1;
const STATE_ERASED: u8 = 0;
const STATE_LIVING: u8 = 1;

/// The folder of keys.
pub(super) struct KeyFiles {
    dir: PathBuf,
    /// One change at a time: a change looks whether there is a key.
    writing: Mutex<()>,
}

/// What is known of a person's key.
enum State {
    Living(PersonKey),
    Erased,
}

impl State {
    const fn key(&self) -> Option<PersonKey> {
        match self {
            Self::Living(key) => Some(*key),
            Self::Erased => None,
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Erased => vec![FILE_VERSION, STATE_ERASED],
            Self::Living(key) => [&[FILE_VERSION, STATE_LIVING], key.0.as_slice()].concat(),
        }
    }

    fn of_bytes(bytes: &[u8]) -> Result<Self, ViewsError> {
        let damaged = |detail| ViewsError::DamagedRow { table: TABLE, detail };
        match bytes {
            [FILE_VERSION, STATE_ERASED] => Ok(Self::Erased),
            [FILE_VERSION, STATE_LIVING, key @ ..] => {
                let key = key.try_into().map_err(|_| damaged("not 32 bytes"))?;
                Ok(Self::Living(PersonKey(key)))
            }
            [found, ..] if *found > FILE_VERSION => {
                Err(ViewsError::NewerRow { table: TABLE, found: *found, known: FILE_VERSION })
            }
            _ => Err(damaged("unknown state")),
        }
    }
}

impl KeyFiles {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self { dir, writing: Mutex::new(()) }
    }

    fn shard(&self, user: &UserId) -> PathBuf {
        self.dir.join(format!("{:02x}", user.as_bytes()[0]))
    }

    fn read(&self, user: &UserId) -> Result<Option<State>, ViewsError> {
        let file = self.shard(user).join(user.to_string());
        match fs::read(&file) {
            Ok(bytes) => State::of_bytes(&bytes).map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error("read", &file)(error)),
        }
    }

    fn write(&self, user: &UserId, state: &State) -> Result<(), ViewsError> {
        let shard = self.shard(user);
        create_dir(&shard)?;
        let file = shard.join(user.to_string());
        replace(&file, &file.with_extension("new"), &state.to_bytes())
    }

    fn insert_if_absent(&self, user: &UserId, key: PersonKey) -> Result<State, ViewsError> {
        let _turn = self.writing.lock();
        if let Some(present) = self.read(user)? {
            return Ok(present);
        }
        let state = State::Living(key);
        self.write(user, &state)?;
        Ok(state)
    }

    fn erase(&self, user: &UserId) -> Result<(), ViewsError> {
        let _turn = self.writing.lock();
        self.write(user, &State::Erased)
    }
}

impl PersonKeys for EmbeddedViews {
    fn person_key(&self, user: UserId) -> BoxFuture<'_, Result<Option<PersonKey>, ViewsError>> {
        async move { Ok(self.person_keys.read(&user)?.and_then(|state| state.key())) }.boxed()
    }

    fn insert_person_key_if_absent(
        &self,
        user: UserId,
        key: PersonKey,
    ) -> BoxFuture<'_, Result<Option<PersonKey>, ViewsError>> {
        async move { Ok(self.person_keys.insert_if_absent(&user, key)?.key()) }.boxed()
    }

    fn erase_person_key(&self, user: UserId) -> BoxFuture<'_, Result<(), ViewsError>> {
        async move { self.person_keys.erase(&user) }.boxed()
    }
}
