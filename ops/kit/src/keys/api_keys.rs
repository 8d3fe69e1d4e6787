//! Keys of other programs, for bulk uploads. Only hashes of them are stored.
//!
//! A key is `cek_<id>_<secret>`: the id finds the entry, the secret is 256 random bits, so that a
//! plain hash of it is enough.

use std::path::Path;
use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::caller::{bearer, challenge};
use super::followed::{Follow, Followed};
use super::{KeysError, now_ms};
use crate::config::Secret;
use crate::files;
use crate::problem::{ErrorCode, Problem};

const FILE_NAME: &str = "api-keys.json";
const FILE_VERSION: u32 = 1;
const KEY_PREFIX: &str = "cek_";
const HEADER: HeaderName = HeaderName::from_static("x-api-key");

/// What a key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Commands on behalf of users, in bulk.
    Ingest,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 1] = [Self::Ingest];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
        }
    }

    /// The scope of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// What is stored about a key, and may be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyInfo {
    /// Names the key.
    pub id: String,
    /// What it is good for.
    pub scopes: Vec<Scope>,
    /// What it was made for, in somebody's words.
    pub label: String,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// Hex BLAKE3 hash of the secret.
    hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    version: u32,
    keys: Vec<ApiKeyInfo>,
}

impl KeysFile {
    fn parse(content: &[u8]) -> Result<Self, String> {
        let file: Self = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        if file.version == FILE_VERSION {
            Ok(file)
        } else {
            Err(format!("its version is {} and not {FILE_VERSION}", file.version))
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers always serialise.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }
}

/// The API keys of an instance, followed while other processes change them. Cheap to clone.
#[derive(Clone)]
pub struct ApiKeys {
    file: Arc<Followed<KeysFile>>,
}

impl ApiKeys {
    /// Opens the keys of a folder; without a file there are none yet.
    pub fn open(dir: &Path) -> Result<Self, KeysError> {
        let path = dir.join(FILE_NAME);
        if !path.exists() {
            files::create_private_dir(dir).map_err(KeysError::io(dir))?;
            let none = KeysFile { version: FILE_VERSION, keys: Vec::new() };
            files::create_private(&path, &none.to_bytes()).map_err(KeysError::io(&path))?;
        }
        Ok(Self { file: Arc::new(Followed::open(path, KeysFile::parse)?) })
    }

    /// Makes a key. Its text is given here once, and never again.
    pub fn create(&self, scopes: &[Scope], label: &str) -> Result<(ApiKeyInfo, Secret), KeysError> {
        let mut random = [0; 40];
        getrandom::fill(&mut random)?;
        let id = blake3::hash(&random[..8]).to_hex()[..16].to_owned();
        let secret = URL_SAFE_NO_PAD.encode(&random[8..]);
        let info = ApiKeyInfo {
            id: id.clone(),
            scopes: scopes.to_vec(),
            label: label.to_owned(),
            created_at_ms: now_ms(),
            hash: blake3::hash(secret.as_bytes()).to_hex().to_string(),
        };
        self.file.change(|file| {
            let keys = file.keys.iter().cloned().chain([info.clone()]).collect();
            Ok((KeysFile { version: FILE_VERSION, keys }.to_bytes(), ()))
        })?;
        Ok((info, Secret::new(format!("{KEY_PREFIX}{id}_{secret}"))))
    }

    /// All keys, the oldest first.
    pub fn list(&self) -> Vec<ApiKeyInfo> {
        self.file.current().keys.clone()
    }

    /// Takes a key away; everywhere within a second.
    pub fn revoke(&self, id: &str) -> Result<(), KeysError> {
        self.file.change(|file| {
            let keys: Vec<_> = file.keys.iter().filter(|key| key.id != id).cloned().collect();
            if keys.len() == file.keys.len() {
                return Err(KeysError::Unknown { id: id.to_owned() });
            }
            Ok((KeysFile { version: FILE_VERSION, keys }.to_bytes(), ()))
        })
    }

    /// The id of the key that a request carries (`Authorization: Bearer` or `X-Api-Key`), if the
    /// key is good for `scope`.
    pub fn authenticate(&self, headers: &HeaderMap, scope: Scope) -> Result<String, Problem> {
        let own = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let given = own.or_else(|| headers.get(AUTHORIZATION).and_then(bearer));
        let Some(given) = given else {
            let missing = "an API key is needed: Authorization: Bearer cek_…";
            return Err(challenge(Problem::because(ErrorCode::Unauthenticated, missing), ""));
        };
        let unknown = || {
            let unknown = "the API key is not valid";
            challenge(Problem::because(ErrorCode::Unauthenticated, unknown), "invalid_token")
        };
        let parts = given.strip_prefix(KEY_PREFIX).and_then(|rest| rest.split_once('_'));
        let (id, secret) = parts.ok_or_else(unknown)?;
        let hash = blake3::hash(secret.as_bytes());
        let file = self.file.current();
        let found = file.keys.iter().find(|key| key.id == id).ok_or_else(unknown)?;
        let stored = blake3::Hash::from_hex(&found.hash).map_err(|_| unknown())?;
        // Comparison of two `Hash` values takes the same time whatever they are.
        if stored != hash {
            return Err(unknown());
        }
        if !found.scopes.contains(&scope) {
            let scoped = format!("the API key lacks the scope {}", scope.as_str());
            let problem = Problem::because(ErrorCode::Forbidden, scoped);
            return Err(challenge(problem, "insufficient_scope"));
        }
        Ok(id.to_owned())
    }
}

impl Follow for ApiKeys {
    fn reload(&self) -> Result<(), KeysError> {
        self.file.reload()
    }
}
