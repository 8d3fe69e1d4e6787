//! Mails to a mail server (SMTP), over connections that are kept for the next ones.

mod connection;
mod failure;
mod settings;
mod stream;

use std::time::Instant;

use cityevents_kit::config::Smtp;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use self::connection::Connection;
use self::failure::{Failure, Stage};
use self::settings::Settings;
use super::{DeliveryError, Transport, TransportError};
use crate::{FailureClass, Mail};

/// Mails over one connection: servers like to see others come to their turn.
const MAILS_PER_CONNECTION: u32 = 200;

/// A mail server.
pub struct SmtpTransport {
    settings: Settings,
    /// Connections at once; more mails wait.
    places: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

struct Idle {
    connection: Connection,
    since: Instant,
    mails: u32,
}

impl std::fmt::Debug for SmtpTransport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Settings { host, port, .. } = &self.settings;
        let mut shown = formatter.debug_struct("SmtpTransport");
        shown.field("host", host).field("port", port).finish_non_exhaustive()
    }
}

impl SmtpTransport {
    /// A server; nothing is connected until there is a mail.
    ///
    /// # Errors
    /// When the settings do not fit together, or certificates cannot be read.
    pub fn new(smtp: &Smtp) -> Result<Self, TransportError> {
        let settings = Settings::of(smtp)?;
        let places = usize::try_from(smtp.connections_max).unwrap_or(Semaphore::MAX_PERMITS);
        Ok(Self { settings, places: Semaphore::new(places), idle: Mutex::default() })
    }

    /// Looks whether the server would take mails from this sender: connects, secures, signs in, names
    /// the sender and takes it back. Nothing is sent.
    ///
    /// # Errors
    /// With the step that failed.
    pub async fn probe(&self, from: &lettre::Address) -> Result<(), DeliveryError> {
        let offered = async {
            let mut connection = Connection::open(&self.settings).await?;
            connection.offer(from).await?;
            connection.reset().await
        };
        offered.await.map_err(|failure| failure.error)
    }

    async fn send(&self, mail: &Mail) -> Result<(), Failure> {
        let _place = self.places.acquire().await.map_err(|_| {
            Failure::of(Stage::Connect, FailureClass::Downstream, "the transport is closed")
        })?;
        if let Some(Idle { connection, mails, .. }) = self.take() {
            match self.send_over(connection, mails, mail).await {
                // The server had enough of it in the meantime, which is no fault of this mail.
                Err(failure) if failure.stage == Stage::Sender && failure.is_gone => {}
                sent => return sent,
            }
        }
        let connection = Connection::open(&self.settings).await?;
        self.send_over(connection, 0, mail).await
    }

    async fn send_over(
        &self,
        mut connection: Connection,
        mails: u32,
        mail: &Mail,
    ) -> Result<(), Failure> {
        let sent = connection.send(mail).await;
        let is_usable = match &sent {
            Ok(()) => true,
            Err(failure) if failure.is_answered && !failure.is_gone => {
                connection.reset().await.is_ok()
            }
            Err(_) => false,
        };
        let mails = mails + 1;
        if is_usable && mails < MAILS_PER_CONNECTION {
            self.idle.lock().push(Idle { connection, since: Instant::now(), mails });
        }
        sent
    }

    /// The connection that was used last; those that were not used for long are closed.
    fn take(&self) -> Option<Idle> {
        let mut idle = self.idle.lock();
        idle.retain(|connection| connection.since.elapsed() < self.settings.idle_timeout);
        idle.pop()
    }
}

impl Transport for SmtpTransport {
    fn deliver<'mail>(
        &'mail self,
        mail: &'mail Mail,
    ) -> BoxFuture<'mail, Result<(), DeliveryError>> {
        Box::pin(async move { self.send(mail).await.map_err(|failure| failure.error) })
    }
}
