//! Reading ahead for a batch. Pure.
//!
//! An engagement about one of a million events waits for main memory several times, one time after
//! the other. Those of a batch do not depend on each other for where they look, so reading those
//! places beforehand, many at once, lets the waits overlap. Nothing is counted and nothing changes
//! here; leaving it out costs time only.

use cityevents_schemas::message::Engagement;

use super::known::Known;
use super::seen::mark_of;
use super::state::{Trending, day_of};

/// Engagements read ahead together: enough to keep memory busy, few enough to stay in the cache.
pub const TOGETHER: usize = 32;

impl Trending {
    /// Brings what folding these engagements will look at into the processor's cache. For
    /// [`TOGETHER`] of them at most; others are left out.
    pub fn warm<'a>(&self, engagements: impl Iterator<Item = &'a Engagement> + Clone) {
        let mut events: [Option<&Known>; TOGETHER] = [None; TOGETHER];
        let mut touched = 0;
        for (event, engagement) in events.iter_mut().zip(engagements.clone()) {
            let number = self.index.get(&engagement.event);
            *event = number.and_then(|number| self.events.get(*number as usize));
            let mark = mark_of(&engagement.event, &engagement.person.id);
            touched ^= self.seen.touch(day_of(engagement.at), mark);
        }
        for event in events.iter().flatten() {
            touched ^= event.touch();
        }
        for event in events.iter().flatten() {
            touched ^= u64::from(event.buckets.touch());
        }
        // What was read must be used, or the compiler leaves the reading out.
        std::hint::black_box(touched);
    }
}
