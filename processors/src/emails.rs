//! How a mail to be sent lies in the log, whoever asks for it.

use bytes::Bytes;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_mail::{MailId, Template};
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::{Headers, Outgoing, Record};
use cityevents_runtime::retry::OrderKey;
use cityevents_schemas::cloudevents::{self, header};
use cityevents_schemas::message::{Email, EmailContent, EmailStanding, encode_email};
use cityevents_trace::TraceParent;

/// Type of a mail's record, before the name of its template.
pub const TYPE_PREFIX: &str = "cityevents.email.";
/// Room for all headers.
const HEADER_BYTES: usize = 384;

/// A mail about a fact of an event, for one person. The same fact gives the same mail.
pub fn about_fact(
    (event, event_seq): (EventId, u64),
    recipient: UserId,
    occurred_at: cityevents_domain::time::Timestamp,
    content: EmailContent,
) -> Email {
    let fact = [event.as_bytes().as_slice(), &event_seq.to_be_bytes()].concat();
    Email { id: id_of(&fact, &content, &recipient), recipient, occurred_at, content }
}

/// A mail with a link that carries a one-time token. The same token gives the same mail.
pub fn about_token(
    recipient: UserId,
    occurred_at: cityevents_domain::time::Timestamp,
    content: EmailContent,
) -> Email {
    let token = match &content {
        EmailContent::VerifyAddress { token } | EmailContent::ResetPassword { token } => *token,
        _ => [0; 16],
    };
    Email { id: id_of(&token, &content, &recipient), recipient, occurred_at, content }
}

fn id_of(about: &[u8], content: &EmailContent, recipient: &UserId) -> [u8; 16] {
    // There is a template for every content; a test holds the two together.
    let template = Template::parse(content.template()).unwrap_or(Template::OrganizerMessage);
    *MailId::derive(about, template, recipient).as_bytes()
}

/// The key of all mails to one person: a hash, so that they are handled in order, and that nobody
/// has to know ids of accounts to look at keys.
pub fn key_of(recipient: &UserId) -> Bytes {
    let hash =
        blake3::derive_key("cityevents 2026 key of mails to an account", recipient.as_bytes());
    Bytes::from(blake3::Hash::from_bytes(hash).to_hex()[..16].to_owned())
}

/// Whether many are told the same at once: such a mail lets those go first that somebody waits for.
/// What comes after it may overtake it, so nothing may be bulk that a later mail takes back.
pub const fn is_bulk(content: &EmailContent) -> bool {
    match content {
        EmailContent::EventCanceled { standing, .. } => {
            // The owner is one person, and hears it as such.
            matches!(standing, EmailStanding::Active | EmailStanding::Waiting)
        }
        EmailContent::EventChanged { .. } | EmailContent::OrganizerMessage { .. } => true,
        _ => false,
    }
}

/// Headers that say which trace something belongs to, and nothing else.
pub fn trace_headers(trace: &TraceParent) -> Headers {
    let mut headers = HeadersBuilder::default();
    headers.push(header::TRACE_PARENT, trace.to_string().as_bytes());
    headers.build()
}

/// The record of a mail. `trace` are the headers of whatever caused it.
pub fn outgoing(email: &Email, source: &str, trace: Option<&Headers>) -> Outgoing {
    let mut value = Vec::with_capacity(192);
    encode_email(email, &mut value);
    let id = MailId::from_bytes(email.id).to_string();
    let kind = [TYPE_PREFIX, email.content.template()].concat();
    let event = cloudevents::Headers {
        id: &id,
        kind: &kind,
        source,
        time: email.occurred_at,
        trace_parent: None,
        trace_state: None,
    };
    let mut headers = HeadersBuilder::with_capacity(HEADER_BYTES);
    event.write(|name, value| {
        headers.push(name, value);
    });
    if let Some(event) = email.content.event() {
        headers.push(header::SUBJECT, event.to_string().as_bytes());
    }
    for name in [header::TRACE_PARENT, header::TRACE_STATE] {
        if let Some(value) = trace.and_then(|trace| trace.get(name)) {
            headers.push(name, value);
        }
    }
    Outgoing {
        key: Some(key_of(&email.recipient)),
        value: Some(Bytes::from(value)),
        headers: headers.build(),
        timestamp_ms: None,
    }
}

/// What keeps a mail behind others: those to one person about one event stay in order.
pub fn order_of(record: &Record) -> Option<OrderKey> {
    let about = record.headers.get(header::SUBJECT).or_else(|| record.headers.get(header::ID))?;
    let key = record.key.as_deref().unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes()).update(key).update(about);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    Some(OrderKey(u128::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use cityevents_domain::time::Timestamp;
    use cityevents_schemas::message::decode_email;

    use super::*;

    const EVENT: EventId = EventId::from_bytes([1; 16]);
    const ADA: UserId = UserId::from_bytes([2; 16]);
    const AT: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    fn contents() -> Vec<EmailContent> {
        let (event, version, reason) = (EVENT, 1, None);
        let standing = EmailStanding::Active;
        vec![
            EmailContent::VerifyAddress { token: [7; 16] },
            EmailContent::ResetPassword { token: [7; 16] },
            EmailContent::PlaceConfirmed { event },
            EmailContent::Waitlisted { event, position: 1 },
            EmailContent::PlaceCameFree { event },
            EmailContent::Removed { event, reason: None, until: None },
            EmailContent::EventCanceled { event, version, reason: reason.clone(), standing },
            EmailContent::EventChanged { event, version, standing },
            EmailContent::OrganizerMessage { event, subject: String::new(), text: String::new() },
            EmailContent::EventUnpublished { event, version, reason },
        ]
    }

    fn read(outgoing: Outgoing) -> Record {
        let Outgoing { key, value, headers, .. } = outgoing;
        Record { offset: 0, timestamp_ms: 0, key, value, headers }
    }

    #[test]
    fn there_is_a_template_for_every_content() {
        let named: Vec<_> = contents().iter().map(EmailContent::template).collect();
        let templates: Vec<_> = Template::ALL.iter().map(|template| template.as_str()).collect();
        assert_eq!(named, templates);
    }

    #[test]
    fn the_same_fact_gives_the_same_mail_and_no_record_names_a_person() {
        for content in contents() {
            let email = about_fact((EVENT, 4), ADA, AT, content.clone());
            assert_eq!(email, about_fact((EVENT, 4), ADA, AT, content.clone()));
            assert_ne!(email.id, about_fact((EVENT, 5), ADA, AT, content).id);
            let record = read(outgoing(&email, "/test", None));
            assert_eq!(decode_email(record.value.as_deref().unwrap()), Ok(email));
            let ada = ADA.to_string();
            let seen = format!("{:?}{:?}", record.key, record.headers);
            assert!(!seen.contains(&ada), "{seen}");
        }
    }

    #[test]
    fn mails_to_one_person_about_one_event_are_in_order_and_others_are_not() {
        let order = |event, recipient, content: fn(EventId) -> EmailContent| {
            let email = about_fact((event, 1), recipient, AT, content(event));
            order_of(&read(outgoing(&email, "/test", None)))
        };
        let waitlisted = |event| EmailContent::Waitlisted { event, position: 1 };
        let free = |event| EmailContent::PlaceCameFree { event };
        assert_eq!(order(EVENT, ADA, waitlisted), order(EVENT, ADA, free));
        assert_ne!(order(EVENT, ADA, free), order(EventId::from_bytes([9; 16]), ADA, free));
        assert_ne!(order(EVENT, ADA, free), order(EVENT, UserId::from_bytes([9; 16]), free));
    }
}
