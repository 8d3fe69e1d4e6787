//! The end of carrying: old chains end, what is left is carried, new chains are sealed.

use std::collections::BTreeMap;

use cityevents_domain::time::Timestamp;
use cityevents_runtime::host::TaskError;
use cityevents_runtime::log::headers::HeadersBuilder;
use cityevents_runtime::log::partitioner::partition_of;
use cityevents_runtime::log::{Isolation, Outgoing, Record, TopicPartition, poll_below};

use super::new::{New, origin};
use super::old::Old;
use super::{BATCH_FACTS, CARRIED_FROM_HEADER, Carry, READ, READ_WAIT, append};

impl Carry {
    /// Ends the old chains and seals the new ones; what was done before a kill is not done again, and
    /// asked once more it carries commands that came late. `before_end` says whether the old chains may
    /// end, where none has; `before_seal` does what else has to be there before commands are decided in
    /// the new topics. Returns how many commands came late.
    ///
    /// # Errors
    /// When commands wait to be decided, somebody decides at this moment, or the log fails.
    pub fn finish(
        &self,
        now: Timestamp,
        before_end: impl FnOnce() -> Result<(), TaskError>,
        before_seal: impl FnOnce() -> Result<(), TaskError>,
    ) -> Result<u64, TaskError> {
        self.carry_rest()?;
        self.check_decided()?;
        if !self.work.lock().from.iter().any(Old::has_ended) {
            before_end()?;
        }
        self.end_chains(now)?;
        self.carry_rest()?;
        let commands = self.carry_commands()?;
        if !self.work.lock().into.iter().all(New::is_sealed) {
            before_seal()?;
        }
        let mut work = self.work.lock();
        work.into.iter_mut().for_each(|into| into.seal(now));
        work.flush()?;
        Ok(commands)
    }

    /// Carries everything that is there now.
    fn carry_rest(&self) -> Result<(), TaskError> {
        let mut work = self.work.lock();
        for from in &mut work.from {
            let high = self.source.log.watermarks(from.place())?.high;
            from.set_goal(high);
        }
        while !work.is_done() {
            work.step(BATCH_FACTS)?;
        }
        Ok(())
    }

    fn check_decided(&self) -> Result<(), TaskError> {
        let work = self.work.lock();
        let mut undecided = 0;
        for from in work.from.iter().filter(|from| !from.has_ended()) {
            let cursor = from.cursor()?;
            if cursor.is_carrying() {
                return Err(TaskError::Stop(format!(
                    "{} is being carried itself: --switch to it first",
                    from.place()
                )));
            }
            let commands =
                TopicPartition::new(self.source.commands.clone(), from.place().partition);
            let marks = self.source.log.watermarks(&commands)?;
            undecided += marks.high.saturating_sub(cursor.next_command().max(marks.low));
        }
        if undecided == 0 {
            return Ok(());
        }
        Err(TaskError::Stop(format!(
            "{undecided} commands are not decided yet: stop the processes with `ingest`, let \
             `registration` decide them (`cityevents lag`), stop it, then ask again"
        )))
    }

    fn end_chains(&self, now: Timestamp) -> Result<(), TaskError> {
        let work = &mut *self.work.lock();
        for from in work.from.iter_mut().filter(|from| !from.has_ended()) {
            from.end(&self.target.facts, now, &mut *work.producer)?;
        }
        Ok(())
    }

    /// Carries commands that came while the chains ended, or later.
    fn carry_commands(&self) -> Result<u64, TaskError> {
        let work = &mut *self.work.lock();
        let count = work.into.len() as u32;
        let known = self.known_commands(count)?;
        let mut carried = 0;
        for from in &work.from {
            let partition = from.place().partition;
            let place = TopicPartition::new(self.source.commands.clone(), partition);
            let marks = self.source.log.watermarks(&place)?;
            let next = known.get(&partition).map_or(0, |last| last + 1);
            let first = from.cursor()?.next_command().max(marks.low).max(next);
            for record in self.read(&place, first, marks.high)? {
                let key = record.key.clone().unwrap_or_default();
                let to =
                    TopicPartition::new(self.target.commands.clone(), partition_of(&key, count));
                let mut headers = HeadersBuilder::from_headers(&record.headers);
                let from = format!("{partition}/{}", record.offset);
                headers.replace(CARRIED_FROM_HEADER, from.as_bytes());
                let (key, value, headers) = (record.key, record.value, headers.build());
                let command = Outgoing { key, value, headers, timestamp_ms: None };
                append(&mut *work.producer, &to, vec![command])?;
                carried += 1;
            }
        }
        Ok(carried)
    }

    /// By old partition: the last command that an earlier run has carried.
    fn known_commands(&self, count: u32) -> Result<BTreeMap<u32, u64>, TaskError> {
        let mut known = BTreeMap::new();
        for partition in 0..count {
            let place = TopicPartition::new(self.target.commands.clone(), partition);
            let marks = self.source.log.watermarks(&place)?;
            for record in self.read(&place, marks.low, marks.high)? {
                if let Some((partition, offset)) = origin(&record.headers) {
                    let last = known.entry(partition).or_insert(offset);
                    *last = offset.max(*last);
                }
            }
        }
        Ok(known)
    }

    fn read(
        &self,
        place: &TopicPartition,
        first: u64,
        high: u64,
    ) -> Result<Vec<Record>, TaskError> {
        let (mut records, mut read) = (Vec::new(), Vec::new());
        let mut reader = self.source.log.reader(place, first, Isolation::Uncommitted)?;
        while poll_below(&mut *reader, place, high, READ, READ_WAIT, &mut read)? {
            records.append(&mut read);
        }
        Ok(records)
    }
}
