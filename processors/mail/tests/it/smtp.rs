//! Mails to a server that behaves, and to one that does not.

use std::time::Duration;

use cityevents_mail::FailureClass::{Downstream, Permanent, Transient, Unknown};
use cityevents_mail::{DeliveryError, FailureClass, Mail, SmtpTransport, Transport as _};

use super::scripted::{Act, At, Manners, Server};
use super::support::{any_mail, config};

/// Long enough for a busy machine where something is waited for.
const LONG: &str = "30s";
/// Short where nothing comes.
const SHORT: &str = "1s";

const LOGIN: (&str, &str) = ("cityevents", "open sesame");
const SECURE: Manners =
    Manners { starttls: true, implicit: false, login: Some(LOGIN), closes_after: None, names: &[] };

/// A client of a server, and the folder of its certificate.
fn client_with(server: &Server, values: &[(&str, &str)]) -> (SmtpTransport, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &server.certificate).unwrap();
    let (port, file) = (server.port.to_string(), file.display().to_string());
    let mut all = vec![
        ("mail.backend", "smtp"),
        ("mail.smtp.host", "localhost"),
        ("mail.smtp.port", &*port),
        ("mail.smtp.authorities", &*file),
        ("mail.smtp.connect_timeout", LONG),
        ("mail.smtp.command_timeout", LONG),
        ("mail.smtp.data_timeout", LONG),
    ];
    all.extend_from_slice(values);
    (SmtpTransport::new(&config(&all).mail.smtp).unwrap(), folder)
}

fn secure_client(server: &Server) -> (SmtpTransport, tempfile::TempDir) {
    client_with(server, &[("mail.smtp.user", LOGIN.0), ("mail.smtp.password", LOGIN.1)])
}

fn plain_client(server: &Server) -> (SmtpTransport, tempfile::TempDir) {
    client_with(server, &[("mail.smtp.tls", "none")])
}

async fn class(client: &SmtpTransport, mail: &Mail) -> Option<FailureClass> {
    client.deliver(mail).await.err().map(|error| error.class)
}

fn dotted_mail() -> Mail {
    let message = b"Subject: x\r\n\r\n.\r\n..dots\r\n.\r\nend\r\n".to_vec();
    Mail { message, ..any_mail() }
}

#[tokio::test]
async fn mails_go_over_one_connection_that_is_secured_before_anything_is_said() {
    let server = Server::start(SECURE).await;
    let (client, _folder) = secure_client(&server);
    let mails = [any_mail(), dotted_mail(), any_mail()];
    for mail in &mails {
        client.deliver(mail).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    let taken: Vec<_> = server.mails();
    for (mail, taken) in mails.iter().zip(&taken) {
        assert_eq!(taken.strip_suffix(b"\r\n").unwrap_or(taken), &*mail.message);
    }
    let said = server.said();
    assert!(said[0].starts_with("EHLO ") && said[1] == "STARTTLS", "{said:?}");
    assert!(said[2..].iter().all(|line| line.starts_with("tls ")), "{said:?}");
    assert_eq!(said.iter().filter(|line| *line == "tls AUTH").count(), 1);
    let sender = "tls MAIL FROM:<no-reply@events.example>";
    assert_eq!(said.iter().filter(|line| *line == sender).count(), 3);
}

#[tokio::test]
async fn tls_from_the_first_byte_works_as_well() {
    let server = Server::start(Manners { implicit: true, ..SECURE }).await;
    let (client, _folder) = client_with(
        &server,
        &[
            ("mail.smtp.tls", "implicit"),
            ("mail.smtp.user", LOGIN.0),
            ("mail.smtp.password", LOGIN.1),
        ],
    );
    client.deliver(&any_mail()).await.unwrap();
    assert!(server.said().iter().all(|line| line.starts_with("tls ")));
}

#[tokio::test]
async fn what_a_server_answers_decides_what_becomes_of_the_mail() {
    let server = Server::start(Manners::default()).await;
    let mail = any_mail();
    for (at, answer, expected) in [
        (At::Greeting, "421 4.3.2 not now", Downstream),
        (At::Greeting, "554 5.3.2 no service here", Downstream),
        (At::Hello, "502 5.5.1 what?", Downstream),
        (At::Sender, "451 4.3.0 try later", Transient),
        (At::Sender, "530 5.7.0 sign in first", Downstream),
        (At::Sender, "421 4.7.0 too much", Downstream),
        (At::Recipient, "450 4.2.0 greylisted", Transient),
        (At::Recipient, "550 5.1.1 <ada@example.org> unknown", Permanent),
        (At::Recipient, "552 5.2.2 Ada's mailbox is full", Permanent),
        (At::Recipient, "421 4.7.0 going away", Downstream),
        (At::Data, "451 4.3.0 disk full", Transient),
        (At::Data, "554 5.5.0 no valid recipients", Permanent),
        (At::Data, "250 2.0.0 what now?", Transient),
        (At::Answer, "452 4.3.1 disk full", Transient),
        (At::Answer, "550 5.7.1 You have a place: spam", Permanent),
        (At::Answer, "421 4.3.2 going away", Downstream),
    ] {
        let (client, _folder) = plain_client(&server);
        server.next(at, Act::Say(answer));
        let failed = client.deliver(&mail).await.unwrap_err();
        assert_eq!(failed.class, expected, "{at:?} {answer}: {failed}");
        assert!(failed.reason.contains(&answer[..3]), "{failed}");
        for private in ["ada", "Ada", "You have"] {
            assert!(!failed.reason.contains(private), "{failed}");
        }
        // Whatever it was, the next mail goes.
        client.deliver(&mail).await.unwrap();
    }
}

#[tokio::test]
async fn a_refused_recipient_does_not_cost_the_connection() {
    let server = Server::start(Manners::default()).await;
    let (client, _folder) = plain_client(&server);
    server.next(At::Recipient, Act::Say("550 5.1.1 unknown"));
    assert_eq!(class(&client, &any_mail()).await, Some(Permanent));
    assert_eq!(class(&client, &any_mail()).await, None);
    assert_eq!(server.connections(), 1);
    assert!(server.said().contains(&"RSET".to_owned()));
}

#[tokio::test]
async fn a_lost_connection_leaves_it_open_only_after_the_end_of_the_content() {
    let server = Server::start(Manners::default()).await;
    for (at, expected) in [
        (At::Greeting, Downstream),
        (At::Hello, Downstream),
        (At::Sender, Transient),
        (At::Recipient, Transient),
        (At::Data, Transient),
        (At::Answer, Unknown),
    ] {
        let (client, _folder) = plain_client(&server);
        server.next(at, Act::Drop);
        let failed = client.deliver(&any_mail()).await.unwrap_err();
        assert_eq!(failed.class, expected, "{at:?}: {failed}");
        let before = server.mails().len();
        client.deliver(&any_mail()).await.unwrap();
        assert_eq!(server.mails().len(), before + 1);
    }
}

#[tokio::test]
async fn a_connection_lost_within_the_content_cannot_have_delivered_it() {
    let server = Server::start(Manners::default()).await;
    let (client, _folder) = plain_client(&server);
    server.next(At::Content, Act::Drop);
    // More than the buffers between the two hold.
    let mut message = b"Subject: x\r\n\r\n".to_vec();
    message.extend("a line of some length, many times over\r\n".repeat(1_000_000).into_bytes());
    let failed = client.deliver(&Mail { message, ..any_mail() }).await.unwrap_err();
    assert_eq!(failed.class, Transient, "{failed}");
    assert_eq!(server.mails().len(), 0);
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_given_up() {
    let server = Server::start(Manners::default()).await;
    for (at, expected) in [
        (At::Greeting, Downstream),
        (At::Sender, Transient),
        (At::Recipient, Transient),
        (At::Answer, Unknown),
    ] {
        let times = [
            ("mail.smtp.tls", "none"),
            ("mail.smtp.command_timeout", SHORT),
            ("mail.smtp.data_timeout", SHORT),
        ];
        let (client, _folder) = client_with(&server, &times);
        server.next(at, Act::Hang);
        let failed = client.deliver(&any_mail()).await.unwrap_err();
        assert_eq!(failed.class, expected, "{at:?}: {failed}");
        assert!(failed.reason.contains("in time"), "{failed}");
    }
    let (client, _folder) = plain_client(&server);
    for at in [At::Greeting, At::Sender, At::Recipient, At::Data, At::Answer] {
        server.next(at, Act::Slow(Duration::from_millis(50)));
    }
    client.deliver(&any_mail()).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_the_server_closed_in_the_meantime_is_no_failure() {
    let server = Server::start(Manners { closes_after: Some(1), ..Manners::default() }).await;
    let (client, _folder) = plain_client(&server);
    for _ in 0..3 {
        client.deliver(&any_mail()).await.unwrap();
    }
    assert_eq!((server.connections(), server.mails().len()), (3, 3));
    let server = Server::start(Manners::default()).await;
    let (client, _folder) = plain_client(&server);
    client.deliver(&any_mail()).await.unwrap();
    server.next(At::Sender, Act::Say("421 4.4.2 you were silent for too long"));
    client.deliver(&any_mail()).await.unwrap();
    assert_eq!((server.connections(), server.mails().len()), (2, 2));
}

#[tokio::test]
async fn a_server_that_is_not_there_holds_up_all_mails() {
    let nobody = Server::closed(Manners::default());
    let port = nobody.port.to_string();
    for (host, port) in [("127.0.0.1", &*port), ("mail.invalid", "25")] {
        let values = [
            ("mail.backend", "smtp"),
            ("mail.smtp.host", host),
            ("mail.smtp.port", port),
            ("mail.smtp.tls", "none"),
        ];
        let client = SmtpTransport::new(&config(&values).mail.smtp).unwrap();
        let DeliveryError { class, reason } = client.deliver(&any_mail()).await.unwrap_err();
        assert_eq!(class, Downstream, "{reason}");
        assert!(reason.starts_with("connecting: "), "{reason}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_show_who_it_is_gets_nothing() {
    let other = Server::start(SECURE).await;
    for (names, certificate) in [
        (&["mail.example.org"] as &'static [&'static str], None),
        (&["localhost"], Some(other.certificate.clone())),
    ] {
        for tls in ["starttls", "opportunistic", "implicit"] {
            let implicit = tls == "implicit";
            let mut server = Server::start(Manners { names, implicit, ..SECURE }).await;
            if let Some(certificate) = &certificate {
                server.certificate.clone_from(certificate);
            }
            let (client, _folder) = client_with(&server, &[("mail.smtp.tls", tls)]);
            let failed = client.deliver(&any_mail()).await.unwrap_err();
            assert_eq!(failed.class, Downstream, "{failed}");
            assert!(failed.reason.contains("certificate"), "{failed}");
            let said = server.said();
            assert!(said.iter().all(|line| !line.contains("MAIL") && !line.contains("AUTH")));
        }
    }
}

#[tokio::test]
async fn without_starttls_nothing_is_said_that_needs_it() {
    let server = Server::start(Manners { starttls: false, ..SECURE }).await;
    let (client, _folder) = client_with(&server, &[]);
    assert_eq!(class(&client, &any_mail()).await, Some(Downstream));
    let opportunistic = [
        ("mail.smtp.tls", "opportunistic"),
        ("mail.smtp.user", LOGIN.0),
        ("mail.smtp.password", LOGIN.1),
    ];
    let (client, _folder) = client_with(&server, &opportunistic);
    let failed = client.deliver(&any_mail()).await.unwrap_err();
    assert_eq!(failed.class, Downstream, "{failed}");
    assert!(server.said().iter().all(|line| line.starts_with("EHLO") || line == "QUIT"));
    let (client, _folder) = client_with(&server, &opportunistic[..1]);
    assert_eq!(class(&client, &any_mail()).await, None, "in the clear, as it was told");
}

#[tokio::test]
async fn words_put_behind_the_consent_to_tls_do_not_pass_for_words_under_tls() {
    let server = Server::start(SECURE).await;
    let (client, _folder) = secure_client(&server);
    server.next(At::StartTls, Act::Append("250-evil\r\n250 AUTH PLAIN"));
    let failed = client.deliver(&any_mail()).await.unwrap_err();
    assert_eq!(failed.class, Downstream, "{failed}");
    assert!(failed.reason.starts_with("starting TLS: "), "{failed}");
    assert_eq!(server.mails().len(), 0);
    client.deliver(&any_mail()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_holds_up_all_mails_until_the_file_has_the_right_one() {
    let server = Server::start(SECURE).await;
    let secret = tempfile::tempdir().unwrap();
    let file = secret.path().join("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let path = file.display().to_string();
    let values = [("mail.smtp.user", LOGIN.0), ("mail.smtp.password_file", &*path)];
    let (client, _folder) = client_with(&server, &values);
    let failed = client.deliver(&any_mail()).await.unwrap_err();
    assert_eq!(failed.class, Downstream, "{failed}");
    assert!(failed.reason.contains("535") && !failed.reason.contains("wrong"), "{failed}");
    std::fs::write(&file, LOGIN.1).unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
    client.deliver(&any_mail()).await.unwrap();
}

#[tokio::test]
async fn no_more_connections_are_open_than_allowed() {
    let server = Server::start(Manners::default()).await;
    let values = [("mail.smtp.tls", "none"), ("mail.smtp.connections_max", "3")];
    let (client, _folder) = client_with(&server, &values);
    let mail = any_mail();
    let all = futures::future::join_all((0..40).map(|_| client.deliver(&mail))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(server.mails().len(), 40);
    assert!(server.open_max() <= 3 && server.connections() <= 3, "{}", server.open_max());
}

#[tokio::test]
async fn an_address_of_other_letters_needs_a_server_that_knows_them() {
    let server = Server::start(Manners::default()).await;
    let (client, _folder) = plain_client(&server);
    let mail = Mail { to: "jürgen@example.org".parse().unwrap(), ..any_mail() };
    let failed = client.deliver(&mail).await.unwrap_err();
    assert_eq!(failed.class, Permanent, "{failed}");
    assert!(failed.reason.contains("SMTPUTF8") && !failed.reason.contains("rgen"), "{failed}");
    client.deliver(&any_mail()).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    use cityevents_kit::Config;
    use cityevents_kit::config::Sources;
    for (key, values) in [
        ("mail.smtp.host", &[("mail.backend", "smtp")] as &[_]),
        ("mail.smtp.user", &[("mail.smtp.user", "x")]),
        ("mail.smtp.user", &[("mail.smtp.password", "x")]),
        (
            "mail.smtp.tls",
            &[("mail.smtp.user", "x"), ("mail.smtp.password", "x"), ("mail.smtp.tls", "none")],
        ),
        ("mail.smtp.connections_max", &[("mail.smtp.connections_max", "0")]),
        ("mail.smtp.data_timeout", &[("mail.smtp.data_timeout", "1ms")]),
        ("mail.backend", &[("mail.backend", "pigeon")]),
    ] {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let overrides = values.iter().map(own).collect();
        let problems = Config::load(Sources { overrides, ..Sources::default() }).unwrap_err();
        assert!(problems.to_string().contains(key), "{key}: {problems}");
    }
    let absent = config(&[
        ("mail.backend", "smtp"),
        ("mail.smtp.host", "mail"),
        ("mail.smtp.authorities", "/nonexistent/ca.pem"),
    ]);
    let refused = SmtpTransport::new(&absent.mail.smtp).unwrap_err().to_string();
    assert!(refused.contains("mail.smtp.authorities: cannot use /nonexistent/ca.pem"), "{refused}");
}
