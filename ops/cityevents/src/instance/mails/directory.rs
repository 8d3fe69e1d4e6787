//! Accounts, as the mailer asks for them.

use std::time::Duration;

use cityevents_api::identity::{
    Addressee as Found, Addressees, IdentityError, LinkPurpose, MailKind,
};
use cityevents_mail::Recipient;
use cityevents_processors::mailer::{Addressee, Directory, DirectoryError, DropReason};
use cityevents_schemas::message::{Email, EmailContent};
use cityevents_views::BoxFuture;

/// When to ask again while the tables are away.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The accounts of this service.
pub(crate) struct Accounts(pub(crate) Addressees);

impl Directory for Accounts {
    fn addressee<'a>(
        &'a self,
        email: &'a Email,
    ) -> BoxFuture<'a, Result<Addressee, DirectoryError>> {
        Box::pin(async move { self.find(email).await.map_err(away) })
    }
}

impl Accounts {
    async fn find(&self, email: &Email) -> Result<Addressee, IdentityError> {
        let link = match &email.content {
            EmailContent::VerifyAddress { token } => Some((LinkPurpose::VerifyAddress, token)),
            EmailContent::ResetPassword { token } => Some((LinkPurpose::ResetPassword, token)),
            _ => None,
        };
        if link.is_some_and(|(purpose, _)| self.0.is_too_late(purpose, email.occurred_at)) {
            return Ok(Addressee::Nobody(DropReason::Expired));
        }
        let kind = MailKind::parse(email.content.template());
        let nobody = |reason| Ok(Addressee::Nobody(reason));
        match self.0.find(&email.recipient, kind).await? {
            Found::Person { address, name } => {
                let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
                let destination = domain.to_ascii_lowercase();
                let token = link.map(|(purpose, id)| self.0.token(purpose, id));
                // One click from nowhere is not possible yet: preferences are behind a sign-in.
                let recipient = Recipient { address, name, language: None, unsubscribe: None };
                Ok(Addressee::Person { recipient, destination, token })
            }
            Found::Unknown => nobody(DropReason::Unknown),
            Found::Erased => nobody(DropReason::Erased),
            Found::Locked => nobody(DropReason::Locked),
            Found::Suppressed => nobody(DropReason::Suppressed),
            Found::Declined => nobody(DropReason::Declined),
        }
    }
}

fn away(error: IdentityError) -> DirectoryError {
    let retry_after = match &error {
        IdentityError::Tables(error) => error.retry_after().unwrap_or(RETRY_AFTER),
        _ => RETRY_AFTER,
    };
    DirectoryError { reason: error.to_string(), retry_after }
}

#[cfg(test)]
mod tests {
    use cityevents_mail::Template;

    use super::*;

    #[test]
    fn a_person_may_do_without_every_optional_mail_and_no_other() {
        for template in Template::ALL {
            let kind = MailKind::parse(template.as_str());
            assert_eq!(kind.is_some(), template.is_optional(), "{template:?}");
        }
    }
}
