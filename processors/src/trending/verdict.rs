//! What becomes of an engagement. Pure.

/// What became of an engagement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A view that counts.
    Counted,
    /// The person looked before, the same UTC day.
    Again,
    /// Nobody looked; it was shown.
    Impression,
    /// There is no such event, it was not public yet, or it is over.
    Unknown,
    /// It was taken in too long before the log had it.
    Late,
    /// Whoever took it in has a clock that is ahead of the log's.
    Ahead,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Counted, Self::Again, Self::Impression, Self::Unknown, Self::Late, Self::Ahead];

    /// Label for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Again => "again",
            Self::Impression => "impression",
            Self::Unknown => "unknown_event",
            Self::Late => "late",
            Self::Ahead => "ahead",
        }
    }
}
