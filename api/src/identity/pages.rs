//! What the pages need of accounts beside the calls.

use axum::http::HeaderMap;
use cityevents_kit::Problem;

use super::Identity;

impl Identity {
    /// Refuses what foreign pages send with our cookies.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        self.shared.origins.check(headers)
    }

    /// Whether the browser has a session that [`Identity::renew`] could go on with.
    pub(crate) fn is_remembered(&self, headers: &HeaderMap) -> bool {
        self.shared.cookie.read(headers).is_some()
    }

    /// Whether pages come over TLS.
    pub(crate) fn has_secure_pages(&self) -> bool {
        self.shared.origins.are_secure()
    }

    /// Where else one can sign in: the word in addresses, and what people call it.
    pub(crate) fn sign_in_providers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.shared.providers.iter().map(|provider| (provider.key(), provider.name()))
    }

    /// The address under which people reach the pages.
    pub(crate) fn site(&self) -> &str {
        &self.shared.site
    }
}
