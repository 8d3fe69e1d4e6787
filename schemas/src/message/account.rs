//! What an account may do now: values of `account-changes`.
//!
//! Nothing here is personal: who an account belongs to stands in its row and nowhere in a log.

use cityevents_domain::actor::Role;
use cityevents_domain::ids::{InvalidId, UserId};
use cityevents_domain::time::Timestamp;

use super::parts::{from_time, from_u64, tag, to_time, to_u64};
use crate::codecs::{Codecs, parse_whole};
use crate::error::DecodeError;
use crate::record::Record;
use crate::text::UuidText;
use crate::wire;

/// Whether an account may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountStatus {
    /// It may.
    Active,
    /// It is banned, and can be unlocked.
    Locked,
    /// It is gone for ever.
    Erased,
}

impl AccountStatus {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Active, Self::Locked, Self::Erased];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Erased => "erased",
        }
    }

    /// The status of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// What an account may do since its last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountChange {
    /// Whose.
    pub account: UserId,
    /// Version of the account; higher is later.
    pub version: u64,
    /// What they may do.
    pub role: Role,
    /// Whether it may be used at all.
    pub status: AccountStatus,
    /// Tokens issued before this are no longer good.
    pub revoked_before: Option<Timestamp>,
    /// The session whose tokens are good all the same: whose holder revoked the others.
    pub kept_session: Option<[u8; 16]>,
    /// When it changed.
    pub updated_at: Timestamp,
    /// The one session that ended then. Nothing is said of the account: its version is 0.
    pub ended_session: Option<[u8; 16]>,
}

impl AccountChange {
    /// That a session of an account has ended.
    pub const fn of_session(account: UserId, session: [u8; 16], at: Timestamp) -> Self {
        Self {
            account,
            version: 0,
            role: Role::User,
            status: AccountStatus::Active,
            revoked_before: None,
            kept_session: None,
            updated_at: at,
            ended_session: Some(session),
        }
    }
}

/// Appends a change of an account as a framed record.
pub fn encode_account_change(change: &AccountChange, out: &mut Vec<u8>) {
    Codecs::installed().encode_account_change(change, out);
}

/// Reads a change of an account from a framed record.
pub fn decode_account_change(bytes: &[u8]) -> Result<AccountChange, DecodeError> {
    Codecs::installed().decode_account_change(bytes)
}

impl Codecs {
    /// See [`encode_account_change`].
    pub fn encode_account_change(&self, change: &AccountChange, out: &mut Vec<u8>) {
        let account = UuidText::new(change.account.as_bytes());
        let kept = change.kept_session.as_ref().map(UuidText::new);
        let ended = change.ended_session.as_ref().map(UuidText::new);
        let record = wire::AccountChange {
            account_id: account.as_str(),
            version: from_u64(change.version),
            role: change.role.as_str(),
            status: change.status.as_str(),
            revoked_before: from_time(change.revoked_before),
            kept_session: kept.as_ref().map(UuidText::as_str),
            updated_at: change.updated_at.as_millis(),
            ended_session: ended.as_ref().map(UuidText::as_str),
        };
        self.write(Record::AccountChange, &record, out);
    }

    /// See [`decode_account_change`].
    pub fn decode_account_change(&self, bytes: &[u8]) -> Result<AccountChange, DecodeError> {
        self.read(Record::AccountChange, bytes, |body| parse_whole(body, to_account_change))
    }
}

fn to_account_change(record: &wire::AccountChange<'_>) -> Result<AccountChange, DecodeError> {
    let account = record.account_id.parse();
    Ok(AccountChange {
        account: account.map_err(|InvalidId| DecodeError::InvalidId { field: "account_id" })?,
        version: to_u64("version", record.version)?,
        role: tag("role", record.role, Role::parse)?,
        status: tag("account status", record.status, AccountStatus::parse)?,
        revoked_before: to_time(record.revoked_before),
        kept_session: session("kept_session", record.kept_session)?,
        updated_at: Timestamp::from_millis(record.updated_at),
        ended_session: session("ended_session", record.ended_session)?,
    })
}

fn session(field: &'static str, text: Option<&str>) -> Result<Option<[u8; 16]>, DecodeError> {
    let id: Option<UserId> =
        text.map(str::parse).transpose().map_err(|InvalidId| DecodeError::InvalidId { field })?;
    Ok(id.map(|id| *id.as_bytes()))
}
