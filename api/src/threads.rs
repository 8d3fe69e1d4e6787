//! A few threads with a short queue, for work that takes a processor and that nobody should wait
//! behind.

use cityevents_kit::priority;
use crossbeam_channel::{Sender, TrySendError, bounded};
use tokio::sync::oneshot;

/// Tasks that wait for each thread: of passwords, at 70 to 120 a second and thread, up to a second of
/// work.
const WAITING_MAX: usize = 64;

type Work = Box<dyn FnOnce() + Send>;

/// Nothing more can wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolFull;

/// Threads that end when it is dropped.
pub(crate) struct Pool {
    work: Sender<Work>,
}

impl Pool {
    pub(crate) fn start(name: &str, threads: usize) -> std::io::Result<Self> {
        let (work, waiting) = bounded::<Work>(threads * WAITING_MAX);
        for number in 0..threads {
            let waiting = waiting.clone();
            std::thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                priority::give_way(priority::LAST);
                for work in waiting {
                    work();
                }
            })?;
        }
        Ok(Self { work })
    }

    /// Does work on one of the threads. Whoever stops waiting for it does not stop it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PoolFull> {
        let (done, answer) = oneshot::channel();
        let work: Work = Box::new(move || {
            if !done.is_closed() {
                // Nobody waits any more if it fails.
                let _sent = done.send(work());
            }
        });
        match self.work.try_send(work) {
            Ok(()) => answer.await.map_err(|_| PoolFull),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(PoolFull),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_is_done_elsewhere_and_refused_when_too_much_waits() {
        let pool = Pool::start("work", 1).unwrap();
        assert_eq!(pool.run(|| 7).await, Ok(7));
        let (go, wait) = bounded::<()>(0);
        let busy = pool.run(move || wait.recv().is_ok());
        let mut busy = std::pin::pin!(busy);
        assert!(futures_poll(busy.as_mut()).is_none());
        let waiting: Vec<_> = (0..WAITING_MAX * 2).map(|_| Box::pin(pool.run(|| ()))).collect();
        let mut refused = 0;
        for mut one in waiting {
            refused += usize::from(futures_poll(one.as_mut()) == Some(Err(PoolFull)));
        }
        assert!(refused >= WAITING_MAX - 1, "{refused} were refused");
        go.send(()).unwrap();
        assert_eq!(busy.await, Ok(true));
    }

    /// Polls once.
    fn futures_poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}
