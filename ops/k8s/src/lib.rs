//! Reads the manifests in this folder as plain values, for whoever checks them. Nothing at run time
//! needs this: `kubectl` reads the files themselves.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

/// Lists the files; itself no object of a cluster.
pub const KUSTOMIZATION: &str = "kustomization.yaml";

/// Why a manifest cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the operating system says.
        cause: std::io::Error,
    },
    /// It is no YAML, or more than a cluster understands: aliases, keys that are no texts.
    #[error("{}: {reason}", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// An object of a cluster, and the file that has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The name of the file.
    pub file: String,
    /// The object.
    pub object: Value,
}

impl Manifest {
    /// `Deployment`, for example.
    pub fn kind(&self) -> &str {
        self.object["kind"].as_str().unwrap_or_default()
    }

    /// Its own name.
    pub fn name(&self) -> &str {
        self.object["metadata"]["name"].as_str().unwrap_or_default()
    }
}

/// The folder of the manifests.
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All objects of all files that the kustomization lists, in its order.
///
/// # Errors
/// When one of them cannot be read.
pub fn manifests() -> Result<Vec<Manifest>, ManifestError> {
    let listed = documents(&folder().join(KUSTOMIZATION))?;
    let files = listed.iter().filter_map(|list| list["resources"].as_array()).flatten();
    let mut manifests = Vec::new();
    for file in files.filter_map(Value::as_str) {
        let objects = documents(&folder().join(file))?;
        let named = objects.into_iter().map(|object| Manifest { file: file.to_owned(), object });
        manifests.extend(named);
    }
    Ok(manifests)
}

/// The documents of a file.
///
/// # Errors
/// When it cannot be read.
pub fn documents(path: &Path) -> Result<Vec<Value>, ManifestError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| ManifestError::File { path: path.to_owned(), cause })?;
    let content = |reason: String| ManifestError::Content { path: path.to_owned(), reason };
    let parsed = YamlLoader::load_from_str(&text).map_err(|error| content(error.to_string()))?;
    parsed.iter().map(|document| plain(document).map_err(content)).collect()
}

fn plain(yaml: &Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::String(text) => text.clone().into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::Boolean(answer) => (*answer).into(),
        Yaml::Null => Value::Null,
        Yaml::Array(items) => Value::Array(items.iter().map(plain).collect::<Result<_, _>>()?),
        Yaml::Hash(pairs) => {
            let mut object = Map::new();
            for (key, value) in pairs {
                let key = key.as_str().ok_or_else(|| format!("the key {key:?} is no text"))?;
                object.insert(key.to_owned(), plain(value)?);
            }
            Value::Object(object)
        }
        Yaml::Real(_) | Yaml::Alias(_) | Yaml::BadValue => {
            return Err(format!("not understood: {yaml:?}; put texts in quotes"));
        }
    })
}
