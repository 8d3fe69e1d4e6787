//! The calls that write.

mod door;
mod events;
mod joining;
mod on_event;
mod people;
mod shapes;

use std::sync::Arc;
use std::time::Duration;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use axum::http::Method;
use axum::response::{IntoResponse, Response};
use cityevents_domain::actor::Actor;
use cityevents_domain::command::{Command, CommandKind};
use cityevents_domain::ids::{CommandId, EventId, ImageId, UserId};
use cityevents_kit::Shutdown;
use cityevents_kit::http::{CallClass, RoutePolicy};
use cityevents_kit::keys::{ApiKeys, Caller};
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::problem::Problem;
use cityevents_kit::seal::{CheckInCodes, CursorSealer, Receipts};
use cityevents_runtime::log::clock::{Clock as _, SystemClock};
use futures::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::answer::{Success, answer};
use crate::bulk;
use crate::client::CommandClient;
use crate::fields::{Ask, Asked};
use crate::reasons::Reasons;
use crate::request::{Wait, WriteHeaders};

/// Bulk uploads at the same time.
const UPLOADS_MAX: usize = 64;

/// How writes behave.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// How long a write waits for its decision when the caller does not say.
    pub wait: Duration,
    /// And at most.
    pub wait_max: Duration,
    /// Largest line of a bulk upload.
    pub line_bytes_max: usize,
    /// Writes the addresses of covers.
    pub pictures: PictureAddresses,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(2),
            wait_max: Duration::from_secs(10),
            line_bytes_max: 64 << 10,
            pictures: PictureAddresses::default(),
        }
    }
}

/// Knows which pictures may be covers.
pub trait TakeCovers: Send + Sync {
    /// Notes that an event is going to show these pictures, if all of them are covers of the caller's
    /// that are ready, or covers that it was given before. Comes before the command, since no decision
    /// may depend on anything but the log.
    fn take(
        &self,
        caller: UserId,
        event: EventId,
        covers: Vec<ImageId>,
    ) -> BoxFuture<'_, Result<(), Problem>>;
}

/// What the routes need. Cheap to clone.
#[derive(Clone)]
pub struct IngestState {
    inner: Arc<Inner>,
    covers: Option<Arc<dyn TakeCovers>>,
}

struct Inner {
    client: CommandClient,
    reasons: Reasons,
    api_keys: ApiKeys,
    options: WriteOptions,
    draining: Shutdown,
    receipts: Receipts,
    codes: CheckInCodes,
    uploads: Arc<Semaphore>,
}

impl IngestState {
    /// Puts it together. Once `draining` is given, bulk uploads end after what they have read.
    /// Whoever reads has a sealer of the same secret: receipts and check-in codes come from it.
    pub fn new(
        client: CommandClient,
        reasons: Reasons,
        api_keys: ApiKeys,
        options: WriteOptions,
        draining: Shutdown,
        sealer: CursorSealer,
    ) -> Self {
        let receipts = Receipts::new(sealer.clone());
        let codes = CheckInCodes::new(sealer);
        let uploads = Arc::new(Semaphore::new(UPLOADS_MAX));
        let inner =
            Inner { client, reasons, api_keys, options, draining, receipts, codes, uploads };
        Self { inner: Arc::new(inner), covers: None }
    }

    /// With somebody who knows whose a cover is. Without, events take any.
    #[must_use]
    pub fn with_covers(self, covers: Arc<dyn TakeCovers>) -> Self {
        Self { covers: Some(covers), ..self }
    }

    /// Lets an event take the covers that it is asked to have.
    pub(crate) async fn take_covers(
        &self,
        caller: UserId,
        event: EventId,
        ask: &Ask,
    ) -> Result<(), Problem> {
        match (covers_of(ask), &self.covers) {
            (Some(covers), Some(gate)) => gate.take(caller, event, covers.to_vec()).await,
            _ => Ok(()),
        }
    }

    /// The way into the log.
    pub fn client(&self) -> &CommandClient {
        &self.inner.client
    }

    pub(crate) fn reasons(&self) -> &Reasons {
        &self.inner.reasons
    }

    pub(crate) fn api_keys(&self) -> &ApiKeys {
        &self.inner.api_keys
    }

    pub(crate) fn codes(&self) -> &CheckInCodes {
        &self.inner.codes
    }

    pub(crate) fn options(&self) -> &WriteOptions {
        &self.inner.options
    }

    pub(crate) fn draining(&self) -> &Shutdown {
        &self.inner.draining
    }

    pub(crate) fn uploads(&self) -> &Arc<Semaphore> {
        &self.inner.uploads
    }
}

/// The routes, without what every request goes through: merge them with those that read, and put
/// [`cityevents_kit::http::Edge`] around both, with [`route_policy`] in its policy.
pub fn router(state: IngestState) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(events::create))
        .routes(routes!(events::update))
        .routes(routes!(events::publish))
        .routes(routes!(events::unpublish))
        .routes(routes!(events::cancel))
        .routes(routes!(events::cancel_by_staff))
        .routes(routes!(events::unpublish_by_staff))
        .routes(routes!(joining::join))
        .routes(routes!(joining::leave))
        .routes(routes!(people::kick))
        .routes(routes!(people::ban))
        .routes(routes!(people::unban))
        .routes(routes!(door::check_in))
        .routes(routes!(door::message))
        .routes(routes!(bulk::upload))
        .with_state(state)
}

/// The policy of the routes of this crate that are not general; `None` for all others.
pub fn route_policy(_: &Method, route: Option<&str>) -> Option<RoutePolicy> {
    match route? {
        "/api/events/{id}/join" | "/api/events/{id}/cancel" => {
            Some(RoutePolicy::of(CallClass::Join))
        }
        "/api/ingest" => Some(RoutePolicy::of(CallClass::Bulk).streamed()),
        "/api/feed/track" => Some(RoutePolicy::of(CallClass::Track)),
        _ => None,
    }
}

/// One write on its way.
pub(crate) struct Write {
    pub(crate) caller: Caller,
    pub(crate) headers: WriteHeaders,
    /// `None` when the event is made by this write.
    pub(crate) event: Option<EventId>,
    pub(crate) success: Success,
}

impl Write {
    /// Appends the command, waits, and answers. `path` is the full path with its ids in their one
    /// spelling; the command's id is derived from it.
    pub(crate) async fn decide(
        self,
        state: &IngestState,
        method: &Method,
        path: &str,
        asked: Result<Asked, Problem>,
    ) -> Response {
        let command = match self.command(state, method, path, asked).await {
            Ok(command) => command,
            Err(problem) => return problem.into_response(),
        };
        let event = command.event;
        let options = state.options();
        let wait = match self.headers.wait {
            Wait::Default => options.wait,
            Wait::AtMost(wait) => wait.min(options.wait_max),
            Wait::Async => Duration::ZERO,
        };
        let trace = self.headers.trace;
        let submitted = state.client().submit_traced(command, wait, trace).await;
        answer(&event, submitted, self.success, &self.headers, &options.pictures, |command| {
            let now_ms = SystemClock.now_ms();
            // Without one the outcome is found all the same, once it is decided.
            state.inner.receipts.give(command, &self.caller.user, now_ms).ok()
        })
    }

    async fn command(
        &self,
        state: &IngestState,
        method: &Method,
        path: &str,
        asked: Result<Asked, Problem>,
    ) -> Result<Command, Problem> {
        let Asked { ask, digest } = asked?;
        let user = &self.caller.user;
        let id = match &self.headers.key {
            Some(key) => CommandId::derive(user, method.as_str(), path, key),
            None => unkeyed(user, method, path)?,
        };
        let event = self.event.unwrap_or_else(|| EventId::of_create(&id));
        state.take_covers(*user, event, &ask).await?;
        let kind = ask.sealed(&event, state.reasons()).await.map_err(|error| {
            tracing::error!(%error, "a reason cannot be sealed: {error}");
            let detail = "what is said about a person cannot be sealed right now";
            Problem::unavailable(detail, error.retry_after())
        })?;
        let actor = Actor::Person { user: *user, role: self.caller.role };
        Ok(Command { id, digest, event, actor, kind })
    }
}

/// The covers that an event is to have from now on.
fn covers_of(ask: &Ask) -> Option<&[ImageId]> {
    let covers = match ask {
        Ask::Plain(CommandKind::Create(fields)) => &fields.cover_image_ids,
        Ask::Plain(CommandKind::Update { patch, .. }) => patch.cover_image_ids.as_ref()?,
        _ => return None,
    };
    (!covers.is_empty()).then_some(covers)
}

/// The id of a command whose caller gave no key: nobody can repeat it.
fn unkeyed(user: &UserId, method: &Method, path: &str) -> Result<CommandId, Problem> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "the operating system gives no random numbers: {error}");
        Problem::internal()
    })?;
    let key = format!("unkeyed {:032x}", u128::from_be_bytes(random));
    Ok(CommandId::derive(user, method.as_str(), path, &key))
}
