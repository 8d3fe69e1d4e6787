//! The calls about pictures, and the pictures themselves.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH,
};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cityevents_domain::ids::ImageId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::event_body::WireTime;
use cityevents_kit::http::{CallClass, Json, PathId, Query, RoutePolicy};
use cityevents_kit::keys::Caller;
use cityevents_kit::openapi::{Clash, IdPath, IdText, NotThere, NotYours};
use cityevents_kit::pictures::{PictureSize, Shown, ShownFormat};
use cityevents_kit::{ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::record::{Focus, Picture, Purpose, State as PictureState};
use super::store::FOR_EVER;
use super::{Media, StoreError};
use crate::identity::store::IdentityError;

const SHOWN_ROUTE: &str = "/media/{id}/{name}";
const PREFER: HeaderName = HeaderName::from_static("prefer");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// Longest wait of somebody who asks how far a picture is.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How often the tables are asked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The calls about pictures. The parts that every listener has come from around it.
pub fn router(media: Media) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(request))
        .routes(routes!(bring))
        .routes(routes!(complete))
        .routes(routes!(status))
        .routes(routes!(show))
        .with_state(media)
}

/// The policy of these calls that are not general; `None` for all others.
pub fn route_policy(_: &Method, route: Option<&str>) -> Option<RoutePolicy> {
    match route? {
        "/api/media/request-upload" => Some(RoutePolicy::of(CallClass::Upload)),
        "/api/media/uploads/{id}" => Some(RoutePolicy::GENERAL.streamed()),
        SHOWN_ROUTE => Some(RoutePolicy::of(CallClass::Picture)),
        _ => None,
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({ "purpose": "avatar" }))]
#[serde(deny_unknown_fields)]
struct UploadRequest {
    purpose: Purpose,
}

/// Where to bring a picture: one `PUT` of its bytes, with its type in `Content-Type`.
#[derive(Serialize, ToSchema)]
struct UploadBody {
    #[schema(value_type = IdText)]
    upload_id: String,
    presigned_url: String,
    object_key: String,
    #[schema(format = DateTime)]
    expires_at: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Completion {
    #[schema(value_type = IdText)]
    upload_id: String,
    /// What to cut around; the middle, if nothing is said.
    focus: Option<Focus>,
}

#[derive(Serialize, ToSchema)]
struct CompletionBody {
    #[schema(example = "PROCESSING")]
    status: &'static str,
}

/// How far a picture is.
#[derive(Serialize, ToSchema)]
struct StatusBody {
    #[schema(value_type = IdText)]
    id: String,
    /// `PENDING`, `PROCESSING`, `READY` or `FAILED`.
    status: &'static str,
    /// Where it is, in every size and format, once it is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    derived_urls: Option<BTreeMap<String, String>>,
    /// Why it never will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<FailureBody>,
}

#[derive(Serialize, ToSchema)]
struct FailureBody {
    /// A stable code.
    #[schema(example = "unreadable")]
    code: &'static str,
    message: &'static str,
}

/// What proves that one may bring a picture.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct UploadToken {
    #[param(required = true)]
    token: Option<String>,
}

/// One form of a picture.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "describes the path")]
struct ShownPath {
    /// Which picture.
    #[param(value_type = IdText)]
    id: IdText,
    /// Size and format: `avatar-256.webp`, `avatar-512.jpg`, `cover-800.webp`, `cover-1600.jpg`, …
    #[param(example = "cover-800.webp")]
    name: String,
}

/// An address to bring a picture to, good for one and for minutes.
#[utoipa::path(
    post,
    path = "/api/media/request-upload",
    tag = "pictures",
    operation_id = "request_upload",
    request_body = UploadRequest,
    responses((status = 200, description = "where to bring it", body = UploadBody), NotYours),
    security(("bearer" = [])),
)]
async fn request(
    State(media): State<Media>,
    caller: Caller,
    Json(body): Json<UploadRequest>,
) -> Result<Response, Problem> {
    let upload = media.request(caller.user, body.purpose).await;
    let upload = upload.map_err(IdentityError::into_problem)?;
    let expires_at = Timestamp::from_millis(upload.expires_at_ms);
    Ok(unkept(UploadBody {
        upload_id: upload.id.to_string(),
        presigned_url: upload.address,
        object_key: format!("incoming/{}", upload.id),
        expires_at: WireTime(expires_at).to_string(),
    }))
}

/// Brings a picture. Who has the address may.
#[utoipa::path(
    put,
    path = "/api/media/uploads/{id}",
    tag = "pictures",
    operation_id = "bring_picture",
    params(IdPath, UploadToken),
    request_body(content(
        (Vec<u8> = "image/jpeg"),
        (Vec<u8> = "image/png"),
        (Vec<u8> = "image/webp"),
    )),
    responses((status = 204, description = "it is there")),
)]
async fn bring(
    State(media): State<Media>,
    PathId(id): PathId<ImageId>,
    Query(UploadToken { token }): Query<UploadToken>,
    request: Request,
) -> Result<Response, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map(str::to_owned);
    let token = token.unwrap_or_default();
    media.receive(&id, &token, kind.as_deref(), request.into_body()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Says that the picture is there. What comes of it is asked for.
#[utoipa::path(
    post,
    path = "/api/media/complete",
    tag = "pictures",
    operation_id = "complete_upload",
    request_body = Completion,
    responses((status = 200, description = "it is worked on", body = CompletionBody), NotYours, NotThere, Clash),
    security(("bearer" = [])),
)]
async fn complete(
    State(media): State<Media>,
    caller: Caller,
    Json(body): Json<Completion>,
) -> Result<Response, Problem> {
    let id = body.upload_id.parse().map_err(|error: cityevents_domain::ids::InvalidId| {
        Problem::invalid("upload_id", error.to_string())
    })?;
    let focus = body.focus.unwrap_or(Focus::CENTRE);
    let is_within = |value: f32| (0.0..=1.0).contains(&value);
    if !is_within(focus.x) || !is_within(focus.y) {
        return Err(Problem::invalid("focus", "give x and y between 0 and 1"));
    }
    let status = media.complete(&id, &caller.user, focus).await?;
    Ok(unkept(CompletionBody { status }))
}

/// How far a picture is. With `Prefer: wait=N` the answer waits while it is worked on.
#[utoipa::path(
    get,
    path = "/api/media/{id}/status",
    tag = "pictures",
    operation_id = "picture_status",
    params(IdPath),
    responses((status = 200, description = "as asked for", body = StatusBody), NotYours, NotThere),
    security(("bearer" = [])),
)]
async fn status(
    State(media): State<Media>,
    PathId(id): PathId<ImageId>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let until = Instant::now() + wait_of(&headers);
    loop {
        let picture = media.own(&id, &caller.user).await.map_err(IdentityError::into_problem)?;
        let picture = picture.ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
        let is_worked_on = matches!(picture.state, PictureState::Processing { .. });
        if !is_worked_on || Instant::now() >= until {
            return Ok(unkept(media.told(&id, &picture)));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// A picture. What lies here never changes.
#[utoipa::path(
    get,
    path = "/media/{id}/{name}",
    tag = "pictures",
    operation_id = "show_picture",
    params(ShownPath),
    responses(
        (status = 200, description = "the picture", content(
            (Vec<u8> = "image/webp"),
            (Vec<u8> = "image/jpeg"),
        )),
        (status = 304, description = "as before"),
        NotThere,
    ),
)]
async fn show(
    State(media): State<Media>,
    Path((id, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let named = id.parse::<ImageId>().ok().zip(Shown::parse(&name));
    let (id, shown) = named.ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
    let found = media.shared.store.shown(&id, shown).await.map_err(StoreError::into_problem)?;
    let found = found.ok_or_else(|| Problem::new(ErrorCode::NotFound))?;
    let tag = format!("\"{id}-{name}\"");
    let known = headers.get(IF_NONE_MATCH).and_then(|known| known.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag));
    let length = found.meta.size;
    let mut response = match is_known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from_stream(found.into_stream()).into_response(),
    };
    let head = response.headers_mut();
    if !is_known {
        head.insert(CONTENT_LENGTH, length.into());
        head.insert(CONTENT_TYPE, HeaderValue::from_static(shown.format.content_type()));
    }
    head.insert(CACHE_CONTROL, HeaderValue::from_static(FOR_EVER));
    // Pages of another origin show it too.
    head.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        head.insert(ETAG, tag);
    }
    Ok(response)
}

impl Media {
    fn told(&self, id: &ImageId, picture: &Picture) -> StatusBody {
        let sizes = match picture.purpose {
            Purpose::Avatar => PictureSize::AVATAR,
            Purpose::EventCover => PictureSize::COVER,
        };
        let forms = sizes.into_iter().flat_map(|size| {
            ShownFormat::ALL.into_iter().map(move |format| Shown { size, format })
        });
        let is_ready = matches!(picture.state, PictureState::Ready { .. });
        let derived_urls = is_ready.then(|| {
            forms.map(|shown| (shown.name(), self.addresses().address(id, shown))).collect()
        });
        let error = match &picture.state {
            PictureState::Failed { failure, .. } => {
                Some(FailureBody { code: failure.code(), message: failure.message() })
            }
            PictureState::Deleting => {
                Some(FailureBody { code: "deleted", message: "the picture is being deleted" })
            }
            _ => None,
        };
        StatusBody { id: id.to_string(), status: picture.state.word(), derived_urls, error }
    }
}

/// An answer that nobody keeps.
fn unkept(body: impl Serialize) -> Response {
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Answer(body)).into_response()
}

/// How long somebody wants to wait (RFC 7240). What makes no sense is no wish.
fn wait_of(headers: &HeaderMap) -> Duration {
    let lines = headers.get_all(PREFER).iter().filter_map(|line| line.to_str().ok());
    let wishes = lines.flat_map(|line| line.split([',', ';']));
    let wishes = wishes.filter_map(|wish| wish.trim().strip_prefix("wait=")?.parse().ok());
    wishes.map(Duration::from_secs).next().unwrap_or_default().min(WAIT_MAX)
}
