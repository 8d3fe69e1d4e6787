//! Where a request with a cookie may come from: our own pages, and whom the configuration names.

use axum::http::HeaderMap;
use axum::http::header::{HOST, HeaderName, ORIGIN, REFERER};
use cityevents_kit::{Config, ErrorCode, Problem};

/// The origins whose pages may write with a cookie.
#[derive(Debug, Clone)]
pub(super) struct Origins {
    public: Option<String>,
    others: Vec<String>,
}

impl Origins {
    pub(super) fn of(config: &Config) -> Self {
        let public = config.http.public_url.as_deref().map(|url| origin_of(url).to_owned());
        Self { public, others: config.http.cors_origins.clone() }
    }

    /// Whether our own pages come over TLS.
    pub(super) fn are_secure(&self) -> bool {
        self.public.as_deref().is_some_and(|public| public.starts_with("https://"))
    }

    /// Refuses requests from foreign pages, and those that do not say where they come from.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let said = text(ORIGIN).or_else(|| text(REFERER).map(origin_of));
        let is_ours = |said: &str| match &self.public {
            Some(public) => said.eq_ignore_ascii_case(public),
            // On a laptop nobody has said what the address is: it is the one that was asked.
            None => text(HOST).is_some_and(|host| {
                said.split_once("://").is_some_and(|(_, at)| at.eq_ignore_ascii_case(host))
            }),
        };
        let is_good = said.is_some_and(|said| {
            is_ours(said) || self.others.iter().any(|other| other.eq_ignore_ascii_case(said))
        });
        if is_good {
            return Ok(());
        }
        let detail = "this call is for our own pages: send their Origin or Referer";
        Err(Problem::because(ErrorCode::Forbidden, detail))
    }
}

/// Scheme, host and port of an address.
fn origin_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(public: Option<&str>, headers: &[(HeaderName, &str)]) -> bool {
        let origins = Origins {
            public: public.map(|url| origin_of(url).to_owned()),
            others: vec!["https://app.example.org".to_owned()],
        };
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        origins.check(&headers.collect()).is_ok()
    }

    #[test]
    fn only_our_own_pages_and_those_named_may_write_with_a_cookie() {
        let public = Some("https://city.example.org/");
        assert!(check(public, &[(ORIGIN, "https://city.example.org")]));
        assert!(check(public, &[(REFERER, "https://city.example.org/events?x=1")]));
        assert!(check(public, &[(ORIGIN, "https://app.example.org")]));
        assert!(!check(public, &[(ORIGIN, "https://city.example.org.evil.org")]));
        assert!(!check(public, &[(ORIGIN, "http://city.example.org")]));
        assert!(!check(public, &[(ORIGIN, "null"), (REFERER, "https://city.example.org/")]));
        assert!(!check(public, &[]));
        assert!(check(None, &[(HOST, "localhost:8080"), (ORIGIN, "http://localhost:8080")]));
        assert!(!check(None, &[(HOST, "localhost:8080"), (ORIGIN, "http://evil.org")]));
    }
}
