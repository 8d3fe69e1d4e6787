//! The mail server, as the configuration names it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cityevents_kit::config::{SecretSource, Smtp, SmtpTls};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use super::super::TransportError;
use super::failure::{Failure, Stage};
use crate::FailureClass;

pub(super) struct Settings {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) hello: ClientId,
    pub(super) connect_timeout: Duration,
    pub(super) command_timeout: Duration,
    pub(super) data_timeout: Duration,
    pub(super) idle_timeout: Duration,
    login: Option<(String, SecretSource)>,
}

pub(super) enum Security {
    Implicit(TlsParameters),
    StartTls { tls: TlsParameters, is_required: bool },
    None,
}

impl Settings {
    pub(super) fn of(smtp: &Smtp) -> Result<Self, TransportError> {
        let host = smtp.host.clone().ok_or_else(|| {
            TransportError::new(
                "mail.smtp.host",
                "give the mail server, since mail.backend is smtp",
            )
        })?;
        let tls = || tls(&host, smtp.authorities.as_deref());
        let security = match smtp.tls {
            SmtpTls::Implicit => Security::Implicit(tls()?),
            SmtpTls::Starttls => Security::StartTls { tls: tls()?, is_required: true },
            SmtpTls::Opportunistic => Security::StartTls { tls: tls()?, is_required: false },
            SmtpTls::None => Security::None,
        };
        let secret = SecretSource::of(smtp.password.as_ref(), smtp.password_file.as_ref());
        let login = match (&smtp.user, secret) {
            (Some(user), Some(secret)) => Some((user.clone(), secret)),
            (None, None) => None,
            _ => {
                let problem = "give mail.smtp.user and a password, or neither";
                return Err(TransportError::new("mail.smtp.user", problem));
            }
        };
        let hello = smtp.hello.clone().unwrap_or_else(machine_name);
        Ok(Self {
            host,
            port: smtp.port,
            security,
            hello: ClientId::Domain(hello),
            connect_timeout: smtp.connect_timeout,
            command_timeout: smtp.command_timeout,
            data_timeout: smtp.data_timeout,
            idle_timeout: smtp.idle_timeout,
            login,
        })
    }

    /// What to sign in with. A password in a file is the one that is there now.
    pub(super) fn credentials(&self) -> Result<Option<Credentials>, Failure> {
        let Some((user, secret)) = &self.login else { return Ok(None) };
        let secret = secret.current().map_err(|error| {
            Failure::of(Stage::Login, FailureClass::Downstream, &error.to_string())
        })?;
        Ok(Some(Credentials::new(user.clone(), secret.expose().to_owned())))
    }
}

/// Whom to trust: the certificates of the file and no others, or those that the system trusts.
fn tls(host: &str, authorities: Option<&Path>) -> Result<TlsParameters, TransportError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = authorities {
        let failed = |error: &dyn std::fmt::Display| {
            let problem = format!("cannot use {}: {error}", path.display());
            TransportError::new("mail.smtp.authorities", problem)
        };
        let pem = fs::read(path).map_err(|error| failed(&error))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| failed(&error))?;
        builder =
            builder.certificate_store(CertificateStore::None).add_root_certificate(certificate);
    }
    builder.build().map_err(|error| TransportError::new("mail.smtp.tls", error.to_string()))
}

/// What the machine is called, as far as it can be said in a greeting.
fn machine_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(is_plain);
    if is_name { name } else { "localhost".to_owned() }
}
