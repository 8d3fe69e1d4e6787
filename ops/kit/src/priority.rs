//! Threads that let others go first.

/// Runs when nothing else wants to: whoever else wakes up takes the processor from such a thread at
/// once. The least that Linux has.
pub const LAST: i32 = 19;
/// Gets a tenth of a processor that others want too, and takes it from nobody who wakes up.
pub const LATER: i32 = 10;

/// The thread that calls lets others of the machine go first, as far as a nice value says. Where that
/// cannot be, its work is done as well, and others wait for it now and then.
#[cfg(target_os = "linux")]
pub fn give_way(nice: i32) {
    let thread = rustix::thread::gettid();
    if let Err(error) = rustix::process::setpriority_process(Some(thread), nice) {
        tracing::warn!(%error, "a thread has the priority of everything else: {error}");
    }
}

/// Elsewhere a priority is one of the whole process.
#[cfg(not(target_os = "linux"))]
pub fn give_way(_nice: i32) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_asks_gives_way() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        let before = nice();
        let asked = std::thread::spawn(move || {
            give_way(LAST);
            nice()
        });
        assert_eq!(asked.join().unwrap(), LAST);
        assert_eq!(nice(), before);
    }
}
