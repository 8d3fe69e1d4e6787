//! People without an account: an id in a cookie that only this service can have given out.
//!
//! The id is drawn at random, and a keyed hash beside it proves that it was. Nobody is known by it
//! but the browser that keeps it, and nothing is stored under it that the cookie does not unlock. A
//! cookie that proves nothing is no cookie: whoever reads it learns that it was made up.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::CursorSealer;
use crate::config::Config;

const PURPOSE: &str = "visitor";
const ID_BYTES: usize = 16;
const PROOF_BYTES: usize = 16;
/// The longest that browsers keep a cookie (RFC 6265bis, 5.5).
const AGE_SECONDS: u32 = 400 * 86_400;

/// What a request's cookie says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// There is none.
    Unknown,
    /// Somebody who came before.
    Known([u8; ID_BYTES]),
    /// Somebody made it up, or the instance's secret was another one then.
    Forged,
}

/// Gives and reads visitors' cookies. Cheap to clone.
#[derive(Clone)]
pub struct VisitorCookies {
    sealer: CursorSealer,
    /// Over TLS: bound to this very host, and never sent without TLS.
    is_secure: bool,
}

impl VisitorCookies {
    /// With the keys of the instance's secret.
    pub fn new(sealer: CursorSealer, config: &Config) -> Self {
        Self { sealer, is_secure: config.is_public_tls() }
    }

    const fn name(&self) -> &'static str {
        if self.is_secure { "__Host-visitor" } else { "visitor" }
    }

    /// Who the cookie of a request is.
    pub fn read(&self, headers: &HeaderMap) -> Visitor {
        let pairs = headers.get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
        let mut pairs = pairs.flat_map(|header| header.split(';'));
        let value = pairs.find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == self.name()).then_some(value)
        });
        match value.map(|value| self.parse(value)) {
            None => Visitor::Unknown,
            Some(None) => Visitor::Forged,
            Some(Some(id)) => Visitor::Known(id),
        }
    }

    fn parse(&self, value: &str) -> Option<[u8; ID_BYTES]> {
        // Decoding a longer text than any cookie has is a waste.
        if value.len() > (ID_BYTES + PROOF_BYTES).div_ceil(3) * 4 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(value).ok()?;
        let (id, proof) = bytes.split_first_chunk::<ID_BYTES>()?;
        let expected = self.proof(id);
        // Every byte is compared, so that time does not tell where the first wrong one stands.
        let differs =
            proof.iter().zip(&expected).fold(0, |found, (one, other)| found | (one ^ other));
        (proof.len() == PROOF_BYTES && differs == 0).then_some(*id)
    }

    /// A new visitor, and the header that makes the browser keep the cookie.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn give(&self) -> Result<([u8; ID_BYTES], (HeaderName, HeaderValue)), getrandom::Error> {
        let mut random = [0; ID_BYTES];
        getrandom::fill(&mut random)?;
        let id = uuid::Builder::from_random_bytes(random).into_uuid().into_bytes();
        Ok((id, (SET_COOKIE, self.set(&id))))
    }

    fn set(&self, id: &[u8; ID_BYTES]) -> HeaderValue {
        let value = URL_SAFE_NO_PAD.encode([id.as_slice(), &self.proof(id)].concat());
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={AGE_SECONDS}{secure}",
            self.name()
        );
        let mut value = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
        value.set_sensitive(true);
        value
    }

    fn proof(&self, id: &[u8; ID_BYTES]) -> [u8; PROOF_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&self.sealer.derive(PURPOSE));
        hasher.update(id);
        let mut proof = [0; PROOF_BYTES];
        hasher.finalize_xof().fill(&mut proof);
        proof
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;
    use crate::seal::InstanceSecret;

    fn cookies(folder: &std::path::Path) -> VisitorCookies {
        let overrides = vec![("data.dir".to_owned(), folder.display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        VisitorCookies::new(CursorSealer::new(InstanceSecret::open(&config).unwrap()), &config)
    }

    fn sent(pair: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("theme=dark; {pair}; other=1").parse().unwrap());
        headers
    }

    fn pair(header: &HeaderValue) -> String {
        header.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    #[test]
    fn a_visitor_is_known_again_after_a_restart_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let (id, (_, header)) = cookies(folder.path()).give().unwrap();
        let text = header.to_str().unwrap();
        assert!(text.contains("HttpOnly") && text.contains("SameSite=Lax"), "{text}");
        let headers = sent(&pair(&header));
        assert_eq!(cookies(folder.path()).read(&headers), Visitor::Known(id));
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(cookies(elsewhere.path()).read(&headers), Visitor::Forged);
        assert_eq!(cookies(folder.path()).read(&HeaderMap::new()), Visitor::Unknown);
        let (other, _) = cookies(folder.path()).give().unwrap();
        assert_ne!(other, id);
    }

    #[test]
    fn whatever_is_changed_cut_or_made_up_is_forged() {
        let folder = tempfile::tempdir().unwrap();
        let cookies = cookies(folder.path());
        let (id, (_, header)) = cookies.give().unwrap();
        let good = pair(&header);
        let (name, value) = good.split_once('=').unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
        let mut wrong: Vec<Vec<u8>> = (0..bytes.len()).map(|end| bytes[..end].to_vec()).collect();
        wrong.extend((0..bytes.len()).map(|place| {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            changed
        }));
        wrong.push([bytes.as_slice(), &[0]].concat());
        wrong.push(id.to_vec());
        for bytes in wrong {
            let text = URL_SAFE_NO_PAD.encode(bytes);
            assert_eq!(cookies.read(&sent(&format!("{name}={text}"))), Visitor::Forged, "{text}");
        }
        for text in ["!", "A", &"A".repeat(5_000)] {
            assert_eq!(cookies.read(&sent(&format!("{name}={text}"))), Visitor::Forged);
        }
    }
}
