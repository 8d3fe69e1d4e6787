//! What staff did, and who.
//!
//! What they did to events of others is told by the facts, and kept as records by who projects those
//! ([`cityevents_views::staff_acts`]); what they did to accounts is kept here.
//!
//! An act is written into the row that it changes, in the same change: there is no act without its
//! trace, and no trace of what did not happen. The places that list it come before; one without its
//! act speaks of a change that was not made.

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_views::records::{Place, PlacesQuery};
use cityevents_views::staff_acts::{EVERYTHING, StaffAct, by_actor, on_target};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::{IdentityError, random};
use super::{Account, Identity};

/// Acts that the row of an account keeps; the oldest go first. Nobody is banned that often.
const KEPT_MAX: usize = 200;
/// Places that are looked at for one page.
const LOOKED_MAX: usize = 500;

/// What somebody of the staff did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub(super) enum Deed {
    /// Locked the account.
    Ban,
    /// Unlocked it.
    Unban,
    /// Gave it another role.
    SetRole {
        /// Which.
        #[serde(with = "super::account::role")]
        role: Role,
    },
    /// Ended all its sessions.
    RevokeSessions,
}

impl Deed {
    /// Its word on the wire.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ban => "ban",
            Self::Unban => "unban",
            Self::SetRole { .. } => "set_role",
            Self::RevokeSessions => "revoke_sessions",
        }
    }
}

/// An act, as it is kept with the account that it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Act {
    #[serde(with = "super::as_text")]
    pub(super) id: Uuid,
    pub(super) at_ms: i64,
    /// `None`: somebody at the command line.
    #[serde(with = "super::as_text::option")]
    pub(super) actor: Option<UserId>,
    #[serde(flatten)]
    pub(super) deed: Deed,
}

/// An act, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// On an account.
    Account {
        /// What was done.
        act: Act,
        /// Whose it is.
        target: UserId,
    },
    /// On an event of somebody else.
    Event(StaffAct),
}

/// Where an entry stands in every list that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EntryPosition(Vec<u8>);

impl Entry {
    pub(super) fn position(&self) -> EntryPosition {
        let (act, target) = match self {
            Self::Account { act, target } => (act, target),
            Self::Event(act) => return EntryPosition(act.position()),
        };
        let at = act.at_ms.max(0).cast_unsigned().to_be_bytes();
        let ids = [act.id.as_bytes().as_slice(), target.as_bytes()].concat();
        EntryPosition([at.as_slice(), &ids].concat())
    }

    const fn actor(&self) -> Option<UserId> {
        match self {
            Self::Account { act, .. } => act.actor,
            Self::Event(act) => Some(act.actor),
        }
    }
}

impl crate::lists::Place for EntryPosition {
    fn to_bytes(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let is_one = bytes.len() == 40 || StaffAct::key_at(bytes).is_some();
        is_one.then(|| Self(bytes.to_vec()))
    }
}

/// Which entries are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) actor: Option<UserId>,
    /// An account or an event: their ids are of one kind.
    pub(super) target: Option<UserId>,
}

impl Identity {
    /// As [`Identity::change_account`], by `actor` (`None`: at the command line), with a
    /// trace of it. A change that is none leaves no trace.
    pub(super) async fn act_on(
        &self,
        actor: Option<&UserId>,
        target: &UserId,
        deed: Deed,
        mut change: impl FnMut(&Account) -> Option<Account>,
    ) -> Result<Option<Account>, IdentityError> {
        let Some(account) = self.account(target).await? else { return Ok(None) };
        if change(&account).is_none() {
            return Ok(Some(account));
        }
        let store = &self.shared.store;
        let id = uuid::Builder::from_random_bytes(random()?).into_uuid();
        let act = Act { id, at_ms: store.now().as_millis(), actor: actor.copied(), deed };
        let entry = Entry::Account { act: act.clone(), target: *target };
        let on_target = on_target(target.as_bytes());
        let lists = [Some(EVERYTHING.to_vec()), actor.map(by_actor), Some(on_target)];
        for list in lists.into_iter().flatten() {
            store.add_place(Place { list, position: entry.position().0 }).await?;
        }
        let with_trace = |account: &Account| {
            let mut changed = change(account)?;
            if changed.acts.len() >= KEPT_MAX {
                changed.acts.remove(0);
            }
            changed.acts.push(act.clone());
            Some(changed)
        };
        self.change_account(target, with_trace).await
    }

    /// What staff did, the latest first: so many at most, and where to go on.
    pub(super) async fn audit_trail(
        &self,
        wanted: Wanted,
        after: Option<EntryPosition>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<EntryPosition>), IdentityError> {
        let list = match (wanted.target, wanted.actor) {
            (Some(target), _) => on_target(target.as_bytes()),
            (None, Some(actor)) => by_actor(&actor),
            (None, None) => EVERYTHING.to_vec(),
        };
        let after = after.map(|position| position.0);
        let query = PlacesQuery { list, descending: true, after, limit: LOOKED_MAX };
        let positions = self.shared.store.places(query).await?;
        let there_may_be_more = positions.len() == LOOKED_MAX;
        let last = positions.last().cloned().filter(|_| there_may_be_more).map(EntryPosition);
        let mut entries = Vec::new();
        for position in positions {
            if entries.len() == limit {
                break;
            }
            let found = self.entry(&position).await?;
            entries.extend(
                found.filter(|entry| wanted.actor.is_none() || wanted.actor == entry.actor()),
            );
        }
        Ok((entries, last))
    }

    async fn entry(&self, position: &[u8]) -> Result<Option<Entry>, IdentityError> {
        if let Some(key) = StaffAct::key_at(position) {
            let record = self.shared.views.records.record(key).await?;
            let act = record.as_ref().map(StaffAct::of_record).transpose()?;
            return Ok(act.map(Entry::Event));
        }
        let ids = position.get(8..24).zip(position.get(24..40));
        let Some((Ok(act), Ok(target))) =
            ids.map(|(act, target)| (<[u8; 16]>::try_from(act), <[u8; 16]>::try_from(target)))
        else {
            return Ok(None);
        };
        let (act, target) = (Uuid::from_bytes(act), UserId::from_bytes(target));
        let account = self.row(&target).await?;
        let act = account.and_then(|account| account.acts.into_iter().find(|one| one.id == act));
        Ok(act.map(|act| Entry::Account { act, target }))
    }
}
