//! The cities that have public events, for somebody who types the beginning of a name.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::fold::fold;

/// Cities that are looked at for one answer.
const SCANNED_MAX: usize = 20_000;

/// Names of cities with how many events each has, in the order of their folded forms.
#[derive(Debug, Default)]
pub(super) struct Cities {
    /// By folded name and by the name but for case: `São Paulo` and `Sao Paulo` are two, since a
    /// filter tells them apart.
    known: BTreeMap<(Box<str>, Box<str>), City>,
}

/// One city, by the spellings of its name.
#[derive(Debug, Default)]
struct City {
    spellings: BTreeMap<Box<str>, u32>,
}

impl Cities {
    /// So many more events there. `but_for_case` is the name as filters compare it.
    pub(super) fn add(&mut self, name: &str, but_for_case: &str, events: u32) {
        let city = self.known.entry(key(name, but_for_case)).or_default();
        *city.spellings.entry(name.into()).or_default() += events;
    }

    /// One event less.
    pub(super) fn remove(&mut self, name: &str, but_for_case: &str) {
        let key = key(name, but_for_case);
        let Some(city) = self.known.get_mut(&key) else { return };
        if let Some(count) = city.spellings.get_mut(name) {
            *count -= 1;
            if *count == 0 {
                city.spellings.remove(name);
            }
        }
        if city.spellings.is_empty() {
            self.known.remove(&key);
        }
    }

    /// Up to `limit` names that begin like what was typed, the ones with most events first.
    pub(super) fn beginning_with(&self, typed: &str, limit: usize) -> Vec<String> {
        let prefix = fold(typed);
        let from = (prefix.as_str().into(), "".into());
        let mut found: Vec<(u32, &str)> = self
            .known
            .range::<(Box<str>, Box<str>), _>((Bound::Included(from), Bound::Unbounded))
            .take_while(|((folded, _), _)| folded.starts_with(&prefix))
            .take(SCANNED_MAX)
            .filter_map(|(_, city)| city.shown())
            .collect();
        found.sort_by(|(more, one), (less, other)| less.cmp(more).then(one.cmp(other)));
        found.truncate(limit);
        found.into_iter().map(|(_, name)| name.to_owned()).collect()
    }
}

impl City {
    /// How many events it has, and the spelling that most of them use.
    fn shown(&self) -> Option<(u32, &str)> {
        let events = self.spellings.values().sum();
        let most = self
            .spellings
            .iter()
            .max_by(|(one, few), (other, many)| few.cmp(many).then(other.cmp(one)));
        most.map(|(name, _)| (events, &**name))
    }
}

fn key(name: &str, but_for_case: &str) -> (Box<str>, Box<str>) {
    (fold(name).into(), but_for_case.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_used_come_first_in_the_spelling_that_most_use() {
        let mut cities = Cities::default();
        for (name, events) in [("Porto", 2), ("PORTO", 1), ("Portland", 5), ("São Paulo", 1)] {
            cities.add(name, &name.to_lowercase(), events);
        }
        let found = |typed| cities.beginning_with(typed, 10);
        assert_eq!(found("po"), ["Portland", "Porto"]);
        assert_eq!(found("SAO"), ["São Paulo"]);
        assert_eq!(found("x"), Vec::<String>::new());
        assert_eq!(cities.beginning_with("p", 1), ["Portland"]);
        for _ in 0..5 {
            cities.remove("Portland", "portland");
        }
        cities.remove("Nowhere", "nowhere");
        assert_eq!(cities.beginning_with("po", 10), ["Porto"]);
    }
}
