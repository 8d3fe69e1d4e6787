//! Where records go that were tried: on to a tier, to the dead letters, or nowhere but past.

use std::time::Duration;

use super::{HandedOn, Held, RetryConsumer, Working};
use crate::dead_letter::dead_letter_after;
use crate::host::TaskError;
use crate::log::partitioner::partition_of;
use crate::log::{Outgoing, TopicPartition};
use crate::retry::headers::waiting;
use crate::retry::{Failure, Handler, Happened, OrderKey, Tries};

impl<H: Handler> RetryConsumer<H> {
    pub(super) fn wait_in(
        &mut self,
        (stream, offset): (usize, u64),
        working: &Working,
        tier: usize,
        failure: Option<&Failure>,
    ) -> Result<(), TaskError> {
        let now_ms = self.now_ms();
        let due_ms = self.due_ms(tier, now_ms);
        let tries = match failure {
            Some(_) => after_a_failure(working.tries, now_ms),
            None => working.tries,
        };
        let said = failure.map(|failure| (failure.class, failure.brief()));
        let record = waiting(&working.record, tries, said, (due_ms, now_ms));
        let place = self.streams[tier].place.clone();
        let class = failure.map(|failure| failure.class);
        self.handler.happened(Happened::Waits { tier: &place.topic, class });
        let tier = Some(tier);
        self.hand_on(&place, record, HandedOn { stream, offset, key: working.key, tier })
    }

    /// One that followed others into the last tier, and has tries left: it waits as long as that tier
    /// says, but in work. Behind the others in the tier it would come after those that follow it.
    /// Whoever goes on after a restart counts this try as not made.
    pub(super) fn hold(&mut self, stream: usize, working: Working, failure: &Failure) {
        let now_ms = self.now_ms();
        let due_ms = self.due_ms(stream, now_ms);
        let tier = &self.streams[stream].place.topic;
        self.handler.happened(Happened::Waits { tier, class: Some(failure.class) });
        let tries = after_a_failure(working.tries, now_ms);
        self.held.push(Held { due_ms, stream, working: Working { tries, ..working } });
    }

    fn due_ms(&self, stream: usize, now_ms: i64) -> i64 {
        let delay = self.streams[stream].delay.as_millis();
        now_ms.saturating_add(i64::try_from(delay).unwrap_or(i64::MAX))
    }

    pub(super) fn give_up(
        &mut self,
        (stream, offset): (usize, u64),
        working: &Working,
        failure: &Failure,
    ) -> Result<(), TaskError> {
        let source = &self.streams[stream].place;
        let stage = ["handling by ", self.options.name].concat();
        let said = (failure.class, failure.brief());
        let when = (working.tries, self.now_ms());
        let letter = dead_letter_after(source, &working.record, &stage, said, when);
        tracing::warn!(
            kafka.topic = &*source.topic,
            kafka.partition = source.partition,
            kafka.offset = offset,
            class = failure.class,
            "{source} offset {offset} is a dead letter: {}",
            failure.brief()
        );
        let (topic, partitions) = &self.options.dead_letters;
        let key = working.record.key.as_deref().unwrap_or_default();
        let place = TopicPartition::new(topic.clone(), partition_of(key, *partitions));
        self.handler.happened(Happened::GivenUp { class: failure.class });
        self.hand_on(&place, letter, HandedOn { stream, offset, key: working.key, tier: None })
    }

    fn hand_on(
        &mut self,
        place: &TopicPartition,
        record: Outgoing,
        handed_on: HandedOn,
    ) -> Result<(), TaskError> {
        let ticket = self.producer.append(place, vec![record])?;
        self.handed_on.insert(ticket, handed_on);
        Ok(())
    }

    pub(super) fn acknowledge(&mut self, timeout: Duration) -> Result<(), TaskError> {
        if self.handed_on.is_empty() {
            return Ok(());
        }
        let mut deliveries = std::mem::take(&mut self.deliveries);
        let polled = self.producer.poll(timeout, &mut deliveries);
        for delivery in deliveries.drain(..) {
            // The records are in work still, so whoever goes on begins with them.
            delivery.result?;
            let last = delivery.first_ticket + delivery.count;
            for ticket in delivery.first_ticket..last {
                let Some(HandedOn { stream, offset, key, tier }) = self.handed_on.remove(&ticket)
                else {
                    continue;
                };
                if let (Some(key), Some(tier)) = (key, tier) {
                    self.lanes.park(key, tier);
                }
                self.pass(stream, offset, key)?;
            }
        }
        self.deliveries = deliveries;
        Ok(polled?)
    }

    /// The effects of a record last: whoever waited behind it may begin.
    pub(super) fn pass(
        &mut self,
        stream: usize,
        offset: u64,
        key: Option<OrderKey>,
    ) -> Result<(), TaskError> {
        self.streams[stream].complete(offset)?;
        let Some(key) = key else { return Ok(()) };
        let tier = self.tier_of(stream);
        if tier > 0 {
            self.lanes.unpark(key, tier);
        }
        if self.draining || self.stopping.is_some() {
            // The lane stays taken: what waits in it is left to whoever goes on.
            return Ok(());
        }
        match self.lanes.leave(key) {
            Some(next) => self.begin(next.stream, next.record, Some(key)),
            None => Ok(()),
        }
    }
}

fn after_a_failure(tries: Tries, now_ms: i64) -> Tries {
    Tries {
        attempt: tries.attempt.saturating_add(1),
        first_failed_at_ms: tries.first_failed_at_ms.or(Some(now_ms)),
    }
}
