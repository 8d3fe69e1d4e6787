//! The signal to stop, for threads and tasks alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

/// A signal that is given once and never taken back. All clones are the same signal.
#[derive(Clone)]
pub struct Shutdown {
    inner: Arc<Inner>,
}

struct Inner {
    triggered: AtomicBool,
    mutex: Mutex<()>,
    condvar: Condvar,
    tasks: watch::Sender<bool>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Shutdown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Shutdown").field(&self.is_triggered()).finish()
    }
}

impl Shutdown {
    /// A signal that has not been given.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                triggered: AtomicBool::new(false),
                mutex: Mutex::new(()),
                condvar: Condvar::new(),
                tasks: watch::Sender::new(false),
            }),
        }
    }

    /// Gives the signal and wakes everybody who waits for it.
    pub fn trigger(&self) {
        if self.inner.triggered.swap(true, Ordering::AcqRel) {
            return;
        }
        // Whoever looked before the swap and is about to wait holds the mutex until it waits.
        drop(self.inner.mutex.lock());
        self.inner.condvar.notify_all();
        self.inner.tasks.send_replace(true);
    }

    /// Whether the signal was given. Cheap enough for every turn of a loop.
    pub fn is_triggered(&self) -> bool {
        self.inner.triggered.load(Ordering::Acquire)
    }

    /// Blocks a thread until the signal is given or the time has passed; says whether it was given.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut guard = self.inner.mutex.lock();
        while !self.is_triggered() {
            if self.inner.condvar.wait_until(&mut guard, deadline).timed_out() {
                break;
            }
        }
        self.is_triggered()
    }

    /// Resolves when the signal is given.
    pub async fn wait(&self) {
        let mut receiver = self.inner.tasks.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = receiver.wait_for(|triggered| *triggered).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn threads_and_tasks_wait_for_the_same_signal() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.wait_timeout(Duration::from_millis(1)));
        let thread = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.wait_timeout(Duration::from_secs(60))
        });
        let task = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        shutdown.trigger();
        task.await.unwrap();
        assert!(thread.join().unwrap());
        shutdown.wait().await;
        assert!(shutdown.is_triggered());
    }
}
