//! Accounts and sessions: who somebody is, and how they prove it.
//!
//! None of this is on the log, which keeps everything for ever: accounts, sessions and secrets are
//! records of the tables ([`cityevents_views::records`]), changed by compare and set. Secrets are
//! kept as hashes only.
//!
//! - An address belongs to whoever claimed it first. The claim comes before the account; one that
//!   was left behind by a crash is taken over after a while.
//! - People sign in by a password, or at another provider (`oidc`).
//! - A session is one login on one device. Its refresh token is used once and replaced; whoever
//!   presents an older one than the last has stolen it or was stolen from, and the session ends.

mod account;
mod address;
mod addressees;
mod administrators;
mod allowances;
pub(crate) mod as_text;
mod audit;
mod avatar;
mod changes;
mod cookies;
mod departures;
mod device;
mod directory;
mod erasure;
mod export;
mod language;
mod links;
mod names;
mod notifications;
mod oidc;
mod one_time;
mod origin;
mod own_rows;
mod pages;
mod passwords;
mod person_name;
mod roles;
mod routes;
mod session;
pub(crate) mod store;
mod suppression;
mod unsubscribe;

use std::sync::Arc;

use cityevents_kit::Config;
use cityevents_kit::breaker::BreakerMetrics;
use cityevents_kit::http::AccountLimit;
use cityevents_kit::keys::TokenSigner;
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::seal::{CursorSealer, MailSecrets};
use cityevents_runtime::log::clock::Clock;
use cityevents_views::Views;

pub use self::account::{Account, NewAccount};
pub use self::address::{Address, AddressError};
pub use self::addressees::{Addressee, Addressees};
pub use self::allowances::{AllowanceMetrics, SharedAllowances};
pub use self::departures::{LeaveError, LeaveEvents};
pub use self::language::{InvalidLanguageTag, LanguageTag};
pub use self::links::{LinkMail, LinkMailError, RequestLinkMails};
pub use self::names::Names;
pub use self::one_time::Purpose as LinkPurpose;
pub use self::passwords::{Hashed, HashingError, Password, PasswordError, Passwords};
pub use self::person_name::{PersonNameError, person_name};
pub use self::roles::RoleError;
pub use self::routes::{route_policy, router};
pub use self::store::IdentityError;
pub use self::suppression::{Suppression, SuppressionReason, Suppressions};

use self::cookies::RefreshCookie;
use self::oidc::{FlowCookie, Providers};
use self::origin::Origins;
use self::store::Store;
use crate::media::Media;
use crate::standing::AccountChanges;

/// Accounts and sessions. Cheap to clone.
#[derive(Clone)]
pub struct Identity {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    views: Views,
    leaving: Option<Arc<dyn LeaveEvents>>,
    passwords: Passwords,
    signer: TokenSigner,
    changes: Option<AccountChanges>,
    mails: Arc<dyn RequestLinkMails>,
    site: String,
    secrets: MailSecrets,
    suppressions: Suppressions,
    cookie: RefreshCookie,
    flows: FlowCookie,
    providers: Providers,
    cursors: CursorSealer,
    origins: Origins,
    /// Tries to sign in, by account.
    tries: AccountLimit,
    allowances: Option<SharedAllowances>,
    media: Option<Media>,
    pictures: PictureAddresses,
}

/// What accounts are made of.
pub struct IdentityParts {
    /// The tables: accounts are kept in their records.
    pub views: Views,
    /// Leaves events for people who are locked out or gone. Without, they keep their places until
    /// a process that has it sweeps.
    pub leaving: Option<Arc<dyn LeaveEvents>>,
    /// Signs access tokens.
    pub signer: TokenSigner,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Tells other instances. Without, they hear of changes from the next process that sweeps.
    pub changes: Option<AccountChanges>,
    /// Where mails with links are asked for.
    pub mails: Arc<dyn RequestLinkMails>,
    /// Seals the cursors of lists, and what a browser keeps of a sign-in at a provider; tokens of
    /// mails come from the same secret.
    pub cursors: CursorSealer,
    /// What is counted together with other instances, where there are others.
    pub allowances: Option<SharedAllowances>,
    /// Pictures of people. Without, there are none.
    pub media: Option<Media>,
    /// The figures of the circuit breakers: each provider has one.
    pub breakers: BreakerMetrics,
}

impl Identity {
    /// Of parts, with the settings of the instance.
    ///
    /// # Errors
    /// When the threads that hash passwords cannot be started, or a provider cannot be set up.
    pub fn new(parts: IdentityParts, config: &Config) -> std::io::Result<Self> {
        let IdentityParts {
            views,
            leaving,
            signer,
            clock,
            changes,
            mails,
            cursors,
            allowances,
            media,
            breakers,
        } = parts;
        let origins = Origins::of(config);
        let secrets = MailSecrets::new(cursors.clone());
        let records = views.records.clone();
        let suppressions = Suppressions::new(records, clock.clone(), secrets.clone());
        let shared = Shared {
            store: Store::new(views.records.clone(), clock),
            views,
            leaving,
            passwords: Passwords::start()?,
            signer,
            changes,
            mails,
            site: config.public_url(),
            secrets,
            suppressions,
            cookie: RefreshCookie::new(origins.are_secure()),
            flows: FlowCookie::new(origins.are_secure()),
            providers: Providers::of(config, &breakers)?,
            cursors,
            origins,
            tries: AccountLimit::new(&config.limits),
            allowances,
            media,
            pictures: PictureAddresses::of(config),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How many hashes of passwords were computed so far.
    pub fn hashed_passwords(&self) -> Hashed {
        self.shared.passwords.hashed()
    }

    /// Addresses that get no mail.
    pub fn suppressions(&self) -> &Suppressions {
        &self.shared.suppressions
    }
}
