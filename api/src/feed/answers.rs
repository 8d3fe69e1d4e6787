//! First pages that are the same for everybody, as they were written within this second.
//!
//! The second is the one that trends of the city are kept for as well. What stands in the index is not waited
//! for: a page counts only while the index is as far as it was for it, so what is called off is gone
//! at once. Pages by a person's taste are never kept, nor are those that the text index was asked for:
//! it is behind the rest by a moment, and does not say so.

use axum::http::HeaderValue;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::page::Wanted;
use crate::freshness::AsOf;

/// Memory of what is kept.
const KEPT_BYTES_MAX: u64 = 32 << 20;
/// About what a page takes.
const PAGE_BYTES: u64 = 16 << 10;
/// Of what a page takes beside its texts.
const OVERHEAD_BYTES: u64 = 512;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct AnswerKey {
    pub(super) feed: &'static str,
    pub(super) wanted: Wanted,
    pub(super) why: bool,
    pub(super) limit: u32,
}

/// A page, and what it counts for.
#[derive(Debug, Clone)]
struct Kept {
    second: i64,
    as_of: Option<HeaderValue>,
    body: Bytes,
}

pub(super) struct Answers {
    known: Cache<AnswerKey, Kept, Sizes>,
}

#[derive(Debug, Clone)]
struct Sizes;

impl Weighter<AnswerKey, Kept> for Sizes {
    fn weight(&self, key: &AnswerKey, kept: &Kept) -> u64 {
        let Wanted { city, category, words } = &key.wanted;
        let texts = [city, category, words].into_iter().flatten().map(String::len);
        OVERHEAD_BYTES + (texts.sum::<usize>() + kept.body.len()) as u64
    }
}

impl Default for Answers {
    fn default() -> Self {
        let pages = usize::try_from(KEPT_BYTES_MAX / PAGE_BYTES).unwrap_or(1);
        Self { known: Cache::with_weighter(pages, KEPT_BYTES_MAX, Sizes) }
    }
}

impl Answers {
    /// The page, if it is known in this second and as of this.
    pub(super) fn get(&self, key: &AnswerKey, second: i64, as_of: &AsOf) -> Option<Bytes> {
        let known = self.known.get(key)?;
        (known.second == second && known.as_of == as_of.0).then_some(known.body)
    }

    /// Keeps a page. `second` and `as_of` are of before it was made.
    pub(super) fn keep(&self, key: AnswerKey, second: i64, as_of: &AsOf, body: Bytes) {
        self.known.insert(key, Kept { second, as_of: as_of.0.clone(), body });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_counts_within_its_second_while_the_index_stays_where_it_was() {
        let answers = Answers::default();
        let key = |city: &str| AnswerKey {
            feed: "trending",
            wanted: Wanted { city: Some(city.to_owned()), ..Wanted::default() },
            why: false,
            limit: 20,
        };
        let as_of = |text| AsOf(Some(HeaderValue::from_static(text)));
        answers.keep(key("Porto"), 5, &as_of("0.7"), Bytes::from_static(b"{}"));
        let known = |key, second, text| answers.get(&key, second, &as_of(text)).is_some();
        assert!(known(key("Porto"), 5, "0.7"));
        assert!(!known(key("Porto"), 6, "0.7"), "another second");
        assert!(!known(key("Porto"), 5, "0.8"), "the index has gone on");
        assert!(!known(key("Faro"), 5, "0.7"));
        assert!(!known(AnswerKey { limit: 10, ..key("Porto") }, 5, "0.7"));
        assert!(!known(AnswerKey { why: true, ..key("Porto") }, 5, "0.7"));
        assert!(!known(AnswerKey { feed: "latest", ..key("Porto") }, 5, "0.7"));
    }
}
