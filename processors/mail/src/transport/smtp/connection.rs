//! One connection, ready for mails: opened, secured, signed in.
//!
//! The library speaks the protocol; which step it was that failed is known here, since each is
//! taken on its own, with its own time.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::failure::{Failure, Stage};
use super::settings::{Security, Settings};
use super::stream::LineStream;
use crate::{FailureClass, Mail};

/// Bytes of a message that are handed to the library at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// In this order of preference; only where the connection is encrypted.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
/// The server waits for the content.
const GO_ON: u16 = 354;

pub(super) struct Connection {
    smtp: AsyncSmtpConnection,
    command_timeout: Duration,
    data_timeout: Duration,
}

impl Connection {
    pub(super) async fn open(settings: &Settings) -> Result<Self, Failure> {
        let mut smtp = match &settings.security {
            Security::Implicit(tls) => {
                let all = settings.connect_timeout + settings.command_timeout;
                let server = (&*settings.host, settings.port);
                let limit = Some(settings.connect_timeout);
                let tls = Some(tls.clone());
                let opening =
                    AsyncSmtpConnection::connect_tokio1(server, limit, &settings.hello, tls, None);
                step(Stage::Connect, all, opening).await?
            }
            Security::StartTls { .. } | Security::None => Self::open_clear(settings).await?,
        };
        if let Some(credentials) = settings.credentials()? {
            Self::sign_in(settings, &mut smtp, &credentials).await?;
        }
        let Settings { command_timeout, data_timeout, .. } = *settings;
        Ok(Self { smtp, command_timeout, data_timeout })
    }

    async fn open_clear(settings: &Settings) -> Result<AsyncSmtpConnection, Failure> {
        let limit = settings.command_timeout;
        let connecting = TcpStream::connect((&*settings.host, settings.port));
        let tcp = timeout(settings.connect_timeout, connecting).await;
        let lost = |what: &str| Failure::lost(Stage::Connect, what);
        let tcp = tcp.map_err(|_| lost("no answer in time"))?;
        let tcp = tcp.map_err(|error| lost(&error.to_string()))?;
        // Commands are short and each is waited for.
        tcp.set_nodelay(true).map_err(|error| lost(&error.to_string()))?;
        let (stream, passes_all) = LineStream::new(tcp);
        let greeting =
            AsyncSmtpConnection::connect_with_transport(Box::new(stream), &settings.hello);
        let mut smtp = step(Stage::Greeting, limit, greeting).await?;
        if let Security::StartTls { tls, is_required } = &settings.security {
            if smtp.can_starttls() {
                let upgrade = smtp.starttls(tls.clone(), &settings.hello);
                step(Stage::StartTls, limit, upgrade).await?;
            } else if *is_required {
                let what = "the server does not offer it, and mail.smtp.tls requires it";
                return Err(Failure::of(Stage::StartTls, FailureClass::Downstream, what));
            }
        }
        passes_all.store(true, Ordering::Release);
        Ok(smtp)
    }

    async fn sign_in(
        settings: &Settings,
        smtp: &mut AsyncSmtpConnection,
        credentials: &Credentials,
    ) -> Result<(), Failure> {
        let refused = |what| Failure::of(Stage::Login, FailureClass::Downstream, what);
        if !smtp.is_encrypted() {
            return Err(refused("the server does not offer TLS, and a password needs it"));
        }
        if smtp.server_info().get_auth_mechanism(&MECHANISMS).is_none() {
            return Err(refused("the server offers neither PLAIN nor LOGIN"));
        }
        let signing_in = smtp.auth(&MECHANISMS, credentials);
        step(Stage::Login, settings.command_timeout, signing_in).await.map(drop)
    }

    /// Names a sender, as if a mail came.
    pub(super) async fn offer(&mut self, from: &lettre::Address) -> Result<(), Failure> {
        let sender = MailFrom::new(Some(from.clone()), Vec::new());
        self.command(Stage::Sender, sender).await.map(drop)
    }

    /// Sends one mail.
    pub(super) async fn send(&mut self, mail: &Mail) -> Result<(), Failure> {
        let parameters = self.parameters(mail)?;
        self.command(Stage::Sender, MailFrom::new(Some(mail.from.clone()), parameters)).await?;
        self.command(Stage::Recipient, Rcpt::new(mail.to.clone(), Vec::new())).await?;
        let ready = self.command(Stage::Data, Data).await?;
        if !ready.has_code(GO_ON) {
            let what = format!("the server answered {} out of turn", ready.code());
            return Err(Failure::lost(Stage::Data, &what));
        }
        self.content(&mail.message).await
    }

    /// Makes the server forget a mail that it refused.
    pub(super) async fn reset(&mut self) -> Result<(), Failure> {
        self.command(Stage::Reset, Rset).await.map(drop)
    }

    /// The library asks for the next chunk until there is none, and only then writes the line that
    /// ends the content. Before that, no server may take the mail; from then on it may have.
    async fn content(&mut self, message: &[u8]) -> Result<(), Failure> {
        let is_whole = AtomicBool::new(false);
        let mut chunks = message.chunks(CHUNK_BYTES);
        let chunks = std::iter::from_fn(|| {
            let chunk = chunks.next();
            is_whole.store(chunk.is_none(), Ordering::Release);
            chunk
        });
        let sent = timeout(self.data_timeout, self.smtp.message_iter(chunks)).await;
        let stage = if is_whole.load(Ordering::Acquire) { Stage::Answer } else { Stage::Content };
        match sent {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(Failure::told(stage, &error)),
            Err(_) => Err(Failure::lost(stage, "no answer in time")),
        }
    }

    async fn command<C: std::fmt::Display>(
        &mut self,
        stage: Stage,
        command: C,
    ) -> Result<Response, Failure> {
        step(stage, self.command_timeout, self.smtp.command(command)).await
    }

    fn parameters(&self, mail: &Mail) -> Result<Vec<MailParameter>, Failure> {
        let is_ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
        let mut parameters = Vec::new();
        let needs = [
            (
                !is_ascii(&mail.from) || !is_ascii(&mail.to),
                Extension::SmtpUtfEight,
                MailParameter::SmtpUtfEight,
                "the address needs SMTPUTF8, which the server does not offer",
            ),
            (
                !mail.message.is_ascii(),
                Extension::EightBitMime,
                MailParameter::Body(MailBodyParameter::EightBitMime),
                "the mail needs 8BITMIME, which the server does not offer",
            ),
        ];
        for (is_needed, extension, parameter, what) in needs {
            if is_needed && !self.smtp.server_info().supports_feature(extension) {
                return Err(Failure::of(Stage::Recipient, FailureClass::Permanent, what));
            }
            if is_needed {
                parameters.push(parameter);
            }
        }
        Ok(parameters)
    }
}

/// Takes one step, within its time.
async fn step<T>(
    stage: Stage,
    limit: Duration,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match timeout(limit, step).await {
        Ok(taken) => taken.map_err(|error| Failure::told(stage, &error)),
        Err(_) => Err(Failure::lost(stage, "no answer in time")),
    }
}
