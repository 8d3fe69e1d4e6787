//! One burst: decide its commands in order, make their links, hand them to the log.

use std::time::{Duration, Instant};

use cityevents_trace::Span;

use super::held::Held;
use super::ticks::TICK_HEADER;
use super::{Sent, Waiting, Worker};
#[cfg(feature = "testing")]
use crate::chain::BrokenRule;
use crate::dead_letter::dead_letter;
use crate::host::TaskError;
use crate::log::headers::HeadersBuilder;
use crate::log::{Outgoing, Record, TopicPartition};
use crate::replies::ReplyTo;
use crate::spans::carry_on;
use crate::topology::{DecideError, Input, LinkDraft, Topology, Undecodable};

/// A command stamped further ahead of this machine's clock than this stops the partition: deciding
/// it would carry the wrong time into every later decision.
const STAMP_AHEAD_MAX_MS: i64 = 5 * 60_000;
/// Bytes of commands closed without a fact after which a link is written though the burst goes on.
const CLOSED_BYTES_MAX: usize = 128 << 10;
/// Commands shown to the topology together before they are decided: enough to let waits for memory
/// overlap, few enough to stay in the processor's cache.
const LOOK_AHEAD_COMMANDS: usize = 64;
/// Longest wait for the acknowledgement of a dead letter.
const DEAD_LETTER_WAIT: Duration = Duration::from_secs(10);

/// Why a command is not decided.
enum Undecided {
    /// It must not be: the partition stops.
    Stop(String),
    /// It cannot be read yet.
    Wait(String),
}

impl<T: Topology> Worker<T> {
    /// Decides what was polled. A command that must not be decided ends the burst before it: what
    /// was decided up to there is made real first, then the partition stops. One that cannot be
    /// read yet ends it too, and is held with those behind it.
    pub(super) fn decide_burst(&mut self) -> Result<(), TaskError> {
        let mut burst = std::mem::take(&mut self.burst);
        let mut held = self.held.take();
        self.source.metrics.burst_commands.observe(burst.len() as f64);
        let spans = self.options.spans.begin(self.partition, &burst);
        let latest_stamp_ms = self.source.clock.now_ms() + STAMP_AHEAD_MAX_MS;
        let mut last = None;
        for (index, record) in burst.iter().enumerate() {
            if index.is_multiple_of(LOOK_AHEAD_COMMANDS) {
                let end = burst.len().min(index + LOOK_AHEAD_COMMANDS);
                self.topology.look_ahead(&burst[index..end]);
            }
            let undecided = if record.timestamp_ms > latest_stamp_ms {
                Some(Undecided::Stop(format!(
                    "it is stamped {} s ahead of this machine's clock: set the clocks right first",
                    (record.timestamp_ms - latest_stamp_ms + STAMP_AHEAD_MAX_MS) / 1_000,
                )))
            } else {
                self.decide_one(record, spans.one(record.offset))?
            };
            match undecided {
                None => last = Some(record.offset),
                Some(Undecided::Stop(reason)) => {
                    self.stopping = Some(format!(
                        "the command at {} offset {} is not decided: {reason}",
                        self.command_partition, record.offset
                    ));
                    break;
                }
                Some(Undecided::Wait(reason)) => {
                    let first = record.offset;
                    let records = burst.split_off(index);
                    self.held = Some(Held::again(held.take(), first, records, reason));
                    break;
                }
            }
        }
        if let (Some(held), None) = (held, &self.held) {
            let first = held.first();
            tracing::info!("{} is decided again from offset {first}", self.command_partition);
        }
        let ends_unlinked = self.topology.unlinked_bytes() > 0;
        #[cfg(feature = "testing")]
        let ends_unlinked = ends_unlinked && self.options.broken != Some(BrokenRule::ClosingLinks);
        if ends_unlinked && let Some(last) = last {
            let link = self.topology.closing_link();
            self.push_link(last, link, None);
        }
        self.burst = burst;
        for (label, count) in std::mem::take(&mut self.labels) {
            self.source.metrics.count_decisions(label, count);
        }
        self.send(spans.into_span())
    }

    /// Returns why the command is not decided, if so.
    fn decide_one(
        &mut self,
        record: &Record,
        mut span: Option<Span>,
    ) -> Result<Option<Undecided>, TaskError> {
        let input = Input {
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            value: record.value.as_deref().unwrap_or_default(),
            headers: &record.headers,
        };
        let (link, answer, label) = match self.topology.decide(&input) {
            Ok(decision) => {
                self.circuit.succeeded(1);
                (decision.link, decision.answer, decision.label)
            }
            Err(DecideError::PromiseBroken(reason)) => {
                self.source.metrics.invariant_breaches.inc();
                return Ok(Some(Undecided::Stop(reason)));
            }
            Err(DecideError::Undecodable(error)) if error.is_temporary => {
                return Ok(Some(Undecided::Wait(error.reason)));
            }
            Err(DecideError::Undecodable(error)) => {
                self.keep_dead_letter(record, &error)?;
                (None, self.topology.close_undecodable(&input), "undecodable")
            }
        };
        *self.labels.entry(label).or_default() += 1;
        let changed = link.is_some();
        if record.headers.get(TICK_HEADER).is_some() {
            let now_ms = self.source.clock.now_ms();
            self.ticks.decided(record.key.as_ref(), &record.headers, changed, now_ms);
        }
        if let Some(span) = &mut span {
            span.set("outcome", label);
        }
        if let Some(link) = link {
            self.push_link(record.offset, link, span.as_ref());
        } else if self.topology.unlinked_bytes() >= CLOSED_BYTES_MAX {
            let link = self.topology.closing_link();
            self.push_link(record.offset, link, None);
        }
        self.waiting.push_back(Waiting {
            command: record.offset,
            stamped_at_ms: record.timestamp_ms,
            reply_to: ReplyTo::of(&record.headers),
            answer,
            span,
        });
        Ok(None)
    }

    /// When there are too many, nothing of the burst is closed: a broken program must not give
    /// records a verdict that a good one would give otherwise.
    fn keep_dead_letter(&mut self, record: &Record, error: &Undecodable) -> Result<(), TaskError> {
        let place = format!("{} offset {}", self.command_partition, record.offset);
        if self.circuit.failed() {
            return Err(TaskError::Stop(format!(
                "too many commands cannot be read, the last one at {place}: {error}. A deployment \
                 is broken; nothing more is moved to {}",
                self.options.dead_letters
            )));
        }
        tracing::error!(
            kafka.partition = self.partition,
            kafka.offset = record.offset,
            %error,
            "the command at {place} cannot be read and goes to {}: {error}",
            self.options.dead_letters
        );
        self.source.metrics.dead_letters.inc();
        let now_ms = self.source.clock.now_ms();
        let letter = dead_letter(&self.command_partition, record, "DECODE", error, now_ms);
        let count = self.source.log.describe(&self.options.dead_letters)?.spec.partitions;
        let to = TopicPartition::new(self.options.dead_letters.clone(), self.partition % count);
        self.side.keep(&to, letter, DEAD_LETTER_WAIT)
    }

    /// `span`: of the decision that the link is, so that its readers go on from there.
    fn push_link(&mut self, command: u64, draft: LinkDraft, span: Option<&Span>) {
        let mut headers = HeadersBuilder::from_headers(&draft.headers);
        if let Some(span) = span {
            carry_on(&mut headers, span);
        }
        self.writer.link(command, &draft.value, &mut headers);
        self.outbox.push(Outgoing {
            key: draft.key,
            value: Some(draft.value),
            headers: headers.build(),
            timestamp_ms: None,
        });
    }

    fn send(&mut self, span: Option<Span>) -> Result<(), TaskError> {
        if self.outbox.is_empty() {
            if let Some(span) = span {
                span.end();
            }
            return Ok(());
        }
        let links = std::mem::take(&mut self.outbox);
        let bytes = links.iter().map(Outgoing::size_bytes).sum();
        self.sent.push_back(Sent { links: links.len() as u64, bytes, at: Instant::now(), span });
        self.in_flight_bytes += bytes;
        self.producer.append(&self.fact_partition, links)?;
        Ok(())
    }
}
