//! Accounts, as the mailer asks for them.

use std::time::Duration;

use cityevents_api::identity::{
    Addressee as Found, Addressees, IdentityError, LanguageTag, LinkPurpose,
};
use cityevents_mail::{Recipient, Template};
use cityevents_processors::mailer::{Addressee, Directory, DirectoryError, DropReason};
use cityevents_schemas::message::{Email, EmailContent};
use cityevents_views::BoxFuture;

/// When to ask again while the tables are away.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The accounts of this service.
pub(crate) struct Accounts {
    pub(crate) people: Addressees,
    /// The address under which people reach the pages.
    pub(crate) site: String,
}

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
        if link.is_some_and(|(purpose, _)| self.people.is_too_late(purpose, email.occurred_at)) {
            return Ok(Addressee::Nobody(DropReason::Expired));
        }
        // There is a template for every content; a test holds the two together.
        let kind = Template::parse(email.content.template()).unwrap_or(Template::OrganizerMessage);
        let nobody = |reason| Ok(Addressee::Nobody(reason));
        match self.people.find(&email.recipient, kind).await? {
            Found::Person { address, name, language, unsubscribe } => {
                let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
                let destination = domain.to_ascii_lowercase();
                let token = link.map(|(purpose, id)| self.people.token(purpose, id));
                let language = language.as_ref().map(LanguageTag::as_str).map(str::to_owned);
                let unsubscribe = unsubscribe
                    .map(|token| format!("{}/unsubscribe?token={}", self.site, token.expose()));
                let recipient = Recipient { address, name, language, unsubscribe };
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
