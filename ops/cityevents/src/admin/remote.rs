//! Asking: a running instance through its operations listener, else the data folder itself.

use std::net::SocketAddr;

use anyhow::{Context as _, anyhow, bail};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use cityevents_kit::Config;
use serde_json::{Value, json};

use super::{Context, Question, execute};
use crate::instance::{self, Running, Schemas};
use crate::load::client::Connection;
use crate::output;

/// Where questions are posted.
const PATH: &str = "/admin";

/// The route of the operations listener.
pub fn routes(context: Context) -> Router {
    Router::new().route(PATH, post(answer)).with_state(context)
}

async fn answer(
    State(context): State<Context>,
    axum::Json(question): axum::Json<Question>,
) -> (StatusCode, axum::Json<Value>) {
    let kind = question.kind();
    tracing::info!(question = kind, "asked through the operations listener: {kind}");
    let answered =
        tokio::task::spawn_blocking(move || execute(&question, &context, &mut |_, _| {})).await;
    let error = match answered {
        Ok(Ok(value)) => return (StatusCode::OK, axum::Json(json!({ "answer": value }))),
        Ok(Err(error)) => error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": "),
        Err(error) => error.to_string(),
    };
    (StatusCode::UNPROCESSABLE_ENTITY, axum::Json(json!({ "error": error })))
}

/// Asks the instance of a configuration.
///
/// # Errors
/// As [`execute`], and when there is no instance.
pub fn ask(config: &Config, question: &Question) -> anyhow::Result<Value> {
    match Asker::find(config, question.schemas())? {
        Asker::Running(ops) => {
            let spinner = output::spinner("asking the running instance");
            let answer = ask_running(ops, question);
            spinner.finish_and_clear();
            answer
        }
        Asker::Here(context) => {
            // Keeps the connections to the tables going until the answer is there.
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            if matches!(question, Question::PersonalData { .. }) {
                let identity = instance::open_identity(config, &runtime)?;
                context.identity.get_or_init(|| identity);
            }
            let bar = output::progress(0, "reading");
            let answer = execute(question, &context, &mut |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            });
            bar.finish_and_clear();
            answer
        }
    }
}

/// Who answers, for more than one question.
pub enum Asker {
    /// A running instance, at its operations listener.
    Running(SocketAddr),
    /// This process, on the log of a folder that no instance runs on, or of a cluster.
    Here(Box<Context>),
}

impl Asker {
    /// Finds who answers for a configuration.
    ///
    /// # Errors
    /// When there is no instance, or its log cannot be opened.
    pub fn find(config: &Config, schemas: Schemas) -> anyhow::Result<Self> {
        if !config.is_cluster() {
            if let Some(running) = Running::find(&config.data.dir) {
                return Ok(Self::Running(running.ops));
            }
            if !config.data.dir.join("log").is_dir() {
                bail!(
                    "there is no instance in {}; `cityevents dev --data DIR` makes one, --data \
                     names it",
                    config.data.dir.display()
                );
            }
        }
        Ok(Self::Here(Box::new(instance::open_context(config, schemas)?)))
    }

    /// Asks.
    ///
    /// # Errors
    /// As [`execute`].
    pub fn ask(&self, question: &Question) -> anyhow::Result<Value> {
        match self {
            Self::Running(ops) => ask_running(*ops, question),
            Self::Here(context) => execute(question, context, &mut |_, _| {}),
        }
    }
}

/// Asks a running instance.
///
/// # Errors
/// As [`execute`], and when it does not answer.
pub fn ask_running(ops: SocketAddr, question: &Question) -> anyhow::Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = serde_json::to_vec(question)?;
    let (status, body) = runtime.block_on(async {
        let mut connection = Connection::open(ops).await?;
        connection.post_json(PATH, body).await
    })?;
    let mut value: Value = serde_json::from_slice(&body).with_context(|| {
        format!("the operations listener at {ops} answered {status} with something else")
    })?;
    if status.is_success() {
        return Ok(value["answer"].take());
    }
    Err(anyhow!(value["error"].as_str().unwrap_or("the instance gave no reason").to_owned()))
}
