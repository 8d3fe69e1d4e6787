//! What proves that somebody may bring a picture: a token for its id, which is part of the address
//! that the picture is brought to. Whoever has the address needs nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::CursorSealer;

const PURPOSE: &str = "uploads of pictures";

/// Derives and checks tokens. Cheap to clone.
#[derive(Clone)]
pub struct UploadTokens {
    sealer: CursorSealer,
}

impl UploadTokens {
    /// With the keys of the instance's secret.
    pub const fn new(sealer: CursorSealer) -> Self {
        Self { sealer }
    }

    /// The token of an upload: 43 characters of letters, digits, `-` and `_`.
    pub fn token(&self, id: &[u8; 16]) -> String {
        URL_SAFE_NO_PAD.encode(self.hash(id).as_bytes())
    }

    /// Whether a token is the one of this upload, in a time that does not depend on how nearly it is.
    pub fn proves(&self, token: &str, id: &[u8; 16]) -> bool {
        let given = URL_SAFE_NO_PAD.decode(token).ok();
        let given = given.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        // Hashes compare in constant time.
        given.is_some_and(|given| blake3::Hash::from(given) == self.hash(id))
    }

    fn hash(&self, id: &[u8; 16]) -> blake3::Hash {
        blake3::keyed_hash(&self.sealer.derive(PURPOSE), id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};
    use crate::seal::InstanceSecret;

    fn tokens() -> UploadTokens {
        let folder = tempfile::tempdir().unwrap();
        let overrides = vec![("data.dir".to_owned(), folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        UploadTokens::new(CursorSealer::new(InstanceSecret::open(&config).unwrap()))
    }

    #[test]
    fn a_token_proves_one_upload_of_one_service() {
        let tokens = tokens();
        let token = tokens.token(&[1; 16]);
        assert_eq!(token.len(), 43);
        assert!(tokens.proves(&token, &[1; 16]));
        assert!(!tokens.proves(&token, &[2; 16]));
        assert!(!self::tokens().proves(&token, &[1; 16]));
        for wrong in ["", "made-up", &token[1..], &format!("{token}A")] {
            assert!(!tokens.proves(wrong, &[1; 16]), "{wrong}");
        }
    }
}
