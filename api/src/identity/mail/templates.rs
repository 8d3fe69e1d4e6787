//! What mails about accounts say.

use cityevents_domain::time::Timestamp;
use lettre::message::Mailbox;

use super::{Mail, MailError, compose};
use crate::identity::Account;

/// Which mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::identity) enum Template {
    /// To show that an address is one's own.
    VerifyAddress,
    /// To set another password.
    ResetPassword,
}

impl Template {
    const fn name(self) -> &'static str {
        match self {
            Self::VerifyAddress => "verify-address",
            Self::ResetPassword => "reset-password",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::VerifyAddress => "verify-email",
            Self::ResetPassword => "reset-password",
        }
    }

    const fn subject(self) -> &'static str {
        match self {
            Self::VerifyAddress => "Please confirm your address",
            Self::ResetPassword => "Choose another password",
        }
    }
}

/// Writes a mail with a link that carries a token. `about` tells mails of the same template apart.
pub(in crate::identity) fn write(
    template: Template,
    account: &Account,
    (about, token): (&[u8], &str),
    (site, from): (&str, &Mailbox),
    at: Timestamp,
) -> Result<Mail, MailError> {
    let mut hash = blake3::Hasher::new();
    for part in [about, template.name().as_bytes(), account.id.as_bytes()] {
        hash.update(&(part.len() as u64).to_be_bytes()).update(part);
    }
    let id = hash.finalize().to_hex()[..32].to_owned();
    let link = format!("{site}/{}?token={token}", template.path());
    let hello =
        account.name.as_ref().map_or_else(|| "Hello,".to_owned(), |name| format!("Hello {name},"));
    let text = match template {
        Template::VerifyAddress => format!(
            "{hello}\n\nplease confirm that this is your address:\n\n{link}\n\nThe link is good for 24 \
             hours. If you have not made an account, do nothing.\n"
        ),
        Template::ResetPassword => format!(
            "{hello}\n\nsomebody, you we hope, wants to choose another password for your account:\n\n\
             {link}\n\nThe link is good for 30 minutes, once. If it was not you, do nothing: your \
             password stays as it is.\n"
        ),
    };
    let to = Mailbox::new(account.name.clone(), account.email.parse()?);
    compose(&id, from, to, template.subject(), text, at)
}
