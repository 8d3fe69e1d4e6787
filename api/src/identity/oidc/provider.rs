//! One provider: where it sends people, and what it says of those who come back.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use cityevents_domain::time::Timestamp;
use cityevents_kit::breaker::{Breaker, BreakerError, BreakerMetrics, BreakerOptions};
use cityevents_kit::config::{OauthProvider, SecretSource};
use cityevents_kit::{Config, ErrorCode, Problem};
use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdToken,
    CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::url::Url;
use openidconnect::{
    AccessToken, AuthType, AuthorizationCode, ClientId, ClientSecret, CsrfToken, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError,
    Scope, StandardErrorResponse, SubjectIdentifier, TokenResponse as _, UserInfoError,
};

use super::claims::{self, Refusal};
use super::flow::Flow;
use super::http::{Http, HttpError};
use super::links::Person;
use super::metadata::{Directory, Known, Metadata};

/// All that a sign-in asks a provider, together.
const ALTOGETHER: Duration = Duration::from_secs(15);

/// A provider does not say who somebody is.
#[derive(Debug, thiserror::Error)]
pub(in crate::identity) enum ProviderError {
    /// It cannot be asked now, or nothing that it says makes sense.
    #[error("{reason}")]
    Away {
        /// What happened. Without secrets.
        reason: String,
        /// When it is worth asking again, if that is known.
        retry_after: Option<Duration>,
    },
    /// The person, or the provider, did not want to.
    #[error("it was not allowed")]
    Denied,
    /// What it says proves nothing.
    #[error("{0}")]
    Refused(String),
}

/// A provider that people may sign in at.
pub(in crate::identity) struct Provider {
    key: String,
    name: String,
    issuer: IssuerUrl,
    client: ClientId,
    secret: Option<SecretSource>,
    scopes: Vec<Scope>,
    redirect: RedirectUrl,
    retry_after: Duration,
    http: Http,
    breaker: Breaker,
    directory: Directory,
}

/// What came back by the browser.
pub(in crate::identity) struct Answer<'a> {
    pub(in crate::identity) code: Option<&'a str>,
    pub(in crate::identity) error: Option<&'a str>,
    pub(in crate::identity) issuer: Option<&'a str>,
}

/// A client with what a provider's document says.
type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

impl Provider {
    /// As configured; `None` when it is not set up. Makes no call.
    pub(super) fn new(
        key: &str,
        settings: &OauthProvider,
        config: &Config,
        metrics: &BreakerMetrics,
    ) -> std::io::Result<Option<Self>> {
        let (Some(client), Some(issuer)) = (&settings.client_id, &settings.issuer) else {
            return Ok(None);
        };
        let wrong = |what: &str| std::io::Error::other(format!("oauth.{key}: {what}"));
        let issuer = IssuerUrl::new(issuer.clone()).map_err(|_| wrong("issuer is no address"))?;
        let redirect = format!("{}/api/auth/oauth/{key}/callback", config.public_url());
        let redirect = RedirectUrl::new(redirect).map_err(|_| wrong("http.public_url is none"))?;
        let secret = settings.secret();
        if let Some(secret) = &secret {
            secret.current().map_err(std::io::Error::other)?;
        }
        let options = BreakerOptions {
            failures: config.breaker.failures,
            open_for: config.breaker.open_for,
            ..BreakerOptions::default()
        };
        // Metrics want names that stay; there are as many as there are sections in the settings.
        let dependency: &'static str = Box::leak(format!("oauth-{key}").into_boxed_str());
        Ok(Some(Self {
            key: key.to_owned(),
            name: settings.name.clone().unwrap_or_else(|| key.to_owned()),
            directory: Directory::new(issuer.clone()),
            issuer,
            client: ClientId::new(client.clone()),
            secret,
            scopes: settings.scopes.iter().cloned().map(Scope::new).collect(),
            redirect,
            retry_after: config.breaker.open_for,
            http: Http::new()?,
            breaker: Breaker::new(dependency, options, metrics),
        }))
    }

    /// The word in addresses.
    pub(in crate::identity) fn key(&self) -> &str {
        &self.key
    }

    /// What people call it.
    pub(in crate::identity) fn name(&self) -> &str {
        &self.name
    }

    /// Its issuer: with a subject, who somebody is.
    pub(in crate::identity) fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// Where the browser goes to sign in.
    pub(in crate::identity) async fn begin(&self, flow: &Flow) -> Result<Url, ProviderError> {
        self.in_time(async {
            let known = self.directory.get(&self.http, &self.breaker).await?;
            let client = self.client(&known.metadata)?;
            let (state, nonce) = (CsrfToken::new(flow.state()), Nonce::new(flow.nonce()));
            let verifier = PkceCodeVerifier::new(flow.verifier());
            let scopes = self.scopes.iter().filter(|scope| scope.as_str() != "openid").cloned();
            let asked = client
                .authorize_url(
                    CoreAuthenticationFlow::AuthorizationCode,
                    move || state,
                    move || nonce,
                )
                .add_scopes(scopes)
                .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
            Ok(asked.url().0)
        })
        .await
    }

    /// Who came back. The answer is one to this very flow; see [`Flow::is_of`].
    pub(in crate::identity) async fn finish(
        &self,
        flow: &Flow,
        answer: &Answer<'_>,
        now: Timestamp,
    ) -> Result<Person, ProviderError> {
        self.in_time(async {
            let known = self.directory.get(&self.http, &self.breaker).await?;
            self.check_issuer(&known, answer)?;
            let code = match (answer.error, answer.code) {
                (Some(error), _) => return Err(declined(error)),
                (None, Some(code)) => AuthorizationCode::new(code.to_owned()),
                (None, None) => return Err(refused("there is neither code nor error")),
            };
            let client = self.client(&known.metadata)?;
            let asked = client.exchange_code(code).map_err(|_| refused("it gives no tokens"))?;
            let asked = asked.set_pkce_verifier(PkceCodeVerifier::new(flow.verifier()));
            let asked = asked.request_async(&self.http);
            let is_away = |error: &TokenError| {
                matches!(error, RequestTokenError::Request(HttpError::Away(_)))
            };
            let tokens = through(&self.breaker, asked, is_away, token_error).await?;
            let token = tokens.id_token().ok_or_else(|| refused("there is no ID token"))?;
            let person = self.verified(&known, token, flow, now).await?;
            self.with_address(&client, person, &tokens).await
        })
        .await
    }

    /// The issuer that an answer names (RFC 9207), so that no other provider answers for this one.
    fn check_issuer(&self, known: &Known, answer: &Answer<'_>) -> Result<(), ProviderError> {
        let always = known.metadata.additional_metadata();
        match answer.issuer {
            Some(issuer) if issuer == self.issuer.as_str() => Ok(()),
            Some(_) => Err(refused("the answer is of another issuer")),
            None if always.authorization_response_iss_parameter_supported => {
                Err(refused("the answer does not name its issuer"))
            }
            None => Ok(()),
        }
    }

    async fn verified(
        &self,
        known: &Arc<Known>,
        token: &CoreIdToken,
        flow: &Flow,
        now: Timestamp,
    ) -> Result<Person, ProviderError> {
        let nonce = Nonce::new(flow.nonce());
        let look = |metadata: &Metadata| -> Result<Result<Person, Refusal>, ProviderError> {
            let client = self.client(metadata)?;
            let said = metadata.id_token_signing_alg_values_supported();
            let verifier = client.id_token_verifier().set_allowed_algs(claims::algorithms(said));
            Ok(claims::verified(token, &verifier, &self.client, &nonce, now))
        };
        let looked = match look(&known.metadata)? {
            // The provider has new keys.
            Err(Refusal::UnknownKey) => {
                let known = self.directory.renewed(known, &self.http, &self.breaker).await?;
                look(&known.metadata)?
            }
            looked => looked,
        };
        looked.map_err(|refusal| match refusal {
            Refusal::UnknownKey => {
                refused("the ID token is signed with a key that it does not have")
            }
            Refusal::Wrong(what) => refused(&format!("of the ID token: {what}")),
        })
    }

    /// Asks for the address and the name where the token does not tell them.
    async fn with_address(
        &self,
        client: &Client,
        person: Person,
        tokens: &CoreTokenResponse,
    ) -> Result<Person, ProviderError> {
        let token: &AccessToken = tokens.access_token();
        // It goes into a header.
        let is_plain = token.secret().bytes().all(|byte| byte.is_ascii_graphic());
        if person.email.is_some() || client.user_info_url().is_none() || !is_plain {
            return Ok(person);
        }
        let subject = SubjectIdentifier::new(person.subject.clone());
        let asked = client.user_info(token.clone(), Some(subject));
        let asked = asked.map_err(|_| refused("it tells nothing of people"))?;
        // Who gave the tokens over TLS gives this too, so it need not be signed.
        let asked = asked.request_async(&self.http);
        let is_away = |error: &UserInfoError<HttpError>| {
            matches!(error, UserInfoError::Request(HttpError::Away(_)))
        };
        let said = through(&self.breaker, asked, is_away, user_info_error).await?;
        let said: CoreUserInfoClaims = said;
        Ok(Person {
            email: said.email().map(|email| email.to_string()),
            email_verified: said.email_verified() == Some(true),
            name: person.name.or_else(|| claims::name(said.name())),
            ..person
        })
    }

    fn client(&self, metadata: &Metadata) -> Result<Client, ProviderError> {
        let secret = self.secret.as_ref().map(SecretSource::current).transpose();
        let secret = secret.map_err(|error| away(error.to_string()))?;
        let secret = secret.map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let methods = metadata.token_endpoint_auth_methods_supported();
        // Without a word on it the header is what every provider takes.
        let in_body = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let kind = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        let metadata = metadata.clone();
        let client = CoreClient::from_provider_metadata(metadata, self.client.clone(), secret);
        Ok(client.set_auth_type(kind).set_redirect_uri(self.redirect.clone()))
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let ended = tokio::time::timeout(ALTOGETHER, work).await;
        ended.unwrap_or_else(|_| Err(away("no answer in time".to_owned())))
    }

    /// The answer to a request that met an error; what it was goes to the log.
    pub(in crate::identity) fn problem(&self, error: &ProviderError) -> Problem {
        let provider = self.key.as_str();
        match error {
            ProviderError::Away { reason, retry_after } => {
                tracing::warn!(oauth.provider = provider, "a provider cannot be asked: {reason}");
                let detail = format!("{} does not answer right now", self.name);
                Problem::unavailable(detail, retry_after.unwrap_or(self.retry_after))
            }
            ProviderError::Denied => Problem::new(ErrorCode::OauthDenied),
            ProviderError::Refused(reason) => {
                tracing::warn!(oauth.provider = provider, "a sign-in is refused: {reason}");
                Problem::new(ErrorCode::OauthFailed)
            }
        }
    }
}

type TokenError = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

/// A call through the breaker of the provider.
pub(super) async fn through<T, E>(
    breaker: &Breaker,
    work: impl Future<Output = Result<T, E>>,
    is_away: impl FnOnce(&E) -> bool,
    sort: impl FnOnce(E) -> ProviderError,
) -> Result<T, ProviderError> {
    breaker.call(work, is_away).await.map_err(|error| match error {
        BreakerError::Open(open) => {
            ProviderError::Away { reason: open.to_string(), retry_after: Some(open.retry_after) }
        }
        BreakerError::Failed(error) => sort(error),
    })
}

fn away(reason: String) -> ProviderError {
    ProviderError::Away { reason, retry_after: None }
}

fn refused(reason: &str) -> ProviderError {
    ProviderError::Refused(reason.to_owned())
}

/// What an error in the answer of the browser means (RFC 6749, 4.1.2.1).
fn declined(error: &str) -> ProviderError {
    match error {
        "access_denied" => ProviderError::Denied,
        "temporarily_unavailable" | "server_error" => away(format!("it says {error}")),
        // It comes by way of the browser: anything may stand there.
        other => {
            let word: String = other.chars().filter(char::is_ascii_graphic).take(64).collect();
            refused(&format!("it says {word:?}"))
        }
    }
}

/// Without the answer's body, which may have secrets in it.
fn token_error(error: TokenError) -> ProviderError {
    match error {
        RequestTokenError::Request(error @ HttpError::Away(_)) => away(error.to_string()),
        RequestTokenError::Request(error) => refused(&error.to_string()),
        RequestTokenError::ServerResponse(said) => {
            let word: String =
                said.error().to_string().chars().filter(char::is_ascii_graphic).take(64).collect();
            refused(&format!("it gives no tokens: {word}"))
        }
        RequestTokenError::Parse(error, _) => {
            refused(&format!("its tokens make no sense, at {}", error.path()))
        }
        RequestTokenError::Other(_) => refused("its tokens make no sense"),
    }
}

fn user_info_error(error: UserInfoError<HttpError>) -> ProviderError {
    match error {
        UserInfoError::Request(error @ HttpError::Away(_)) => away(error.to_string()),
        UserInfoError::Request(error) => refused(&error.to_string()),
        UserInfoError::ClaimsVerification(_) => refused("what it tells is of somebody else"),
        UserInfoError::Response(status, _, _) => {
            refused(&format!("it answers {status} when asked about somebody"))
        }
        _ => refused("what it tells of somebody makes no sense"),
    }
}
