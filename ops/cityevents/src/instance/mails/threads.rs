//! The threads that mails are written and handed over on. Many people may have to be told at once, and
//! nobody who joins is to wait behind that: so they are not those of requests, and let others go first.

use cityevents_kit::priority;
use tokio::runtime::{Builder, Handle, Runtime};

/// Thousands of mails a second are written on one.
const THREADS: usize = 2;

/// They end with it, in the middle of whatever they do: the ledger knows of it.
pub(in crate::instance) struct MailThreads {
    handle: Handle,
    /// Always there, until it is dropped.
    runtime: Option<Runtime>,
}

impl MailThreads {
    pub(in crate::instance) fn start() -> std::io::Result<Self> {
        let started = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("mail")
            .on_thread_start(|| priority::give_way(priority::LATER))
            .enable_all()
            .build()?;
        Ok(Self { handle: started.handle().clone(), runtime: Some(started) })
    }

    /// Where to spawn on them.
    pub(in crate::instance) const fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for MailThreads {
    fn drop(&mut self) {
        // Waits for nobody: whoever drops it may be a task of another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
