//! Mails, as one looks at them before people get them.

use super::command_line::{run, run_on};

/// Every mail.
const MAILS: [&str; 10] = [
    "verify_address",
    "reset_password",
    "place_confirmed",
    "waitlisted",
    "place_came_free",
    "removed",
    "event_canceled",
    "event_changed",
    "organizer_message",
    "event_unpublished",
];

#[test]
fn every_mail_can_be_looked_at_in_every_language_and_form() {
    let list = run(&["mail", "preview"]).good();
    for mail in MAILS {
        assert!(list.contains(mail), "{mail}: {list}");
        for (language, hello) in [("en", "Hello Ada,"), ("de", "Guten Tag Ada,")] {
            let show = |format: &str| {
                let arguments =
                    ["mail", "preview", mail, "--language", language, "--format", format];
                run(&arguments).good()
            };
            let text = show("text");
            assert!(text.starts_with("Subject: ") && text.contains(hello), "{text}");
            let page = show("html");
            assert!(page.starts_with("<!doctype html>") && page.contains(hello), "{page}");
            let whole = show("eml");
            assert!(whole.contains("\nSubject: ") && whole.contains("multipart/"), "{whole}");
        }
    }
}

#[test]
fn templates_of_an_instance_are_shown_and_wrong_ones_are_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let (config, templates) = (folder.path().join("city.toml"), folder.path().join("mails"));
    std::fs::create_dir_all(templates.join("removed")).unwrap();
    let text = format!("[mail]\ntemplates = {:?}\nlanguage = \"de\"\n", templates.display());
    std::fs::write(&config, text).unwrap();
    let config = config.display().to_string();
    let subject = templates.join("removed/subject.txt");
    std::fs::write(&subject, "Schade, {{ event.title }}").unwrap();
    let file = folder.path().join("removed.txt");
    let output = file.display().to_string();
    let show = ["mail", "preview", "removed", "--config", &config];
    run(&[&show[..], &["--output", &output]].concat()).good();
    let shown = std::fs::read_to_string(&file).unwrap();
    assert!(shown.starts_with("Subject: Schade, Night walk"), "{shown}");
    assert!(shown.contains("Guten Tag Ada,"), "{shown}");
    std::fs::write(&subject, "Schade,\n{{ event.name }}").unwrap();
    let said = run_on(folder.path(), &show);
    said.failed(2, &["removed/subject.txt, line 2", "event.name", "event.title"]);
}
