//! Why bytes cannot be read.

/// What a reader does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// Try again: the registry did not answer.
    Retry,
    /// These bytes will never be readable: poison.
    Reject,
}

/// Why bytes cannot be read. Each variant names one defect, and none of them is a guess: what is
/// not exactly as our writers would have written it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a value.
    #[error("the bytes end inside a value")]
    Truncated,
    /// There are bytes after the record.
    #[error("{bytes} bytes follow the record")]
    TrailingBytes {
        /// So many.
        bytes: u64,
    },
    /// A length or count is negative.
    #[error("a length is negative: {length}")]
    NegativeLength {
        /// The length.
        length: i64,
    },
    /// An array claims more items than the bytes left can hold.
    #[error("an array claims {count} items, and {bytes} bytes are left")]
    OversizedCount {
        /// Items claimed.
        count: u64,
        /// Bytes left.
        bytes: u64,
    },
    /// An array's block is not as long as it says.
    #[error("a block of an array is not as long as it says")]
    BlockLength,
    /// A number takes more bytes than it needs, or more than 64 bits.
    #[error("a number takes more bytes than it needs")]
    OverlongVarint,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    InvalidUtf8,
    /// A union has no such branch.
    #[error("a union has no branch {index}")]
    UnknownBranch {
        /// The branch.
        index: i64,
    },
    /// The bytes do not begin with the zero and the schema id of the Confluent framing.
    #[error("the record has no schema id")]
    NotFramed,
    /// No schema has this id.
    #[error("no schema has the id {id}")]
    UnknownSchema {
        /// The id.
        id: u32,
    },
    /// The schema's id is of a record of another kind.
    #[error("schema {id} is of {found}, not of {expected}")]
    WrongRecord {
        /// The id.
        id: u32,
        /// What it is of.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// The registry does not answer.
    #[error("the schema registry does not answer for id {id}: {reason}")]
    SchemaUnavailable {
        /// The id.
        id: u32,
        /// What it said.
        reason: String,
    },
    /// The writer's schema and the reader's cannot be brought together for these bytes.
    #[error("schema {id} cannot be read with the current one: {reason}")]
    Unresolvable {
        /// The writer's schema.
        id: u32,
        /// Why.
        reason: String,
    },
    /// A tag is not known here.
    #[error("{field} is unknown: {tag:?}")]
    UnknownTag {
        /// Which field.
        field: &'static str,
        /// Its beginning.
        tag: String,
    },
    /// A tag's body is not there.
    #[error("{tag} has no body")]
    MissingBody {
        /// Which tag.
        tag: &'static str,
    },
    /// A number is out of its range.
    #[error("{field} is out of range: {value}")]
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// The number.
        value: i64,
    },
    /// An identifier is no UUID.
    #[error("{field} is no UUID")]
    InvalidId {
        /// Which field.
        field: &'static str,
    },
}

/// Most characters of an unknown tag that an error repeats.
const TAG_CHARACTERS_MAX: usize = 32;

impl DecodeError {
    pub(crate) fn unknown_tag(field: &'static str, tag: &str) -> Self {
        Self::UnknownTag { field, tag: tag.chars().take(TAG_CHARACTERS_MAX).collect() }
    }

    /// The variant as a word: a label for metrics and headers.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::TrailingBytes { .. } => "trailing_bytes",
            Self::NegativeLength { .. } => "negative_length",
            Self::OversizedCount { .. } => "oversized_count",
            Self::BlockLength => "block_length",
            Self::OverlongVarint => "overlong_varint",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::UnknownBranch { .. } => "unknown_branch",
            Self::NotFramed => "not_framed",
            Self::UnknownSchema { .. } => "unknown_schema",
            Self::WrongRecord { .. } => "wrong_record",
            Self::SchemaUnavailable { .. } => "schema_unavailable",
            Self::Unresolvable { .. } => "unresolvable",
            Self::UnknownTag { .. } => "unknown_tag",
            Self::MissingBody { .. } => "missing_body",
            Self::OutOfRange { .. } => "out_of_range",
            Self::InvalidId { .. } => "invalid_id",
        }
    }

    /// What to do about it.
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::SchemaUnavailable { .. } => ErrorClass::Retry,
            _ => ErrorClass::Reject,
        }
    }
}
