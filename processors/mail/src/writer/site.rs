//! From where mails come.

use cityevents_kit::Config;
use jiff::tz::TimeZone;
use lettre::message::Mailbox;

use crate::EventCard;

/// From where mails come, and how they tell times.
#[derive(Debug, Clone)]
pub struct Site {
    /// Address under which people reach the service, without a slash at the end.
    pub public_url: String,
    /// Whom mails are from. Its name is how mails call the service.
    pub from: Mailbox,
    /// Where answers go, if not there.
    pub reply_to: Option<Mailbox>,
    /// The language of whoever reads none of the others.
    pub language: String,
    /// In which zone times are told.
    pub zone: TimeZone,
}

/// The settings of mails are not usable.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SiteError {
    /// Which key.
    pub key: &'static str,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl Site {
    /// Of the settings of the instance.
    ///
    /// # Errors
    /// When a value is no address, or no zone.
    pub fn of(config: &Config) -> Result<Self, SiteError> {
        let mailbox = |key, text: &str| {
            text.parse::<Mailbox>().map_err(|error| {
                let problem = format!("{error}; write CityEvents <mail@example.org>");
                SiteError { key, problem }
            })
        };
        let mail = &config.mail;
        let reply_to = mail.reply_to.as_deref();
        let zone = TimeZone::get(&mail.time_zone).map_err(|error| SiteError {
            key: "mail.time_zone",
            problem: format!("{error}; write Europe/Vienna or UTC"),
        })?;
        Ok(Self {
            public_url: config.public_url().trim_end_matches('/').to_owned(),
            from: mailbox("mail.from", &mail.from)?,
            reply_to: reply_to.map(|text| mailbox("mail.reply_to", text)).transpose()?,
            language: mail.language.clone(),
            zone,
        })
    }
}

impl EventCard {
    /// The page of the event.
    pub(super) fn link(&self, site: &Site) -> String {
        format!("{}/events/{}", site.public_url, self.id)
    }
}
