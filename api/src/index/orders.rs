//! An order of events, for everything that a list can be narrowed to: places, each with the slot of
//! the event that stands there. Pure.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

/// What a list can be narrowed to: what is over apart from what is not, all or one city, all or one
/// category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) is_over: bool,
    pub(super) city: Option<u32>,
    pub(super) category: Option<u32>,
}

/// The places of one kind.
#[derive(Debug)]
pub(super) struct Orders<P> {
    lists: HashMap<Scope, BTreeMap<P, u32>>,
}

impl<P> Default for Orders<P> {
    fn default() -> Self {
        Self { lists: HashMap::new() }
    }
}

impl<P: Ord + Copy> Orders<P> {
    /// Of places with their slots, in any order. `scopes` says for each slot in which lists it is.
    pub(super) fn load<S: AsRef<[Scope]>>(
        mut places: Vec<(P, u32)>,
        scopes: impl Fn(u32) -> S,
    ) -> Self {
        places.sort_unstable();
        let mut lists: HashMap<Scope, Vec<(P, u32)>> = HashMap::new();
        for (place, slot) in places {
            for scope in scopes(slot).as_ref() {
                lists.entry(*scope).or_default().push((place, slot));
            }
        }
        // In their order, trees are built fastest.
        let lists = lists.into_iter().map(|(scope, list)| (scope, list.into_iter().collect()));
        Self { lists: lists.collect() }
    }

    /// Puts a slot into lists.
    pub(super) fn insert(&mut self, scopes: &[Scope], place: P, slot: u32) {
        for scope in scopes {
            self.lists.entry(*scope).or_default().insert(place, slot);
        }
    }

    /// Takes it out again.
    pub(super) fn remove(&mut self, scopes: &[Scope], place: &P) {
        for scope in scopes {
            if let Some(list) = self.lists.get_mut(scope) {
                list.remove(place);
                if list.is_empty() {
                    self.lists.remove(scope);
                }
            }
        }
    }

    /// The places of a list from a bound on, in order, with their slots.
    pub(super) fn from(
        &self,
        scope: Scope,
        begin: Bound<P>,
    ) -> impl Iterator<Item = (&P, &u32)> + use<'_, P> {
        let list = self.lists.get(&scope);
        list.into_iter().flat_map(move |list| list.range((begin, Bound::Unbounded)))
    }
}
