//! What connects accounts with mails: requests for mails go into the log, and whoever sends them
//! asks who people are.

mod directory;
mod requests;
mod threads;

use std::sync::Arc;

use anyhow::Context as _;
use cityevents_kit::Config;
use cityevents_mail::{Site, Transport, Writer};

pub(super) use self::directory::Accounts;
pub use self::requests::NoMails;
pub(super) use self::requests::Requests;
pub(super) use self::threads::MailThreads;

/// Who writes mails.
pub(super) fn writer(config: &Config) -> anyhow::Result<Writer> {
    let site = Site::of(config)?;
    let templates = config.mail.templates.as_deref();
    Writer::new(site, templates).context("mail.templates")
}

/// Who hands them over.
pub(super) fn transport(config: &Config) -> anyhow::Result<Arc<dyn Transport>> {
    Ok(cityevents_mail::transport(config)?)
}
