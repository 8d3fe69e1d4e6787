//! The console: what somebody who was woken sees first. Pages of the operations listener, written by this
//! process from what it knows and what it may read of the log; nothing comes from elsewhere.
//!
//! It shows and never changes: there is no form but the one that looks things up, and that takes ids. It
//! shows ids of accounts, as `cityevents explain` does, and no names, addresses or texts. It is as
//! reachable as the rest of the operations listener, which is not for the public.
//!
//! Pages are whole without JavaScript, and have a link to load them anew. With it, `live.js` puts the
//! newest state in their place.

mod figures;
mod look;
mod page;
mod pipeline;
mod search;
mod summary;
#[cfg(test)]
mod tests;
pub mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use cityevents_kit::Lifecycle;
use cityevents_kit::telemetry::MetricsRegistry;
use minijinja::value::Serde;
use minijinja::{Environment, context};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

pub use self::look::{Board, Judged};
use self::look::{Eyes, Seen};
use self::search::{Asked, Nothing};
use crate::admin;

/// Where it is.
pub const PATH: &str = "/console";
/// Letters of a group's name in an address.
const GROUP_LETTERS_MAX: usize = 255;

const HEADERS: [(HeaderName, HeaderValue); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

macro_rules! templates {
    ($($name:literal)*) => {
        const TEMPLATES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../console/", $name))),)*];
    };
}

templates! { "elsewhere.html" "explain.html" "layout.html" "now.html" "overview.html" "picture.html" }

/// What the console is made of.
pub struct ConsoleParts {
    /// The log and what is asked of it.
    pub context: admin::Context,
    /// Groups of others that are looked at.
    pub foreign: Vec<String>,
    /// The parts of this process.
    pub lifecycle: Lifecycle,
    /// What this process measures.
    pub metrics: MetricsRegistry,
    /// What the role `lag` of this process finds out; without that role the console is elsewhere.
    pub board: Option<Arc<Board>>,
    /// Name of this process, and what it does.
    pub member: String,
    /// Its roles.
    pub roles: String,
}

#[derive(Clone)]
struct Console(Arc<Shared>);

struct Shared {
    templates: Environment<'static>,
    eyes: Option<Arc<Eyes>>,
    context: admin::Context,
    searching: Arc<Semaphore>,
    member: String,
    roles: String,
}

/// Its routes.
///
/// # Errors
/// When a template is wrong, which tests see.
pub fn routes(parts: ConsoleParts) -> anyhow::Result<Router> {
    let ConsoleParts { context, foreign, lifecycle, metrics, board, member, roles } = parts;
    let eyes = board.map(|board| Eyes::new(context.clone(), foreign, lifecycle, metrics, board));
    let searching = Arc::new(Semaphore::new(1));
    let templates = templates()?;
    let console = Console(Arc::new(Shared { templates, eyes, context, searching, member, roles }));
    Ok(Router::new()
        .route(PATH, get(overview))
        .route("/console/now", get(now))
        .route("/console/explain", get(explain))
        .route("/console/style.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/console/live.js", get(async || asset("text/javascript; charset=utf-8", LIVE)))
        .route("/console/icon.svg", get(async || asset("image/svg+xml", ICON)))
        .with_state(console))
}

const STYLE: &str = include_str!("../../console/style.css");
const LIVE: &str = include_str!("../../console/live.js");
const ICON: &str = include_str!("../../console/icon.svg");

fn templates() -> anyhow::Result<Environment<'static>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
    environment.add_filter("urlencode", |text: &str| -> String {
        form_urlencoded::byte_serialize(text.as_bytes()).collect()
    });
    for (name, source) in TEMPLATES {
        environment.add_template(name, source).with_context(|| format!("template {name}"))?;
    }
    Ok(environment)
}

type Typed = Query<BTreeMap<String, String>>;

async fn overview(State(console): State<Console>, Query(typed): Typed) -> Response {
    console.state("overview.html", &typed).await
}

/// What `live.js` puts in the place of what is older.
async fn now(State(console): State<Console>, Query(typed): Typed) -> Response {
    console.state("now.html", &typed).await
}

async fn explain(State(console): State<Console>, Query(typed): Typed) -> Response {
    let typed = typed.get("id").map(String::as_str).unwrap_or_default();
    let (status, found) = match search::parse(typed) {
        Err(nothing) => (StatusCode::BAD_REQUEST, Err(nothing)),
        Ok(asked) => console.search(asked).await,
    };
    let values = match found {
        Ok(found) => found,
        Err(Nothing(why)) => json!({ "why": why }),
    };
    console.page(status, "explain.html", typed, values)
}

impl Console {
    async fn state(&self, template: &str, typed: &BTreeMap<String, String>) -> Response {
        let Some(eyes) = &self.0.eyes else {
            return self.page(StatusCode::OK, "elsewhere.html", "", json!({}));
        };
        let group = typed.get("group").filter(|group| !group.is_empty());
        let group = group.filter(|group| group.chars().count() <= GROUP_LETTERS_MAX);
        let Seen { look, problem } = eyes.see().await;
        let mut values = match &look {
            Some(look) => page::values(look, &self.0.context.prefix, group.map(String::as_str)),
            None => json!({}),
        };
        (values["seen"], values["problem"]) = (look.is_some().into(), problem.into());
        self.page(StatusCode::OK, template, "", values)
    }

    async fn search(&self, asked: Asked) -> (StatusCode, Result<Value, Nothing>) {
        if self.0.eyes.is_none() {
            let why = "this process has no console: ask one with the role lag".to_owned();
            return (StatusCode::NOT_FOUND, Err(Nothing(why)));
        }
        let Ok(turn) = self.0.searching.clone().try_acquire_owned() else {
            let why = "somebody else is looking something up: load this page again in a moment";
            return (StatusCode::SERVICE_UNAVAILABLE, Err(Nothing(why.to_owned())));
        };
        let context = self.0.context.clone();
        let searched = tokio::task::spawn_blocking(move || {
            let found = search::search(&context, asked);
            // Not before: whoever asked may be gone.
            drop(turn);
            found
        });
        match searched.await {
            Ok(Ok(found)) => (StatusCode::OK, Ok(found)),
            Ok(Err(nothing)) => (StatusCode::NOT_FOUND, Err(nothing)),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, Err(Nothing(error.to_string()))),
        }
    }

    fn page(&self, status: StatusCode, template: &str, typed: &str, values: Value) -> Response {
        let (member, roles) = (&*self.0.member, &*self.0.roles);
        let all = context! { member, roles, typed, ..Serde(values) };
        let text = self.0.templates.get_template(template).and_then(|page| page.render(all));
        let mut response = match text {
            Ok(text) => (status, text).into_response(),
            Err(error) => {
                tracing::error!(page = template, %error, "a page cannot be written: {error:#}");
                let text = "this page cannot be written; the log of the process says why";
                (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
            }
        };
        let kind = HeaderValue::from_static("text/html; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, kind);
        response.headers_mut().extend(HEADERS);
        response
    }
}

fn asset(kind: &'static str, content: &'static str) -> Response {
    let mut response = content.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().extend(HEADERS);
    response
}
