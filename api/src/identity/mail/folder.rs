//! Mails into a folder, a file each: for a laptop, and for whoever hands them on with a program of
//! their own.

use std::path::PathBuf;

use cityevents_kit::files;
use cityevents_views::tables::BoxFuture;

use super::{Mail, MailError, MailPort};

/// A folder of mails, `<id>.eml` each.
#[derive(Debug, Clone)]
pub struct FolderMail {
    dir: PathBuf,
}

impl FolderMail {
    /// A folder; it is made when the first mail comes.
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn put(&self, mail: &Mail) -> Result<(), MailError> {
        let path = self.dir.join(format!("{}.eml", mail.id));
        let failed = |cause| MailError::Folder { path: path.clone(), cause };
        files::create_private_dir(&self.dir).map_err(failed)?;
        // One that is there is the same.
        files::create_private(&path, &mail.message).map_err(failed)?;
        Ok(())
    }
}

impl MailPort for FolderMail {
    fn send(&self, mail: Mail) -> BoxFuture<'_, Result<(), MailError>> {
        Box::pin(async move { self.put(&mail) })
    }
}
