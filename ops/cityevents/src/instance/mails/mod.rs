//! What connects accounts with mails: requests for mails go into the log, and whoever sends them
//! asks who people are.

mod directory;
mod requests;

use std::sync::Arc;

use anyhow::Context as _;
use cityevents_kit::Config;
use cityevents_mail::{FolderTransport, Site, Transport, Writer};

pub(super) use self::directory::Accounts;
pub use self::requests::NoMails;
pub(super) use self::requests::Requests;

/// Who writes mails.
pub(super) fn writer(config: &Config) -> anyhow::Result<Writer> {
    let site = Site::of(config)?;
    Writer::new(site, None).context("the templates of mails cannot be used")
}

/// Who hands them over.
pub(super) fn transport(config: &Config) -> Arc<dyn Transport> {
    let folder = config.mail.folder.clone();
    let folder = folder.unwrap_or_else(|| config.data.dir.join("mails"));
    Arc::new(FolderTransport::new(folder))
}
