//! Links by which somebody gets no more mails of a kind, without signing in (RFC 8058).
//!
//! A link says whose mails and which, and is signed with the secret of the instance: nothing of it is
//! kept, and it stands in every such mail, the same every time. It does nothing but switch that one
//! kind off, and is good as long as there is the account.

use cityevents_domain::ids::UserId;
use cityevents_kit::config::Secret;
use cityevents_kit::seal::MailSecrets;
use cityevents_mail::Template;

use super::store::IdentityError;
use super::{Account, Identity};

/// Longest text that is looked at as a token: three parts, of which the last has 43 characters.
const TOKEN_BYTES_MAX: usize = 128;

/// The token of a link, for mails of a kind to somebody.
pub(super) fn token(secrets: &MailSecrets, account: &UserId, kind: Template) -> Secret {
    let signature = signature(secrets, account, kind);
    Secret::new(format!("{account}.{}.{}", kind.as_str(), signature.expose()))
}

fn signature(secrets: &MailSecrets, account: &UserId, kind: Template) -> Secret {
    secrets.token(&["unsubscribe ", kind.as_str()].concat(), account.as_bytes())
}

/// Whose mails and which, if the token was made here.
fn opened(secrets: &MailSecrets, token: &str) -> Option<(UserId, Template)> {
    if token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    let (about, given) = token.rsplit_once('.')?;
    let (account, kind) = about.split_once('.')?;
    let account: UserId = account.parse().ok()?;
    let kind = Template::parse(kind).filter(|kind| kind.is_optional())?;
    let signature = signature(secrets, &account, kind);
    // Hashes of both, so that how long it takes tells nothing of how much is right.
    let is_ours = blake3::hash(given.as_bytes()) == blake3::hash(signature.expose().as_bytes());
    is_ours.then_some((account, kind))
}

impl Identity {
    /// Whose mails and which a link is about; `None` when it was not made here, or the account is
    /// gone.
    pub(super) async fn unsubscribing(
        &self,
        token: &str,
    ) -> Result<Option<(Account, Template)>, IdentityError> {
        let Some((account, kind)) = opened(&self.shared.secrets, token) else { return Ok(None) };
        Ok(self.account(&account).await?.map(|account| (account, kind)))
    }
}

#[cfg(test)]
mod tests {
    use cityevents_kit::config::{Config, Sources};
    use cityevents_kit::seal::{CursorSealer, InstanceSecret};

    use super::*;

    #[test]
    fn a_token_opens_what_it_was_made_for_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let overrides = vec![("data.dir".to_owned(), folder.path().display().to_string())];
        let config = Config::load(Sources { overrides, ..Sources::default() }).unwrap().config;
        let secrets = MailSecrets::new(CursorSealer::new(InstanceSecret::open(&config).unwrap()));
        let ada = UserId::from_bytes([1; 16]);
        let made = token(&secrets, &ada, Template::EventChanged);
        let made = made.expose();
        assert_eq!(made, token(&secrets, &ada, Template::EventChanged).expose());
        assert_eq!(opened(&secrets, made), Some((ada, Template::EventChanged)));
        let ben = UserId::from_bytes([2; 16]).to_string();
        let signature = made.rsplit_once('.').unwrap().1;
        for wrong in [
            "",
            ".",
            "..",
            made.rsplit_once('.').unwrap().0,
            &made.replace("event_changed", "event_canceled"),
            &made.replace("event_changed", "reset_password"),
            &made.replace(&ada.to_string(), &ben),
            &format!("{ada}.event_changed.{}", &signature[1..]),
            &format!("{made}A"),
            &"a.b".repeat(1_000),
        ] {
            assert_eq!(opened(&secrets, wrong), None, "{wrong}");
        }
        // Not even signed, one that always comes can be switched off.
        let always = token(&secrets, &ada, Template::ResetPassword);
        assert_eq!(opened(&secrets, always.expose()), None);
    }
}
