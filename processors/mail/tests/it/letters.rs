//! What letters become.

use cityevents_kit::Config;
use cityevents_kit::config::Sources;
use cityevents_mail::{FolderTransport, MailId, Site, Template, Transport as _, Writer, samples};

fn writer() -> Writer {
    let config = Config::load(Sources::default()).unwrap().config;
    Writer::new(Site::of(&config).unwrap(), None).unwrap()
}

#[test]
fn every_letter_becomes_a_mail_and_the_same_one_again() {
    let (writer, recipient) = (writer(), samples::recipient("en"));
    for template in Template::ALL {
        for letter in samples::letters(template) {
            let id = MailId::from_bytes([7; 16]);
            let write = || writer.write(&id, &letter, &recipient, samples::AT).unwrap();
            let mail = write();
            assert_eq!(mail.message, write().message);
            let text = String::from_utf8(mail.message).unwrap();
            let head = "Message-ID: <07070707070707070707070707070707@localhost.localdomain>";
            assert!(text.contains(head) && text.contains("To: Ada <ada@example.org>"), "{text}");
            assert!(!format!("{mail:?}", mail = write()).contains("ada"));
        }
    }
}

#[tokio::test]
async fn a_mail_is_put_into_its_folder_once() {
    let folder = tempfile::tempdir().unwrap();
    let mails = FolderTransport::new(folder.path().join("mails"));
    let letter = &samples::letters(Template::VerifyAddress)[0];
    let id = MailId::from_bytes([1; 16]);
    let mail = writer().write(&id, letter, &samples::recipient("en"), samples::AT).unwrap();
    for _ in 0..2 {
        mails.deliver(&mail).await.unwrap();
    }
    let files: Vec<_> = std::fs::read_dir(folder.path().join("mails")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let read = std::fs::read(folder.path().join(format!("mails/{id}.eml"))).unwrap();
    assert_eq!(read, mail.message);
}
