//! Threads that run when nothing else wants to.

/// The least that Linux has: whoever else wakes up takes the processor from such a thread at once.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

/// Lets all other threads of the machine go first. Where that cannot be, their work is done as
/// well, and joins wait for it now and then.
#[cfg(target_os = "linux")]
pub(super) fn give_way() {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
        tracing::warn!(%error, "a thread has the priority of everything else: {error}");
    }
}

/// Elsewhere a priority is one of the whole process.
#[cfg(not(target_os = "linux"))]
pub(super) fn give_way() {}
