//! What letters become, as a program that reads mails sees it.

use std::collections::BTreeMap;

use cityevents_domain::ids::UserId;
use cityevents_mail::{Letter, MailId, Recipient, Standing, Template, WriteError, samples};
use mail_parser::{Message, MessageParser, MimeHeaders as _};

use super::support::{mail, writer};

fn read(bytes: &[u8]) -> Message<'_> {
    MessageParser::default().parse(bytes).unwrap()
}

fn every_letter() -> impl Iterator<Item = Letter> {
    Template::ALL.into_iter().flat_map(samples::letters)
}

#[test]
fn every_mail_in_every_language_is_whole_and_the_same_again() {
    let writer = writer();
    let mut subjects: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for language in ["en", "de", "de-AT", "tlh"] {
        for letter in every_letter() {
            let (recipient, id) = (samples::recipient(language), MailId::from_bytes([9; 16]));
            let write = || writer.write(&id, &letter, &recipient, samples::AT).unwrap();
            let mail = write();
            assert_eq!(mail.message, write().message);
            assert!(mail.message.is_ascii());
            let longest = mail.message.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
            assert!(longest.unwrap() <= 998, "{longest:?}");
            let message = read(&mail.message);
            assert_eq!(message.message_id(), Some(&*format!("{id}@events.example")));
            assert_eq!(message.date().unwrap().to_rfc3339(), "2026-05-04T12:00:00Z");
            assert_eq!(message.header_raw("Auto-Submitted").unwrap().trim(), "auto-generated");
            let addresses = |list: Option<&mail_parser::Address<'_>>| {
                let first = list.unwrap().first().unwrap();
                format!("{} {}", first.name().unwrap(), first.address().unwrap())
            };
            assert_eq!(addresses(message.to()), "Ada ada@example.org");
            assert_eq!(addresses(message.from()), "City Events no-reply@events.example");
            assert_eq!(addresses(message.reply_to()), "Help help@events.example");
            let (text, html) = (message.body_text(0).unwrap(), message.body_html(0).unwrap());
            let parts = writer.parts(&letter, &recipient).unwrap();
            assert_eq!(text.replace("\r\n", "\n").trim_end(), parts.text.trim_end());
            assert_eq!(html.replace("\r\n", "\n").trim_end(), parts.html.trim_end());
            assert_eq!(message.subject(), Some(&*parts.subject));
            let is_german = language.starts_with("de");
            let (hello, tag) =
                if is_german { ("Guten Tag Ada,", "de") } else { ("Hello Ada,", "en") };
            assert!(text.contains(hello) && html.contains(hello), "{text}\n{html}");
            assert!(html.contains(&format!("<html lang=\"{tag}\" dir=\"ltr\">")), "{html}");
            for wrong in ["{{", "{%", ">none<", "undefined", "&#x2f;"] {
                assert!(!text.contains(wrong) && !html.contains(wrong), "{wrong}\n{text}\n{html}");
            }
            assert!(!text.contains("none"), "{text}");
            subjects.entry(parts.subject).or_default().push(letter.template().as_str().to_owned());
        }
    }
    subjects.values_mut().for_each(Vec::dedup);
    let doubled: Vec<_> = subjects.iter().filter(|(_, of)| of.len() > 1).collect();
    assert!(doubled.is_empty(), "two mails are told apart by their subjects: {doubled:?}");
}

#[test]
fn texts_and_pages_link_to_the_public_address_and_load_nothing() {
    for letter in every_letter() {
        let parts = writer().parts(&letter, &samples::recipient("en")).unwrap();
        let link = match letter.template() {
            Template::VerifyAddress => "https://events.example/verify-email?token=sample-token",
            Template::ResetPassword => "https://events.example/reset-password?token=sample-token",
            _ => "https://events.example/events/",
        };
        assert!(parts.text.contains(link) && parts.html.contains(&format!("href=\"{link}")));
        for loading in ["<img", "src=", "url(", "<link", "<script", "@import", "@font-face"] {
            assert!(!parts.html.contains(loading), "{loading}");
        }
        let links = parts.html.matches("href=\"").count();
        let own = parts.html.matches("href=\"https://events.example").count();
        let others = parts.html.matches("href=\"https://cityevents.example/unsubscribe").count();
        assert_eq!(links, own + others);
    }
}

#[test]
fn only_mails_that_one_may_do_without_can_be_stopped_by_one_click() {
    for letter in every_letter() {
        let mail = mail(&letter);
        let message = read(&mail.message);
        let header = |name: &str| message.header_raw(name).map(|value| value.trim().to_owned());
        let (link, post) = (header("List-Unsubscribe"), header("List-Unsubscribe-Post"));
        if letter.template().is_optional() {
            let expected = "<https://cityevents.example/unsubscribe?token=sample>";
            assert_eq!(link.as_deref(), Some(expected));
            assert_eq!(post.as_deref(), Some("List-Unsubscribe=One-Click"));
        } else {
            assert_eq!((link, post), (None, None));
        }
    }
}

#[test]
fn who_has_a_place_gets_an_entry_for_the_calendar_and_later_mails_change_it() {
    for letter in every_letter() {
        let mail = mail(&letter);
        let message = read(&mail.message);
        let method = match &letter {
            Letter::PlaceConfirmed { .. }
            | Letter::PlaceCameFree { .. }
            | Letter::EventChanged { standing: Standing::Active, .. } => "REQUEST",
            Letter::EventCanceled { standing: Standing::Active, .. } | Letter::Removed { .. } => {
                "CANCEL"
            }
            _ => {
                assert!(message.parts.iter().all(|part| !part.is_content_type("text", "calendar")));
                continue;
            }
        };
        let entries: Vec<_> =
            message.parts.iter().filter(|part| part.is_content_type("text", "calendar")).collect();
        assert_eq!(entries.len(), 2, "for programs and for people");
        assert_eq!(entries[0].contents(), entries[1].contents());
        assert_eq!(entries[1].attachment_name(), Some("event.ics"));
        let kind = entries[0].content_type().unwrap();
        assert_eq!(kind.attribute("method"), Some(method));
        let entry = String::from_utf8(entries[0].contents().to_vec()).unwrap();
        let entry = entry.replace("\r\n ", "");
        for line in [
            &*format!("METHOD:{method}"),
            &format!("UID:{}@cityevents", samples::event().id),
            "SEQUENCE:3",
            "DTSTAMP:20260504T120000Z",
            "DTSTART:20260516T180000Z",
            "ORGANIZER;CN=\"City Events\":mailto:help@events.example",
            "ATTENDEE;PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT;RSVP=FALSE:mailto:ada@example.org",
            "SUMMARY:Night walk along the river",
        ] {
            assert!(entry.split("\r\n").any(|one| one == line), "{line}\n{entry}");
        }
        let is_canceled = entry.contains("STATUS:CANCELLED");
        assert_eq!(is_canceled, matches!(letter, Letter::EventCanceled { .. }), "{entry}");
    }
}

#[test]
fn what_people_write_stays_text() {
    let wicked = "<b>x</b>\"'&\r\nBcc: eve@example.org\r\n\r\n<script>alert(1)</script>\u{202e}";
    let mut event = samples::event();
    event.title = wicked.to_owned();
    event.location = wicked.to_owned();
    let (subject, text) = (wicked.to_owned(), format!("{wicked}\n.\nשלום\n> quoted"));
    let letter = Letter::OrganizerMessage { event, subject, text };
    let recipient = Recipient { name: Some(wicked.to_owned()), ..samples::recipient("en") };
    let id = MailId::from_bytes([7; 16]);
    let mail = writer().write(&id, &letter, &recipient, samples::AT).unwrap();
    let message = read(&mail.message);
    assert!(message.bcc().is_none() && message.header_raw("Bcc").is_none());
    let head = mail.message.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(mail.message[..head].to_vec()).unwrap();
    assert!(!head.contains("\nBcc"), "{head}");
    assert_eq!(message.to().unwrap().first().unwrap().address(), Some("ada@example.org"));
    let html = message.body_html(0).unwrap();
    assert!(!html.contains("<b>") && !html.contains("<script"), "{html}");
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
    assert!(html.contains("שלום") && !html.contains('\u{202e}'), "{html}");
    let text = message.body_text(0).unwrap();
    for line in ["> <script>alert(1)</script>", "> .", "> שלום", "> > quoted"] {
        assert!(text.lines().any(|one| one == line), "{line}\n{text}");
    }
    assert!(message.subject().unwrap().contains("Bcc: eve@example.org"), "in the subject, as text");
}

#[test]
fn who_has_no_name_and_says_no_reason_is_written_to_without() {
    let writer = writer();
    let unnamed = |name: Option<&str>| Recipient {
        name: name.map(str::to_owned),
        unsubscribe: None,
        ..samples::recipient("en")
    };
    for letter in every_letter() {
        for name in [None, Some(""), Some(" \r\n ")] {
            let id = MailId::from_bytes([7; 16]);
            let mail = writer.write(&id, &letter, &unnamed(name), samples::AT).unwrap();
            let message = read(&mail.message);
            let text = message.body_text(0).unwrap();
            assert!(text.starts_with("Hello,\r\n") || text.starts_with("Hello,\n"), "{text}");
            assert!(message.header_raw("List-Unsubscribe").is_none());
        }
    }
}

#[test]
fn what_cannot_be_written_says_why_without_naming_the_person() {
    let writer = writer();
    let letter = &samples::letters(Template::PlaceConfirmed)[0];
    let write = |recipient: Recipient| {
        let id = MailId::derive(b"x", letter.template(), &UserId::from_bytes([1; 16]));
        writer.write(&id, letter, &recipient, samples::AT)
    };
    for address in ["", "ada", "ada@", "@b.co", "ada@b.co\r\nBcc: eve@b.co", "a b@c.de"] {
        let recipient = Recipient { address: address.to_owned(), ..samples::recipient("en") };
        let failed = write(recipient).unwrap_err();
        assert!(matches!(failed, WriteError::Address(_)), "{address}");
        assert!(!failed.to_string().contains("ada"), "{failed}");
    }
    let long = "x".repeat(300);
    for link in ["https://a.example/\r\nBcc: eve@b.co", "https://a.example/ü", &long] {
        let unsubscribe = Some(link.to_owned());
        let written = write(Recipient { unsubscribe, ..samples::recipient("en") });
        assert_eq!(written.is_ok(), link == long, "{link}");
    }
    let address = "ada+walks@[192.0.2.1]".to_owned();
    write(Recipient { address, ..samples::recipient("en") }).unwrap();
}

#[test]
fn whatever_a_person_is_called_the_mail_goes_to_the_address() {
    let writer = writer();
    let letter = &samples::letters(Template::PlaceConfirmed)[0];
    let long = "Ada ".repeat(40);
    for name in [
        "Sean O'Neil",
        "Lovelace, Ada; Countess",
        "\"Ada\"",
        "back\\slash\\",
        "<eve@example.org>",
        "Ada <eve@example.org>, Eve",
        "(comment) a: b;",
        "Zoë 夜 שלום",
        "=?utf-8?q?Eve?=",
        "\"",
        &long,
    ] {
        let recipient = Recipient { name: Some(name.to_owned()), ..samples::recipient("en") };
        let id = MailId::from_bytes([7; 16]);
        let mail = writer.write(&id, letter, &recipient, samples::AT).unwrap();
        assert_eq!(mail.to.to_string(), "ada@example.org");
        let message = read(&mail.message);
        let addresses: Vec<_> = message.to().unwrap().iter().map(|one| one.address()).collect();
        assert_eq!(addresses, [Some("ada@example.org")], "{name}");
        assert!(message.subject().unwrap().starts_with("You have a place"), "{name}");
        assert!(message.body_text(0).unwrap().contains(name.trim()), "{name}");
    }
}

#[test]
fn debugging_shows_nobody() {
    let letter = &samples::letters(Template::VerifyAddress)[0];
    let shown = format!("{:?} {:?} {letter:?}", mail(letter), samples::recipient("en"));
    assert!(!shown.contains("ada") && !shown.contains("sample-token"), "{shown}");
}
