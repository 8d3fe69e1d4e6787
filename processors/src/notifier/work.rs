//! Telling all people of an event something, step by step.
//!
//! A piece of work is a record beside the log, written before the progress that passes its fact, so
//! it survives whatever happens between its steps. A step reads one page of people, appends their
//! mails, and then remembers the place behind the page; one that is done twice gives the same mails.
//! It begins when the tables have the fact: then they have everybody who joined before it. Who
//! joined later knows how things stand, and is passed.

use std::collections::VecDeque;

use cityevents_domain::fact::Fact;
use cityevents_domain::ids::{EventId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_runtime::host::TaskError;
use cityevents_schemas::message::Email;
use cityevents_trace::Tracer;
use cityevents_views::records::{Place, PlacesQuery, RecordKey, Revision};
use cityevents_views::{ParticipantPosition, ParticipantsQuery, Views};
use futures::executor::block_on;
use serde::{Deserialize, Serialize};

use super::steps::StepSpans;
use super::tell::Occasion;
use crate::{emails, kept};

/// People told in one step.
const STEP_PEOPLE: usize = 500;
/// Pieces that are looked for at a time.
const PAGE: usize = 1_000;

/// Something that all people of an event are to be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Work {
    event: [u8; 16],
    event_seq: u64,
    at_ms: i64,
    /// Of the fact, in its partition.
    offset: u64,
    occasion: Occasion,
    /// The last person who was looked at: when they joined, and who.
    after: Option<(i64, [u8; 16])>,
    /// Steps that are done.
    #[serde(default)]
    steps: u32,
    /// Context of the act that made the fact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

impl Work {
    pub(super) fn new(fact: &Fact, offset: u64, occasion: Occasion, trace: Option<String>) -> Self {
        Self {
            event: *fact.event.as_bytes(),
            event_seq: fact.event_seq,
            at_ms: fact.at.as_millis(),
            offset,
            occasion,
            after: None,
            steps: 0,
            trace,
        }
    }

    fn key(&self, partition: u32) -> RecordKey {
        kept::key(&[b"work ".as_slice(), &partition.to_be_bytes(), &self.place()].concat())
    }

    /// By event too: an event's facts and no others have its numbers.
    fn place(&self) -> Vec<u8> {
        [self.offset.to_be_bytes().as_slice(), &self.event, &self.event_seq.to_be_bytes()].concat()
    }
}

/// One step, whose mails are to be appended before it counts as done.
pub(super) struct Step {
    pub(super) emails: Vec<Email>,
    work: Work,
    revision: Revision,
    /// Where to go on; `None`: nobody is left.
    next: Option<ParticipantPosition>,
}

impl Step {
    /// Begins its spans.
    pub(super) fn spans(&self, tracer: &Tracer) -> StepSpans {
        StepSpans::begin(tracer, self.work.trace.as_deref(), self.work.steps.into())
    }
}

/// The pieces of one partition, in turns.
#[derive(Default)]
pub(super) struct Works {
    pieces: VecDeque<(Work, Revision)>,
}

impl Works {
    /// Those that are left from before.
    pub(super) fn load(views: &Views, partition: u32) -> Result<Self, TaskError> {
        let mut pieces = VecDeque::new();
        let mut after = None;
        loop {
            let query =
                PlacesQuery { list: list(partition), descending: false, after, limit: PAGE };
            let places = block_on(views.records.places(query)).map_err(kept::failed)?;
            let is_last = places.len() < PAGE;
            after = places.last().cloned();
            for place in places {
                let name = [b"work ".as_slice(), &partition.to_be_bytes(), &place].concat();
                let read = block_on(kept::read::<Work>(&*views.records, kept::key(&name)))?;
                // A place may outlive its record, and says nothing then.
                pieces.extend(read.map(|(revision, work)| (work, revision)));
            }
            if is_last {
                return Ok(Self { pieces });
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Remembers a piece. One that is there already is the same, and may be further on.
    pub(super) fn add(
        &mut self,
        views: &Views,
        partition: u32,
        work: Work,
    ) -> Result<(), TaskError> {
        let (records, key) = (&*views.records, work.key(partition));
        block_on(async {
            let made = kept::write(records, key.clone(), None, &work, None).await?;
            let (revision, work) = match made {
                Some(revision) => (revision, work),
                None => match kept::read::<Work>(records, key).await? {
                    Some(there) => there,
                    None => return Err(TaskError::Restart("a piece of work was ended".into())),
                },
            };
            if self.pieces.iter().any(|(known, _)| known.offset == work.offset) {
                return Ok(());
            }
            // Behind the record: a crash in between comes back here.
            let place = Place { list: list(partition), position: work.place() };
            let at = Timestamp::from_millis(work.at_ms);
            records.add_place(place, at).await.map_err(kept::failed)?;
            self.pieces.push_back((work, revision));
            Ok(())
        })
    }

    /// The next step of the piece whose turn it is; `None`: there is nothing that can be done now.
    pub(super) fn next(
        &mut self,
        views: &Views,
        projection: &str,
        partition: u32,
    ) -> Result<Option<Step>, TaskError> {
        if self.pieces.is_empty() {
            return Ok(None);
        }
        let progress = block_on(views.progress.progress(projection.to_owned(), partition));
        let projected = progress.map_err(kept::failed)?.map_or(0, |row| row.next_offset);
        let Some(turn) = self.pieces.iter().position(|(work, _)| work.offset < projected) else {
            return Ok(None);
        };
        let Some((work, revision)) = self.pieces.remove(turn) else { return Ok(None) };
        let event = EventId::from_bytes(work.event);
        let after = work.after.map(|(joined_at_ms, user)| ParticipantPosition {
            joined_at: Timestamp::from_millis(joined_at_ms),
            user: UserId::from_bytes(user),
        });
        let query = ParticipantsQuery { event, status: None, after, limit: STEP_PEOPLE };
        let page = block_on(views.registrations.participants(query)).map_err(kept::failed)?;
        let at = Timestamp::from_millis(work.at_ms);
        let told = page.items.iter().map(|row| row.registration);
        let told = told.filter(|row| row.joined_at <= at).filter_map(|row| {
            let content = work.occasion.content(event, row.status)?;
            Some(emails::about_fact((event, work.event_seq), row.user, at, content))
        });
        Ok(Some(Step { emails: told.collect(), next: page.next, work, revision }))
    }

    /// The mails of a step are in the log.
    pub(super) fn done(
        &mut self,
        views: &Views,
        partition: u32,
        step: Step,
    ) -> Result<(), TaskError> {
        let Step { mut work, revision, next, .. } = step;
        let (records, key) = (&*views.records, work.key(partition));
        let Some(next) = next else {
            let place = Place { list: list(partition), position: work.place() };
            // Later than it was added, whatever the clocks say.
            let at = Timestamp::from_millis(work.at_ms.saturating_add(1));
            return block_on(async {
                records.remove_place(place, at).await.map_err(kept::failed)?;
                kept::remove(records, key, revision).await
            });
        };
        work.steps = work.steps.saturating_add(1);
        work.after = Some((next.joined_at.as_millis(), *next.user.as_bytes()));
        // Somebody else who is further on has the partition now; the mails are the same.
        if let Some(revision) = block_on(kept::write(records, key, Some(revision), &work, None))? {
            self.pieces.push_back((work, revision));
        }
        Ok(())
    }
}

fn list(partition: u32) -> Vec<u8> {
    [b"mails to many ".as_slice(), &partition.to_be_bytes()].concat()
}
