//! Drives the store's futures for callers that block.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// Ends without waiting, so that the last store may be dropped anywhere, inside another runtime
/// too.
pub(super) struct Driver(Option<Runtime>);

impl Driver {
    /// Works while somebody waits: for folders and memory.
    pub(super) fn on_callers_thread() -> io::Result<Self> {
        Ok(Self(Some(Builder::new_current_thread().enable_all().build()?)))
    }

    /// Has a thread of its own, which looks after connections between two calls too.
    pub(super) fn on_own_thread() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("snapshots").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    pub(super) fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.0 {
            Some(runtime) => runtime.block_on(future),
            // Only while it is being dropped, and then nobody has it.
            None => futures::executor::block_on(future),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
