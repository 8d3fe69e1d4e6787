//! The public events in memory: by id, and in the orders that lists have.
//!
//! This is what lists, cards and details are made of, and what says of anything found by text
//! whether it is still so: a document of the text index counts only while its *tag* is the one that
//! its event has here. So what changes is gone from searches at once, and the text index may be
//! behind.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::Arc;

use cityevents_domain::event::{Event, EventStatus};
use cityevents_domain::ids::EventId;
use cityevents_domain::time::Timestamp;
use cityevents_views::text::fold as fold_case;

use super::cities::Cities;
use super::orders::{Orders, Scope};
use super::query::{
    ByPublication, ByStart, EventPosition, Filter, Found, Next, PublicationPosition, first_at,
    place_of, publication_of,
};

/// Which change of which slot a document shows: the slot above, the change below.
pub(super) type Tag = u64;

/// A stored event with its tag.
pub(super) type Row = (Tag, Arc<Event>);

/// What was loaded contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("two documents claim the same event")]
pub(super) struct Contradiction;

/// All public events.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    by_id: HashMap<EventId, u32>,
    by_start: Orders<EventPosition>,
    /// Of what is not over, and narrowed to a city or a category but not to both: one list of a
    /// city is short enough to look for a category in.
    by_publication: Orders<PublicationPosition>,
    /// Cities and categories, but for case, as numbers.
    names: HashMap<Box<str>, u32>,
    cities: Cities,
    changes: u32,
}

/// A place for an event. Everything that tells whether a list shows it stands here, so that a
/// search does not have to look at the event.
#[derive(Debug)]
struct Slot {
    event: Option<Arc<Event>>,
    place: EventPosition,
    published_at: Timestamp,
    end_time: Timestamp,
    change: u32,
    city: u32,
    category: u32,
    is_over: bool,
}

/// The conditions that a search checks here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    starts_from: Option<Timestamp>,
    starts_before: Option<Timestamp>,
    not_ended_at: Option<Timestamp>,
}

impl Bounds {
    pub(super) const fn of(filter: &Filter) -> Self {
        Self {
            starts_from: filter.starts_from,
            starts_before: filter.starts_before,
            not_ended_at: filter.not_ended_at,
        }
    }

    fn admit(&self, slot: &Slot) -> bool {
        let start = slot.place.start_time;
        self.not_ended_at.is_none_or(|now| !slot.is_over && slot.end_time > now)
            && self.starts_from.is_none_or(|from| start >= from)
            && self.starts_before.is_none_or(|before| start < before)
    }
}

impl Table {
    /// Of stored events with their tags, and the number of the last change.
    pub(super) fn load(rows: Vec<Row>, changes: u32) -> Result<Self, Contradiction> {
        let mut table = Self { changes, ..Self::default() };
        let slots = rows.iter().map(|(tag, _)| slot_of(*tag) as usize + 1).max().unwrap_or(0);
        table.slots.resize_with(slots, Slot::empty);
        // By name as it is written: there are few, and folding one takes longer than finding it.
        let (mut cities, mut categories) = (HashMap::new(), HashMap::new());
        let (mut starts, mut publications) = (Vec::with_capacity(rows.len()), Vec::new());
        for (tag, event) in rows {
            let number = slot_of(tag);
            let city = table.counted(&mut cities, &event.fields.city);
            let category = table.counted(&mut categories, &event.fields.category);
            let slot = Slot::new(event, change_of(tag), city, category);
            starts.push((slot.place, number));
            if !slot.is_over {
                publications.push((slot.publication(), number));
            }
            if let Some(place) = table.slots.get_mut(number as usize) {
                if place.event.is_some() {
                    return Err(Contradiction);
                }
                *place = slot;
            }
        }
        let slots = &table.slots;
        let narrowest = |number: u32| slots[number as usize].scope();
        let (by_start, (by_publication, by_id)) = rayon::join(
            || Orders::load(starts, narrowest, Scope::wider),
            || (Orders::load(publications, narrowest, Scope::latest), numbers_of(slots)),
        );
        (table.by_start, table.by_publication, table.by_id) = (by_start, by_publication, by_id?);
        for (city, (_, count)) in cities {
            table.cities.add(&city, &fold_case(&city), count);
        }
        let free = |(number, slot): (usize, &Slot)| slot.event.is_none().then_some(number as u32);
        table.free = table.slots.iter().enumerate().filter_map(free).collect();
        Ok(table)
    }

    /// Shows an event as it is now. Returns the tag of the document that is to show it, and
    /// whether it was there before.
    pub(super) fn put(&mut self, event: Arc<Event>) -> (Tag, bool) {
        let id = event.id;
        let was_there = self.remove(&id);
        self.changes = self.changes.wrapping_add(1);
        let change = self.changes;
        self.cities.add(&event.fields.city, &fold_case(&event.fields.city), 1);
        let (city, category) =
            (self.number(&event.fields.city), self.number(&event.fields.category));
        let slot = Slot::new(event, change, city, category);
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::empty());
            (self.slots.len() - 1) as u32
        });
        self.by_start.insert(&slot.scope().wider(), slot.place, number);
        self.by_publication.insert(&slot.scope().latest(), slot.publication(), number);
        self.by_id.insert(id, number);
        if let Some(place) = self.slots.get_mut(number as usize) {
            *place = slot;
        }
        (tag_of(number, change), was_there)
    }

    /// Shows an event no longer. Returns whether it did.
    pub(super) fn remove(&mut self, id: &EventId) -> bool {
        let Some(number) = self.by_id.remove(id) else { return false };
        let Some(place) = self.slots.get_mut(number as usize) else { return false };
        let slot = std::mem::replace(place, Slot::empty());
        self.free.push(number);
        self.by_start.remove(&slot.scope().wider(), &slot.place);
        self.by_publication.remove(&slot.scope().latest(), &slot.publication());
        if let Some(event) = &slot.event {
            self.cities.remove(&event.fields.city, &fold_case(&event.fields.city));
        }
        true
    }

    /// An event that lists may show.
    pub(super) fn event(&self, id: &EventId) -> Option<&Arc<Event>> {
        self.slots.get(*self.by_id.get(id)? as usize)?.event.as_ref()
    }

    /// All of them in the order of starts, each with the tag of its document.
    pub(super) fn in_order(&self) -> Vec<Row> {
        let numbered = self.slots.iter().zip(0..);
        let mut rows: Vec<_> = numbered
            .filter_map(|(slot, number)| {
                Some((slot.place, (tag_of(number, slot.change), slot.event.clone()?)))
            })
            .collect();
        rows.sort_unstable_by_key(|(place, _)| *place);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// The number of the last change.
    pub(super) const fn changes(&self) -> u32 {
        self.changes
    }

    /// Names of cities that begin like this.
    pub(super) fn cities(&self, typed: &str, limit: usize) -> Vec<String> {
        self.cities.beginning_with(typed, limit)
    }

    /// Where the event of a document stands, if the document shows it as it is and the conditions
    /// hold.
    pub(super) fn place(&self, tag: Tag, bounds: &Bounds) -> Option<EventPosition> {
        let slot = self.slots.get(slot_of(tag) as usize)?;
        let is_current = slot.event.is_some() && slot.change == change_of(tag);
        (is_current && bounds.admit(slot)).then_some(slot.place)
    }

    /// The same in the order of publication.
    pub(super) fn publication(&self, tag: Tag, bounds: &Bounds) -> Option<PublicationPosition> {
        self.place(tag, bounds)?;
        let slot = self.slots.get(slot_of(tag) as usize)?;
        (!slot.is_over).then(|| slot.publication())
    }

    /// The event of a document, if the document shows it as it is.
    pub(super) fn shown_by(&self, tag: Tag) -> Option<Arc<Event>> {
        let slot = self.slots.get(slot_of(tag) as usize)?;
        slot.event.clone().filter(|_| slot.change == change_of(tag))
    }

    /// A page in the order of starts.
    pub(super) fn page(&self, asked: &ByStart) -> Found {
        let filter = &asked.filter;
        let Some((city, category)) = self.numbers(filter) else { return Found::nothing() };
        let begin = match (asked.after, filter.starts_from.map(first_at)) {
            (Some(after), Some(from)) if after < from => Bound::Included(from),
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(from)) => Bound::Included(from),
            (None, None) => Bound::Unbounded,
        };
        let list = |is_over| self.by_start.from(Scope { is_over, city, category }, begin);
        let over = filter.not_ended_at.is_none().then(|| list(true)).into_iter().flatten();
        let bounds = Bounds::of(filter);
        let shown = Merged { one: list(false).peekable(), other: over.peekable() }
            .take_while(|(place, _)| {
                filter.starts_before.is_none_or(|before| place.start_time < before)
            })
            .filter_map(|(_, number)| self.slots.get(*number as usize))
            .filter(|slot| bounds.admit(slot))
            .filter_map(|slot| slot.event.clone());
        Found::page(shown, asked.limit, |last| Next::Start(place_of(last)))
    }

    /// A page of what is not over in the order of publication.
    pub(super) fn latest(&self, asked: &ByPublication) -> Found {
        let filter = &asked.filter;
        let Some((city, category)) = self.numbers(filter) else { return Found::nothing() };
        let narrowed_to = if city.is_none() { category } else { None };
        let scope = Scope { is_over: false, city, category: narrowed_to };
        let begin = asked.after.map_or(Bound::Unbounded, Bound::Excluded);
        let bounds = Bounds::of(filter);
        let shown = self
            .by_publication
            .from(scope, begin)
            .filter_map(|(_, number)| self.slots.get(*number as usize))
            .filter(|slot| category.is_none_or(|category| slot.category == category))
            .filter(|slot| bounds.admit(slot))
            .filter_map(|slot| slot.event.clone());
        Found::page(shown, asked.limit, |last| Next::Publication(publication_of(last)))
    }

    /// City and category of a filter as numbers; `None` when no event has them.
    fn numbers(&self, filter: &Filter) -> Option<(Option<u32>, Option<u32>)> {
        let number = |name: &Option<String>| match name {
            None => Some(None),
            Some(name) => self.names.get(fold_case(name).as_str()).map(|number| Some(*number)),
        };
        Some((number(&filter.city)?, number(&filter.category)?))
    }

    /// The number of a name, which is counted.
    fn counted(&mut self, known: &mut HashMap<Box<str>, (u32, u32)>, name: &str) -> u32 {
        if let Some((number, count)) = known.get_mut(name) {
            *count += 1;
            return *number;
        }
        let number = self.number(name);
        known.insert(name.into(), (number, 1));
        number
    }

    fn number(&mut self, name: &str) -> u32 {
        let folded = fold_case(name);
        if let Some(number) = self.names.get(folded.as_str()) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.insert(folded.into(), number);
        number
    }
}

impl Slot {
    fn new(event: Arc<Event>, change: u32, city: u32, category: u32) -> Self {
        Self {
            place: place_of(&event),
            published_at: publication_of(&event).published_at.0,
            end_time: event.fields.end_time,
            change,
            city,
            category,
            is_over: event.status != EventStatus::Published,
            event: Some(event),
        }
    }

    const fn empty() -> Self {
        Self {
            event: None,
            place: first_at(Timestamp::MIN),
            published_at: Timestamp::MIN,
            end_time: Timestamp::MIN,
            change: 0,
            city: 0,
            category: 0,
            is_over: false,
        }
    }

    const fn publication(&self) -> PublicationPosition {
        PublicationPosition { published_at: Reverse(self.published_at), event: self.place.event }
    }

    /// What it is narrowed to most.
    const fn scope(&self) -> Scope {
        let (city, category) = (Some(self.city), Some(self.category));
        Scope { is_over: self.is_over, city, category }
    }
}

impl Scope {
    /// The lists by start that an event of a city and a category is in.
    fn wider(self) -> [Self; 4] {
        let Self { city, category, .. } = self;
        let to = |city, category| Self { city, category, ..self };
        [to(None, None), to(city, None), to(None, category), self]
    }

    /// The lists by publication that it is in.
    fn latest(self) -> Vec<Self> {
        let [all, city, category, _] = self.wider();
        if self.is_over { Vec::new() } else { vec![all, city, category] }
    }
}

/// The slots by event.
fn numbers_of(slots: &[Slot]) -> Result<HashMap<EventId, u32>, Contradiction> {
    let mut numbers = HashMap::with_capacity(slots.len());
    for (slot, number) in slots.iter().zip(0..) {
        if slot.event.is_some() && numbers.insert(slot.place.event, number).is_some() {
            return Err(Contradiction);
        }
    }
    Ok(numbers)
}

const fn tag_of(slot: u32, change: u32) -> Tag {
    ((slot as u64) << 32) | change as u64
}

const fn slot_of(tag: Tag) -> u32 {
    (tag >> 32) as u32
}

const fn change_of(tag: Tag) -> u32 {
    tag as u32
}

/// Two lists as one.
struct Merged<'a, One, Other>
where
    One: Iterator<Item = (&'a EventPosition, &'a u32)>,
    Other: Iterator<Item = (&'a EventPosition, &'a u32)>,
{
    one: std::iter::Peekable<One>,
    other: std::iter::Peekable<Other>,
}

impl<'a, One, Other> Iterator for Merged<'a, One, Other>
where
    One: Iterator<Item = (&'a EventPosition, &'a u32)>,
    Other: Iterator<Item = (&'a EventPosition, &'a u32)>,
{
    type Item = (&'a EventPosition, &'a u32);

    fn next(&mut self) -> Option<Self::Item> {
        match (self.one.peek(), self.other.peek()) {
            (Some((one, _)), Some((other, _))) if other < one => self.other.next(),
            (None, _) => self.other.next(),
            _ => self.one.next(),
        }
    }
}
