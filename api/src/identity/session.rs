//! Sessions: one login on one device, and the chain of its refresh tokens.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cityevents_domain::ids::UserId;
use cityevents_domain::time::Timestamp;
use cityevents_schemas::message::AccountChange;
use cityevents_views::records::{Place, PlacesQuery, RecordKey, RecordKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::audit::Deed;
use super::device::Device;
use super::store::{IdentityError, Kept, random};
use super::{Account, Identity};

/// A refresh token is good for seven days after it was given out…
pub(super) const IDLE_MS: i64 = 7 * 86_400_000;
/// …and none of a session for longer than thirty days after the login.
const LIFE_MS: i64 = 30 * 86_400_000;
/// The token just replaced leads to the same successor for so long: two tabs at once, or an answer
/// that got lost.
const GRACE_MS: i64 = 10_000;
/// The place of a session that is not there is left for so long: the session may be on its way.
const TIDIED_AFTER_MS: i64 = 60_000;
/// Sessions of one person that are told at once.
const LISTED_MAX: usize = 100;
/// The text of a refresh token: 64 bytes in base64.
const TEXT_BYTES: usize = 86;
/// How often the log is tried while it cannot be told that a session has ended.
const TELL_AGAIN_EVERY: Duration = Duration::from_secs(1);
/// Other callers may rotate the same session at the same time.
const TRIES: u32 = 8;

/// A refresh token: the session's id, 256 random bits that only the client keeps, and a mark that
/// tells one that was given out, however long ago, from one that somebody made up: the session's id
/// is no secret, and who knows it must not be able to end the session.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RefreshToken {
    session: Uuid,
    secret: [u8; 32],
    mark: [u8; 16],
}

impl RefreshToken {
    /// Of a session, with the key that marks its tokens.
    fn new(session: Uuid, secret: [u8; 32], family: &[u8; 32]) -> Self {
        Self { session, secret, mark: mark_of(&secret, family) }
    }

    /// Whether it was given out in the session of that key.
    fn is_of(&self, family: &[u8; 32]) -> bool {
        // `blake3::Hash` compares in constant time; arrays do not.
        let expected = blake3::Hash::from_bytes(doubled(mark_of(&self.secret, family)));
        expected == blake3::Hash::from_bytes(doubled(self.mark))
    }

    /// The text of the cookie.
    pub(super) fn to_text(&self) -> String {
        let parts = [self.session.as_bytes().as_slice(), &self.secret, &self.mark];
        URL_SAFE_NO_PAD.encode(parts.concat())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        // No token is longer; what is much longer is not even decoded.
        let is_so_long = text.len() == TEXT_BYTES;
        let bytes = is_so_long.then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()?;
        let (session, rest) = bytes.split_first_chunk::<16>()?;
        let (secret, mark) = rest.split_first_chunk::<32>()?;
        let mark = mark.try_into().ok()?;
        Some(Self { session: Uuid::from_bytes(*session), secret: *secret, mark })
    }

    fn hash(&self) -> [u8; 32] {
        blake3::derive_key("cityevents 2026 refresh token hash", &self.secret)
    }

    /// What hides the successor's secret from everybody who does not have this one.
    fn pad(&self) -> [u8; 32] {
        blake3::derive_key("cityevents 2026 refresh token successor", &self.secret)
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "RefreshToken({}, …)", self.session)
    }
}

/// A session as it is kept.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Session {
    #[serde(with = "super::as_text")]
    pub(super) id: Uuid,
    #[serde(with = "super::as_text")]
    pub(super) account: UserId,
    /// The key that marks the refresh tokens of this session. It opens nothing: who read it could
    /// end the session, no more.
    #[serde(default)]
    family: [u8; 32],
    /// Of the refresh token that is good.
    current: [u8; 32],
    previous: Option<Previous>,
    pub(super) created_at_ms: i64,
    pub(super) last_used_at_ms: i64,
    expires_at_ms: i64,
    pub(super) device: Device,
}

/// The token that was replaced last.
#[derive(Clone, Serialize, Deserialize)]
struct Previous {
    hash: [u8; 32],
    replaced_at_ms: i64,
    /// Its successor's secret, readable to who has it.
    sealed_successor: [u8; 32],
}

impl Kept for Session {
    const KIND: &'static str = "sessions";

    fn expires_at(&self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(self.expires_at_ms))
    }
}

fn key_of(session: &Uuid) -> RecordKey {
    RecordKey::new(RecordKind::Session, session.as_bytes().as_slice())
}

/// The list of a person's sessions, the oldest first.
fn place_of(account: &UserId, created_at_ms: i64, session: &Uuid) -> Place {
    let created = created_at_ms.max(0).cast_unsigned().to_be_bytes();
    Place { list: list_of(account), position: [created.as_slice(), session.as_bytes()].concat() }
}

fn list_of(account: &UserId) -> Vec<u8> {
    [b"sessions/".as_slice(), account.as_bytes()].concat()
}

/// What marks a token as given out by us.
fn mark_of(secret: &[u8; 32], family: &[u8; 32]) -> [u8; 16] {
    let hash = blake3::keyed_hash(family, secret);
    std::array::from_fn(|index| hash.as_bytes()[index])
}

fn doubled(mark: [u8; 16]) -> [u8; 32] {
    std::array::from_fn(|index| mark[index % 16])
}

fn xor(one: [u8; 32], other: [u8; 32]) -> [u8; 32] {
    std::array::from_fn(|index| one[index] ^ other[index])
}

impl Identity {
    /// Begins a session.
    pub(super) async fn begin_session(
        &self,
        account: &UserId,
        device: Device,
    ) -> Result<(Session, RefreshToken), IdentityError> {
        let store = &self.shared.store;
        let now_ms = store.now().as_millis();
        // A UUID of version 7 tells to the millisecond when the session began: tokens, which tell the
        // second, of one that began after all others were revoked are good in the same second.
        let began_ms = now_ms.max(0).cast_unsigned();
        let id = uuid::Builder::from_unix_timestamp_millis(began_ms, &random()?).into_uuid();
        let family = random()?;
        let token = RefreshToken::new(id, random()?, &family);
        let session = Session {
            id,
            account: *account,
            family,
            current: token.hash(),
            previous: None,
            created_at_ms: now_ms,
            last_used_at_ms: now_ms,
            expires_at_ms: now_ms + IDLE_MS,
            device,
        };
        // Nobody has its token before both are there: a session that no list shows could not be
        // revoked with the others.
        let ((), is_made) = tokio::try_join!(
            store.add_place(place_of(account, now_ms, &id)),
            store.insert(key_of(&id), &session),
        )?;
        if is_made {
            Ok((session, token))
        } else {
            Err(IdentityError::Contended { kind: Session::KIND })
        }
    }

    /// Replaces a refresh token. `None`: it is none, its time has passed, or it was used before,
    /// which ends the session. One that was never given out ends nothing.
    pub(super) async fn rotate(
        &self,
        token: &RefreshToken,
    ) -> Result<Option<(Session, RefreshToken)>, IdentityError> {
        let store = &self.shared.store;
        let key = key_of(&token.session);
        for _ in 0..TRIES {
            let Some(read) = store.read::<Session>(key.clone()).await? else {
                return Ok(None);
            };
            let (session, now_ms) = (&read.value, store.now().as_millis());
            if !token.is_of(&session.family) {
                return Ok(None);
            }
            let hash = token.hash();
            if hash == session.current {
                let secret = random()?;
                let successor = RefreshToken::new(session.id, secret, &session.family);
                let rotated = Session {
                    current: successor.hash(),
                    previous: Some(Previous {
                        hash,
                        replaced_at_ms: now_ms,
                        sealed_successor: xor(secret, token.pad()),
                    }),
                    last_used_at_ms: now_ms,
                    expires_at_ms: (now_ms + IDLE_MS).min(session.created_at_ms + LIFE_MS),
                    ..session.clone()
                };
                if store.replace(key.clone(), &read, &rotated).await? {
                    return Ok(Some((rotated, successor)));
                }
                continue;
            }
            let previous = session.previous.as_ref().filter(|previous| {
                previous.hash == hash && now_ms < previous.replaced_at_ms + GRACE_MS
            });
            if let Some(previous) = previous {
                let secret = xor(previous.sealed_successor, token.pad());
                let successor = RefreshToken::new(session.id, secret, &session.family);
                return Ok(Some((session.clone(), successor)));
            }
            tracing::warn!(
                session = %session.id,
                "a refresh token was used a second time: the session is ended"
            );
            if store.remove(key.clone(), &read).await? {
                store
                    .remove_place(place_of(&session.account, session.created_at_ms, &session.id))
                    .await?;
                self.tell_ended(&session.account, &session.id).await;
                return Ok(None);
            }
        }
        Err(IdentityError::Contended { kind: Session::KIND })
    }

    /// Ends a session of a person and makes what is out of its access tokens worthless, here and at
    /// every other instance; `false` when there is none of that id.
    pub(super) async fn end_session_and_tokens(
        &self,
        account: &UserId,
        id: &Uuid,
    ) -> Result<bool, IdentityError> {
        let has_ended = self.end_session(account, id).await?;
        if has_ended {
            self.tell_ended(account, id).await;
        }
        Ok(has_ended)
    }

    /// Tells every instance that a session has ended. The session is over whatever comes of this;
    /// while the log is away it is tried again for as long as a token of it can be out.
    async fn tell_ended(&self, account: &UserId, id: &Uuid) {
        let Some(changes) = self.shared.changes.clone() else { return };
        let now = self.shared.store.now();
        let ended = AccountChange::of_session(*account, *id.as_bytes(), now);
        let Err(error) = changes.publish(&ended).await else { return };
        tracing::warn!(%error, session = %id, "that a session has ended is told later: {error}");
        let until = tokio::time::Instant::now() + self.shared.signer.ttl();
        tokio::spawn(async move {
            while tokio::time::Instant::now() < until {
                tokio::time::sleep(TELL_AGAIN_EVERY).await;
                if changes.publish(&ended).await.is_ok() {
                    return;
                }
            }
        });
    }

    /// Ends a session of a person, and nothing that is out of it; `false` when there is none of that id.
    pub(super) async fn end_session(
        &self,
        account: &UserId,
        id: &Uuid,
    ) -> Result<bool, IdentityError> {
        let store = &self.shared.store;
        for _ in 0..TRIES {
            let read = store.read::<Session>(key_of(id)).await?;
            let Some(read) = read.filter(|read| read.value.account == *account) else {
                return Ok(false);
            };
            if store.remove(key_of(id), &read).await? {
                store.remove_place(place_of(account, read.value.created_at_ms, id)).await?;
                return Ok(true);
            }
        }
        Err(IdentityError::Contended { kind: Session::KIND })
    }

    /// Ends the session of a refresh token, if it is good.
    pub(super) async fn end_session_of(&self, token: &RefreshToken) -> Result<(), IdentityError> {
        let read = self.shared.store.read::<Session>(key_of(&token.session)).await?;
        let hash = token.hash();
        let is_known = |session: &Session| {
            session.current == hash
                || session.previous.as_ref().is_some_and(|previous| previous.hash == hash)
        };
        if let Some(read) = read.filter(|read| is_known(&read.value)) {
            self.end_session_and_tokens(&read.value.account, &token.session).await?;
        }
        Ok(())
    }

    /// The sessions of a person, the oldest first; of very many, the newest.
    pub(super) async fn sessions(&self, account: &UserId) -> Result<Vec<Session>, IdentityError> {
        let store = &self.shared.store;
        let (mut sessions, mut after) = (Vec::new(), None);
        // Behind any number of places of sessions that are over there may be one that is not.
        loop {
            let list = list_of(account);
            let query = PlacesQuery { list, descending: true, after, limit: LISTED_MAX };
            let positions = store.places(query).await?;
            after = positions.last().cloned().filter(|_| positions.len() == LISTED_MAX);
            for position in positions {
                sessions.extend(self.session_at(account, position).await?);
            }
            if after.is_none() || sessions.len() >= LISTED_MAX {
                sessions.truncate(LISTED_MAX);
                sessions.reverse();
                return Ok(sessions);
            }
        }
    }

    /// The session at a place in the list of a person, if it is not over.
    async fn session_at(
        &self,
        account: &UserId,
        position: Vec<u8>,
    ) -> Result<Option<Session>, IdentityError> {
        let store = &self.shared.store;
        let now_ms = store.now().as_millis();
        let is_young = |position: &[u8]| {
            let created = position.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
            created
                .is_some_and(|at_ms| now_ms < at_ms.cast_signed().saturating_add(TIDIED_AFTER_MS))
        };
        let Some(id) = position.last_chunk::<16>().map(|id| Uuid::from_bytes(*id)) else {
            return Ok(None);
        };
        match store.read::<Session>(key_of(&id)).await? {
            Some(read) if read.value.account == *account => return Ok(Some(read.value)),
            // Not there yet: the place may come before the session.
            _ if is_young(&position) => {}
            // Its time has passed; the list is tidied by who reads it.
            _ => store.remove_place(Place { list: list_of(account), position }).await?,
        }
        Ok(None)
    }

    /// Ends all sessions of a person, and with them the tokens that are out already; by somebody of
    /// the staff, if it is not the person.
    pub(super) async fn revoke_all(
        &self,
        account: &UserId,
        staff: Option<&UserId>,
    ) -> Result<(), IdentityError> {
        let now_ms = self.shared.store.now().as_millis();
        let change = |account: &Account| {
            let revoked_before_ms = account.revoked_before_ms.max(Some(now_ms));
            Some(Account { revoked_before_ms, ..account.clone() })
        };
        match staff {
            Some(staff) => self.act_on(Some(staff), account, Deed::RevokeSessions, change).await?,
            None => self.change_account(account, change).await?,
        };
        self.end_sessions(account).await
    }

    /// Ends all sessions of a person.
    pub(super) async fn end_sessions(&self, account: &UserId) -> Result<(), IdentityError> {
        loop {
            let mut ended = 0;
            for session in self.sessions(account).await? {
                ended += usize::from(self.end_session(account, &session.id).await?);
            }
            if ended == 0 {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_nothing_else_is_one() {
        let token = RefreshToken::new(Uuid::from_bytes([7; 16]), [9; 32], &[1; 32]);
        let text = token.to_text();
        assert_eq!(text.len(), TEXT_BYTES);
        assert!(token.is_of(&[1; 32]) && !token.is_of(&[2; 32]));
        assert_eq!(RefreshToken::parse(&text), Some(token.clone()));
        for bad in ["", "x", &text[1..], &format!("{text}A"), &text.replace(|_| true, "=")] {
            assert_eq!(RefreshToken::parse(bad), None, "{bad}");
        }
        assert!(!format!("{token:?}").contains(&text[30..]));
    }

    #[test]
    fn only_who_has_a_token_reads_its_successor() {
        let token = |byte| RefreshToken::new(Uuid::nil(), [byte; 32], &[0; 32]);
        let sealed = xor([5; 32], token(1).pad());
        assert_ne!(sealed, [5; 32]);
        assert_eq!(xor(sealed, token(1).pad()), [5; 32]);
        assert_ne!(xor(sealed, token(2).pad()), [5; 32]);
        assert_ne!(token(1).hash(), token(1).pad());
    }
}
