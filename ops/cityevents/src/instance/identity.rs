//! Accounts, for who asks about them past an instance.

use std::sync::Arc;

use cityevents_api::identity::{Identity, IdentityParts};
use cityevents_kit::Config;
use cityevents_kit::breaker::BreakerMetrics;
use cityevents_kit::keys::TokenSigner;
use cityevents_kit::seal::{CursorSealer, InstanceSecret};
use cityevents_runtime::log::clock::SystemClock;
use tokio::runtime::Runtime;

use super::{NoMails, open_keys, open_views};

/// Opens the accounts: of a data folder that no instance runs on, or of a cluster. What is done with
/// them tells nobody else and sends no mail.
///
/// # Errors
/// When the tables, the keys or the secret of the instance cannot be opened.
pub fn open_identity(config: &Config, runtime: &Runtime) -> anyhow::Result<Identity> {
    let views = runtime.block_on(open_views(config))?;
    let signer = TokenSigner::new(open_keys(config)?, config);
    let parts = IdentityParts {
        views,
        leaving: None,
        signer,
        clock: Arc::new(SystemClock),
        changes: None,
        mails: Arc::new(NoMails),
        cursors: CursorSealer::new(InstanceSecret::open(config)?),
        allowances: None,
        media: None,
        breakers: BreakerMetrics::default(),
    };
    Ok(Identity::new(parts, config)?)
}
