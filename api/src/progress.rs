//! How far the rows of the views have come, for reads that promise to see an own write.
//!
//! A projection in the same process says so here as it goes ([`ProjectionProgress::advance`]), and
//! whoever waits is woken. Where the projection runs elsewhere nobody says anything, and the stored
//! progress is asked for every few milliseconds instead.

use std::time::Duration;

use tokio::sync::watch;

/// The first fact of each partition that is not in the rows yet.
#[derive(Debug)]
pub struct ProjectionProgress {
    partitions: Vec<watch::Sender<Option<u64>>>,
}

impl ProjectionProgress {
    /// For so many partitions, with nothing known of any.
    pub fn new(partitions: u32) -> Self {
        Self { partitions: (0..partitions).map(|_| watch::Sender::new(None)).collect() }
    }

    /// All rows of a partition's facts before `next_offset` are written. Never goes back.
    pub fn advance(&self, partition: u32, next_offset: u64) {
        if let Some(known) = self.partitions.get(partition as usize) {
            known.send_if_modified(|known| {
                let is_further = known.is_none_or(|known| next_offset > known);
                if is_further {
                    *known = Some(next_offset);
                }
                is_further
            });
        }
    }

    /// Somebody else writes the rows of a partition from now on: nothing is known of it here.
    pub fn forget(&self, partition: u32) {
        if let Some(known) = self.partitions.get(partition as usize) {
            known.send_if_modified(|known| known.take().is_some());
        }
    }

    /// What is known of a partition: the first offset that is not in the rows.
    pub fn next_offset(&self, partition: u32) -> Option<u64> {
        *self.partitions.get(partition as usize)?.borrow()
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is such a partition.
    pub fn has(&self, partition: u32) -> bool {
        (partition as usize) < self.partitions.len()
    }

    /// Waits until the rows have passed the fact at `offset`, `at_most` so long. Returns whether
    /// they have.
    pub async fn wait(&self, partition: u32, offset: u64, at_most: Duration) -> bool {
        let Some(known) = self.partitions.get(partition as usize) else {
            return false;
        };
        let mut known = known.subscribe();
        let passed = known.wait_for(|next| next.is_some_and(|next| next > offset));
        matches!(tokio::time::timeout(at_most, passed).await, Ok(Ok(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_when_the_rows_have_passed_or_the_time_is_over() {
        let progress = ProjectionProgress::new(2);
        progress.advance(1, 5);
        progress.advance(1, 3);
        assert_eq!(progress.next_offset(1), Some(5));
        let at_most = Duration::from_millis(500);
        assert!(progress.wait(1, 4, at_most).await);
        assert!(!progress.wait(1, 5, at_most).await);
        assert!(!progress.wait(9, 0, at_most).await);
        let (passed, ()) =
            tokio::join!(progress.wait(0, 7, at_most), async { progress.advance(0, 8) });
        assert!(passed);
        progress.forget(1);
        assert_eq!(progress.next_offset(1), None);
    }
}
