//! One person's request, asked under one key until there is a decision, through whatever happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cityevents_domain::ids::CommandId;
use cityevents_domain::registration::RegistrationStatus;
use cityevents_kit::consistency::{CONSISTENCY_HEADER, ConsistencyToken};
use hyper::{Method, StatusCode};
use serde_json::Value;

use super::targets::Targets;
use crate::load::client::{Answer, Connection};
use crate::load::crowd::Person;

/// Nobody waits longer for one answer: then the connection is given up and the key repeated.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Nobody asks longer than that; who has no decision by then counts as lost.
const GIVE_UP_AFTER: Duration = Duration::from_secs(180);
/// A connection that was idle for so long is not used again: half of the notice that a server gives
/// before it closes idle ones, so that no request crosses with the close.
const IDLE_MAX: Duration = Duration::from_millis(250);
/// Between two tries while nobody can be reached, or everybody is busy.
const PAUSE: Duration = Duration::from_millis(50);
/// After a 202, what came of the command is asked for so often before the key is repeated.
const QUESTIONS_MAX: u32 = 5;
/// Between two such questions.
const QUESTION_PAUSE: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Join,
    Leave,
}

/// A request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) kind: Kind,
    /// Number of the join that it is, or that it takes back.
    pub(super) number: u64,
    /// Index of the event.
    pub(super) event: usize,
    /// Index of the person.
    pub(super) person: usize,
}

/// What somebody was told in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// 200: where the person stands.
    Stands { status: RegistrationStatus, position: Option<u64>, updated_at: String },
    /// Refused, with the code.
    Refused { code: String },
    /// Something that the contract does not have.
    Strange { answer: String },
    /// Nothing, for far too long.
    Nothing,
}

/// How the decision was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learnt {
    /// From the answer of the request, or of a repeated one.
    Told,
    /// By asking what came of the command.
    Asked,
}

/// An answer that somebody holds in hand.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) ask: Ask,
    pub(super) command: CommandId,
    pub(super) verdict: Verdict,
    pub(super) token: Option<ConsistencyToken>,
    pub(super) learnt: Learnt,
    /// Whether 202 was answered before: the command is promised to be in the log.
    pub(super) was_pending: bool,
    /// Milliseconds since 1970.
    pub(super) at_ms: i64,
    /// From the first request on.
    pub(super) waited: Duration,
}

/// What happened on the way to answers.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct Troubles {
    /// Requests that were sent and whose connection broke before the answer.
    pub(super) cut: u64,
    /// Requests that were never answered in time.
    pub(super) unanswered: u64,
    /// Connections refused, or closed before anything was sent.
    pub(super) unreached: u64,
    /// 503.
    pub(super) busy: u64,
    /// 202.
    pub(super) pending: u64,
}

impl Troubles {
    pub(super) fn add(&mut self, other: &Self) {
        self.cut += other.cut;
        self.unanswered += other.unanswered;
        self.unreached += other.unreached;
        self.busy += other.busy;
        self.pending += other.pending;
    }
}

/// A caller: one connection at a time to whoever can be reached.
pub(super) struct Caller {
    targets: Arc<Targets>,
    turn: usize,
    connection: Option<Connection>,
    used_at: Instant,
    pub(super) troubles: Troubles,
}

impl Caller {
    pub(super) fn new(targets: Arc<Targets>, turn: usize) -> Self {
        let (connection, troubles) = (None, Troubles::default());
        Self { targets, turn, connection, used_at: Instant::now(), troubles }
    }

    /// Asks with one key until there is a decision.
    pub(super) async fn decide(
        &mut self,
        ask: Ask,
        person: &Person,
        path: &str,
        key: &str,
    ) -> Told {
        let begun = Instant::now();
        let mut told = Told {
            ask,
            command: CommandId::derive(&person.user, "POST", path, key),
            verdict: Verdict::Nothing,
            token: None,
            learnt: Learnt::Told,
            was_pending: false,
            at_ms: 0,
            waited: Duration::ZERO,
        };
        while begun.elapsed() < GIVE_UP_AFTER {
            let headers = [("authorization", &*person.bearer), ("idempotency-key", key)];
            let Some(answer) = self.send(Method::POST, path, &headers).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            match answer.status {
                StatusCode::SERVICE_UNAVAILABLE => {
                    self.troubles.busy += 1;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                StatusCode::ACCEPTED => {
                    self.troubles.pending += 1;
                    told.was_pending = true;
                    // Half of them ask, the others repeat.
                    if ask.number.is_multiple_of(2) {
                        continue;
                    }
                    match self.question(person, &told.command).await {
                        None => continue,
                        Some(verdict) => {
                            told.verdict = verdict;
                            told.learnt = Learnt::Asked;
                        }
                    }
                }
                _ => {
                    told.verdict = Verdict::of(&answer);
                    let token = answer.headers.get(CONSISTENCY_HEADER);
                    told.token = token.and_then(|token| token.to_str().ok()?.parse().ok());
                }
            }
            break;
        }
        told.waited = begun.elapsed();
        told.at_ms = jiff::Timestamp::now().as_millisecond();
        told
    }

    /// Asks what came of a command.
    async fn question(&mut self, person: &Person, command: &CommandId) -> Option<Verdict> {
        let path = format!("/api/commands/{command}");
        for _ in 0..QUESTIONS_MAX {
            tokio::time::sleep(QUESTION_PAUSE).await;
            let headers = [("authorization", &*person.bearer)];
            let Some(answer) = self.send(Method::GET, &path, &headers).await else { continue };
            match answer.status {
                StatusCode::OK => {}
                // Another process took the command, or the tables are away.
                StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE => continue,
                _ => return Some(Verdict::strange(&answer)),
            }
            let Ok(body) = answer.json() else { return Some(Verdict::strange(&answer)) };
            match body["status"].as_str() {
                Some("pending") => {}
                Some("accepted") => return Some(Verdict::stands(&body["outcome"], &answer)),
                Some("refused") => return Some(Verdict::refused(&body["error"], &answer)),
                _ => return Some(Verdict::strange(&answer)),
            }
        }
        None
    }

    /// One exchange; `None` when there is no answer.
    pub(super) async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Option<Answer> {
        if self.used_at.elapsed() >= IDLE_MAX {
            self.connection = None;
        }
        if self.connection.is_none() {
            self.turn += 1;
            let address = self.targets.pick(self.turn)?;
            match tokio::time::timeout(ANSWER_WITHIN, Connection::open(address)).await {
                Ok(Ok(connection)) => self.connection = Some(connection),
                Ok(Err(_)) | Err(_) => {
                    self.troubles.unreached += 1;
                    return None;
                }
            }
        }
        let connection = self.connection.as_mut()?;
        let sent = connection.send(method, path, headers, Bytes::new());
        let failed = match tokio::time::timeout(ANSWER_WITHIN, sent).await {
            Ok(Ok(answer)) => {
                self.used_at = Instant::now();
                return Some(answer);
            }
            Ok(Err(error)) if is_unsent(&error) => &mut self.troubles.unreached,
            Ok(Err(_)) => &mut self.troubles.cut,
            Err(_) => &mut self.troubles.unanswered,
        };
        *failed += 1;
        self.connection = None;
        None
    }
}

/// Whether nothing of the request can have reached the server.
fn is_unsent(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<hyper::Error>()
        .is_none_or(|error| error.is_canceled() || error.is_closed())
}

impl Verdict {
    fn of(answer: &Answer) -> Self {
        let Ok(body) = answer.json() else { return Self::strange(answer) };
        match answer.status {
            StatusCode::OK => Self::stands(&body, answer),
            StatusCode::CONFLICT => Self::refused(&body["error"], answer),
            _ => Self::strange(answer),
        }
    }

    fn stands(body: &Value, answer: &Answer) -> Self {
        let status = body["status"].as_str().and_then(RegistrationStatus::parse);
        let (Some(status), Some(updated_at)) = (status, body["updated_at"].as_str()) else {
            return Self::strange(answer);
        };
        let position = body["position"].as_u64();
        Self::Stands { status, position, updated_at: updated_at.to_owned() }
    }

    fn refused(error: &Value, answer: &Answer) -> Self {
        match error["code"].as_str() {
            Some(code) => Self::Refused { code: code.to_owned() },
            None => Self::strange(answer),
        }
    }

    fn strange(answer: &Answer) -> Self {
        let body = String::from_utf8_lossy(&answer.body);
        Self::Strange { answer: format!("{} {body}", answer.status) }
    }

    /// Whether it is a decision.
    pub(super) const fn is_decision(&self) -> bool {
        matches!(self, Self::Stands { .. } | Self::Refused { .. })
    }
}
