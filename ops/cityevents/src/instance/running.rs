//! How other commands find the instance that runs on a data folder: a small file in it with the
//! addresses of its listeners. The file is a hint; whether somebody answers there is what counts.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

const FILE_NAME: &str = "instance.json";
const CONNECT_WAIT: Duration = Duration::from_secs(1);

/// Where an instance listens.
#[derive(Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its process.
    pub pid: u32,
    /// Address of the public listener.
    pub http: SocketAddr,
    /// Address of the operations listener.
    pub ops: SocketAddr,
    #[serde(skip)]
    announced: Option<PathBuf>,
}

impl Running {
    /// Tells others where this instance listens, until this is dropped.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn announce(data: &Path, http: SocketAddr, ops: SocketAddr) -> anyhow::Result<Self> {
        let path = data.join(FILE_NAME);
        let running = Self { pid: std::process::id(), http, ops, announced: Some(path.clone()) };
        std::fs::write(&path, serde_json::to_vec_pretty(&running)?)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(running)
    }

    /// The instance that runs on a data folder, if there is one.
    pub fn find(data: &Path) -> Option<Self> {
        let file = std::fs::read(data.join(FILE_NAME)).ok()?;
        let running: Self = serde_json::from_slice(&file).ok()?;
        // After a crash the file is still there, and nobody answers.
        TcpStream::connect_timeout(&running.ops, CONNECT_WAIT).ok()?;
        Some(running)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(path) = &self.announced {
            // Left behind it would be a hint that leads nowhere, which `find` notices.
            let _left_behind = std::fs::remove_file(path);
        }
    }
}
