//! The segments of the text index, opened once for all searches between two commits.

use std::sync::Arc;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::SegmentPostings;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, InvertedIndexReader, Searcher, SegmentReader, Term};

use super::documents::{Fields, START, TAG};
use super::score::{Weights, rarity};
use super::table::Tag;
use super::tokens::WHOLE;
use super::words::Wanted;

type Column<T> = Arc<dyn tantivy::columnar::ColumnValues<T>>;

/// All of them, the largest first.
pub(super) struct Segments {
    pub(super) all: Vec<Segment>,
    fields: Fields,
    documents: u64,
    /// Keeps the files.
    _searcher: Searcher,
}

/// One.
pub(super) struct Segment {
    pub(super) words: Lists,
    pub(super) runs: Lists,
    cities: Arc<InvertedIndexReader>,
    categories: Arc<InvertedIndexReader>,
    tags: Column<u64>,
    starts: Column<i64>,
    documents: u32,
}

/// The lists of one field, and the lengths of its texts.
pub(super) struct Lists {
    index: Arc<InvertedIndexReader>,
    lengths: FieldNormReader,
}

/// What a search looks up.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    /// The beginning of each word, and the word as a whole.
    pub(super) words: Vec<(Term, Term)>,
    /// The pairs of each run, with their places in it; a single letter by itself.
    pub(super) runs: Vec<Vec<(u32, Term)>>,
    pub(super) city: Option<Term>,
    pub(super) category: Option<Term>,
}

impl Segments {
    pub(super) fn of(searcher: Searcher, fields: Fields) -> tantivy::Result<Self> {
        let readers = searcher.segment_readers().iter();
        let all: tantivy::Result<Vec<_>> =
            readers.map(|reader| Segment::open(reader, &fields)).collect();
        let mut all = all?;
        all.sort_by_key(|segment| std::cmp::Reverse(segment.documents));
        let documents = all.iter().map(|segment| u64::from(segment.documents)).sum();
        Ok(Self { all, fields, documents, _searcher: searcher })
    }

    /// The terms of what is wanted, with names as they are folded for filters.
    pub(super) fn terms(
        &self,
        wanted: &Wanted,
        city: Option<&str>,
        category: Option<&str>,
    ) -> Terms {
        let fields = &self.fields;
        let word = |word: &String| {
            let term = |text: &str| Term::from_field_text(fields.words, text);
            (term(word), term(&format!("{word}{WHOLE}")))
        };
        let run = |run: &String| pairs(run, |text| Term::from_field_text(fields.runs, text));
        let name = |field, name: &str| Term::from_field_bytes(field, name.as_bytes());
        Terms {
            words: wanted.words.iter().map(word).collect(),
            runs: wanted.runs.iter().map(run).collect(),
            city: city.map(|city| name(fields.city, city)),
            category: category.map(|category| name(fields.category, category)),
        }
    }

    /// What a search is scored with, as things are now.
    pub(super) fn weights(&self, terms: &Terms) -> tantivy::Result<Weights> {
        let average = |lists: fn(&Segment) -> &Lists| {
            let tokens: u64 = self.all.iter().map(|one| lists(one).index.total_num_tokens()).sum();
            (tokens as f64 / self.documents.max(1) as f64) as f32
        };
        let rarity_of = |lists: fn(&Segment) -> &Lists, term: &Term| -> tantivy::Result<f32> {
            let mut with_it = 0;
            for segment in &self.all {
                with_it += u64::from(lists(segment).index.doc_freq(term)?);
            }
            Ok(rarity(self.documents, with_it))
        };
        let mut weights = Weights {
            average: [average(|segment| &segment.words), average(|segment| &segment.runs)],
            ..Weights::default()
        };
        for (word, _) in &terms.words {
            weights.words.push(rarity_of(|segment| &segment.words, word)?);
        }
        for run in &terms.runs {
            // As rare as its rarest pair, at least.
            let mut most = 0.0_f32;
            for (_, pair) in run {
                most = most.max(rarity_of(|segment| &segment.runs, pair)?);
            }
            weights.runs.push(most);
        }
        Ok(weights)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// Every second pair of a run and the last one: together they cover it.
fn pairs(run: &str, term: impl Fn(&str) -> Term) -> Vec<(u32, Term)> {
    let letters: Vec<&str> =
        run.char_indices().map(|(at, letter)| &run[at..at + letter.len_utf8()]).collect();
    if letters.len() < 2 {
        return vec![(0, term(run))];
    }
    let last = letters.len() - 2;
    let places = (0..last).step_by(2).chain([last]);
    places.map(|at| (at as u32, term(&letters[at..at + 2].concat()))).collect()
}

impl Segment {
    fn open(reader: &SegmentReader, fields: &Fields) -> tantivy::Result<Self> {
        let lists = |field| -> tantivy::Result<Lists> {
            let index = reader.inverted_index(field)?;
            Ok(Lists { index, lengths: reader.get_fieldnorms_reader(field)? })
        };
        Ok(Self {
            words: lists(fields.words)?,
            runs: lists(fields.runs)?,
            cities: reader.inverted_index(fields.city)?,
            categories: reader.inverted_index(fields.category)?,
            tags: reader.fast_fields().u64(TAG)?.first_or_default_col(0),
            starts: reader.fast_fields().i64(START)?.first_or_default_col(0),
            documents: reader.max_doc(),
        })
    }

    /// The documents with a name as their city, or as their category.
    pub(super) fn named(&self, terms: &Terms) -> tantivy::Result<Option<Vec<SegmentPostings>>> {
        let names = [(&self.cities, &terms.city), (&self.categories, &terms.category)];
        let mut lists = Vec::new();
        for (index, term) in names {
            let Some(term) = term else { continue };
            let Some(list) = index.read_postings(term, IndexRecordOption::Basic)? else {
                return Ok(None);
            };
            lists.push(list);
        }
        Ok(Some(lists))
    }

    pub(super) fn tag(&self, document: DocId) -> Tag {
        self.tags.get_val(document)
    }

    /// When the event of a document starts, in milliseconds.
    pub(super) fn start(&self, document: DocId) -> i64 {
        self.starts.get_val(document)
    }

    /// The first document that starts at a time or later; documents are in that order.
    pub(super) fn first_from(&self, start: i64) -> DocId {
        let (mut low, mut high) = (0, self.documents);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.start(middle) < start {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

impl Lists {
    /// The documents that have a term.
    pub(super) fn with(
        &self,
        term: &Term,
        option: IndexRecordOption,
    ) -> tantivy::Result<Option<SegmentPostings>> {
        Ok(self.index.read_postings(term, option)?)
    }

    /// The class of length of a document's text.
    pub(super) fn length(&self, document: DocId) -> u8 {
        self.lengths.fieldnorm_id(document)
    }
}
