//! Why a process stops.

use super::Lifecycle;

/// Why a process stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// The operating system asked for it; the signal's name.
    Signal(&'static str),
    /// Something inside asked for it.
    Requested(String),
    /// A component died; its name.
    Died(String),
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Signal(name) => write!(formatter, "got {name}"),
            Self::Requested(reason) => formatter.write_str(reason),
            Self::Died(name) => write!(formatter, "component {name} died"),
        }
    }
}

impl Lifecycle {
    /// Resolves when the process is to stop: SIGTERM, SIGINT, [`Lifecycle::request_stop`] or the
    /// death of a component. Readiness is red from that moment on; nothing has been told to stop
    /// yet, that is what [`Lifecycle::drain`] does.
    pub async fn wait_for_stop(&self) -> std::io::Result<StopReason> {
        let mut signals = Signals::listen()?;
        let mut changes = self.shared.changes.subscribe();
        loop {
            let known = self.shared.stop_reason.lock().clone();
            if let Some(reason) = known {
                self.shared.stop(reason.clone());
                return Ok(reason);
            }
            tokio::select! {
                name = signals.next() => self.shared.stop(StopReason::Signal(name)),
                _ = changes.changed() => {}
            }
        }
    }
}

/// The signals that ask a process to stop.
#[cfg(unix)]
pub(super) struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(super) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The signals that ask a process to stop.
#[cfg(not(unix))]
pub(super) struct Signals;

#[cfg(not(unix))]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    pub(super) async fn next(&mut self) -> &'static str {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        "Ctrl-C"
    }
}
