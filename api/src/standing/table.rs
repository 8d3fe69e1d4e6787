//! Accounts by id, and sessions that ended, in shards with a lock each: what is read with every
//! request is written seldom.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::keys::{Caller, Standing};
use cityevents_schemas::message::{AccountChange, AccountStatus};
use parking_lot::RwLock;

/// A power of two, well above the number of threads that ask at once.
const SHARDS: usize = 64;

/// What is kept of an account.
#[derive(Debug, Clone, Copy)]
struct Entry {
    version: u64,
    /// Tokens issued before this are not good, in milliseconds since 1970.
    revoked_before_ms: i64,
    /// But those of this session.
    kept_session: Option<[u8; 16]>,
    role: Role,
    status: AccountStatus,
}

impl Entry {
    fn has_revoked(&self, caller: &Caller) -> bool {
        caller.issued_at_ms < self.revoked_before_ms
            && self.kept_session != Some(*caller.session.as_bytes())
    }
}

/// All accounts of which anything was said, and sessions of which a token may still be out.
#[derive(Debug)]
pub(super) struct Table {
    shards: Vec<RwLock<HashMap<UserId, Entry>>>,
    /// When each ended, in milliseconds since 1970.
    ended: Vec<RwLock<HashMap<[u8; 16], i64>>>,
    ended_count: AtomicUsize,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            ended: (0..SHARDS).map(|_| RwLock::default()).collect(),
            ended_count: AtomicUsize::new(0),
        }
    }
}

impl Table {
    /// Takes a change in, unless a later one is known. Returns whether it was taken.
    pub(super) fn apply(&self, change: &AccountChange) -> bool {
        if let Some(session) = change.ended_session {
            return self.end_session(session, change.updated_at.as_millis());
        }
        let mut accounts = self.shard(&change.account).write();
        let known = accounts.get(&change.account);
        if known.is_some_and(|known| known.version >= change.version) {
            return false;
        }
        let revoked_before_ms = change.revoked_before.map_or(i64::MIN, |at| at.as_millis());
        let AccountChange { account, version, role, status, kept_session, .. } = *change;
        let entry = Entry { version, revoked_before_ms, kept_session, role, status };
        accounts.insert(account, entry);
        true
    }

    /// See [`cityevents_kit::keys::Standings::standing`].
    pub(super) fn standing(&self, caller: &Caller) -> Standing {
        if self.has_ended(caller.session.as_bytes()) {
            return Standing::Revoked;
        }
        let Some(known) = self.shard(&caller.user).read().get(&caller.user).copied() else {
            return Standing::Allowed(caller.role);
        };
        match known.status {
            AccountStatus::Locked => Standing::Locked,
            AccountStatus::Erased => Standing::Revoked,
            AccountStatus::Active if known.has_revoked(caller) => Standing::Revoked,
            AccountStatus::Active => Standing::Allowed(known.role),
        }
    }

    fn end_session(&self, session: [u8; 16], at_ms: i64) -> bool {
        let is_new = self.ended_shard(&session).write().insert(session, at_ms).is_none();
        self.ended_count.fetch_add(usize::from(is_new), Ordering::Release);
        is_new
    }

    /// Forgets that a session ended: none of its tokens is out any more.
    pub(super) fn forget_session(&self, session: &[u8; 16]) {
        let was_known = self.ended_shard(session).write().remove(session).is_some();
        self.ended_count.fetch_sub(usize::from(was_known), Ordering::Release);
    }

    fn has_ended(&self, session: &[u8; 16]) -> bool {
        // Mostly there are few or none, and every request asks.
        self.ended_count.load(Ordering::Acquire) > 0
            && self.ended_shard(session).read().contains_key(session)
    }

    /// Up to `limit` sessions that ended before a moment.
    pub(super) fn ended_before(&self, at_ms: i64, limit: usize) -> Vec<[u8; 16]> {
        let mut found = Vec::new();
        for shard in &self.ended {
            let shard = shard.read();
            let old = shard.iter().filter(|(_, ended_ms)| **ended_ms < at_ms);
            found.extend(old.map(|(session, _)| *session).take(limit - found.len()));
        }
        found
    }

    /// How many sessions are known to have ended.
    pub(super) fn ended_len(&self) -> usize {
        self.ended_count.load(Ordering::Acquire)
    }

    /// The version that is known of an account.
    pub(super) fn version(&self, account: &UserId) -> Option<u64> {
        self.shard(account).read().get(account).map(|known| known.version)
    }

    /// How many accounts there are.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    fn shard(&self, account: &UserId) -> &RwLock<HashMap<UserId, Entry>> {
        // The last byte of an id is as good as chance; the version bits stand further left.
        let [.., last] = account.as_bytes();
        &self.shards[usize::from(*last) % SHARDS]
    }

    fn ended_shard(&self, session: &[u8; 16]) -> &RwLock<HashMap<[u8; 16], i64>> {
        let [.., last] = session;
        &self.ended[usize::from(*last) % SHARDS]
    }
}
