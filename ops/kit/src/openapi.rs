//! What every described call has in common: ids, times, problems, pages, tokens.
//!
//! Calls are described where they are handled (utoipa), so that a route without a description cannot
//! be registered; [`finish`] adds what the edge does to all of them.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, LicenseBuilder, OpenApi, Ref, RefOr, Response,
    ResponseBuilder, Schema,
};
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema};

use crate::event_body::WireTime;

/// The name under which access tokens stand in the document.
pub const BEARER: &str = "bearer";
/// The name under which keys of programs stand in the document.
pub const API_KEY: &str = "api_key";
const PROBLEM_TYPE: &str = "application/problem+json";

/// An id in answers and paths: a UUID in its hyphenated form.
#[derive(Debug, Clone, Copy)]
pub struct IdText;

impl PartialSchema for IdText {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::Custom("uuid".to_owned());
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for IdText {}

impl PartialSchema for WireTime {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(format))
            .examples([json!("2027-01-16T20:00:00.000Z")])
            .into()
    }
}

impl ToSchema for WireTime {}

/// A problem (RFC 9457), and beside it the member that clients read.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemBody {
    /// A name that never changes.
    #[schema(example = "urn:cityevents:problem:not_found")]
    r#type: String,
    /// What kind of problem it is.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What is wrong here, and what to do.
    detail: String,
    /// The path of the request.
    #[schema(required = false, nullable = false)]
    instance: Option<String>,
    error: ErrorBody,
}

/// What went wrong, for programs.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// A stable code.
    #[schema(example = "not_found")]
    code: String,
    /// As `detail`.
    message: String,
    /// As in the logs of the service.
    #[schema(required = false, nullable = false)]
    request_id: Option<String>,
    /// More about it, by code: for `validation_failed` every bad field under `fields`.
    #[schema(required = false, nullable = false, value_type = Object)]
    meta: Option<serde_json::Value>,
}

/// Which page of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what crate::http::Page reads")]
pub struct PageParameters {
    /// Items at most.
    #[param(minimum = 1, maximum = 100, required = false)]
    limit: Option<u32>,
    /// `next_cursor` of the page before, with the same filters.
    #[param(required = false)]
    cursor: Option<String>,
}

/// The event of a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what crate::http::PathId reads")]
pub struct EventPath {
    /// Which event.
    #[param(value_type = IdText)]
    id: IdText,
}

/// An account or a session of a path, or a command.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what crate::http::PathId reads")]
pub struct IdPath {
    /// Which one.
    #[param(value_type = IdText)]
    id: IdText,
}

/// Somebody at the event of a path.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes what crate::http::PathIds reads")]
pub struct PersonPath {
    /// Which event.
    #[param(value_type = IdText)]
    id: IdText,
    /// Who.
    #[param(value_type = IdText)]
    user: IdText,
}

/// Which version of an event is to be changed.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers")]
pub struct VersionParameters {
    /// The `ETag` of the event as the caller knows it; refused if it has changed.
    #[param(rename = "If-Match", required = false, example = "\"3\"")]
    if_match: Option<String>,
}

/// The headers that every write of a command takes.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers")]
pub struct WriteParameters {
    /// Repeated with the same key, the call is done once. 1 to 255 visible ASCII characters.
    #[param(
        rename = "Idempotency-Key",
        required = false,
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$"
    )]
    idempotency_key: Option<String>,
    /// `respond-async`, or `wait=N` in seconds (RFC 7240).
    #[param(rename = "Prefer", required = false, example = "wait=2")]
    prefer: Option<String>,
}

/// As [`WriteParameters`], of calls that need the key.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers")]
pub struct KeyedParameters {
    /// Repeated with the same key, the call is done once. 1 to 255 visible ASCII characters.
    #[param(
        rename = "Idempotency-Key",
        required = true,
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$"
    )]
    idempotency_key: String,
    /// `respond-async`, or `wait=N` in seconds (RFC 7240).
    #[param(rename = "Prefer", required = false, example = "wait=2")]
    prefer: Option<String>,
}

/// A command that is durable and not decided yet.
#[derive(Debug, Serialize, ToSchema)]
pub struct PendingBody {
    /// Its id; where to ask stands in `Location`.
    #[schema(value_type = IdText)]
    id: String,
    #[schema(example = "pending")]
    status: String,
}

fn problem(description: &str) -> Response {
    let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemBody"))).build();
    ResponseBuilder::new().description(description).content(PROBLEM_TYPE, body).build()
}

macro_rules! problems {
    ($($(#[$doc:meta])* $name:ident { $($status:literal $description:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl IntoResponses for $name {
                fn responses() -> BTreeMap<String, RefOr<Response>> {
                    [$(($status.to_owned(), problem($description).into())),*].into()
                }
            }
        )*
    };
}

problems! {
    /// Not who they say they are.
    NotKnown { "401" "this is not right, or no longer; sign in", }
    /// Not for this caller.
    NotYours { "403" "this is not yours to do", }
    /// Nothing there, or nothing that the caller may know of.
    NotThere { "404" "there is nothing here", }
    /// The state of things does not allow it.
    Clash { "409" "the state of things does not allow this now", }
    /// What the decision about an event can say.
    Refusals {
        "403" "this is not yours to do, or the organiser keeps you out",
        "404" "there is no such event, or you never joined it",
        "409" "the present state does not allow this",
        "410" "the event was called off, or is over",
        "412" "the event has changed meanwhile",
        "422" "the key was used with another body",
    }
}

/// A write that is durable and not decided within the wait.
#[derive(Debug, Clone, Copy)]
pub struct Pending;

impl IntoResponses for Pending {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("PendingBody"))).build();
        let pending = ResponseBuilder::new()
            .description("durable, and not decided yet; `Location` says where to ask")
            .content("application/json", body)
            .build();
        [("202".to_owned(), pending.into())].into()
    }
}

/// What the edge can answer to every call.
const EVERYWHERE: [(&str, &str); 7] = [
    ("400", "the request is not acceptable as it is"),
    ("408", "the request came too slowly"),
    ("413", "the body is larger than allowed"),
    ("415", "the body is of a type that is not taken"),
    ("429", "too many calls; `Retry-After` says when to come again"),
    ("503", "not possible right now; `Retry-After` says when to come again"),
    ("504", "it took too long"),
];

/// Adds what all calls have in common: who made the document, how callers prove who they are, and
/// what the edge answers.
pub fn finish(api: &mut OpenApi) {
    api.info = InfoBuilder::new()
        .title("CityEvents")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some("Sign-ups for city events at any rush."))
        .license(Some(
            LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build(),
        ))
        .build();
    let components = api.components.get_or_insert_with(Components::new);
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    components.add_security_scheme(BEARER, SecurityScheme::Http(token));
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(API_KEY, SecurityScheme::Http(key));
    for (name, schema) in [
        ("ProblemBody", ProblemBody::schema()),
        ("ErrorBody", ErrorBody::schema()),
        ("PendingBody", PendingBody::schema()),
    ] {
        components.schemas.insert(name.to_owned(), schema);
    }
    for item in api.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete, &mut item.put];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            let mut add = |status: &str, description| {
                responses.entry(status.to_owned()).or_insert_with(|| problem(description).into());
            };
            for (status, description) in EVERYWHERE {
                add(status, description);
            }
            if operation.security.is_some() {
                add("401", "sign in first, or refresh the token");
            }
        }
    }
}
