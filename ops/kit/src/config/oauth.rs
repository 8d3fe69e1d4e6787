//! Providers that people may sign in at: sections of which operators choose the names.
//!
//! The manual describes one of them, Google's, which is ready but for what Google gives out; every
//! other section has the same keys.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::secret::{Secret, SecretSource};
use super::validate::is_origin_with_path;
use super::{Config, sections::OauthProviders};

/// The section that all of them are below.
const SECTION: &str = "oauth";
/// The one that the manual describes.
const DESCRIBED: &str = "oauth.google";
/// Longest name of a section: it stands in addresses.
const NAME_BYTES_MAX: usize = 32;
/// Longest issuer and client id: both go into addresses.
const VALUE_BYTES_MAX: usize = 255;

/// `[oauth.NAME]`: a provider that people may sign in at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OauthProvider {
    /// `issuer` of `ops/config/default.toml`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// `name` of `ops/config/default.toml`.
    #[serde(default)]
    pub name: Option<String>,
    /// `client_id` of `ops/config/default.toml`.
    #[serde(default)]
    pub client_id: Option<String>,
    /// `client_secret` of `ops/config/default.toml`.
    #[serde(default)]
    pub client_secret: Option<Secret>,
    /// `client_secret_file` of `ops/config/default.toml`.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// `scopes` of `ops/config/default.toml`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
}

fn scopes() -> Vec<String> {
    ["openid", "email", "profile"].map(str::to_owned).into()
}

impl OauthProvider {
    /// Where its secret comes from; `None` of a client that keeps none.
    pub fn secret(&self) -> Option<SecretSource> {
        SecretSource::of(self.client_secret.as_ref(), self.client_secret_file.as_ref())
    }

    /// Whether somebody has set anything of it up.
    fn is_begun(&self) -> bool {
        self.client_secret.is_some() || self.client_secret_file.is_some()
    }
}

/// The key of the manual that says what a key means: providers that the manual does not name have
/// the keys of the one that it does.
pub(super) fn described(key: &str) -> Option<String> {
    let rest = key.strip_prefix(SECTION)?.strip_prefix('.')?;
    let (_, rest) = rest.split_once('.').map_or((rest, None), |(name, rest)| (name, Some(rest)));
    Some(rest.map_or_else(|| DESCRIBED.to_owned(), |rest| format!("{DESCRIBED}.{rest}")))
}

/// A key of the manual as it would be called in the section of `key`.
pub(super) fn named_like(manual: &str, key: &str) -> String {
    let section = key.split('.').take(2).collect::<Vec<_>>().join(".");
    match manual.strip_prefix(DESCRIBED) {
        Some(rest) if described(key).is_some() => format!("{section}{rest}"),
        _ => manual.to_owned(),
    }
}

/// Key and what is wrong with it, for all that is wrong.
pub(super) fn validate(config: &Config) -> Vec<(String, String)> {
    let providers: &OauthProviders = &config.oauth;
    let mut problems = Vec::new();
    for (name, provider) in providers {
        let section = format!("{SECTION}.{name}");
        let mut check = |key: &str, fine: bool, say: &str| {
            if !fine {
                problems.push((format!("{section}.{key}"), say.to_owned()));
            }
        };
        let wanted = section != DESCRIBED || provider.is_begun();
        let say = "give the client id that the provider gave out, or take the section away";
        check("client_id", provider.client_id.is_some() || !wanted, say);
        let is_word = is_name(name);
        let say = "name the section by a letter, then at most 31 of a-z, 0-9, '-' and '_'";
        check("client_id", is_word, say);
        let plain = |text: &String| {
            (1..=VALUE_BYTES_MAX).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let client = provider.client_id.as_ref().is_none_or(plain);
        check("client_id", client, "1 to 255 visible ASCII characters");
        let issuer = provider.issuer.as_deref();
        check("issuer", issuer.is_some(), "give the address of the provider: https://host");
        let say = "write https://host, with a path if the provider has one; http:// is possible on \
                   this machine only (127.0.0.1, localhost)";
        check("issuer", issuer.is_none_or(is_issuer), say);
        let shown = |text: &String| {
            (1..=60).contains(&text.chars().count()) && !text.chars().any(char::is_control)
        };
        check(
            "name",
            provider.name.as_ref().is_none_or(shown),
            "one line of at most 60 characters",
        );
        let both = provider.client_secret.is_some() && provider.client_secret_file.is_some();
        check("client_secret_file", !both, "give client_secret or this, not both");
        let is_scope = |scope: &String| plain(scope) && !scope.contains(['"', '\\']);
        let scopes = provider.scopes.iter().all(is_scope) && provider.scopes.len() <= 20;
        check("scopes", scopes, "at most 20 words of visible ASCII characters");
        let asks = provider.scopes.iter().any(|scope| scope == "openid");
        check("scopes", asks, "\"openid\" has to be among them");
    }
    problems
}

fn is_name(text: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b);
    text.len() <= NAME_BYTES_MAX
        && text.bytes().all(fine)
        && text.starts_with(|first: char| first.is_ascii_lowercase())
}

fn is_issuer(text: &str) -> bool {
    let Ok(uri) = text.parse::<axum::http::Uri>() else { return false };
    let is_here = matches!(uri.host(), Some("127.0.0.1" | "localhost" | "[::1]"));
    let is_protected = uri.scheme_str() == Some("https") || is_here;
    text.len() <= VALUE_BYTES_MAX && is_origin_with_path(text) && is_protected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn load(text: &str) -> Result<crate::config::Loaded, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("city.toml");
        std::fs::write(&file, text).unwrap();
        let sources = Sources { file: Some(file), ..Sources::default() };
        Config::load(sources).map_err(|problems| problems.to_string())
    }

    #[test]
    fn google_needs_what_google_gives_out_and_others_their_address_too() {
        let none = load("").unwrap().config;
        assert!(none.oauth.values().all(|provider| provider.client_id.is_none()));
        let text = "[oauth.google]\nclient_id = \"a\"\nclient_secret = \"hidden\"\n\
                    [oauth.city-hall]\nissuer = \"https://id.example/realm\"\nclient_id = \"b\"\n";
        let loaded = load(text).unwrap();
        let google = &loaded.config.oauth["google"];
        assert_eq!(google.issuer.as_deref(), Some("https://accounts.google.com"));
        assert_eq!(google.scopes, ["openid", "email", "profile"]);
        assert_eq!(google.secret().unwrap().current().unwrap().expose(), "hidden");
        let city = &loaded.config.oauth["city-hall"];
        assert!(city.secret().is_none() && city.scopes == google.scopes);
        let shown: Vec<String> = loaded.show().iter().map(ToString::to_string).collect();
        let shown = shown.join("\n");
        assert!(shown.contains("oauth.google.client_secret = \"[redacted]\""), "{shown}");
        assert!(!format!("{shown}{loaded:?}").contains("hidden"));
    }

    #[test]
    fn the_environment_sets_up_a_provider_too() {
        let variable = |name: &str, value: &str| {
            (format!("CITYEVENTS__OAUTH__CITY__{name}"), value.to_owned())
        };
        let environment = vec![
            variable("ISSUER", "http://127.0.0.1:4000"),
            variable("CLIENT_ID", "42"),
            variable("CLIENT_SECRET", "hidden"),
            variable("SCOPES", "openid, email"),
        ];
        let loaded = Config::load(Sources { environment, ..Sources::default() }).unwrap();
        let city = &loaded.config.oauth["city"];
        assert_eq!(city.client_id.as_deref(), Some("42"));
        assert_eq!(city.scopes, ["openid", "email"]);
    }

    #[test]
    fn every_wrong_provider_is_named() {
        let id = "client_id = \"a\"\n";
        for (text, key, part) in [
            ("[oauth.x]\nissuer = \"https://a.b\"\n".to_owned(), "oauth.x.client_id", "give"),
            (format!("[oauth.x]\n{id}"), "oauth.x.issuer", "address"),
            (format!("[oauth.x]\nissuer = \"http://a.b\"\n{id}"), "oauth.x.issuer", "https"),
            (format!("[oauth.x]\nissuer = \"https://a.b?c\"\n{id}"), "oauth.x.issuer", "https"),
            (format!("[oauth.x]\nissuer = \"a\"\n{id}"), "oauth.x.issuer", "https"),
            (format!("[oauth.X]\nissuer = \"https://a.b\"\n{id}"), "oauth.X.client_id", "letter"),
            (format!("[oauth.\"a.b\"]\n{id}"), "oauth.a.b.client_id", "unknown"),
            ("[oauth.google]\nclient_secret = \"hidden\"\n".to_owned(), "oauth.google", "give"),
            (
                format!("[oauth.google]\n{id}scopes = [\"email\"]\n"),
                "oauth.google.scopes",
                "openid",
            ),
            (format!("[oauth.google]\n{id}scopes = [\"a b\"]\n"), "oauth.google.scopes", "words"),
            (
                format!("[oauth.x]\n{id}clientid = \"a\"\n"),
                "oauth.x.clientid",
                "did you mean oauth.x.client_id?",
            ),
            ("[oauth]\nclient_id = \"a\"\n".to_owned(), "oauth.client_id", "section"),
            (
                format!("[oauth.google]\n{id}client_secret = \"a\"\nclient_secret_file = \"b\"\n"),
                "oauth.google.client_secret_file",
                // Of a secret nothing is repeated.
                "not acceptable",
            ),
        ] {
            let said = load(&text).unwrap_err();
            assert!(said.contains(key) && said.contains(part), "{text}: {said}");
        }
    }
}
