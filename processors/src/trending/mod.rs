//! Facts and engagements → what is talked about: the topics `trends` and `user-signals`.
//!
//! What is counted, and how much it counts, is in `score`, `buckets` and `seen`; [`Trending`] keeps it
//! for the events of one partition, with the lists of those in front (`lists`). All of these are pure: a moment
//! is an argument, and the same log gives the same lists whether it was followed live, restored from
//! a snapshot, replayed, or split over other partitions. Only `task` knows a log and a clock.

mod buckets;
mod known;
mod lists;
mod metrics;
mod names;
mod published;
mod ranking;
mod saved;
mod score;
mod seen;
mod snapshot;
mod state;
mod task;
mod verdict;
mod warm;

pub use self::metrics::TrendingMetrics;
pub use self::score::{Figures, SCORE_ONE, days_until};
pub use self::state::{AHEAD_MAX, Explained, LATE_MAX, SLOTS_MAX, Trending};
pub use self::task::{Options, Topics, TrendingTask, make_task};
pub use self::verdict::Verdict;
pub use self::warm::TOGETHER;

/// Names this topology in groups, snapshots, logs and metrics.
pub const NAME: &str = "trending";
