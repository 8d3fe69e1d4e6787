//! Puts a mail together (RFC 5322, MIME): text and HTML as alternatives, and an entry for a
//! calendar. The same parts give the same bytes.

use std::time::{Duration, UNIX_EPOCH};

use cityevents_domain::time::Timestamp;
use cityevents_kit::calendar::Method;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};

use super::words::one_line;
use super::{Parts, Recipient, Site, WriteError};
use crate::{Mail, MailId};

/// Longest line that is left as it is: servers take 998 bytes.
const LINE_BYTES_MAX: usize = 900;
/// Name of the entry, as an attachment.
const ENTRY_FILE: &str = "event.ics";

pub(super) fn compose(
    site: &Site,
    id: &MailId,
    recipient: &Recipient,
    parts: Parts,
    entry: Option<(Method, String)>,
    at: Timestamp,
) -> Result<Mail, WriteError> {
    let to: Address = recipient.address.parse()?;
    let name = recipient.name.as_deref().map(one_line).filter(|name| !name.is_empty());
    let seconds = u64::try_from(at.as_millis() / 1_000).unwrap_or(0);
    // Given, since the library would read it from its own headers, which not every name survives.
    let envelope = Envelope::new(Some(site.from.email.clone()), vec![to.clone()])?;
    let mut builder = lettre::Message::builder()
        .envelope(envelope)
        .from(site.from.clone())
        .to(Mailbox::new(name, to.clone()))
        .subject(parts.subject)
        .date(UNIX_EPOCH + Duration::from_secs(seconds))
        .message_id(Some(format!("<{id}@{}>", site.from.email.domain())))
        // Vacation notices and the like stay silent (RFC 3834).
        .raw_header(header("Auto-Submitted", "auto-generated".to_owned())?);
    if let Some(reply_to) = &site.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(link) = &parts.unsubscribe {
        builder = builder
            .raw_header(header("List-Unsubscribe", format!("<{link}>"))?)
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())?);
    }
    let mut alternatives = MultiPart::alternative()
        .boundary(boundary(id, "alternatives"))
        .singlepart(part(ContentType::TEXT_PLAIN, parts.text)?)
        .singlepart(part(ContentType::TEXT_HTML, parts.html)?);
    let body = if let Some((method, entry)) = entry {
        let kind = format!("text/calendar; charset=utf-8; method={}", method.as_str());
        let kind: ContentType = kind.parse().map_err(|_| WriteError::Header("Content-Type"))?;
        // Programs for calendars take it from among the alternatives, people from the attachment.
        alternatives = alternatives.singlepart(part(kind.clone(), entry.clone())?);
        let file = Attachment::new(ENTRY_FILE.to_owned()).body(encoded(entry)?, kind);
        MultiPart::mixed().boundary(boundary(id, "mixed")).multipart(alternatives).singlepart(file)
    } else {
        alternatives
    };
    let message = builder.multipart(body)?;
    Ok(Mail { id: *id, from: site.from.email.clone(), to, message: message.formatted() })
}

/// A line that neither of the encodings of parts can contain.
fn boundary(id: &MailId, part: &str) -> String {
    format!("=_{part}_{id}")
}

fn part(kind: ContentType, text: String) -> Result<SinglePart, WriteError> {
    Ok(SinglePart::builder().header(kind).body(encoded(text)?))
}

/// Always in ASCII, so that every server takes it as it is; and as it is where that is possible, so
/// that a mail in a folder can be read.
fn encoded(text: String) -> Result<Body, WriteError> {
    let foreign = text.bytes().filter(|byte| !byte.is_ascii()).count();
    let text = text.replace("\r\n", "\n");
    if foreign == 0 && text.lines().all(|line| line.len() <= LINE_BYTES_MAX) {
        let lines = text.replace('\n', "\r\n").into_bytes();
        return Ok(Body::dangerous_pre_encoded(lines, ContentTransferEncoding::SevenBit));
    }
    // Three characters for each foreign byte, against four for three bytes of any kind.
    let encoding = if foreign * 6 < text.len() {
        ContentTransferEncoding::QuotedPrintable
    } else {
        ContentTransferEncoding::Base64
    };
    Body::new_with_encoding(text, encoding).map_err(|_| WriteError::Encoding)
}

/// A header that is written as it is: of one line, in ASCII.
fn header(name: &'static str, value: String) -> Result<HeaderValue, WriteError> {
    let is_plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let header = HeaderName::new_from_ascii(name.to_owned()).ok().filter(|_| is_plain);
    let header = header.ok_or(WriteError::Header(name))?;
    Ok(HeaderValue::dangerous_new_pre_encoded(header, value.clone(), value))
}
