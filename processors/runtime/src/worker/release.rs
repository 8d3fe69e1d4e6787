//! What acknowledgements make real: answers go out, in order, and each only when a link at or
//! behind its command is acknowledged in sequence.

use std::time::Duration;

use super::{Waiting, Worker};
use crate::chain::{Acknowledged, Cursor};
use crate::host::TaskError;
use crate::log::Outgoing;
use crate::log::headers::HeadersBuilder;
use crate::replies::ATTEMPT_HEADER;
use crate::topology::{LinkPosition, Topology};

impl<T: Topology> Worker<T> {
    /// Takes deliveries and hands on what they make real.
    pub(super) fn collect(&mut self, timeout: Duration) -> Result<(), TaskError> {
        let mut deliveries = std::mem::take(&mut self.deliveries);
        deliveries.clear();
        self.producer.poll(timeout, &mut deliveries)?;
        let mut real = None;
        for delivery in deliveries.drain(..) {
            // A failed append: what the log holds is unknown, so everything decided since is void.
            let first = delivery.result?;
            for index in 0..delivery.count {
                let offset = first.map(|first| first + index);
                match self.writer.acknowledge(offset) {
                    Acknowledged::Contiguous { cursor, link_offset } => {
                        real = Some((cursor, link_offset));
                    }
                    Acknowledged::Gap => {}
                }
            }
            self.count_sent(delivery.count);
        }
        self.deliveries = deliveries;
        if let Some((cursor, link_offset)) = real {
            self.release(cursor, link_offset);
        }
        Ok(())
    }

    fn count_sent(&mut self, mut acknowledged: u64) {
        while let Some(sent) = self.sent.front_mut() {
            let covered = acknowledged.min(sent.links);
            sent.links -= covered;
            acknowledged -= covered;
            if sent.links > 0 {
                break;
            }
            self.in_flight_bytes -= sent.bytes;
            self.source.metrics.append_seconds.observe(sent.at.elapsed().as_secs_f64());
            if let Some(span) = self.sent.pop_front().and_then(|sent| sent.span) {
                span.end();
            }
        }
    }

    /// Hands on the answers to all commands up to the cursor.
    pub(super) fn release(&mut self, cursor: Cursor, link_offset: u64) {
        let link = LinkPosition { partition: self.partition, offset: link_offset };
        let now_ms = self.source.clock.now_ms();
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.command >= cursor.next_command() {
                self.waiting.push_front(waiting);
                break;
            }
            self.answer(waiting, link, now_ms);
        }
        self.flush_replies();
    }

    fn answer(&mut self, waiting: Waiting<T::Answer>, link: LinkPosition, now_ms: i64) {
        if let Some(span) = waiting.span {
            span.end();
        }
        let Some(reply_to) = waiting.reply_to else {
            return;
        };
        let (value, headers) = self.topology.encode_answer(&waiting.answer, link);
        let mut headers = HeadersBuilder::from_headers(&headers);
        headers.push(ATTEMPT_HEADER, &reply_to.attempt);
        let reply = Outgoing {
            key: None,
            value: Some(value),
            headers: headers.build(),
            timestamp_ms: Some(now_ms),
        };
        self.side.reply(reply_to.partition, reply);
        let waited_ms = (now_ms - waiting.stamped_at_ms).max(0);
        self.source.metrics.reply_seconds.observe(waited_ms as f64 / 1_000.0);
    }

    pub(super) fn flush_replies(&mut self) {
        let replies = self.options.replies.clone();
        let lost = self.side.flush_replies(&replies) + self.side.poll();
        self.source.metrics.replies_lost.inc_by(lost);
    }
}
