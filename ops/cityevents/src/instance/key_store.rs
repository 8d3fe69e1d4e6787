//! The keys that sign access tokens: in a folder, or sealed in the tables that all processes share.

use std::sync::Arc;

use anyhow::Context as _;
use cityevents_kit::Config;
use cityevents_kit::config::KeysStore;
use cityevents_kit::keys::{KeyRing, KeysError, RingStore};
use cityevents_kit::seal::InstanceSecret;
use cityevents_views::records::{Change, Record, RecordKey, RecordKind, RecordValue, Revision};
use cityevents_views::{Views, ViewsError};
use tokio::runtime::{Handle, Runtime};

const NAME: &str = "the tables";
const ID: &[u8] = b"ring";
const PURPOSE: &str = "cityevents 2026 signing keys";

/// Opens the keys of a configuration, for who has the tables open already and runs on a runtime.
///
/// # Errors
/// When they cannot be read, or made where there are none.
pub(super) fn open_with(config: &Config, views: &Views) -> anyhow::Result<KeyRing> {
    open_on(config, || Ok((views.clone(), Handle::current(), None)))
}

/// Opens the keys of a configuration, for tools. Blocks.
///
/// # Errors
/// When they cannot be read, or made where there are none.
pub fn open_keys(config: &Config) -> anyhow::Result<KeyRing> {
    open_on(config, || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let views = runtime.block_on(super::open_views(config))?;
        Ok((views, runtime.handle().clone(), Some(runtime)))
    })
}

/// Whether the tables have signing keys. Blocks, and makes none.
///
/// # Errors
/// When the tables cannot be read.
pub fn has_keys(config: &Config) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let views = runtime.block_on(super::open_views(config))?;
    Ok(runtime.block_on(views.records.record(key()))?.is_some())
}

fn open_on(
    config: &Config,
    tables: impl FnOnce() -> anyhow::Result<(Views, Handle, Option<Runtime>)>,
) -> anyhow::Result<KeyRing> {
    let dir = config.keys_dir();
    match config.keys.store {
        KeysStore::Dir => Ok(KeyRing::open(&dir)?),
        KeysStore::Views => {
            let (views, runtime, own_runtime) = tables()?;
            let secret = InstanceSecret::open(config)?;
            let store = SealedRing { views, secret, runtime, _own_runtime: own_runtime };
            KeyRing::open_in(Arc::new(store), &dir).context("the signing keys cannot be opened")
        }
    }
}

/// The ring as a sealed record.
struct SealedRing {
    views: Views,
    secret: InstanceSecret,
    runtime: Handle,
    /// Of a tool, which has no other.
    _own_runtime: Option<Runtime>,
}

impl SealedRing {
    /// Waits for the tables, from a thread of its own or of a runtime.
    fn wait<T>(&self, answer: impl Future<Output = Result<T, ViewsError>>) -> Result<T, KeysError> {
        let answer = match Handle::try_current() {
            Ok(_) => tokio::task::block_in_place(|| self.runtime.block_on(answer)),
            Err(_) => self.runtime.block_on(answer),
        };
        answer.map_err(|error| failed(&error))
    }

    fn record(&self) -> Result<Option<Record>, KeysError> {
        self.wait(self.views.records.record(key()))
    }

    fn open(&self, record: &Record) -> Result<Vec<u8>, KeysError> {
        let opened = self.secret.open_sealed(PURPOSE, &record.value.content);
        opened.map(String::into_bytes).map_err(|_| {
            failed(&"they do not open with this instance secret: all processes need the same one")
        })
    }
}

impl RingStore for SealedRing {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    fn read(&self) -> Result<Option<Vec<u8>>, KeysError> {
        self.record()?.map(|record| self.open(&record)).transpose()
    }

    fn replace(&self, before: Option<&[u8]>, content: &[u8]) -> Result<bool, KeysError> {
        let record = self.record()?;
        let present = record.as_ref().map(|record| self.open(record)).transpose()?;
        if present.as_deref() != before {
            return Ok(false);
        }
        let text = std::str::from_utf8(content).map_err(|error| failed(&error))?;
        let sealed = self.secret.seal(PURPOSE, text)?;
        let mut revision = [0; 16];
        getrandom::fill(&mut revision)?;
        let change = Change {
            key: key(),
            expected: record.map(|record| record.revision),
            revision: Revision(revision),
            value: Some(RecordValue { content: sealed, expires_at: None }),
        };
        self.wait(self.views.records.change(change))
    }
}

fn key() -> RecordKey {
    RecordKey::new(RecordKind::SigningKeys, ID)
}

fn failed(reason: &dyn std::fmt::Display) -> KeysError {
    KeysError::Store { name: NAME.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use cityevents_kit::config::Sources;
    use cityevents_views::memory::MemoryViews;

    use super::*;

    struct Machine {
        store: Arc<SealedRing>,
        folder: tempfile::TempDir,
    }

    /// A machine with a folder of its own, on tables that others have too.
    fn machine(runtime: &Runtime, memory: &Arc<MemoryViews>, secret: u8) -> Machine {
        use base64::Engine as _;
        let folder = tempfile::tempdir().unwrap();
        let secret = base64::engine::general_purpose::STANDARD.encode([secret; 32]);
        let overrides = vec![
            ("data.dir".to_owned(), folder.path().display().to_string()),
            ("keys.instance_secret".to_owned(), secret),
        ];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        let store = SealedRing {
            views: Views::of_shared(memory.clone()),
            secret: InstanceSecret::open(&config).unwrap(),
            runtime: runtime.handle().clone(),
            _own_runtime: None,
        };
        Machine { store: Arc::new(store), folder }
    }

    impl Machine {
        fn open(&self) -> Result<KeyRing, KeysError> {
            KeyRing::open_in(self.store.clone(), self.folder.path())
        }
    }

    #[test]
    fn machines_that_share_tables_share_the_ring_and_its_changes_and_nobody_reads_it_there() {
        let runtime = Runtime::new().unwrap();
        let memory = Arc::new(MemoryViews::default());
        let machines = [1, 1].map(|secret| machine(&runtime, &memory, secret));
        let rings = machines.each_ref().map(|machine| machine.open().unwrap());
        assert_eq!(rings[0].list(), rings[1].list());
        let signs = rings[0].rotate().unwrap();
        cityevents_kit::keys::Follow::reload(&rings[1]).unwrap();
        assert!(rings[1].list().contains(&signs));
        // Both at once: one after the other.
        std::thread::scope(|scope| {
            for ring in &rings {
                scope.spawn(|| ring.rotate().unwrap());
            }
        });
        let last = machines[0].open().unwrap();
        assert_eq!(last.list().len(), 5, "three rotations made a key each");
        let record = machines[0].store.record().unwrap().unwrap();
        let bytes = record.value.content;
        let is_in = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!is_in(b"seed") && !is_in(signs.kid.as_bytes()));
        let stranger = machine(&runtime, &memory, 2).open();
        let error = stranger.err().unwrap().to_string();
        assert!(error.contains("this instance secret"), "{error}");
    }

    #[test]
    fn the_ring_of_the_folder_is_taken_over() {
        let runtime = Runtime::new().unwrap();
        let machine = machine(&runtime, &Arc::new(MemoryViews::default()), 1);
        let before = KeyRing::open(machine.folder.path()).unwrap();
        assert_eq!(machine.open().unwrap().list(), before.list());
    }
}
