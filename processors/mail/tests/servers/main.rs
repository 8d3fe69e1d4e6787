//! Mails to a real mail server: `ops/test` starts one, or `ops/stack up smtp` by hand.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed expectation is the verdict of a test, in its helpers too"
)]

#[path = "../it/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::Path;

use cityevents_domain::ids::UserId;
use cityevents_mail::{
    FailureClass, Mail, MailId, Recipient, SmtpTransport, Template, Transport as _, TransportError,
    samples,
};

use self::support::{config, writer};

fn setting(name: &str) -> String {
    let name = format!("CITYEVENTS_STACK_SMTP{name}");
    std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set: ops/stack up smtp"))
}

fn client(changed: &[(&str, &str)]) -> Result<SmtpTransport, TransportError> {
    let address = setting("");
    let (host, port) = address.split_once(':').unwrap();
    let (user, file, ca) = (setting("_USER"), setting("_PASSWORD_FILE"), setting("_CA"));
    let mut values = BTreeMap::from([
        ("mail.backend", "smtp"),
        ("mail.smtp.host", host),
        ("mail.smtp.port", port),
        ("mail.smtp.authorities", &*ca),
        ("mail.smtp.user", &*user),
        ("mail.smtp.password_file", &*file),
    ]);
    values.extend(changed.iter().copied());
    SmtpTransport::new(&config(&values.into_iter().collect::<Vec<_>>()).mail.smtp)
}

/// A mail that no other run has sent.
fn mail(template: Template, address: &str) -> Mail {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let about = [&at.as_nanos().to_be_bytes()[..], address.as_bytes()].concat();
    let id = MailId::derive(&about, template, &UserId::from_bytes([1; 16]));
    let recipient = Recipient { address: address.to_owned(), ..samples::recipient("de") };
    writer().write(&id, &samples::letters(template)[0], &recipient, samples::AT).unwrap()
}

/// What the server keeps of a mail: how it came, and the mail.
fn kept(mail: &Mail) -> Option<(String, Vec<u8>)> {
    let files = std::fs::read_dir(Path::new(&setting("_MAILS"))).ok()?;
    let all = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    let id = format!("Message-ID: <{}@", mail.id);
    let holds = |one: &Vec<u8>| String::from_utf8_lossy(one).contains(&id);
    let found: Vec<_> = all.filter(holds).collect();
    assert!(found.len() <= 1, "{} is there {} times", mail.id, found.len());
    let found = found.into_iter().next()?;
    let text = String::from_utf8(found.clone()).unwrap();
    let lines = text.split_inclusive("\r\n").take_while(|line| line.starts_with("X-Envelope"));
    let envelope: String = lines.collect();
    Some((envelope.clone(), found[envelope.len()..].to_vec()))
}

#[tokio::test]
async fn every_mail_arrives_as_it_was_written_under_tls_and_a_password() {
    let client = client(&[]).unwrap();
    for template in Template::ALL {
        let mail = mail(template, "ada@example.org");
        client.deliver(&mail).await.unwrap();
        let (envelope, message) = kept(&mail).unwrap();
        for line in [
            "X-Envelope-From: no-reply@events.example\r\n",
            "X-Envelope-To: ada@example.org\r\n",
            "X-Envelope-Tls: TLSv1.3\r\n",
            "X-Envelope-User: cityevents\r\n",
        ] {
            assert!(envelope.contains(line), "{envelope}");
        }
        assert_eq!(message.strip_suffix(b"\r\n").unwrap_or(&message), &*mail.message);
    }
}

#[tokio::test]
async fn many_at_once_arrive_once_each() {
    let client = client(&[("mail.smtp.connections_max", "4")]).unwrap();
    let mails: Vec<_> = (0..100)
        .map(|number| mail(Template::Waitlisted, &format!("person{number}@example.org")))
        .collect();
    let all = futures::future::join_all(mails.iter().map(|mail| client.deliver(mail))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert!(mails.iter().all(|mail| kept(mail).is_some()));
}

#[tokio::test]
async fn refusals_are_told_apart_and_hold_up_nobody_else() {
    let client = client(&[]).unwrap();
    for (address, class) in [
        ("refused@example.org", FailureClass::Permanent),
        ("later@example.org", FailureClass::Transient),
    ] {
        let mail = mail(Template::PlaceConfirmed, address);
        let failed = client.deliver(&mail).await.unwrap_err();
        assert_eq!(failed.class, class, "{failed}");
        assert!(!failed.reason.contains("example.org"), "{failed}");
        assert!(kept(&mail).is_none());
        let other = self::mail(Template::PlaceConfirmed, "ada@example.org");
        client.deliver(&other).await.unwrap();
    }
}

#[tokio::test]
async fn who_cannot_sign_in_or_does_not_trust_the_server_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("password");
    std::fs::write(&wrong, "wrong").unwrap();
    let wrong = wrong.display().to_string();
    let foreign = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, foreign.cert.pem()).unwrap();
    let ca = ca.display().to_string();
    for (changed, said) in [
        (("mail.smtp.password_file", &*wrong), "535"),
        (("mail.smtp.authorities", &*ca), "certificate"),
        (("mail.smtp.host", "127.0.0.2"), "connecting"),
    ] {
        let mail = mail(Template::PlaceConfirmed, "ada@example.org");
        let failed = client(&[changed]).unwrap().deliver(&mail).await.unwrap_err();
        assert_eq!(failed.class, FailureClass::Downstream, "{failed}");
        assert!(failed.reason.contains(said), "{failed}");
        assert!(kept(&mail).is_none());
    }
}
