//! Cards as they were written last.
//!
//! Popular lists show the same events over and over, and most of what a list costs is writing them
//! as JSON. So what was written is kept with everything that it was made of, and taken again only
//! while all of that is still so: nothing is shown later than it would be without.

use std::sync::Arc;

use cityevents_domain::event::{Counters, Event};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_kit::event_body::{is_ended, is_joinable};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// Memory of what is kept.
const KEPT_BYTES_MAX: u64 = 64 << 20;
/// About what a card takes, with what it was made of.
const CARD_BYTES: u64 = 1 << 10;
/// Of what a card takes beside its text: it mostly shares its event with the index.
const OVERHEAD_BYTES: u64 = 256;

/// Everything that an item of a list is made of, but for what never changes.
#[derive(Debug, Clone)]
pub(crate) struct Ingredients {
    pub(crate) event: Arc<Event>,
    pub(crate) counters: Counters,
    /// The organiser's name.
    pub(crate) organizer: Option<Arc<str>>,
    is_ended: bool,
    is_joinable: bool,
    /// In a feed, the stored score.
    score: Option<u64>,
}

impl Ingredients {
    /// Of a card at a time.
    pub(crate) fn new(
        event: Arc<Event>,
        counters: Counters,
        organizer: Option<Arc<str>>,
        now: Timestamp,
    ) -> Self {
        let is_ended = is_ended(&event, now);
        let is_joinable = is_joinable(&event, &counters, now);
        Self { event, counters, organizer, is_ended, is_joinable, score: None }
    }

    /// In a feed, with how much the event is talked about.
    pub(crate) fn with_score(self, score: u64) -> Self {
        Self { score: Some(score), ..self }
    }

    /// Whether the same would be written of both.
    fn are(&self, others: &Self) -> bool {
        Arc::ptr_eq(&self.event, &others.event)
            && self.counters == others.counters
            && self.organizer == others.organizer
            && self.is_ended == others.is_ended
            && self.is_joinable == others.is_joinable
            && self.score == others.score
    }
}

/// An item, written.
#[derive(Debug, Clone)]
pub(crate) struct Written(Arc<Kept>);

#[derive(Debug)]
struct Kept {
    made_of: Ingredients,
    json: Box<RawValue>,
}

impl Written {
    /// As it is written now, and not kept.
    pub(crate) fn new(
        made_of: Ingredients,
        write: impl FnOnce(&Ingredients) -> serde_json::Result<Box<RawValue>>,
    ) -> serde_json::Result<Self> {
        let json = write(&made_of)?;
        Ok(Self(Arc::new(Kept { made_of, json })))
    }
}

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.json.serialize(serializer)
    }
}

/// What is kept, by event, of lists and of feeds.
pub(crate) struct WrittenCards {
    known: Cache<(EventId, bool), Written, Bytes>,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<(EventId, bool), Written> for Bytes {
    fn weight(&self, _: &(EventId, bool), written: &Written) -> u64 {
        OVERHEAD_BYTES + written.0.json.get().len() as u64
    }
}

impl Default for WrittenCards {
    fn default() -> Self {
        let cards = usize::try_from(KEPT_BYTES_MAX / CARD_BYTES).unwrap_or(1);
        Self { known: Cache::with_weighter(cards, KEPT_BYTES_MAX, Bytes) }
    }
}

impl WrittenCards {
    /// The item that is made of this, as it was written before, or as `write` writes it now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn of(
        &self,
        made_of: Ingredients,
        write: impl FnOnce(&Ingredients) -> serde_json::Result<Box<RawValue>>,
    ) -> serde_json::Result<Written> {
        let key = (made_of.event.id, made_of.score.is_some());
        if let Some(known) = self.known.get(&key).filter(|known| known.0.made_of.are(&made_of)) {
            return Ok(known);
        }
        let written = Written::new(made_of, write)?;
        self.known.insert(key, written.clone());
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;
    use crate::index::testing::event;

    #[test]
    fn what_was_written_is_taken_again_until_something_of_it_changes() {
        let cards = WrittenCards::default();
        let start = event(1, "Fair").fields.start_time.as_millis();
        let now = Timestamp::from_millis(start - 1);
        let one = Arc::new(event(1, "Fair"));
        let made_of = |event: &Arc<Event>, now| {
            Ingredients::new(Arc::clone(event), Counters::default(), None, now)
        };
        let base = made_of(&one, now);
        let mut written = 0;
        let mut is_written_anew = |made_of: Ingredients| {
            let before = written;
            let write = |made_of: &Ingredients| {
                written += 1;
                to_raw_value(&[&made_of.event.fields.title])
            };
            let json = serde_json::to_string(&cards.of(made_of, write).unwrap()).unwrap();
            assert_eq!(json, "[\"Fair\"]");
            written > before
        };
        assert!(is_written_anew(base.clone()));
        assert!(!is_written_anew(base.clone()));
        assert!(!is_written_anew(made_of(&one, Timestamp::from_millis(start - 5))));
        let counters = Counters { active: 1, ..Counters::default() };
        for (what, other) in [
            ("another state of the event", made_of(&Arc::new(event(1, "Fair")), now)),
            ("somebody joined", Ingredients { counters, ..base.clone() }),
            ("a name", Ingredients { organizer: Some("Ada".into()), ..base.clone() }),
            ("it is over", made_of(&one, Timestamp::from_millis(start))),
        ] {
            assert!(is_written_anew(other.clone()), "{what}");
            assert!(!is_written_anew(other), "{what}");
            assert!(is_written_anew(base.clone()), "{what}");
        }
        let talked_about = base.clone().with_score(7);
        assert!(is_written_anew(talked_about.clone()), "in a feed it is another item");
        assert!(!is_written_anew(base), "which does not take the place of the card");
        assert!(!is_written_anew(talked_about.clone()));
        assert!(is_written_anew(talked_about.with_score(8)));
    }
}
