//! Writing: the winning rows of a call and the changes of their lists, as one batch.

use fjall::{OwnedWriteBatch, PersistMode};

use super::EmbeddedViews;
use super::keys::{self, Key, Listed};
use crate::codec::{Table, decode, encode, timestamp_of};
use crate::error::ViewsError;
use crate::row::{
    BanRow, CountersRow, EventRow, Mutation, OutcomeRow, ProfileRow, ProgressRow, RegistrationRow,
    Row, TrendRow, WriteTimestamp,
};

/// A row ready to be stored.
struct Candidate {
    key: Key,
    timestamp: WriteTimestamp,
    value: Vec<u8>,
    row: Row,
}

impl Candidate {
    fn of(Mutation { row, timestamp }: Mutation) -> Self {
        let (key, value) = match &row {
            Row::Event(row) => (keys::event(row.event.id), encode::<EventRow>(row, timestamp)),
            Row::Registration(row) => {
                (keys::registration(row.event, row.registration.user), encode(row, timestamp))
            }
            Row::Ban(row) => (keys::ban(row.event, row.user), encode(row, timestamp)),
            Row::Counters(row) => (keys::counters(row.event), encode(row, timestamp)),
            Row::Outcome(row) => (keys::outcome(row.command), encode::<OutcomeRow>(row, timestamp)),
            Row::Progress(row) => {
                (keys::progress(&row.projection, row.partition), encode(row, timestamp))
            }
            Row::Trend(row) => {
                let key = keys::trend(&row.list, row.partition, row.slot);
                (key, encode::<TrendRow>(row, timestamp))
            }
            Row::Profile(row) => (keys::profile(&row.person), encode(row, timestamp)),
        };
        Self { key, timestamp, value, row }
    }

    fn table(&self) -> &'static str {
        match &self.row {
            Row::Event(_) => EventRow::NAME,
            Row::Registration(_) => RegistrationRow::NAME,
            Row::Ban(_) => BanRow::NAME,
            Row::Counters(_) => CountersRow::NAME,
            Row::Outcome(_) => OutcomeRow::NAME,
            Row::Progress(_) => ProgressRow::NAME,
            Row::Trend(_) => TrendRow::NAME,
            Row::Profile(_) => ProfileRow::NAME,
        }
    }

    /// Last write wins; between equal timestamps the greater bytes.
    fn beats(&self, present: &[u8]) -> Result<bool, ViewsError> {
        let written = timestamp_of(self.table(), present)?;
        Ok((self.timestamp, self.value.as_slice()) > (written, present))
    }
}

impl EmbeddedViews {
    pub(super) fn write_now(&self, mutations: Vec<Mutation>) -> Result<(), ViewsError> {
        let mut candidates: Vec<_> = mutations.into_iter().map(Candidate::of).collect();
        // By key, the winner first: the others of one key fall away. Near keys are looked up
        // one after the other.
        candidates.sort_unstable_by(|one, other| {
            let rank = |candidate: &Candidate| candidate.timestamp;
            (one.key.cmp(&other.key))
                .then_with(|| rank(other).cmp(&rank(one)))
                .then_with(|| other.value.cmp(&one.value))
        });
        candidates.dedup_by(|later, first| later.key == first.key);

        let _turn = self.writing.lock();
        // To the system, not to the disk: what was written outlives the process.
        let mut batch = OwnedWriteBatch::with_capacity(self.database.clone(), candidates.len() * 4)
            .durability(Some(PersistMode::Buffer));
        for candidate in candidates {
            self.add(&mut batch, candidate)?;
        }
        batch.commit().map_err(|source| self.engine(source))
    }

    fn add(&self, batch: &mut OwnedWriteBatch, candidate: Candidate) -> Result<(), ViewsError> {
        let present = self.rows.get(&candidate.key.0).map_err(|source| self.engine(source))?;
        if let Some(present) = &present
            && !candidate.beats(present)?
        {
            return Ok(());
        }
        match &candidate.row {
            Row::Event(row) => self.move_places(batch, present.as_deref(), &**row)?,
            Row::Registration(row) => self.move_places(batch, present.as_deref(), row)?,
            Row::Outcome(row) => self.pass_horizon(row.at.as_millis()),
            Row::Profile(row) => self.pass_horizon(row.at.as_millis()),
            Row::Ban(_) | Row::Counters(_) | Row::Progress(_) | Row::Trend(_) => {}
        }
        batch.insert(&self.rows, candidate.key.0, candidate.value);
        Ok(())
    }

    fn move_places<R: Table + Listed>(
        &self,
        batch: &mut OwnedWriteBatch,
        present: Option<&[u8]>,
        row: &R,
    ) -> Result<(), ViewsError> {
        let mut gone = match present {
            Some(present) => decode::<R>(present)?.0.places(),
            None => Vec::new(),
        };
        for place in row.places() {
            match gone.iter().position(|before| *before == place) {
                Some(kept) => {
                    gone.swap_remove(kept);
                }
                None => batch.insert(&self.rows, place.0, []),
            }
        }
        for place in gone {
            batch.remove(&self.rows, place.0);
        }
        Ok(())
    }
}
