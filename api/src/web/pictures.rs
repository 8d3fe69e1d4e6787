//! Bringing pictures by a form: an avatar, and the covers of an event.
//!
//! A form brings the bytes here, and they go on by the calls that a program would make. The page then
//! waits a moment for the picture, so that it is there when the next page shows it.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::http::Method;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use cityevents_domain::ids::EventId;
use cityevents_kit::http::{PathId, body_problem, too_large};
use cityevents_kit::{ErrorCode, Problem};
use minijinja::context;
use multer::{Constraints, Multipart, SizeLimit};
use serde_json::{Value, json};

use super::Pages;
use super::calls::Call;
use super::forms::Form;
use super::joining::after;
use super::problem::shown;
use super::visitor::{Visitor, see_other};

/// What a form has besides the picture.
const OTHER_BYTES_MAX: u64 = 4 << 10;
/// For all of a form to come.
const FORM_TIME_MAX: Duration = Duration::from_secs(120);
/// Seconds that a page waits for a picture.
const WAIT_SECONDS: u32 = 10;
/// When it is worth trying again, if the picture was not there by then.
const RETRY_AFTER: Duration = Duration::from_secs(10);
/// The part of the form that has the picture.
const PICTURE: &str = "picture";

/// A form as it comes, before anything of it is read.
pub(super) struct PictureForm {
    boundary: String,
    body: Body,
}

/// What was chosen.
struct Chosen {
    kind: String,
    bytes: Bytes,
    focus: Option<String>,
}

impl<S: Sync> FromRequest<S> for PictureForm {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let boundary = kind.and_then(|kind| multer::parse_boundary(kind).ok());
        let boundary = boundary.ok_or_else(|| {
            let detail = "send the form as multipart/form-data";
            Problem::because(ErrorCode::UnsupportedMediaType, detail)
        })?;
        Ok(Self { boundary, body: request.into_body() })
    }
}

/// Takes another avatar.
pub(super) async fn avatar(
    State(pages): State<Pages>,
    visitor: Visitor,
    form: PictureForm,
) -> Result<Response, Problem> {
    let taken = async {
        let id = pages.bring(&visitor, "avatar", form).await?;
        pages.set_avatar(&visitor, json!(id)).await
    };
    match taken.await {
        Ok(()) => Ok(see_other("/account?done=saved")),
        Err(problem) if problem.code() == ErrorCode::Unauthenticated => Err(problem),
        Err(problem) => {
            let told = context! { problem => shown(&problem) };
            pages.account(&visitor, problem.code().status(), told).await
        }
    }
}

/// Takes the avatar away.
pub(super) async fn remove_avatar(
    State(pages): State<Pages>,
    visitor: Visitor,
) -> Result<Response, Problem> {
    pages.set_avatar(&visitor, Value::Null).await?;
    Ok(see_other("/account?done=saved"))
}

/// Gives an event one more cover.
pub(super) async fn cover(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: PictureForm,
) -> Result<Response, Problem> {
    let given = async {
        let id = pages.bring(&visitor, "event_cover", form).await?;
        pages.change_covers(&visitor, event, |covers| covers.push(id.clone())).await
    };
    pages.covers_changed(&visitor, event, given.await).await
}

/// Takes a cover of an event away.
pub(super) async fn remove_cover(
    State(pages): State<Pages>,
    visitor: Visitor,
    PathId(event): PathId<EventId>,
    form: Form,
) -> Result<Response, Problem> {
    let cover = form.text("cover");
    let without = |covers: &mut Vec<String>| covers.retain(|known| known != cover);
    let changed = pages.change_covers(&visitor, event, without).await;
    pages.covers_changed(&visitor, event, changed).await
}

impl Pages {
    async fn set_avatar(&self, visitor: &Visitor, id: Value) -> Result<(), Problem> {
        let call = Call::new(Method::PATCH, "/api/auth/me/avatar").with(json!({ "upload_id": id }));
        self.shared.calls.ask(visitor, call).await.map(drop)
    }

    /// Changes the covers of an event as they are now: if somebody else changes the event meanwhile,
    /// it is refused. Where to look afterwards.
    async fn change_covers(
        &self,
        visitor: &Visitor,
        event: EventId,
        change: impl FnOnce(&mut Vec<String>),
    ) -> Result<Response, Problem> {
        let calls = &self.shared.calls;
        let view = self.view(visitor, event).await?;
        let known = view["event"]["cover_image_ids"].as_array().into_iter().flatten();
        let mut covers: Vec<_> = known.filter_map(|id| id.as_str()).map(str::to_owned).collect();
        change(&mut covers);
        let call = Call::new(Method::PATCH, format!("/api/events/{event}"))
            .if_version(&view["event"]["version"].to_string())
            .with(json!({ "cover_image_ids": covers }));
        let answer = calls.ask(visitor, call).await?;
        Ok(after(&answer, &format!("/events/{event}/manage"), "saved"))
    }

    async fn covers_changed(
        &self,
        visitor: &Visitor,
        event: EventId,
        changed: Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        match changed {
            Ok(response) => Ok(response),
            Err(problem) if problem.code() == ErrorCode::Unauthenticated => Err(problem),
            Err(problem) => {
                let told = context! { problem => shown(&problem) };
                let status = problem.code().status();
                self.room(visitor, event, &Form::default(), status, told).await
            }
        }
    }

    /// Brings the picture of a form, and waits until it can be shown. Its id.
    async fn bring(
        &self,
        visitor: &Visitor,
        purpose: &str,
        form: PictureForm,
    ) -> Result<String, Problem> {
        if visitor.caller().is_none() {
            return Err(Problem::new(ErrorCode::Unauthenticated));
        }
        let busy = |_| Problem::unavailable("too many pictures come at once", RETRY_AFTER);
        let _room = self.shared.uploads.try_acquire().map_err(busy)?;
        let slow = |_| Problem::because(ErrorCode::RequestTimeout, "the picture came too slowly");
        let chosen =
            tokio::time::timeout(FORM_TIME_MAX, self.chosen(form)).await.map_err(slow)??;
        let calls = &self.shared.calls;
        let request = Call::post("/api/media/request-upload").with(json!({ "purpose": purpose }));
        let upload = calls.ask(visitor, request).await?.body;
        let text = |name: &str| upload[name].as_str().unwrap_or_default();
        let (id, address) = (text("upload_id").to_owned(), text("presigned_url"));
        let path = address.strip_prefix(self.shared.identity.site()).unwrap_or(address);
        let bring = Call::new(Method::PUT, path).with_bytes(&chosen.kind, chosen.bytes);
        calls.send(visitor, bring).await.map_err(|problem| match problem.code() {
            // Beside the field that has it, and not as what a program did wrong.
            ErrorCode::UnsupportedMediaType => Problem::invalid(PICTURE, "is no JPEG, PNG or WebP"),
            _ => problem,
        })?;
        let focus = focus_of(chosen.focus.as_deref());
        let complete = json!({ "upload_id": id, "focus": focus });
        calls.ask(visitor, Call::post("/api/media/complete").with(complete)).await?;
        let status = Call::get(format!("/api/media/{id}/status")).waiting(WAIT_SECONDS);
        let status = calls.ask(visitor, status).await?.body;
        match (status["status"].as_str(), status["error"]["message"].as_str()) {
            (Some("READY"), _) => Ok(id),
            (_, Some(message)) => Err(Problem::invalid(PICTURE, message)),
            _ => {
                let detail = "the picture takes longer than usual; nothing has changed, try again";
                Err(Problem::unavailable(detail, RETRY_AFTER))
            }
        }
    }

    async fn chosen(&self, form: PictureForm) -> Result<Chosen, Problem> {
        let bytes_max = self.shared.upload_bytes_max;
        let limits = SizeLimit::new()
            .whole_stream(bytes_max + 4 * OTHER_BYTES_MAX)
            .for_field(PICTURE, bytes_max)
            .per_field(OTHER_BYTES_MAX);
        let constraints = Constraints::new().size_limit(limits);
        let stream = form.body.into_data_stream();
        let mut parts = Multipart::with_constraints(stream, form.boundary, constraints);
        let (mut picture, mut focus) = (None, None);
        let failed = |error: &multer::Error| unreadable(error, bytes_max);
        while let Some(mut part) = parts.next_field().await.map_err(|error| failed(&error))? {
            match part.name() {
                Some(PICTURE) if picture.is_none() => {
                    let kind = part.content_type().map(ToString::to_string).unwrap_or_default();
                    let mut bytes = BytesMut::new();
                    while let Some(chunk) = part.chunk().await.map_err(|error| failed(&error))? {
                        bytes.extend_from_slice(&chunk);
                    }
                    picture = Some((kind, bytes.freeze()));
                }
                Some("focus") => focus = Some(part.text().await.map_err(|error| failed(&error))?),
                _ => {}
            }
        }
        // A browser sends an empty part where nobody chose anything.
        let picture = picture.filter(|(_, bytes)| !bytes.is_empty());
        let (kind, bytes) = picture.ok_or_else(|| Problem::invalid(PICTURE, "is missing"))?;
        Ok(Chosen { kind, bytes, focus })
    }
}

fn unreadable(error: &multer::Error, bytes_max: u64) -> Problem {
    match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            too_large(bytes_max)
        }
        // Too slow, for one.
        multer::Error::StreamReadFailed(cause) => body_problem(&**cause),
        error => Problem::invalid("body", error.to_string()),
    }
}

/// What a word of the form means; anything else is the middle.
fn focus_of(word: Option<&str>) -> Value {
    let (x, y) = match word.unwrap_or_default() {
        "top" => (0.5, 0.0),
        "bottom" => (0.5, 1.0),
        "left" => (0.0, 0.5),
        "right" => (1.0, 0.5),
        _ => (0.5, 0.5),
    };
    json!({ "x": x, "y": y })
}
