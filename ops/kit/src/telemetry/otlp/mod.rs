//! Hands ended spans to whoever speaks OTLP over HTTP, in batches, beside everything else.
//!
//! A receiver that is away costs nobody anything: one batch waits for it, the queue behind fills up to
//! its end, and what comes then is dropped and counted. That is said once, and once more when the
//! receiver is back.

mod wire;

use std::time::Duration;

use bytes::Bytes;
use cityevents_trace::{SpanData, Tracer};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use prost::Message as _;
use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use tokio::sync::mpsc::Receiver;

use self::wire::Process;
use super::MetricsRegistry;
use crate::config::Telemetry;
use crate::lifecycle::{Component, Lifecycle, Shutdown, Stage};

/// Below the configured address.
const PATH: &str = "/v1/traces";
/// Spans that wait at most: some 10 MB.
const WAITING_MAX: usize = 16_384;
/// Spans handed over at once.
const BATCH_MAX: usize = 1_024;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_millis(200);
/// Time for one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// First wait after a receiver did not answer; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(500);
/// Longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Time to hand over what is there when the process stops.
const STOP_BUDGET: Duration = Duration::from_secs(2);

/// Spans cannot be handed to anybody.
#[derive(Debug, thiserror::Error)]
pub enum TracingError {
    /// There is no client.
    #[error("telemetry.otlp_endpoint cannot be called: {0}")]
    Client(#[from] reqwest::Error),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// What became of spans.
struct SpanMetrics {
    spans: Family<OutcomeLabels, Counter>,
}

impl SpanMetrics {
    fn new(registry: &mut Registry) -> Self {
        let spans: Family<OutcomeLabels, Counter> = Family::default();
        registry.register(
            "trace_spans",
            "Spans by what became of them: taken by the receiver, rejected by it, or dropped because \
             it is away or slower than they come",
            spans.clone(),
        );
        Self { spans }
    }

    fn of(&self, outcome: &'static str) -> Counter {
        self.spans.get_or_create_owned(&OutcomeLabels { outcome })
    }
}

/// A tracer whose spans go where the configuration says; one that gives none where it says nothing.
/// `instance` is the name of this process among others. To be called within a tokio runtime.
///
/// # Errors
/// When no client can be made.
pub fn start_tracing(
    telemetry: &Telemetry,
    instance: &str,
    metrics: &MetricsRegistry,
    lifecycle: &Lifecycle,
) -> Result<Tracer, TracingError> {
    let Some(endpoint) = &telemetry.otlp_endpoint else { return Ok(Tracer::off()) };
    let client = reqwest::Client::builder()
        .timeout(REQUEST_TIMEOUT)
        .connect_timeout(CONNECT_TIMEOUT)
        // A receiver is beside us, or named to be called directly.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let metrics = metrics.register(SpanMetrics::new);
    let dropped = metrics.of("dropped");
    let (tracer, waiting) = Tracer::with_queue(WAITING_MAX, dropped.clone());
    let exporter = Exporter {
        client,
        url: format!("{}{PATH}", endpoint.trim_end_matches('/')),
        process: Process::new(instance),
        taken: metrics.of("taken"),
        rejected: metrics.of("rejected"),
        dropped,
        is_away: false,
    };
    let component = lifecycle.register("traces", Stage::Background, 2 * STOP_BUDGET);
    tokio::spawn(exporter.run(waiting, component));
    Ok(tracer)
}

struct Exporter {
    client: reqwest::Client,
    url: String,
    process: Process,
    taken: Counter,
    rejected: Counter,
    dropped: Counter,
    is_away: bool,
}

/// Why a batch was not taken.
enum Failure {
    /// It may be, later.
    Away(String),
    /// It never will be.
    Rejected(String),
}

impl Exporter {
    async fn run(mut self, mut waiting: Receiver<SpanData>, component: Component) {
        component.ready();
        let shutdown = component.shutdown().clone();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while !shutdown.is_triggered() {
            tokio::select! {
                _ = waiting.recv_many(&mut batch, BATCH_MAX) => {}
                () = shutdown.wait() => break,
            }
            if batch.len() < BATCH_MAX {
                let _is_told = tokio::time::timeout(GATHER, shutdown.wait()).await;
                top_up(&mut batch, &mut waiting);
            }
            self.hand_over(&mut batch, &shutdown).await;
        }
        let rest = async {
            loop {
                top_up(&mut batch, &mut waiting);
                if batch.is_empty() {
                    break;
                }
                self.hand_over(&mut batch, &shutdown).await;
            }
        };
        if tokio::time::timeout(STOP_BUDGET, rest).await.is_err() {
            self.dropped.inc_by(batch.len() as u64);
        }
        component.finished();
    }

    /// Hands a batch over, however long its receiver is away; when the process stops, once.
    async fn hand_over(&mut self, batch: &mut Vec<SpanData>, shutdown: &Shutdown) {
        let count = batch.len() as u64;
        let request = Bytes::from(self.process.request(batch.drain(..)).encode_to_vec());
        let mut backoff = BACKOFF_MIN;
        loop {
            match self.post(request.clone()).await {
                Ok(rejected) => {
                    self.rejected.inc_by(rejected.min(count));
                    self.taken.inc_by(count - rejected.min(count));
                    if std::mem::take(&mut self.is_away) {
                        tracing::info!("spans of traces are taken at {} again", self.url);
                    }
                    return;
                }
                Err(Failure::Rejected(reason)) => {
                    self.rejected.inc_by(count);
                    self.warn("does not take", &reason);
                    return;
                }
                Err(Failure::Away(reason)) => {
                    self.warn("cannot be given", &reason);
                    let stops = tokio::time::timeout(backoff, shutdown.wait()).await.is_ok();
                    if stops {
                        self.dropped.inc_by(count);
                        return;
                    }
                    backoff = (2 * backoff).min(BACKOFF_MAX);
                }
            }
        }
    }

    /// Says so once until it is over.
    fn warn(&mut self, what: &str, reason: &str) {
        if !std::mem::replace(&mut self.is_away, true) {
            let url = &self.url;
            tracing::warn!(
                "{url} {what} spans of traces: {reason}. They are dropped until that is over, see \
                 cityevents_trace_spans_total; nothing else waits for it"
            );
        }
    }

    /// Posts a request, and returns how many of its spans were rejected.
    async fn post(&self, request: Bytes) -> Result<u64, Failure> {
        let away = |error: reqwest::Error| Failure::Away(cause(&error));
        let post = self.client.post(&self.url).header(CONTENT_TYPE, "application/x-protobuf");
        let answer = post.body(request).send().await.map_err(away)?;
        let status = answer.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Failure::Away(format!("it answers {status}")));
        }
        if !status.is_success() {
            return Err(Failure::Rejected(format!("it answers {status}")));
        }
        let body = answer.bytes().await.map_err(away)?;
        // A receiver that says nothing more, or something else, has taken all.
        let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        let partial = answer.partial_success.unwrap_or_default();
        Ok(u64::try_from(partial.rejected_spans).unwrap_or(0))
    }
}

fn top_up(batch: &mut Vec<SpanData>, waiting: &mut Receiver<SpanData>) {
    while batch.len() < BATCH_MAX
        && let Ok(span) = waiting.try_recv()
    {
        batch.push(span);
    }
}

/// The innermost reason: the outer ones repeat the address.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
