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
    /// Of places with their slots, in any order. `narrowest` says for each slot what its city and
    /// category are, and `wider` in which lists such a slot is.
    pub(super) fn load<S: AsRef<[Scope]>>(
        mut places: Vec<(P, u32)>,
        narrowest: impl Fn(u32) -> Scope,
        wider: impl Fn(Scope) -> S,
    ) -> Self {
        // Mostly they come in order, or in a few pieces that are.
        places.sort();
        let mut numbers: HashMap<Scope, usize> = HashMap::new();
        let mut lists: Vec<Vec<(P, u32)>> = Vec::new();
        // Which lists they are in is looked up once for each place, and not for each list.
        let mut known: HashMap<Scope, Vec<usize>> = HashMap::new();
        for (place, slot) in places {
            let scope = narrowest(slot);
            let of_slot = known.entry(scope).or_insert_with(|| {
                let wider = wider(scope);
                let number = |scope: &Scope| {
                    *numbers.entry(*scope).or_insert_with(|| {
                        lists.push(Vec::new());
                        lists.len() - 1
                    })
                };
                wider.as_ref().iter().map(number).collect()
            });
            for number in of_slot {
                lists[*number].push((place, slot));
            }
        }
        // In their order, trees are built fastest.
        let list = |(scope, number): (Scope, usize)| {
            (scope, std::mem::take(&mut lists[number]).into_iter().collect())
        };
        Self { lists: numbers.into_iter().map(list).collect() }
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
