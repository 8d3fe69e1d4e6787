//! Mails: whether somebody takes them, and whether they can be written.

use cityevents_kit::Config;
use cityevents_kit::config::{MailBackend, SmtpTls};
use cityevents_mail::{Site, SmtpTransport, Writer};
use tokio::runtime::Runtime;

use super::row::Finding;

/// Rows `mail server`, `mail templates`.
pub(super) fn production(config: &Config) -> Vec<Finding> {
    vec![server(config), templates(config)]
}

/// Row `mail templates`.
pub(super) fn laptop(config: &Config) -> Vec<Finding> {
    vec![templates(config)]
}

fn server(config: &Config) -> Finding {
    if config.mail.backend == MailBackend::Folder {
        let todo = "set mail.backend = \"smtp\" and [mail.smtp]";
        return Finding::fail("mails go into a folder, and to nobody", todo);
    }
    let smtp = &config.mail.smtp;
    let place = format!("{}:{}", smtp.host.as_deref().unwrap_or_default(), smtp.port);
    if matches!(smtp.tls, SmtpTls::None | SmtpTls::Opportunistic) {
        let todo = "set mail.smtp.tls to starttls or implicit";
        return Finding::fail(format!("{place} may be spoken to in the clear"), todo);
    }
    let offered = || -> anyhow::Result<()> {
        let from = Site::of(config)?.from.email;
        let transport = SmtpTransport::new(smtp)?;
        Ok(Runtime::new()?.block_on(transport.probe(&from))?)
    };
    match offered() {
        Ok(()) => Finding::ok(format!("{place} takes mails over TLS")),
        Err(error) => Finding::fail(
            format!("{place}: {error:#}"),
            "bring it back, or correct [mail.smtp]; a sender that is refused: mail.from",
        ),
    }
}

fn templates(config: &Config) -> Finding {
    let written = Site::of(config).map_err(anyhow::Error::from).and_then(|site| {
        Writer::new(site, config.mail.templates.as_deref()).map_err(anyhow::Error::from)
    });
    match written {
        Ok(_) => Finding::ok("every mail can be written in every language"),
        Err(error) => Finding::fail(
            format!("{error:#}"),
            "correct what is named; see [mail] and its templates",
        ),
    }
}
