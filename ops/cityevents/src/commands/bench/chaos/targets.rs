//! Where requests can be sent, as processes come and go.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parking_lot::RwLock;

/// Addresses by process. A process that is gone keeps its address until it is back under another:
/// callers find out for themselves, as they do behind a balancer.
#[derive(Debug, Default)]
pub(super) struct Targets(RwLock<BTreeMap<String, SocketAddr>>);

impl Targets {
    /// A process listens here now.
    pub(super) fn set(&self, name: &str, address: SocketAddr) {
        self.0.write().insert(name.to_owned(), address);
    }

    /// One of them, in turn.
    pub(super) fn pick(&self, turn: usize) -> Option<SocketAddr> {
        let addresses = self.0.read();
        let count = addresses.len().max(1);
        addresses.values().nth(turn % count).copied()
    }
}
