//! Calls to providers: bounded in time and size, over TLS, and never somewhere else than told.

use std::error::Error as _;
use std::time::Duration;

use futures::future::BoxFuture;
use openidconnect::url::Url;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

/// One call.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest answer. Documents and key sets of large providers have about 10 KiB.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// A call gave nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// It would have gone over the network without protection.
    #[error("{0} is not https")]
    Unprotected(String),
    /// No answer, or one that says that the provider cannot answer now.
    #[error("{0}")]
    Away(String),
    /// More than anybody has to say.
    #[error("an answer has more than {ANSWER_BYTES_MAX} bytes")]
    TooLong,
}

/// Makes calls. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Http {
    client: reqwest::Client,
}

impl Http {
    pub(super) fn new() -> std::io::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            // Codes and secrets go to whom the provider names, and not on from there.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("cityevents/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { client: client.map_err(std::io::Error::other)? })
    }

    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request).map_err(away)?;
        if !is_protected(request.url()) {
            return Err(HttpError::Unprotected(request.url().origin().ascii_serialization()));
        }
        let mut answer = self.client.execute(request).await.map_err(away)?;
        let status = answer.status();
        if status.is_server_error() || status == reqwest::StatusCode::TOO_MANY_REQUESTS {
            return Err(HttpError::Away(format!("it answers {status}")));
        }
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(away)? {
            if body.len() + part.len() > ANSWER_BYTES_MAX {
                return Err(HttpError::TooLong);
            }
            body.extend_from_slice(&part);
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = BoxFuture<'c, Result<HttpResponse, HttpError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.ask(request))
    }
}

/// Whether what is sent there is seen by nobody on the way: over TLS, or not leaving the machine.
pub(super) fn is_protected(url: &Url) -> bool {
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

/// The innermost cause: those around it repeat the address, with the code in it.
fn away(error: reqwest::Error) -> HttpError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    HttpError::Away(if error.is_timeout() { "no answer in time".to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_the_machine_without_tls() {
        for (address, fine) in [
            ("https://id.example/token", true),
            ("http://id.example/token", false),
            ("http://127.0.0.1:4000/token", true),
            ("http://localhost/token", true),
            ("http://[::1]:4000/token", true),
            ("http://127.0.0.1.example/token", false),
            ("ftp://127.0.0.1/token", false),
        ] {
            assert_eq!(is_protected(&Url::parse(address).unwrap()), fine, "{address}");
        }
    }
}
