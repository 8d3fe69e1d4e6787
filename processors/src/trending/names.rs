//! Texts that many events share, kept once. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A text, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name(pub(super) u32);

/// The texts.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    texts: Vec<Arc<str>>,
    known: BTreeMap<Arc<str>, Name>,
}

impl Names {
    /// The number of a text.
    pub(super) fn number(&mut self, text: &str) -> Name {
        if let Some(known) = self.known.get(text) {
            return *known;
        }
        let (shared, name) = (Arc::<str>::from(text), Name(self.texts.len() as u32));
        self.texts.push(shared.clone());
        self.known.insert(shared, name);
        name
    }

    /// The text of a number.
    pub(super) fn text(&self, name: Name) -> &str {
        self.texts.get(name.0 as usize).map_or("", |text| text)
    }
}
