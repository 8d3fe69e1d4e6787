//! What the tests share.

use cityevents_kit::Config;
use cityevents_kit::config::Sources;
use cityevents_mail::{Letter, Mail, MailId, Site, Template, Writer, samples};

/// The configuration with some values.
pub(crate) fn config(values: &[(&str, &str)]) -> Config {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let overrides = values.iter().map(own).collect();
    Config::load(Sources { overrides, ..Sources::default() }).unwrap().config
}

/// A site that has everything.
pub(crate) fn site() -> Site {
    Site::of(&config(&[
        ("http.public_url", "https://events.example"),
        ("mail.from", "City Events <no-reply@events.example>"),
        ("mail.reply_to", "Help <help@events.example>"),
        ("mail.time_zone", "Europe/Vienna"),
    ]))
    .unwrap()
}

pub(crate) fn writer() -> Writer {
    Writer::new(site(), None).unwrap()
}

/// A mail to Ada with a letter.
#[allow(dead_code, reason = "not every test program uses it")]
pub(crate) fn mail(letter: &Letter) -> Mail {
    let id = MailId::from_bytes([7; 16]);
    writer().write(&id, letter, &samples::recipient("en"), samples::AT).unwrap()
}

/// Some mail.
#[allow(dead_code, reason = "not every test program uses it")]
pub(crate) fn any_mail() -> Mail {
    mail(&samples::letters(Template::PlaceConfirmed)[0])
}
