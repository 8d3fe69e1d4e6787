//! Addresses that get no mail: they bounced, or somebody complained.
//!
//! Only a keyed hash of an address is kept. So nobody can read from here who does not get mails, and
//! the list names no address either: whoever has one can ask for it.

use std::sync::Arc;

use cityevents_kit::seal::MailSecrets;
use cityevents_runtime::log::clock::Clock;
use cityevents_views::records::{Place, PlacesQuery, RecordKey, RecordKind, Records};
use serde::{Deserialize, Serialize};

use super::Address;
use super::store::{IdentityError, Kept, Store};

/// The list of all of them, by hash.
const LIST: &[u8] = b"suppressed addresses";
/// Hashes that are looked at together.
const PAGE: usize = 1_000;

/// Why an address gets no mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// Mails came back.
    Bounced,
    /// Whoever got them complained.
    Complaint,
    /// Somebody asked for it.
    Asked,
}

impl SuppressionReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bounced, Self::Complaint, Self::Asked];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bounced => "bounced",
            Self::Complaint => "complaint",
            Self::Asked => "asked",
        }
    }

    /// The reason of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// An address that gets no mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Why.
    pub reason: SuppressionReason,
    /// Since when, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who said so.
    pub by: String,
}

impl Kept for Suppression {
    const KIND: &'static str = "suppressed addresses";
}

/// All of them.
pub struct Suppressions {
    store: Store,
    secrets: MailSecrets,
}

impl Suppressions {
    /// In the records of the tables.
    pub fn new(records: Arc<dyn Records>, clock: Arc<dyn Clock>, secrets: MailSecrets) -> Self {
        Self { store: Store::new(records, clock), secrets }
    }

    /// Why an address gets no mail; `None`: it does.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn find(&self, address: &Address) -> Result<Option<Suppression>, IdentityError> {
        let read = self.store.read::<Suppression>(key(&self.hash(address))).await?;
        Ok(read.map(|read| read.value))
    }

    /// An address gets no mail from now on. Returns what counts: the first word on it stays.
    ///
    /// # Errors
    /// When the tables cannot be changed.
    pub async fn add(
        &self,
        address: &Address,
        reason: SuppressionReason,
        by: &str,
    ) -> Result<Suppression, IdentityError> {
        let hash = self.hash(address);
        let at = self.store.now();
        let made = Suppression { reason, at_ms: at.as_millis(), by: by.to_owned() };
        // The place first: one without a record says nothing, and a record without a place would be
        // listed nowhere.
        self.store.add_place(place(&hash)).await?;
        if self.store.insert(key(&hash), &made).await? {
            return Ok(made);
        }
        let read = self.store.read::<Suppression>(key(&hash)).await?;
        Ok(read.map_or(made, |read| read.value))
    }

    /// An address gets mails again. Says whether it did not.
    ///
    /// # Errors
    /// When the tables cannot be changed.
    pub async fn remove(&self, address: &Address) -> Result<bool, IdentityError> {
        let hash = self.hash(address);
        let Some(read) = self.store.read::<Suppression>(key(&hash)).await? else {
            return Ok(false);
        };
        let removed = self.store.remove(key(&hash), &read).await?;
        self.store.remove_place(place(&hash)).await?;
        Ok(removed)
    }

    /// All of them, by hash.
    ///
    /// # Errors
    /// When the tables cannot be read.
    pub async fn all(&self) -> Result<Vec<([u8; 32], Suppression)>, IdentityError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let (list, limit) = (LIST.to_vec(), PAGE);
            let query = PlacesQuery { list, descending: false, after, limit };
            let places = self.store.places(query).await?;
            let is_last = places.len() < PAGE;
            after = places.last().cloned();
            for place in places {
                let Ok(hash) = <[u8; 32]>::try_from(place) else { continue };
                let read = self.store.read::<Suppression>(key(&hash)).await?;
                found.extend(read.map(|read| (hash, read.value)));
            }
            if is_last {
                return Ok(found);
            }
        }
    }

    fn hash(&self, address: &Address) -> [u8; 32] {
        self.secrets.address_hash(&address.key())
    }
}

fn key(hash: &[u8; 32]) -> RecordKey {
    RecordKey::new(RecordKind::Suppression, hash.as_slice())
}

fn place(hash: &[u8; 32]) -> Place {
    Place { list: LIST.to_vec(), position: hash.to_vec() }
}
