//! What mails need of the instance's secret: the tokens in their links, and hashes of addresses.
//!
//! A token is derived from its id whenever its mail is written, so that no topic, ledger or log holds
//! it: whoever reads those has ids, and no way from an id to its token without the secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::CursorSealer;
use crate::config::Secret;

const TOKENS: &str = "one-time tokens of mails";
const ADDRESSES: &str = "addresses that get no mail";

/// Derives tokens and hashes. Cheap to clone.
#[derive(Clone)]
pub struct MailSecrets {
    sealer: CursorSealer,
}

impl MailSecrets {
    /// With the keys of the instance's secret.
    pub const fn new(sealer: CursorSealer) -> Self {
        Self { sealer }
    }

    /// The token of an id, for one purpose: 43 characters of letters, digits, `-` and `_`.
    pub fn token(&self, purpose: &str, id: &[u8; 16]) -> Secret {
        let mut hasher = blake3::Hasher::new_keyed(&self.sealer.derive(TOKENS));
        hasher.update(id).update(purpose.as_bytes());
        Secret::new(URL_SAFE_NO_PAD.encode(hasher.finalize().as_bytes()))
    }

    /// Stands for an address, in one spelling, where the address itself must not be kept.
    pub fn address_hash(&self, address: &str) -> [u8; 32] {
        let key = self.sealer.derive(ADDRESSES);
        *blake3::keyed_hash(&key, address.as_bytes()).as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use crate::seal::InstanceSecret;

    fn secrets() -> MailSecrets {
        let folder = tempfile::tempdir().unwrap();
        let overrides = vec![("data.dir".to_owned(), folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        MailSecrets::new(CursorSealer::new(InstanceSecret::open(&config).unwrap()))
    }

    #[test]
    fn a_token_is_the_same_for_the_same_id_purpose_and_secret_only() {
        let secrets = secrets();
        let token = |purpose, id| secrets.token(purpose, &[id; 16]).expose().to_owned();
        assert_eq!(token("verify", 1), token("verify", 1));
        assert_eq!(token("verify", 1).len(), 43);
        assert_ne!(token("verify", 1), token("verify", 2));
        assert_ne!(token("verify", 1), token("reset", 1));
        let other = self::secrets().token("verify", &[1; 16]);
        assert_ne!(token("verify", 1), other.expose());
    }

    #[test]
    fn hashes_of_addresses_depend_on_the_secret() {
        let secrets = secrets();
        assert_eq!(secrets.address_hash("a@b.co"), secrets.address_hash("a@b.co"));
        assert_ne!(secrets.address_hash("a@b.co"), secrets.address_hash("c@b.co"));
        assert_ne!(secrets.address_hash("a@b.co"), self::secrets().address_hash("a@b.co"));
    }
}
