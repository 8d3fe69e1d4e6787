//! What of an event stands in the text index, and how it comes back.

use std::ops::Range;
use std::sync::Arc;

use cityevents_domain::event::Event;
use cityevents_domain::ids::EventId;
use cityevents_schemas::message::{decode_event, encode_event};
use cityevents_views::text::fold as fold_case;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use tantivy::schema::document::{
    DeserializeError, DocumentDeserialize, DocumentDeserializer, ValueDeserialize,
    ValueDeserializer,
};
use tantivy::schema::{
    BytesOptions, Field, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::TokenizerManager;
use tantivy::{
    DocId, IndexSettings, IndexSortByField, Order, SegmentReader, TantivyDocument, TantivyError,
    Term,
};

use super::table::{Row, Tag};
use super::tokens::{Beginnings, Pairs, Part, prepare};

/// Name of the column that documents are sorted by.
pub(super) const START: &str = "start";
/// Name of the column of tags.
pub(super) const TAG: &str = "tag";
/// Names of the tokenizers.
const BEGINNINGS: &str = "beginnings";
const PAIRS: &str = "pairs";
/// Documents that one thread reads before it looks for others.
const READ_AT_ONCE: DocId = 8_192;
/// How often the words of each text count: a title says more than a description.
const TITLE_WEIGHT: usize = 3;
const CITY_WEIGHT: usize = 2;

/// The fields of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) words: Field,
    pub(super) runs: Field,
    pub(super) city: Field,
    pub(super) category: Field,
    id: Field,
    tag: Field,
    start: Field,
    row: Field,
}

impl Fields {
    /// With the schema that they are of.
    pub(super) fn schema() -> (Self, Schema) {
        let text = |tokenizer, option| {
            let indexing = TextFieldIndexing::default()
                .set_tokenizer(tokenizer)
                .set_index_option(option)
                .set_fieldnorms(true);
            TextOptions::default().set_indexing_options(indexing)
        };
        let term = || BytesOptions::default().set_indexed();
        let column = || NumericOptions::default().set_fast();
        let mut schema = Schema::builder();
        let with_positions = IndexRecordOption::WithFreqsAndPositions;
        let words = schema.add_text_field("words", text(BEGINNINGS, IndexRecordOption::WithFreqs));
        let fields = Self {
            words,
            runs: schema.add_text_field("runs", text(PAIRS, with_positions)),
            city: schema.add_bytes_field("city", term()),
            category: schema.add_bytes_field("category", term()),
            id: schema.add_bytes_field("id", term()),
            tag: schema.add_u64_field(TAG, column()),
            start: schema.add_i64_field(START, column()),
            row: schema.add_bytes_field("row", BytesOptions::default().set_stored()),
        };
        (fields, schema.build())
    }

    /// The document of an event.
    pub(super) fn document(&self, event: &Event, tag: Tag) -> TantivyDocument {
        let fields = &event.fields;
        let (words, runs) = prepare(&[
            Part { text: &fields.title, weight: TITLE_WEIGHT },
            Part { text: &fields.city, weight: CITY_WEIGHT },
            Part { text: &fields.description, weight: 1 },
        ]);
        let mut row = Vec::with_capacity(512);
        encode_event(event, &mut row);
        let mut document = TantivyDocument::new();
        document.add_text(self.words, words);
        document.add_text(self.runs, runs);
        document.add_bytes(self.city, fold_case(&fields.city).as_bytes());
        document.add_bytes(self.category, fold_case(&fields.category).as_bytes());
        document.add_bytes(self.id, event.id.as_bytes());
        document.add_u64(self.tag, tag);
        document.add_i64(self.start, fields.start_time.as_millis());
        document.add_bytes(self.row, &row);
        document
    }

    /// What the documents of an event are found by.
    pub(super) fn id_term(&self, id: &EventId) -> Term {
        Term::from_field_bytes(self.id, id.as_bytes())
    }
}

/// How documents are kept: in the order of starts, so that a list by start need not look at all.
pub(super) fn settings() -> IndexSettings {
    let sort_by_field = Some(IndexSortByField { field: START.to_owned(), order: Order::Asc });
    IndexSettings { sort_by_field, ..IndexSettings::default() }
}

/// What makes terms of texts.
pub(super) fn tokenizers() -> TokenizerManager {
    let tokenizers = TokenizerManager::default();
    tokenizers.register(BEGINNINGS, Beginnings);
    tokenizers.register(PAIRS, Pairs);
    tokenizers
}

/// All events of the segments with their tags, in the order of documents. Read on all processors.
pub(super) fn events(segments: &[SegmentReader]) -> tantivy::Result<Vec<Row>> {
    let ranges = |segment: &SegmentReader| {
        let end = segment.max_doc();
        (0..end).step_by(READ_AT_ONCE as usize).map(move |from| from..end.min(from + READ_AT_ONCE))
    };
    let parts: Vec<(&SegmentReader, Range<DocId>)> = segments
        .iter()
        .flat_map(|segment| ranges(segment).map(move |range| (segment, range)))
        .collect();
    let read = parts.into_par_iter().map(|(segment, range)| part(segment, range));
    let read: Vec<_> = read.collect::<tantivy::Result<_>>()?;
    Ok(read.into_iter().flatten().collect())
}

/// The events of some documents of a segment.
fn part(segment: &SegmentReader, documents: Range<DocId>) -> tantivy::Result<Vec<Row>> {
    let tags = segment.fast_fields().u64(TAG)?.first_or_default_col(0);
    let store = segment.get_store_reader(1)?;
    let alive = documents.filter(|document| !segment.is_deleted(*document));
    let row = |document| {
        let StoredRow(row) = store.get(document)?;
        let event = decode_event(&row).map_err(|error| {
            TantivyError::InternalError(format!("a stored event cannot be read: {error}"))
        })?;
        Ok((tags.get_val(document), Arc::new(event)))
    };
    alive.map(row).collect()
}

/// The stored part of a document.
struct StoredRow(Vec<u8>);

impl DocumentDeserialize for StoredRow {
    fn deserialize<'de, D>(mut deserializer: D) -> Result<Self, DeserializeError>
    where
        D: DocumentDeserializer<'de>,
    {
        let first = deserializer.next_field::<StoredBytes>()?;
        let (_, StoredBytes(row)) =
            first.ok_or_else(|| DeserializeError::custom("a document without a stored event"))?;
        Ok(Self(row))
    }
}

struct StoredBytes(Vec<u8>);

impl ValueDeserialize for StoredBytes {
    fn deserialize<'de, D>(deserializer: D) -> Result<Self, DeserializeError>
    where
        D: ValueDeserializer<'de>,
    {
        deserializer.deserialize_bytes().map(Self)
    }
}
