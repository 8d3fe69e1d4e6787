//! Accounts and sessions: who somebody is, and how they prove it.
//!
//! None of this is on the log, which keeps everything for ever: accounts, sessions and secrets are
//! records of the tables ([`cityevents_views::records`]), changed by compare and set. Secrets are
//! kept as hashes only.
//!
//! - An address belongs to whoever claimed it first. The claim comes before the account; one that
//!   was left behind by a crash is taken over after a while.
//! - A session is one login on one device. Its refresh token is used once and replaced; whoever
//!   presents an older one than the last has stolen it or was stolen from, and the session ends.

mod account;
mod address;
mod administrators;
mod as_text;
mod changes;
mod cookies;
mod device;
mod origin;
mod passwords;
mod routes;
mod session;
mod store;

use std::sync::Arc;

use cityevents_kit::Config;
use cityevents_kit::keys::TokenSigner;
use cityevents_runtime::log::clock::Clock;
use cityevents_views::Records;

pub use self::account::{Account, NewAccount};
pub use self::address::{Address, AddressError};
pub use self::passwords::{HashingError, Password, PasswordError, Passwords};
pub use self::routes::{route_policy, router};
pub use self::store::IdentityError;

use self::cookies::RefreshCookie;
use self::origin::Origins;
use self::store::Store;
use crate::standing::AccountChanges;

/// Accounts and sessions. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    passwords: Passwords,
    signer: TokenSigner,
    changes: Option<AccountChanges>,
    cookie: RefreshCookie,
    origins: Origins,
}

impl Identity {
    /// On the records of the tables, with the keys of the instance. Without `changes`, others hear
    /// of changes from the next process that sweeps.
    ///
    /// # Errors
    /// When the threads that hash passwords cannot be started.
    pub fn new(
        records: Arc<dyn Records>,
        signer: TokenSigner,
        clock: Arc<dyn Clock>,
        changes: Option<AccountChanges>,
        config: &Config,
    ) -> std::io::Result<Self> {
        let origins = Origins::of(config);
        let shared = Shared {
            store: Store::new(records, clock),
            passwords: Passwords::start()?,
            signer,
            changes,
            cookie: RefreshCookie::new(origins.are_secure()),
            origins,
        };
        Ok(Self { shared: Arc::new(shared) })
    }
}
