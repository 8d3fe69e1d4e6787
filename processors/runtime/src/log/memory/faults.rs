//! What goes wrong, and how often.

/// Probabilities, each between 0 and 1, of what a simulated log does to its users. All are 0 by
/// default: then each append lands at the next tick, in order, and is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// An append waits for one more tick. It holds up its own partition of its own producer only,
    /// so appends of several producers overtake each other.
    pub delay: f64,
    /// Records handed in together travel apart.
    pub split: f64,
    /// An append is lost, and the producer is told so.
    pub lost: f64,
    /// An append is lost, and the producer hears nothing until it times out.
    pub lost_silently: f64,
    /// An append lands, its acknowledgement is lost, and the producer hears of a time-out.
    pub acknowledgement_lost: f64,
    /// An append lands and is sent again; the log knows it and does not say where it is.
    pub duplicate_sequence: f64,
    /// An append lands twice, as from a producer without sequence numbers.
    pub appended_twice: f64,
    /// What a dead or broken producer had under way lands later all the same.
    pub lands_late: f64,
    /// Such a late append waits for one more tick.
    pub late_delay: f64,
    /// A late append lands though one before it was lost, as from a producer without sequence
    /// numbers.
    pub hole: f64,
    /// A reader sees an older end of the partition than there is.
    pub reader_lag: f64,
    /// A group takes a living member for dead and gives its partitions away (per member and tick).
    pub expelled: f64,
    /// A group does not notice in this tick that a member died.
    pub unnoticed: f64,
    /// A member does not hear in this poll what its group has decided.
    pub late_news: f64,
    /// A member that asks whether it owns a partition gets what it last heard for an answer.
    pub stale_ownership: f64,
    /// A fenced batch fails, and nothing of it is there.
    pub fenced_lost: f64,
    /// A fenced batch fails, and what it wrote is there and does not count.
    pub fenced_aborted: f64,
    /// A fenced batch fails and is decided later: at a tick, or when the identity is taken again.
    pub fenced_in_doubt: f64,
    /// A fenced batch takes one offset more in each partition it writes to, for its end mark.
    pub fenced_mark: f64,
}

impl Faults {
    /// None.
    pub fn none() -> Self {
        Self::default()
    }

    /// What a cluster with idempotent producers can do to its users.
    pub fn cluster() -> Self {
        Self {
            delay: 0.3,
            split: 0.3,
            lost: 0.01,
            lost_silently: 0.01,
            acknowledgement_lost: 0.01,
            duplicate_sequence: 0.01,
            appended_twice: 0.0,
            lands_late: 0.7,
            late_delay: 0.8,
            hole: 0.0,
            reader_lag: 0.3,
            expelled: 0.005,
            unnoticed: 0.7,
            late_news: 0.5,
            stale_ownership: 0.3,
            fenced_lost: 0.01,
            fenced_aborted: 0.01,
            fenced_in_doubt: 0.01,
            fenced_mark: 1.0,
        }
    }

    /// More than any cluster should do: holes and records written twice, and all more often.
    pub fn hostile() -> Self {
        Self {
            lost: 0.03,
            lost_silently: 0.02,
            acknowledgement_lost: 0.03,
            duplicate_sequence: 0.03,
            appended_twice: 0.02,
            hole: 0.5,
            expelled: 0.02,
            late_news: 0.8,
            stale_ownership: 0.7,
            ..Self::cluster()
        }
    }
}
