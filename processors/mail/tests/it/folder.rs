//! Mails in a folder, and who may use one.

use cityevents_mail::{
    CaptureTransport, FailureClass, FolderTransport, Mail, MailId, Transport as _, transport,
};

use super::support::{any_mail, config};

#[tokio::test]
async fn a_mail_is_put_into_its_folder_once() {
    let folder = tempfile::tempdir().unwrap();
    let mails = FolderTransport::new(folder.path().join("mails"));
    let mail = any_mail();
    for _ in 0..2 {
        mails.deliver(&mail).await.unwrap();
    }
    let files: Vec<_> = std::fs::read_dir(folder.path().join("mails")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let read = std::fs::read(folder.path().join(format!("mails/{}.eml", mail.id))).unwrap();
    assert_eq!(read, mail.message);
}

#[tokio::test]
async fn mails_that_are_put_at_the_same_time_are_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let mails = FolderTransport::new(folder.path().to_owned());
    let put = (0..64_u8).map(|number| {
        let (mails, id) = (mails.clone(), MailId::from_bytes([number; 16]));
        tokio::spawn(async move { mails.deliver(&Mail { id, ..any_mail() }).await })
    });
    for put in put.collect::<Vec<_>>() {
        put.await.unwrap().unwrap();
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 64);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_holds_up_all_mails_and_not_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let failed = FolderTransport::new(file).deliver(&any_mail()).await.unwrap_err();
    assert_eq!(failed.class, FailureClass::Downstream);
    assert!(!failed.reason.contains("ada"), "{failed}");
}

#[test]
fn a_cluster_uses_a_folder_only_when_told_so() {
    let cluster = [("kafka.brokers", "kafka:9092"), ("scylla.nodes", "scylla:9042")];
    assert!(transport(&config(&[])).is_ok());
    let refused = transport(&config(&cluster)).err().unwrap();
    assert_eq!(refused.key, "mail.backend");
    assert!(refused.to_string().contains("allow_folder"), "{refused}");
    let told = [cluster[0], cluster[1], ("mail.allow_folder", "true")];
    assert!(transport(&config(&told)).is_ok());
    let server = [("mail.backend", "smtp"), ("mail.smtp.host", "mail"), ("mail.smtp.tls", "none")];
    assert!(transport(&config(&[&cluster[..], &server[..]].concat())).is_ok());
}

#[tokio::test]
async fn captured_mails_fail_as_told() {
    let (capture, mail) = (CaptureTransport::new(), any_mail());
    capture.fail(2, FailureClass::Transient);
    capture.fail(3, FailureClass::Unknown);
    let mut classes = Vec::new();
    for _ in 0..4 {
        classes.push(capture.deliver(&mail).await.err().map(|error| error.class));
    }
    let expected = [None, Some(FailureClass::Transient), Some(FailureClass::Unknown), None];
    assert_eq!(classes, expected);
    assert_eq!((capture.calls(), capture.wait(3).await.len()), (4, 3));
}
