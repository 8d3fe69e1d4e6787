//! The calls to a registry, and what its answers mean.

use std::error::Error as _;
use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_versions, get_schema_by_id, get_schema_by_subject_and_version,
    perform_sr_call, post_schema,
};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{
    RawError, RegisteredSchema, SchemaType, SrCall, SuppliedSchema,
};
use serde_json::{Value, json};

/// No such subject.
const SUBJECT_NOT_FOUND: u32 = 40_401;
/// No such version of a subject.
const VERSION_NOT_FOUND: u32 = 40_402;
/// No such schema.
const SCHEMA_NOT_FOUND: u32 = 40_403;
/// The subject has no compatibility of its own.
const COMPATIBILITY_NOT_FOUND: u32 = 40_408;
/// Incompatible with what is registered; also the first digits of longer codes.
const CONFLICT: u32 = 409;
/// Not what a schema may be.
const UNPROCESSABLE: u32 = 422;

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The registry says that there is none.
    NotFound {
        /// Its words.
        message: String,
    },
    /// The registry refuses it.
    Refused {
        /// Its words.
        message: String,
    },
    /// Who asks may not.
    Denied {
        /// Its words.
        message: String,
    },
    /// Nothing answers, or nothing that makes sense.
    Unavailable {
        /// What happened.
        reason: String,
    },
}

pub(super) struct Client {
    settings: SrSettings,
    http: reqwest::Client,
    url: Url,
}

impl Client {
    /// Makes no request yet.
    pub(super) fn new(url: &str, request_timeout: Duration) -> Result<Self, String> {
        let url = Url::parse(url.trim_end_matches('/')).map_err(|error| {
            format!("{error}: give it as http://host:port or https://host:port")
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err("it does not begin with http:// or https:// and a host".to_owned());
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        let settings = SrSettings::new_builder(base)
            .set_timeout(request_timeout)
            .build()
            .map_err(|error| error.to_string())?;
        let http = reqwest::Client::builder()
            .timeout(request_timeout)
            .build()
            .map_err(|error| innermost(&error))?;
        Ok(Self { settings, http, url })
    }

    /// The address without user and password.
    pub(super) fn place(&self) -> String {
        let mut url = self.url.clone();
        let _no_host_no_secret = url.set_username("").and_then(|()| url.set_password(None));
        url.to_string().trim_end_matches('/').to_owned()
    }

    /// One sentence on a failure.
    pub(super) fn describe(&self, failure: &Failure) -> String {
        let place = self.place();
        match failure {
            Failure::NotFound { message } | Failure::Refused { message } => {
                format!("{place} answers: {message}")
            }
            Failure::Denied { message } => format!(
                "{place} does not let this program in ({message}): put a user who may into \
                 registry.url, as in http://user:password@host:port"
            ),
            Failure::Unavailable { reason } => format!("{place}: {reason}"),
        }
    }

    /// The schema of an id.
    pub(super) async fn schema(&self, id: u32) -> Result<String, Failure> {
        whole(get_schema_by_id(id, &self.settings).await.map_err(|error| sort(&error))?)
    }

    /// The id that a subject has for a schema.
    pub(super) async fn find(&self, subject: &str, source: &str) -> Result<u32, Failure> {
        let body = json!({ "schema": source, "schemaType": "AVRO" }).to_string();
        let found = perform_sr_call(&self.settings, SrCall::PostForVersion(subject, &body)).await;
        found.map_err(|error| sort(&error))?.id.ok_or_else(|| Failure::Unavailable {
            reason: format!("its answer about {subject} has no id"),
        })
    }

    /// Makes a schema the next version of a subject.
    pub(super) async fn register(&self, subject: &str, source: &str) -> Result<u32, Failure> {
        let schema = SuppliedSchema::new(None, SchemaType::Avro, source.to_owned());
        let registered = post_schema(&self.settings, subject.to_owned(), schema).await;
        registered.map(|schema| schema.id).map_err(|error| sort(&error))
    }

    /// The numbers of a subject's versions.
    pub(super) async fn versions(&self, subject: &str) -> Result<Vec<u32>, Failure> {
        let versions = get_all_versions(&self.settings, subject.to_owned()).await;
        versions.map_err(|error| sort(&error))
    }

    /// Id and schema of one version.
    pub(super) async fn version(
        &self,
        subject: &str,
        number: u32,
    ) -> Result<(u32, String), Failure> {
        let settings = &self.settings;
        let schema = get_schema_by_subject_and_version(settings, subject, Some(number)).await;
        let schema = schema.map_err(|error| sort(&error))?;
        Ok((schema.id, whole(schema)?))
    }

    /// What its clock says, in milliseconds since 1970, if it tells: not every one does.
    pub(super) async fn told_ms(&self) -> Result<Option<i64>, Failure> {
        let answer = self.http.get(self.url.clone()).send().await;
        let answer = answer.map_err(|error| unreachable(&error))?;
        let date = answer.headers().get("date").and_then(|date| date.to_str().ok());
        let told = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        Ok(told.map(|told| told.timestamp().as_millisecond()))
    }

    /// The compatibility that a subject has of its own.
    pub(super) async fn compatibility(&self, subject: &str) -> Result<Option<String>, Failure> {
        match self.config(Method::GET, subject, None).await {
            Ok(answer) => Ok(answer["compatibilityLevel"].as_str().map(str::to_owned)),
            Err(Failure::NotFound { .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Sets what a subject's next versions are compared for.
    pub(super) async fn set_compatibility(
        &self,
        subject: &str,
        level: &str,
    ) -> Result<(), Failure> {
        let body = json!({ "compatibility": level });
        self.config(Method::PUT, subject, Some(body)).await.map(drop)
    }

    async fn config(
        &self,
        method: Method,
        subject: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["config", subject]);
        }
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request
                .header("content-type", "application/vnd.schemaregistry.v1+json")
                .body(body.to_string());
        }
        let answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        let text = answer.text().await.map_err(|error| unreachable(&error))?;
        if status.is_success() {
            return serde_json::from_str(&text).map_err(|_| no_registry(status.as_str()));
        }
        let error: Option<RawError> = serde_json::from_str(&text).ok();
        Err(match error {
            Some(RawError { error_code, message, .. }) => answered(error_code, message),
            None if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                Failure::Denied { message: status.to_string() }
            }
            None => no_registry(status.as_str()),
        })
    }
}

/// What a registry answers with its own code means.
fn answered(code: u32, message: String) -> Failure {
    match code {
        SUBJECT_NOT_FOUND | VERSION_NOT_FOUND | SCHEMA_NOT_FOUND | COMPATIBILITY_NOT_FOUND => {
            Failure::NotFound { message }
        }
        401 | 403 | 40_101 | 40_301 => Failure::Denied { message },
        CONFLICT | UNPROCESSABLE => Failure::Refused { message },
        code if matches!(code / 100, CONFLICT | UNPROCESSABLE) => Failure::Refused { message },
        code => Failure::Unavailable { reason: format!("it answers {code}: {message}") },
    }
}

fn no_registry(status: &str) -> Failure {
    let reason = format!(
        "what answers there (HTTP {status}) is no schema registry: check the path of registry.url; \
         Confluent's has none, Apicurio's is /apis/ccompat/v7"
    );
    Failure::Unavailable { reason }
}

/// A schema that stands for itself.
fn whole(schema: RegisteredSchema) -> Result<String, Failure> {
    if schema.references.is_empty() {
        return Ok(schema.schema);
    }
    let reason = format!(
        "schema {} is registered with references to other schemas; register it whole, as this \
         program does",
        schema.id
    );
    Err(Failure::Unavailable { reason })
}

fn sort(error: &SRCError) -> Failure {
    let Some(source) = error.source() else {
        return Failure::Unavailable { reason: error.error.clone() };
    };
    if let Some(raw) = source.downcast_ref::<RawError>() {
        if raw.error_code != 0 {
            return answered(raw.error_code, raw.message.clone());
        }
        // The library keeps the status in its text only.
        let status = error.error.rsplit("status ").next().unwrap_or_default();
        if status.starts_with("401") || status.starts_with("403") {
            return Failure::Denied { message: status.to_owned() };
        }
        return no_registry(status);
    }
    match source.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_decode() => no_registry("200 OK"),
        Some(error) => unreachable(error),
        None => Failure::Unavailable { reason: error.error.clone() },
    }
}

fn unreachable(error: &reqwest::Error) -> Failure {
    let cause = innermost(error);
    let reason = if error.is_timeout() {
        "no answer in time: check registry.url, or raise registry.request_timeout".to_owned()
    } else if error.is_connect() {
        format!("cannot be reached: {cause}: check registry.url, and that the registry runs")
    } else {
        format!("the connection broke: {cause}")
    };
    Failure::Unavailable { reason }
}

/// The cause behind all others: those around it only say that something failed, and the outermost
/// repeats the address with the password in it.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = error.to_string();
    if cause.is_none() {
        text = "without a cause".to_owned();
    }
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_registrys_own_word_makes_an_id_unknown() {
        let unknown = answered(SCHEMA_NOT_FOUND, "none".into());
        assert_eq!(unknown, Failure::NotFound { message: "none".into() });
        for code in [404, 500, 50_001, 0] {
            let failure = answered(code, "none".into());
            assert!(matches!(failure, Failure::Unavailable { .. }), "{code}: {failure:?}");
        }
        let gateway = SRCError::non_retryable_with_cause(
            serde_json::from_value::<RawError>(json!({ "error_code": 0, "message": "" })).unwrap(),
            "HTTP request to schema registry failed with status 404 Not Found",
        );
        assert!(matches!(sort(&gateway), Failure::Unavailable { .. }));
    }

    #[test]
    fn what_a_registry_refuses_is_no_outage() {
        for code in [409, 40_901, 42_201, 422] {
            let failure = answered(code, "no".into());
            assert_eq!(failure, Failure::Refused { message: "no".into() }, "{code}");
        }
    }

    #[test]
    fn an_address_is_shown_without_its_secret() {
        let url = "https://me:hidden@registry.example/apis/ccompat/v7/";
        let client = Client::new(url, Duration::from_secs(1)).unwrap();
        assert_eq!(client.place(), "https://registry.example/apis/ccompat/v7");
        for wrong in ["registry:8081", "ftp://registry", "nothing", ""] {
            assert!(Client::new(wrong, Duration::from_secs(1)).is_err(), "{wrong}");
        }
    }
}
