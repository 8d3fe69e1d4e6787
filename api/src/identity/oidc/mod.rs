//! Signing in at other providers, by OpenID Connect: the code flow with PKCE, as OAuth 2.0's security
//! advice (RFC 9700) and ASVS 5.0, chapter 10, want it.
//!
//! ```text
//! browser ── start ──▶ us: a cookie with what is sealed of this sign-in
//!    │ ◀─ 303 ─────────┘   (state, nonce and PKCE verifier follow from its secret)
//!    └── signs in at the provider ── 303 ──▶ callback ──▶ us: cookie and state belong together
//!                                                         └─▶ provider: code against ID token
//! ```
//!
//! - Nothing is kept of a sign-in that has begun: it is in the browser, sealed ([`Flow`]). One that
//!   comes back is used once, over all instances.
//! - Who somebody is there is told by issuer and subject and by nothing else. A verified address may
//!   find an account once, and links it then ([`links`]).
//! - A provider is asked about itself when it is needed, not at the start: one that is away takes
//!   nothing down but itself ([`Provider`]).

mod claims;
mod flow;
mod http;
pub(super) mod links;
mod metadata;
mod provider;

use std::collections::BTreeMap;

use cityevents_kit::breaker::BreakerMetrics;
use cityevents_kit::{Config, ErrorCode, Problem};

pub(super) use self::flow::{Flow, FlowCookie, ReturnTo};
pub(super) use self::links::Linked;
pub(super) use self::provider::{Answer, Provider};

/// The providers that are set up, by the name that stands in addresses.
pub(super) struct Providers {
    all: BTreeMap<String, Provider>,
}

impl Providers {
    /// As configured. Asks none of them.
    pub(super) fn of(config: &Config, metrics: &BreakerMetrics) -> std::io::Result<Self> {
        let mut all = BTreeMap::new();
        for (name, settings) in &config.oauth {
            if let Some(provider) = Provider::new(name, settings, config, metrics)? {
                all.insert(name.clone(), provider);
            }
        }
        Ok(Self { all })
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Provider> {
        self.all.values()
    }

    /// One by its name.
    pub(super) fn get(&self, name: &str) -> Option<&Provider> {
        self.all.get(name)
    }

    /// As above, for a call about it.
    pub(super) fn named(&self, name: &str) -> Result<&Provider, Problem> {
        let missing = || {
            let name: String = name.chars().filter(|c| c.is_ascii_graphic()).take(32).collect();
            let detail =
                format!("nobody signs in at {name:?} here: GET /api/auth/oauth lists where");
            Problem::because(ErrorCode::NotFound, detail)
        };
        self.get(name).ok_or_else(missing)
    }
}
