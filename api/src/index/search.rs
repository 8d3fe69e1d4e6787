//! Finding what somebody typed: all words and runs together, with the filters, in one walk through
//! the lists of each segment.
//!
//! Whether a document counts is asked of the table, a batch at a time, so that nobody waits long
//! for its lock. By start, a walk ends where nothing earlier can come; by relevance it has to look
//! at everything that fits.

use std::collections::BinaryHeap;
use std::sync::Arc;

use cityevents_views::text::fold as fold_case;
use parking_lot::RwLock;
use tantivy::postings::{Postings, SegmentPostings};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, TERMINATED};

use super::query::{
    EventPosition, Found, Next, Order, PublicationPosition, RelevancePosition, Search, first_at,
};
use super::score::{Counts, Lengths, Weights, score};
use super::segments::{Segment, Segments, Terms};
use super::table::{Bounds, Table, Tag};
use super::words::Wanted;

/// Documents that are asked about under one lock.
const BATCH: usize = 256;

/// A page of what is found.
pub(super) fn search(
    segments: &Segments,
    table: &RwLock<Table>,
    asked: &Search,
    wanted: &Wanted,
) -> tantivy::Result<Found> {
    let (city, category) = (&asked.filter.city, &asked.filter.category);
    let (city, category) = (city.as_deref().map(fold_case), category.as_deref().map(fold_case));
    let terms = segments.terms(wanted, city.as_deref(), category.as_deref());
    let walk = Walk { segments, table, asked, terms, bounds: Bounds::of(&asked.filter) };
    match &asked.order {
        Order::Start { after } => walk.by_start(*after),
        Order::Publication { after } => walk.by_publication(*after),
        Order::Relevance { after } => {
            let weights = match after {
                // Another version may have made other words of what was typed.
                Some(after) if after.weights.are_of(wanted) => Arc::clone(&after.weights),
                _ => Arc::new(segments.weights(&walk.terms)?),
            };
            walk.by_relevance(after.as_ref(), weights)
        }
    }
}

struct Walk<'a> {
    segments: &'a Segments,
    table: &'a RwLock<Table>,
    asked: &'a Search,
    terms: Terms,
    bounds: Bounds,
}

/// The best so far, the worst of them on top.
struct Best<K> {
    heap: BinaryHeap<(K, Tag)>,
    most: usize,
}

impl<K: Ord + Copy> Best<K> {
    fn new(most: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(most + 1), most }
    }

    /// The worst, when there are enough.
    fn worst(&self) -> Option<K> {
        let is_full = self.heap.len() >= self.most;
        self.heap.peek().filter(|_| is_full).map(|(key, _)| *key)
    }

    fn offer(&mut self, key: K, tag: Tag) {
        if self.worst().is_none_or(|worst| key < worst) {
            self.heap.push((key, tag));
            if self.heap.len() > self.most {
                self.heap.pop();
            }
        }
    }

    /// The best first.
    fn into_sorted(self) -> Vec<(K, Tag)> {
        self.heap.into_sorted_vec()
    }
}

/// Relevance as an order: the higher score first.
type Ranked = (std::cmp::Reverse<u32>, EventPosition);

impl Walk<'_> {
    fn by_start(&self, after: Option<EventPosition>) -> tantivy::Result<Found> {
        let mut best: Best<EventPosition> = Best::new(self.asked.limit + 1);
        let from = self.asked.filter.starts_from.map(first_at);
        let from = after.max(from).map_or(i64::MIN, |place| place.start_time.as_millis());
        let before = self.asked.filter.starts_before.map_or(i64::MAX, |at| at.as_millis());
        let mut batch = Vec::with_capacity(BATCH);
        for segment in &self.segments.all {
            let Some(mut fitting) = Fitting::open(segment, &self.terms, false)? else { continue };
            let mut document = fitting.seek(segment.first_from(from));
            while document != TERMINATED {
                let start = segment.start(document);
                if best.worst().is_some_and(|worst| start > worst.start_time.as_millis()) {
                    break;
                }
                while document != TERMINATED && batch.len() < self.asked.limit.clamp(16, BATCH) {
                    batch.push(segment.tag(document));
                    let next = fitting.seek(document + 1);
                    if next == TERMINATED || segment.start(next) >= before {
                        document = TERMINATED;
                    } else {
                        document = next;
                    }
                }
                let table = self.table.read();
                for tag in batch.drain(..) {
                    let place = table.place(tag, &self.bounds);
                    if let Some(place) = place.filter(|place| after.is_none_or(|it| *place > it)) {
                        best.offer(place, tag);
                    }
                }
            }
        }
        Ok(self.page(best.into_sorted(), |place| Next::Start(*place)))
    }

    /// Looks at everything that fits, as by relevance: documents lie in the order of starts.
    fn by_publication(&self, after: Option<PublicationPosition>) -> tantivy::Result<Found> {
        let mut best = Best::new(self.asked.limit + 1);
        let mut batch = Vec::with_capacity(BATCH);
        for segment in &self.segments.all {
            let Some(mut fitting) = Fitting::open(segment, &self.terms, false)? else { continue };
            let mut document = fitting.seek(0);
            while document != TERMINATED {
                while document != TERMINATED && batch.len() < BATCH {
                    batch.push(segment.tag(document));
                    document = fitting.seek(document + 1);
                }
                let table = self.table.read();
                for tag in batch.drain(..) {
                    let place = table.publication(tag, &self.bounds);
                    if let Some(place) = place.filter(|place| after.is_none_or(|it| *place > it)) {
                        best.offer(place, tag);
                    }
                }
            }
        }
        Ok(self.page(best.into_sorted(), |place| Next::Publication(*place)))
    }

    fn by_relevance(
        &self,
        after: Option<&RelevancePosition>,
        weights: Arc<Weights>,
    ) -> tantivy::Result<Found> {
        let mut best: Best<Ranked> = Best::new(self.asked.limit + 1);
        let after = after.map(|after| (std::cmp::Reverse(after.score), after.place));
        let millis = |place: EventPosition| place.start_time.as_millis();
        let id_to_length = tantivy::fieldnorm::FieldNormReader::id_to_fieldnorm;
        let lengths = weights.average.map(|average| Lengths::new(average, id_to_length));
        let scorer = Scorer::new(&weights, &lengths);
        let mut batch = Vec::with_capacity(BATCH);
        for segment in &self.segments.all {
            let Some(mut fitting) = Fitting::open(segment, &self.terms, true)? else { continue };
            let mut document = fitting.seek(0);
            while document != TERMINATED {
                let least = best.worst().map_or(0, |(std::cmp::Reverse(worst), _)| worst);
                while document != TERMINATED && batch.len() < BATCH {
                    if fitting.most(segment, &scorer, document) < least {
                        document = fitting.seek(document + 1);
                        continue;
                    }
                    let score = std::cmp::Reverse(fitting.score(segment, &scorer, document));
                    // Very many can be equal: only those of one start are left for the table to tell
                    // apart, which lies further away.
                    let start = || segment.start(document);
                    let is_behind = after.is_none_or(|(last, place)| {
                        score > last || (score == last && start() >= millis(place))
                    });
                    let can_enter = best.worst().is_none_or(|(worst, place)| {
                        score < worst || (score == worst && start() <= millis(place))
                    });
                    if is_behind && can_enter {
                        batch.push((score, segment.tag(document)));
                    }
                    document = fitting.seek(document + 1);
                }
                let table = self.table.read();
                for (score, tag) in batch.drain(..) {
                    let Some(place) = table.place(tag, &self.bounds) else { continue };
                    if after.is_none_or(|after| (score, place) > after) {
                        best.offer((score, place), tag);
                    }
                }
            }
        }
        Ok(self.page(best.into_sorted(), |(score, place)| {
            let weights = Arc::clone(&weights);
            Next::Relevance(RelevancePosition { score: score.0, place: *place, weights })
        }))
    }

    /// The page of what was found. An event that changed meanwhile is left out, and the next page
    /// begins where it would have.
    fn page<K>(&self, mut found: Vec<(K, Tag)>, next: impl Fn(&K) -> Next) -> Found {
        let limit = self.asked.limit;
        let has_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| has_more).map(|(key, _)| next(key));
        let table = self.table.read();
        let events = found.iter().filter_map(|(_, tag)| table.shown_by(*tag)).collect();
        Found { events, next }
    }
}

/// What makes scores of counts.
struct Scorer<'a> {
    /// Each word from its beginning, and as a whole.
    words: Vec<(Counts<'a>, Counts<'a>)>,
    runs: Vec<Counts<'a>>,
}

impl<'a> Scorer<'a> {
    fn new(weights: &Weights, [words, runs]: &'a [Lengths; 2]) -> Self {
        let word = |weight: &f32| (Counts::new(words, *weight), Counts::of_whole(words, *weight));
        Self {
            words: weights.words.iter().map(word).collect(),
            runs: weights.runs.iter().map(|weight| Counts::new(runs, *weight)).collect(),
        }
    }
}

/// The documents of a segment that have everything that is wanted.
struct Fitting {
    /// All lists that a document has to be in.
    lists: Vec<SegmentPostings>,
    /// Their order, the shortest first.
    order: Vec<usize>,
    /// For each word the list of its beginning, and the one of the word as a whole.
    words: Vec<(usize, Option<SegmentPostings>)>,
    /// For each run its lists, with the places of the pairs.
    runs: Vec<Vec<(u32, usize)>>,
    /// How often each run stands in the document that was looked at last.
    run_counts: Vec<u32>,
    places: Vec<u32>,
    candidates: Vec<u32>,
}

impl Fitting {
    /// `None` when no document can fit.
    fn open(segment: &Segment, terms: &Terms, is_scored: bool) -> tantivy::Result<Option<Self>> {
        let Some(mut lists) = segment.named(terms)? else { return Ok(None) };
        let (mut words, mut runs) = (Vec::new(), Vec::new());
        let option = match is_scored {
            true => IndexRecordOption::WithFreqs,
            false => IndexRecordOption::Basic,
        };
        for (beginning, whole) in &terms.words {
            let Some(list) = segment.words.with(beginning, option)? else { return Ok(None) };
            let whole = match is_scored {
                true => segment.words.with(whole, option)?,
                false => None,
            };
            words.push((lists.len(), whole));
            lists.push(list);
        }
        for run in &terms.runs {
            let option = match run.len() {
                1 => option,
                _ => IndexRecordOption::WithFreqsAndPositions,
            };
            let mut pairs = Vec::with_capacity(run.len());
            for (place, pair) in run {
                let Some(list) = segment.runs.with(pair, option)? else { return Ok(None) };
                pairs.push((*place, lists.len()));
                lists.push(list);
            }
            runs.push(pairs);
        }
        let mut order: Vec<usize> = (0..lists.len()).collect();
        order.sort_by_key(|list| lists.get(*list).map(SegmentPostings::doc_freq));
        let run_counts = vec![0; runs.len()];
        let (places, candidates) = (Vec::new(), Vec::new());
        Ok(Some(Self { lists, order, words, runs, run_counts, places, candidates }))
    }

    /// The first document from this one on that fits.
    fn seek(&mut self, from: DocId) -> DocId {
        let mut target = from;
        'documents: while target < TERMINATED {
            for list in &self.order {
                let list = &mut self.lists[*list];
                let document = forward(list, target);
                if document != target {
                    target = document;
                    continue 'documents;
                }
            }
            if self.has_runs() {
                return target;
            }
            target += 1;
        }
        TERMINATED
    }

    /// Whether the pairs of every run follow each other in the document that all lists are at.
    fn has_runs(&mut self) -> bool {
        for (run, count) in self.runs.iter().zip(&mut self.run_counts) {
            *count = match run.as_slice() {
                [(_, only)] => self.lists[*only].term_freq(),
                pairs => {
                    self.candidates.clear();
                    for (number, (place, list)) in pairs.iter().enumerate() {
                        self.places.clear();
                        self.lists[*list].positions(&mut self.places);
                        if number == 0 {
                            self.candidates.extend_from_slice(&self.places);
                        } else {
                            let follows =
                                |begin: &u32| self.places.binary_search(&(begin + place)).is_ok();
                            self.candidates.retain(follows);
                        }
                    }
                    self.candidates.len() as u32
                }
            };
            if *count == 0 {
                return false;
            }
        }
        true
    }

    /// How well the document fits at most that was found last: as if each word stood in it as a
    /// whole as often as its beginning does. Most are out of the question then, and the lists of
    /// whole words need not be looked at.
    fn most(&self, segment: &Segment, scorer: &Scorer<'_>, document: DocId) -> u32 {
        let Scorer { words, runs } = scorer;
        if words.is_empty() || !runs.is_empty() {
            return u32::MAX;
        }
        let length = segment.words.length(document);
        let most = self.words.iter().zip(words).map(|((list, _), (begins, is_whole))| {
            let times = self.lists[*list].term_freq();
            begins.of(times, length) + is_whole.of(times, length)
        });
        // Sums that are made in another order may differ in their last place.
        score(most.sum()).saturating_add(1)
    }

    /// How well the document fits that was found last.
    fn score(&mut self, segment: &Segment, scorer: &Scorer<'_>, document: DocId) -> u32 {
        let Scorer { words, runs } = scorer;
        let mut sum = 0.0;
        if !words.is_empty() {
            let length = segment.words.length(document);
            for ((list, whole), (begins, is_whole)) in self.words.iter_mut().zip(words) {
                sum += begins.of(self.lists[*list].term_freq(), length);
                if let Some(whole) = whole
                    && forward(whole, document) == document
                {
                    sum += is_whole.of(whole.term_freq(), length);
                }
            }
        }
        if !runs.is_empty() {
            let length = segment.runs.length(document);
            for (times, run) in self.run_counts.iter().zip(runs) {
                sum += run.of(*times, length);
            }
        }
        score(sum)
    }
}

/// The first document of a list from this one on. A step costs less than a search, and often is
/// enough.
fn forward(list: &mut SegmentPostings, from: DocId) -> DocId {
    match list.doc() {
        at if at >= from => at,
        at if at + 1 == from => list.advance(),
        _ => list.seek(from),
    }
}
