//! Mails kept in memory, for tests; deliveries can be made to fail.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{DeliveryError, FailureClass, Transport};
use crate::Mail;

/// Keeps what it is given, in order.
#[derive(Debug, Default)]
pub struct CaptureTransport {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    calls: u64,
    failing: BTreeMap<u64, FailureClass>,
    always: Option<FailureClass>,
    mails: Vec<Mail>,
}

impl CaptureTransport {
    /// An empty one that never fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the n-th delivery from now on fail (the next one is the 1st). One that fails as
    /// [`FailureClass::Unknown`] is kept all the same, as it may have been by a server.
    pub fn fail(&self, nth: u64, class: FailureClass) {
        let mut inner = self.inner.lock();
        let call = inner.calls + nth;
        inner.failing.insert(call, class);
    }

    /// Makes every delivery fail, until this is called with nothing.
    pub fn fail_always(&self, class: Option<FailureClass>) {
        self.inner.lock().always = class;
    }

    /// What was delivered so far, in order.
    pub fn mails(&self) -> Vec<Mail> {
        self.inner.lock().mails.clone()
    }

    /// How often delivery was tried.
    pub fn calls(&self) -> u64 {
        self.inner.lock().calls
    }

    /// Waits until so many were delivered.
    pub async fn wait(&self, count: usize) -> Vec<Mail> {
        loop {
            let changed = self.changed.notified();
            let mails = self.mails();
            if mails.len() >= count {
                return mails;
            }
            changed.await;
        }
    }

    fn take(&self, mail: &Mail) -> Result<(), DeliveryError> {
        let mut inner = self.inner.lock();
        inner.calls += 1;
        let call = inner.calls;
        let failing = inner.failing.remove(&call).or(inner.always);
        if matches!(failing, None | Some(FailureClass::Unknown)) {
            inner.mails.push(mail.clone());
            self.changed.notify_waiters();
        }
        let failed = |class| DeliveryError::new(class, format!("delivery {call} was made to fail"));
        failing.map_or(Ok(()), |class| Err(failed(class)))
    }
}

impl Transport for CaptureTransport {
    fn deliver<'mail>(
        &'mail self,
        mail: &'mail Mail,
    ) -> BoxFuture<'mail, Result<(), DeliveryError>> {
        Box::pin(async move { self.take(mail) })
    }
}
