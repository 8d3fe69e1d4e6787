//! Mails into a folder, a file each: for a laptop, and for whoever hands them on with a program of
//! their own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cityevents_kit::files;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{DeliveryError, FailureClass, Transport};
use crate::Mail;

/// A folder of mails, `<id>.eml` each. One that is there already is the same, and left alone.
#[derive(Debug, Clone)]
pub struct FolderTransport {
    dir: PathBuf,
    names: Arc<Names>,
}

/// Makes names in the folder durable, those that were put there meanwhile together.
#[derive(Debug, Default)]
struct Names {
    put: AtomicU64,
    /// So many of them are durable. Held while the others become so.
    durable: Mutex<u64>,
}

impl Names {
    /// To be called when a name is there; then it is durable.
    fn settle(&self, dir: &Path) -> std::io::Result<()> {
        let mine = self.put.fetch_add(1, Ordering::SeqCst) + 1;
        let mut durable = self.durable.lock();
        if *durable < mine {
            let put = self.put.load(Ordering::SeqCst);
            files::sync_dir(dir)?;
            *durable = put;
        }
        Ok(())
    }
}

impl FolderTransport {
    /// A folder; it is made when the first mail comes.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, names: Arc::default() }
    }

    fn put(&self, mail: &Mail) -> std::io::Result<()> {
        files::create_private_dir(&self.dir)?;
        let file = self.dir.join(format!("{}.eml", mail.id));
        files::create_private_unsynced(&file, &mail.message)?;
        // Also of one that was there: whoever put it there may still be about this.
        self.names.settle(&self.dir)
    }
}

impl Transport for FolderTransport {
    fn deliver<'mail>(
        &'mail self,
        mail: &'mail Mail,
    ) -> BoxFuture<'mail, Result<(), DeliveryError>> {
        let (folder, mail) = (self.clone(), mail.clone());
        Box::pin(async move {
            let (dir, put) = (folder.dir.display().to_string(), move || folder.put(&mail));
            let put = tokio::task::spawn_blocking(put).await.map_err(std::io::Error::other);
            put.flatten().map_err(|cause| {
                let reason = format!("cannot put a mail into {dir}: {cause}");
                DeliveryError::new(FailureClass::Downstream, reason)
            })
        })
    }
}
