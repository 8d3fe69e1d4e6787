//! The secret of an instance, from which keys for one purpose each are derived.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{PersonKey, UnsealError};
use crate::config::{Config, SecretFileError, SecretSource};
use crate::files;
use crate::keys::{Follow, KeysError};

/// The file in the data folder, where no secret is configured.
const FILE_NAME: &str = "instance-secret";

/// There is no usable secret.
#[derive(Debug, thiserror::Error)]
pub enum InstanceSecretError {
    /// The configured file cannot be read.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// The secret is not 32 bytes in base64.
    #[error(
        "the instance secret ({from}) is not 32 bytes in base64; make one with: openssl rand -base64 32"
    )]
    Malformed {
        /// Where it comes from.
        from: String,
    },
    /// The data folder cannot be written.
    #[error("cannot keep the instance secret in {}: {cause}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// The machine gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// The secret of an instance. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct InstanceSecret {
    shared: Arc<Shared>,
}

struct Shared {
    source: SecretSource,
    from: String,
    bytes: ArcSwap<[u8; 32]>,
}

impl InstanceSecret {
    /// The file of the secret in a data folder, where none is configured.
    pub fn file_in(data: &std::path::Path) -> PathBuf {
        data.join(FILE_NAME)
    }

    /// The configured secret, or the one of the data folder, which is made, for the owner only, if
    /// there is none.
    pub fn open(config: &Config) -> Result<Self, InstanceSecretError> {
        let keys = &config.keys;
        let configured =
            SecretSource::of(keys.instance_secret.as_ref(), keys.instance_secret_file.as_ref());
        let path = config.data.dir.join(FILE_NAME);
        let (source, from) = match configured {
            Some(source) => (source, "keys.instance_secret".to_owned()),
            None => {
                let io = |cause| InstanceSecretError::Io { path: path.clone(), cause };
                if !path.exists() {
                    files::create_private_dir(&config.data.dir).map_err(io)?;
                    let mut bytes = [0; 32];
                    getrandom::fill(&mut bytes)?;
                    files::create_private(&path, STANDARD.encode(bytes).as_bytes()).map_err(io)?;
                }
                let from = path.display().to_string();
                let source = SecretSource::File { path, last: parking_lot::Mutex::new(None) };
                (source, from)
            }
        };
        let bytes = read(&source, &from)?;
        let shared = Shared { source, from, bytes: ArcSwap::from_pointee(bytes) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// A key for one purpose; other purposes have unrelated keys.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.shared.bytes.load());
        hasher.update(purpose.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

impl InstanceSecret {
    /// Seals a text for one purpose; it opens for that purpose alone.
    ///
    /// # Errors
    /// When the machine gives no random numbers.
    pub fn seal(&self, purpose: &str, text: &str) -> Result<Vec<u8>, getrandom::Error> {
        PersonKey::from_bytes(self.derive(purpose)).seal(purpose.as_bytes(), text)
    }

    /// Opens a text that was sealed with the same secret for the same purpose.
    ///
    /// # Errors
    /// [`UnsealError`] when it was not, or when it was changed.
    pub fn open_sealed(&self, purpose: &str, sealed: &[u8]) -> Result<String, UnsealError> {
        PersonKey::from_bytes(self.derive(purpose)).open(purpose.as_bytes(), sealed)
    }
}

impl Follow for InstanceSecret {
    fn reload(&self) -> Result<(), KeysError> {
        let bytes = read(&self.shared.source, &self.shared.from).map_err(|error| {
            KeysError::Damaged { path: self.shared.from.clone().into(), reason: error.to_string() }
        })?;
        if **self.shared.bytes.load() != bytes {
            self.shared.bytes.store(Arc::new(bytes));
        }
        Ok(())
    }
}

fn read(source: &SecretSource, from: &str) -> Result<[u8; 32], InstanceSecretError> {
    let secret = source.current()?;
    let bytes = STANDARD.decode(secret.expose().trim()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| InstanceSecretError::Malformed { from: from.to_owned() })
}
