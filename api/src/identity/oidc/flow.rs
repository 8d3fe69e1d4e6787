//! A sign-in on its way: what the browser keeps of it, and what follows from that.
//!
//! The cookie is sealed: nobody reads or makes one but us, and it opens for its provider only. In it
//! is a secret of 256 random bits; state, nonce and PKCE verifier are keyed hashes of it, so that who
//! sees one of them knows nothing of the others.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::seal::{CursorSealer, FilterHash};
use cityevents_views::records::{RecordKey, RecordKind};
use serde::{Deserialize, Serialize};

use crate::identity::cookies;
use crate::identity::store::{IdentityError, Kept, random};

/// So long somebody may take at the provider.
pub(super) const LIFE_MS: i64 = 10 * 60_000;
const PURPOSE: &str = "sign-in at a provider";
/// Longest path to return to.
const PATH_BYTES_MAX: usize = 512;
/// Time, secret, and whose account it is for.
const HEAD_BYTES: usize = 8 + 32 + 1 + 16;

/// Where the browser goes afterwards: a path of this site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::identity) struct ReturnTo(String);

impl ReturnTo {
    /// A path and query of this site; `None` for everything that a browser could take for another
    /// one.
    pub(in crate::identity) fn parse(text: &str) -> Option<Self> {
        let is_plain = |b: u8| b.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&b);
        let is_path = text.starts_with('/') && !text.starts_with("//");
        let fits = text.len() <= PATH_BYTES_MAX && text.bytes().all(is_plain);
        (is_path && fits).then(|| Self(text.to_owned()))
    }

    /// The first page.
    pub(in crate::identity) fn home() -> Self {
        Self("/".to_owned())
    }

    pub(in crate::identity) fn as_str(&self) -> &str {
        &self.0
    }

    /// The same page, told what went wrong.
    pub(in crate::identity) fn with_error(&self, code: &str) -> String {
        let (page, part) =
            self.0.split_once('#').map_or((&*self.0, ""), |(page, part)| (page, part));
        let sign = if page.contains('?') { '&' } else { '?' };
        let mark = if part.is_empty() { "" } else { "#" };
        format!("{page}{sign}error={code}{mark}{part}")
    }
}

/// A sign-in that has begun.
#[derive(Clone, PartialEq, Eq)]
pub(in crate::identity) struct Flow {
    secret: [u8; 32],
    pub(in crate::identity) begun_at_ms: i64,
    /// Who is signed in already, and wants to sign in there from now on.
    pub(in crate::identity) links: Option<UserId>,
    pub(in crate::identity) return_to: ReturnTo,
}

impl Flow {
    pub(in crate::identity) fn begin(
        now: Timestamp,
        links: Option<UserId>,
        return_to: ReturnTo,
    ) -> Result<Self, IdentityError> {
        Ok(Self { secret: random()?, begun_at_ms: now.as_millis(), links, return_to })
    }

    /// What the provider sends back, so that nobody brings an answer that they did not ask for.
    pub(super) fn state(&self) -> String {
        self.derive("state")
    }

    /// What the ID token has to repeat.
    pub(super) fn nonce(&self) -> String {
        self.derive("nonce")
    }

    /// What only who began can show together with the code (RFC 7636).
    pub(super) fn verifier(&self) -> String {
        self.derive("verifier")
    }

    /// 43 characters of base64.
    fn derive(&self, what: &str) -> String {
        URL_SAFE_NO_PAD.encode(blake3::keyed_hash(&self.secret, what.as_bytes()).as_bytes())
    }

    /// Whether an answer belongs to it, in time.
    pub(in crate::identity) fn is_of(&self, state: &str, now: Timestamp) -> bool {
        let age_ms = now.as_millis().saturating_sub(self.begun_at_ms);
        // Hashes compare in constant time; texts do not.
        let is_own = blake3::hash(state.as_bytes()) == blake3::hash(self.state().as_bytes());
        is_own && (-LIFE_MS..LIFE_MS).contains(&age_ms)
    }

    /// What is left of it when it was used.
    pub(in crate::identity) fn used(&self) -> (RecordKey, UsedFlow) {
        let hash = blake3::derive_key("cityevents 2026 a sign-in that came back", &self.secret);
        let used = UsedFlow { expires_at_ms: self.begun_at_ms.saturating_add(2 * LIFE_MS) };
        (RecordKey::new(RecordKind::OauthFlow, hash.as_slice()), used)
    }

    fn to_bytes(&self) -> Vec<u8> {
        let links = self.links.map(|account| *account.as_bytes());
        let mut bytes = self.begun_at_ms.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.secret);
        bytes.push(u8::from(links.is_some()));
        bytes.extend_from_slice(&links.unwrap_or_default());
        bytes.extend_from_slice(self.return_to.0.as_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, path) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (at, rest) = head.split_first_chunk::<8>()?;
        let (secret, rest) = rest.split_first_chunk::<32>()?;
        let (links, account) = rest.split_first()?;
        let account = UserId::from_bytes(account.try_into().ok()?);
        Some(Self {
            secret: *secret,
            begun_at_ms: i64::from_be_bytes(*at),
            links: (*links == 1).then_some(account),
            return_to: ReturnTo::parse(std::str::from_utf8(path).ok()?)?,
        })
    }
}

/// A sign-in that came back, so that it does not come back again.
#[derive(Serialize, Deserialize)]
pub(in crate::identity) struct UsedFlow {
    expires_at_ms: i64,
}

impl Kept for UsedFlow {
    const KIND: &'static str = "sign-ins at providers";

    fn expires_at(&self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(self.expires_at_ms))
    }
}

/// The cookie that carries a flow.
#[derive(Debug, Clone, Copy)]
pub(in crate::identity) struct FlowCookie {
    /// As of the refresh cookie.
    is_secure: bool,
}

impl FlowCookie {
    pub(in crate::identity) const fn new(is_secure: bool) -> Self {
        Self { is_secure }
    }

    const fn name(self) -> &'static str {
        if self.is_secure { "__Host-oauth_flow" } else { "oauth_flow" }
    }

    /// The flow of a request, if it has one at this provider.
    pub(in crate::identity) fn read(
        self,
        headers: &HeaderMap,
        sealer: &CursorSealer,
        provider: &str,
    ) -> Option<Flow> {
        let sealed = cookies::read(headers, self.name())?;
        let bytes = sealer.open(PURPOSE, &bound_to(provider), sealed).ok()?;
        Flow::from_bytes(&bytes)
    }

    /// Gives the flow to the browser.
    pub(in crate::identity) fn set(
        self,
        flow: &Flow,
        sealer: &CursorSealer,
        provider: &str,
    ) -> Result<(HeaderName, HeaderValue), IdentityError> {
        let sealed = sealer.seal(PURPOSE, &bound_to(provider), &flow.to_bytes())?;
        Ok(cookies::header(self.name(), &sealed, LIFE_MS / 1_000, self.is_secure))
    }

    /// Takes it away from the browser.
    pub(in crate::identity) fn clear(self) -> (HeaderName, HeaderValue) {
        cookies::header(self.name(), "", 0, self.is_secure)
    }
}

fn bound_to(provider: &str) -> FilterHash {
    FilterHash::of([("provider", provider)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(links: Option<UserId>) -> Flow {
        let return_to = ReturnTo::parse("/events?city=Porto").unwrap();
        Flow::begin(Timestamp::from_millis(1_000_000), links, return_to).unwrap()
    }

    #[test]
    fn a_flow_reads_back_and_what_follows_from_it_stays_the_same() {
        for links in [None, Some(UserId::from_bytes([7; 16]))] {
            let flow = flow(links);
            let read = Flow::from_bytes(&flow.to_bytes()).unwrap();
            assert!(read == flow);
            assert_eq!(read.state(), flow.state());
            let derived = [flow.state(), flow.nonce(), flow.verifier()];
            assert!(derived.iter().all(|text| text.len() == 43));
            assert!(derived[0] != derived[1] && derived[1] != derived[2]);
        }
        assert!(flow(None).state() != flow(None).state());
        assert!(Flow::from_bytes(b"short").is_none());
    }

    #[test]
    fn an_answer_belongs_to_its_flow_and_for_ten_minutes() {
        let (flow, other) = (flow(None), flow(None));
        let at = |after_ms| Timestamp::from_millis(1_000_000 + after_ms);
        assert!(flow.is_of(&flow.state(), at(LIFE_MS - 1)));
        assert!(!flow.is_of(&flow.state(), at(LIFE_MS)));
        assert!(!flow.is_of(&other.state(), at(0)));
        assert!(!flow.is_of(&flow.nonce(), at(0)) && !flow.is_of("", at(0)));
    }

    #[test]
    fn only_paths_of_this_site_are_returned_to() {
        for good in ["/", "/events/1?x=2&y=%2F#top", "/a:b@c"] {
            assert!(ReturnTo::parse(good).is_some(), "{good}");
        }
        let long = format!("/{}", "a".repeat(PATH_BYTES_MAX));
        for bad in [
            "",
            "events",
            "//evil.org",
            "/\\evil.org",
            "\\\\evil.org",
            "https://evil.org",
            "javascript:alert(1)",
            " /",
            "/\t/evil.org",
            "/\r\nSet-Cookie: a=b",
            "/ä",
            "/a b",
            &long,
        ] {
            assert_eq!(ReturnTo::parse(bad), None, "{bad}");
        }
        let page = |text| ReturnTo::parse(text).unwrap().with_error("x");
        assert_eq!(page("/settings"), "/settings?error=x");
        assert_eq!(page("/settings?tab=2#end"), "/settings?tab=2&error=x#end");
    }
}
