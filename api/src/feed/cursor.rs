//! What the pages before have shown.
//!
//! An item is known by four bytes of its id, so that a cursor stays short. Of the few hundred items
//! of a feed two share them once in fifty thousand feeds, and then one of them is left out.

use cityevents_domain::ids::EventId;
use cityevents_kit::Problem;
use cityevents_kit::http::Page;
use cityevents_kit::seal::{CursorSealer, FilterHash, UnsealError};

use crate::lists::Place;

/// Binds cursors to the feed.
pub(super) const PURPOSE: &str = "feed";
/// Items after which a feed ends: as many as fit into a cursor.
pub(super) const SHOWN_MAX: usize = 360;

/// Items that were shown, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ShownItems(Vec<[u8; 4]>);

/// Ids are random at their end, whatever they begin with.
fn mark_of(event: &EventId) -> [u8; 4] {
    let bytes = event.as_bytes();
    [bytes[12], bytes[13], bytes[14], bytes[15]]
}

impl ShownItems {
    /// What the cursor of a request says.
    pub(super) fn of(
        cursors: &CursorSealer,
        filters: &FilterHash,
        page: &Page,
    ) -> Result<Self, Problem> {
        let Some(cursor) = &page.cursor else { return Ok(Self::default()) };
        let bytes = cursors.open(PURPOSE, filters, cursor)?;
        Ok(Self::from_bytes(&bytes).ok_or(UnsealError)?)
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether an item is one of them.
    pub(super) fn has(&self, event: &EventId) -> bool {
        self.0.contains(&mark_of(event))
    }

    /// Shows one more.
    pub(super) fn add(&mut self, event: &EventId) {
        self.0.push(mark_of(event));
    }

    /// The cursor for the next page.
    pub(super) fn seal(
        &self,
        cursors: &CursorSealer,
        filters: &FilterHash,
    ) -> Result<String, Problem> {
        cursors.seal(PURPOSE, filters, &self.to_bytes()).map_err(|error| {
            tracing::error!("no cursor can be sealed: {error}");
            Problem::internal()
        })
    }
}

impl Place for ShownItems {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.as_flattened().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (marks, rest) = bytes.as_chunks::<4>();
        (rest.is_empty() && marks.len() <= SHOWN_MAX).then(|| Self(marks.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_shown_reads_back_and_nothing_else_does() {
        let mut shown = ShownItems::default();
        let id = |number: u8| EventId::from_bytes([number; 16]);
        shown.add(&id(1));
        shown.add(&id(2));
        assert_eq!(ShownItems::from_bytes(&shown.to_bytes()), Some(shown.clone()));
        assert!(shown.has(&id(2)) && !shown.has(&id(3)));
        assert_eq!(ShownItems::from_bytes(&[0; 5]), None);
        assert_eq!(ShownItems::from_bytes(&[0; 4 * (SHOWN_MAX + 1)]), None);
    }
}
