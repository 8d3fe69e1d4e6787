//! What a provider says of itself: its document of discovery and its keys, read when they are needed
//! and kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cityevents_kit::breaker::Breaker;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::url::Url;
use openidconnect::{AdditionalProviderMetadata, DiscoveryError, IssuerUrl, ProviderMetadata};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::http::{Http, HttpError, is_protected};
use super::provider::{ProviderError, through};

/// Read again after so long…
const FRESH_FOR: Duration = Duration::from_secs(3_600);
/// …and good for so long while the provider does not answer.
const GOOD_FOR: Duration = Duration::from_secs(24 * 3_600);

/// What the document has beside what OpenID Connect Discovery names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct More {
    /// Whether answers always name the issuer (RFC 9207).
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

pub(super) type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What was read, and when.
pub(super) struct Known {
    pub(super) metadata: Metadata,
    read_at: Instant,
}

/// The document and keys of one provider.
pub(super) struct Directory {
    issuer: IssuerUrl,
    fresh_for: Duration,
    good_for: Duration,
    known: Mutex<Option<Arc<Known>>>,
    /// One at a time asks; those who come meanwhile wait for what it hears.
    asking: tokio::sync::Mutex<()>,
}

impl Directory {
    pub(super) fn new(issuer: IssuerUrl) -> Self {
        Self {
            issuer,
            fresh_for: FRESH_FOR,
            good_for: GOOD_FOR,
            known: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// What is known, read anew when it is old. While the provider is away, what was read before
    /// stays good for a day.
    pub(super) async fn get(
        &self,
        http: &Http,
        breaker: &Breaker,
    ) -> Result<Arc<Known>, ProviderError> {
        if let Some(known) = self.younger_than(self.fresh_for) {
            return Ok(known);
        }
        let _turn = self.asking.lock().await;
        if let Some(known) = self.younger_than(self.fresh_for) {
            return Ok(known);
        }
        match (self.read(http, breaker).await, self.younger_than(self.good_for)) {
            (Err(error), Some(known)) => {
                tracing::warn!(
                    oauth.issuer = self.issuer.as_str(),
                    "a provider does not tell of itself, what it told last goes on: {error}"
                );
                Ok(known)
            }
            (read, _) => read,
        }
    }

    /// Read anew by somebody who misses a key in what they have seen. As often as somebody signs in
    /// with a code of the provider, which is as often as anybody may.
    pub(super) async fn renewed(
        &self,
        seen: &Arc<Known>,
        http: &Http,
        breaker: &Breaker,
    ) -> Result<Arc<Known>, ProviderError> {
        let _turn = self.asking.lock().await;
        let known = self.known.lock().clone();
        match known.filter(|known| !Arc::ptr_eq(known, seen)) {
            Some(known) => Ok(known),
            None => self.read(http, breaker).await,
        }
    }

    fn younger_than(&self, age: Duration) -> Option<Arc<Known>> {
        self.known.lock().clone().filter(|known| known.read_at.elapsed() < age)
    }

    async fn read(&self, http: &Http, breaker: &Breaker) -> Result<Arc<Known>, ProviderError> {
        let asked = Metadata::discover_async(self.issuer.clone(), http);
        let metadata = through(breaker, asked, is_away, |error| ProviderError::Away {
            reason: describe(&error),
            retry_after: None,
        });
        let metadata = metadata.await?;
        if let Some(wrong) = endpoints(&metadata).find(|url| !is_protected(url)) {
            let reason =
                format!("it names {}, which is not https", wrong.origin().ascii_serialization());
            return Err(ProviderError::Away { reason, retry_after: None });
        }
        let known = Arc::new(Known { metadata, read_at: Instant::now() });
        *self.known.lock() = Some(known.clone());
        Ok(known)
    }
}

fn endpoints(metadata: &Metadata) -> impl Iterator<Item = &Url> {
    let always = [metadata.authorization_endpoint().url(), metadata.jwks_uri().url()];
    let token = metadata.token_endpoint().map(|endpoint| endpoint.url());
    let userinfo = metadata.userinfo_endpoint().map(|endpoint| endpoint.url());
    always.into_iter().chain(token).chain(userinfo)
}

fn is_away(error: &DiscoveryError<HttpError>) -> bool {
    matches!(error, DiscoveryError::Request(HttpError::Away(_)))
}

/// Without the body of an answer that makes no sense.
fn describe(error: &DiscoveryError<HttpError>) -> String {
    match error {
        DiscoveryError::Request(error) => error.to_string(),
        DiscoveryError::Parse(error) => format!("its document makes no sense: {error}"),
        DiscoveryError::Response(status, _, _) => {
            format!(
                "it answers {status} where its document or its keys should be; check the issuer"
            )
        }
        DiscoveryError::Validation(reason) => format!("its document is of somebody else: {reason}"),
        error => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use axum::http::StatusCode;
    use axum::routing::get;
    use axum::{Json, Router};
    use cityevents_kit::breaker::{BreakerMetrics, BreakerOptions};
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn what_a_provider_told_last_goes_on_while_it_is_away_but_not_for_ever() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let document = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "jwks_uri": format!("{issuer}/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let is_away = Arc::new(AtomicBool::new(false));
        let away = is_away.clone();
        let tell = move || async move {
            match away.load(Ordering::SeqCst) {
                true => Err(StatusCode::BAD_GATEWAY),
                false => Ok(Json(document)),
            }
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(tell))
            .route("/keys", get(|| async { Json(json!({ "keys": [] })) }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut directory = Directory::new(IssuerUrl::new(issuer).unwrap());
        let options = BreakerOptions::default();
        let (http, breaker) =
            (Http::new().unwrap(), Breaker::new("test", options, &BreakerMetrics::default()));
        let first = directory.get(&http, &breaker).await.unwrap();
        assert!(Arc::ptr_eq(&first, &directory.get(&http, &breaker).await.unwrap()), "kept");
        directory.fresh_for = Duration::ZERO;
        let second = directory.get(&http, &breaker).await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second), "read again when it is old");
        is_away.store(true, Ordering::SeqCst);
        assert!(Arc::ptr_eq(&second, &directory.get(&http, &breaker).await.unwrap()));
        directory.good_for = Duration::ZERO;
        assert!(directory.get(&http, &breaker).await.is_err());
    }
}
