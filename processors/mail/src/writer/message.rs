//! Puts a mail together (RFC 5322).

use std::time::{Duration, UNIX_EPOCH};

use cityevents_domain::time::Timestamp;
use lettre::message::{Mailbox, header::ContentType};

use super::{Recipient, Site, WriteError};
use crate::{Mail, MailId};

pub(super) fn compose(
    site: &Site,
    id: &MailId,
    recipient: &Recipient,
    (subject, text): (&str, String),
    at: Timestamp,
) -> Result<Mail, WriteError> {
    let seconds = u64::try_from(at.as_millis() / 1_000).unwrap_or(0);
    let to: lettre::Address = recipient.address.parse()?;
    let message = lettre::Message::builder()
        .from(site.from.clone())
        .to(Mailbox::new(recipient.name.clone(), to.clone()))
        .subject(subject)
        .date(UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(format!("<{id}@{}>", site.from.email.domain())))
        .header(ContentType::TEXT_PLAIN)
        .body(text)?;
    Ok(Mail { id: *id, from: site.from.email.clone(), to, message: message.formatted() })
}
