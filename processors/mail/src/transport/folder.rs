//! Mails into a folder, a file each: for a laptop, and for whoever hands them on with a program of
//! their own.

use std::path::PathBuf;

use cityevents_kit::files;
use futures::future::BoxFuture;

use super::{DeliveryError, FailureClass, Transport};
use crate::Mail;

/// A folder of mails, `<id>.eml` each. One that is there already is the same, and left alone.
#[derive(Debug, Clone)]
pub struct FolderTransport {
    dir: PathBuf,
}

impl FolderTransport {
    /// A folder; it is made when the first mail comes.
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn put(&self, mail: &Mail) -> std::io::Result<()> {
        files::create_private_dir(&self.dir)?;
        files::create_private(&self.dir.join(format!("{}.eml", mail.id)), &mail.message).map(drop)
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
