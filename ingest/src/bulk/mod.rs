//! Bulk uploads: a stream of commands in, a stream of answers out, one line a line, in order.
//!
//! Memory is bounded whatever the length: so many chunks are on their way, and nothing more is read
//! while the client does not read its answers. A client that sends everything before it reads
//! anything comes to a halt once the buffers on the way are full.

mod line;
mod split;
mod write;

use cityevents_kit::openapi::NotYours;
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;
use utoipa::IntoParams;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use cityevents_kit::http::Query;
use cityevents_kit::keys::Scope;
use cityevents_kit::pictures::PictureAddresses;
use cityevents_kit::problem::Problem;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;

use self::line::{Parsed, parse};
use self::split::{Cut, Splitter};
use self::write::Ids;
use crate::answer::submit_problem;
use crate::client::{Chunk, SubmitError, Submitted};
use crate::request::{Wait, WriteHeaders};
use crate::routes::IngestState;

/// Lines handed to the log together, about.
const CHUNK_LINES: usize = 2_048;
/// Chunks of one request on their way.
const CHUNKS_MAX: usize = 8;

/// Whether to wait for decisions.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UploadQuery {
    wait: Option<bool>,
}

/// Commands of many people, in one stream.
#[utoipa::path(
    post,
    path = "/api/ingest",
    tag = "ingestion",
    operation_id = "upload_commands",
    params(UploadQuery),
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, description = "a line for each line, in order", body = String, content_type = "application/x-ndjson"), NotYours),
    security(("api_key" = [])),
)]
pub(crate) async fn upload(
    State(state): State<IngestState>,
    Query(query): Query<UploadQuery>,
    headers: WriteHeaders,
    request: Request,
) -> Response {
    let admitted = admit(&state, &request);
    let permit = match admitted {
        Ok(permit) => permit,
        Err(problem) => return problem.into_response(),
    };
    let options = state.options();
    let wait = match (query.wait, headers.wait) {
        (Some(false), _) | (_, Wait::Async) => Duration::ZERO,
        (_, Wait::Default) => options.wait,
        (_, Wait::AtMost(wait)) => wait.min(options.wait_max),
    };
    let upload = Upload {
        splitter: Some(Splitter::new(options.line_bytes_max)),
        body: request.into_body().into_data_stream(),
        wait,
        index: 0,
        lines: Vec::new(),
        starting: None,
        pending: VecDeque::new(),
        draining: Box::pin({
            let draining = state.draining().clone();
            async move { draining.wait().await }
        }),
        state,
        _permit: permit,
    };
    let answers = futures::stream::unfold(upload, |mut upload| async move {
        let bytes = upload.next().await?;
        Some((Ok::<_, std::convert::Infallible>(bytes), upload))
    });
    let mut response = Response::new(Body::from_stream(answers));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn admit(state: &IngestState, request: &Request) -> Result<OwnedSemaphorePermit, Problem> {
    if state.client().admission().is_closed() || state.draining().is_triggered() {
        return Err(submit_problem(&SubmitError::Stopping));
    }
    state.api_keys().authenticate(request.headers(), Scope::Ingest)?;
    state.uploads().clone().try_acquire_owned().map_err(|_| {
        let detail = "too many uploads at the same time: try again later";
        Problem::unavailable(detail, Duration::from_secs(5))
    })
}

/// Lines read and not yet handed over, or why there is none.
type Lines = Vec<Result<Parsed, Problem>>;

/// A chunk that was handed over: its lines, and what became of the good ones.
struct Started {
    first_index: u64,
    /// In order; `None` for a command of the chunk.
    lines: Vec<Option<Problem>>,
    commands: Vec<Ids>,
    chunk: Result<Chunk, SubmitError>,
}

struct Upload {
    state: IngestState,
    body: BodyDataStream,
    /// `None` once everything was read.
    splitter: Option<Splitter>,
    wait: Duration,
    /// The next line's.
    index: u64,
    lines: Lines,
    starting: Option<BoxFuture<'static, Started>>,
    pending: VecDeque<BoxFuture<'static, Bytes>>,
    draining: Pin<Box<dyn Future<Output = ()> + Send>>,
    _permit: OwnedSemaphorePermit,
}

/// What came first.
enum Came {
    Answers(Bytes),
    Started(Started),
    Data(Option<Result<Bytes, axum::Error>>),
    Draining,
}

impl Upload {
    /// The next answers, in order; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.start();
            let is_idle = self.pending.is_empty() && self.starting.is_none();
            if is_idle && self.splitter.is_none() {
                return None;
            }
            match self.come().await {
                Came::Answers(bytes) => {
                    self.pending.pop_front();
                    return Some(bytes);
                }
                Came::Started(started) => {
                    self.starting = None;
                    let pictures = self.state.options().pictures.clone();
                    self.pending.push_back(finish(started, self.wait, pictures).boxed());
                }
                Came::Data(Some(Ok(data))) => self.read(&data),
                Came::Data(Some(Err(error))) => self.end(Some(body_problem(&error))),
                Came::Data(None) => self.end(None),
                Came::Draining => {
                    let stopping = submit_problem(&SubmitError::Stopping);
                    self.end(Some(stopping));
                }
            }
        }
    }

    async fn come(&mut self) -> Came {
        let can_read = self.splitter.is_some() && self.lines.len() < CHUNK_LINES;
        let (pending, starting) = (self.pending.front_mut(), self.starting.as_mut());
        tokio::select! {
            biased;
            answers = async { some(pending).await } => Came::Answers(answers),
            started = async { some(starting).await } => Came::Started(started),
            () = &mut self.draining, if self.splitter.is_some() => Came::Draining,
            data = self.body.next(), if can_read => Came::Data(data),
        }
    }

    /// Hands over what was read, one chunk after the other so that lines keep their order.
    fn start(&mut self) {
        if self.starting.is_some() || self.lines.is_empty() || self.pending.len() >= CHUNKS_MAX {
            return;
        }
        let lines = std::mem::take(&mut self.lines);
        let first_index = self.index;
        self.index += lines.len() as u64;
        let (state, decisions) = (self.state.clone(), !self.wait.is_zero());
        self.starting = Some(begin(state, lines, first_index, decisions).boxed());
    }

    fn read(&mut self, data: &[u8]) {
        let Some(splitter) = &mut self.splitter else { return };
        let (lines, max) = (&mut self.lines, self.state.options().line_bytes_max);
        let pushed = splitter.push(data, |cut| lines.push(read_line(cut, max)));
        if let Err(error) = pushed {
            self.splitter = None;
            self.lines.push(Err(Problem::invalid("body", error.rule())));
        }
    }

    /// Reads no more: everything came, or nothing more will, for a reason that is told last.
    fn end(&mut self, reason: Option<Problem>) {
        let Some(splitter) = self.splitter.take() else { return };
        if let Some(problem) = reason {
            self.lines.push(Err(problem));
            return;
        }
        let (lines, max) = (&mut self.lines, self.state.options().line_bytes_max);
        let finished = splitter.finish(|cut| lines.push(read_line(cut, max)));
        if let Err(error) = finished {
            self.lines.push(Err(Problem::invalid("body", error.rule())));
        }
    }
}

async fn some<T>(future: Option<&mut BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

fn read_line(cut: Cut<'_>, bytes_max: usize) -> Result<Parsed, Problem> {
    match cut {
        Cut::Line(line) => parse(line),
        Cut::TooLong => Err(Problem::invalid("line", format!("is longer than {bytes_max} bytes"))),
    }
}

fn body_problem(error: &axum::Error) -> Problem {
    let message = format!("cannot be read to its end: {error}; send the rest again");
    Problem::invalid("body", message)
}

async fn begin(state: IngestState, lines: Lines, first_index: u64, decisions: bool) -> Started {
    let mut commands = Vec::with_capacity(lines.len());
    let mut kept = Vec::with_capacity(lines.len());
    for line in lines {
        let command = match line {
            Ok(parsed) => {
                match state.take_covers(parsed.user, parsed.event, &parsed.asked.ask).await {
                    Ok(()) => parsed.into_command(state.reasons()).await,
                    Err(problem) => Err(problem),
                }
            }
            Err(problem) => Err(problem),
        };
        kept.push(command.map(|command| commands.push(command)).err());
    }
    let chunk = state.client().begin_chunk(&commands, decisions).await;
    let ids = |command: &cityevents_domain::command::Command| Ids {
        command: command.id,
        event: command.event,
    };
    let commands = commands.iter().map(ids).collect();
    Started { first_index, lines: kept, commands, chunk }
}

async fn finish(started: Started, wait: Duration, pictures: PictureAddresses) -> Bytes {
    let Started { first_index, lines, commands, chunk } = started;
    let results: Vec<Result<Submitted, SubmitError>> = match chunk {
        Ok(chunk) => chunk.finish(wait).await,
        Err(error) => commands.iter().map(|_| Err(error)).collect(),
    };
    let mut answers = Vec::with_capacity(lines.len() * 96);
    let mut results = commands.iter().zip(&results);
    for (index, line) in (first_index..).zip(&lines) {
        match line {
            Some(problem) => write::invalid(index, problem, &mut answers),
            None => {
                if let Some((ids, result)) = results.next() {
                    write::result(index, ids, result, &pictures, &mut answers);
                }
            }
        }
    }
    Bytes::from(answers)
}
