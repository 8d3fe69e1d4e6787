//! Who of a provider is which account.
//!
//! A person of a provider is an issuer and a subject. They sign in to an account when two records say
//! so: that of the subject names the account, and the row of the account names the subject. The row
//! comes first when somebody is linked and goes first when somebody is unlinked, so that whatever an
//! account leads to is found when it is erased.
//!
//! - An address finds an account once, when its subject is nobody's yet: only one that the provider
//!   says is verified, and only an account whose own address is verified. Otherwise somebody could
//!   register an address that is not theirs and wait for its owner to come by a provider.
//! - A verified address that nobody has makes an account. One that is not verified does nothing.
//! - Of one provider an account has one person at most: another one with the same address is somebody
//!   else, to whom the provider has given the address since.

use std::time::Duration;

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::telemetry::AccountHash;
use cityevents_kit::{ErrorCode, Problem};
use cityevents_views::records::{RecordKey, RecordKind};
use serde::{Deserialize, Serialize};

use super::provider::Provider;
use crate::identity::account::account_key;
use crate::identity::store::{IdentityError, Kept};
use crate::identity::{Account, Address, Identity, LanguageTag, NewAccount};

/// Somebody else may sign in as the same person at the same time.
const TRIES: u32 = 8;
/// So long somebody who was first gets to make the account.
const PAUSE: Duration = Duration::from_millis(50);

/// Who somebody is at a provider, and what it tells of them.
pub(in crate::identity) struct Person {
    pub(in crate::identity) subject: String,
    pub(in crate::identity) email: Option<String>,
    /// Whether the provider says that the address is theirs.
    pub(in crate::identity) email_verified: bool,
    pub(in crate::identity) name: Option<String>,
}

/// A person of a provider, as the row of their account keeps it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::identity) struct Linked {
    /// The provider's section in the settings.
    pub(in crate::identity) provider: String,
    pub(in crate::identity) issuer: String,
    pub(in crate::identity) subject: String,
    pub(in crate::identity) linked_at_ms: i64,
}

/// Whose a subject is.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Subject {
    #[serde(with = "crate::identity::as_text")]
    account: UserId,
}

impl Kept for Subject {
    const KIND: &'static str = "subjects";
}

/// Why nobody signs in, or nothing is linked.
#[derive(Debug, thiserror::Error)]
pub(in crate::identity) enum LinkError {
    /// A new person needs an address that is theirs.
    #[error("the provider does not say that the address is theirs")]
    NotVerified,
    /// There is an account with this address, of which nobody knows whose it is.
    #[error(
        "there is an account with this address, which was not confirmed: sign in to it and confirm \
         the address, or set another password by mail"
    )]
    AddressTaken,
    /// Of the subject or of the account at this provider.
    #[error("the sign-in belongs to another account, or the account has another one there")]
    AlreadyLinked,
    /// Staff has locked the account.
    #[error("the account is locked")]
    Locked,
    /// Who wanted to link an account has none any more, or was signed out everywhere.
    #[error("the account is gone, or was signed out")]
    Gone,
    /// The tables cannot be reached.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl LinkError {
    /// The answer to a request that met it.
    pub(in crate::identity) fn into_problem(self) -> Problem {
        match self {
            Self::NotVerified => Problem::new(ErrorCode::EmailNotVerified),
            Self::AddressTaken => Problem::because(ErrorCode::EmailAlreadyExists, self.to_string()),
            Self::AlreadyLinked => Problem::new(ErrorCode::OauthAlreadyLinked),
            Self::Locked => Problem::new(ErrorCode::AccountLocked),
            Self::Gone => Problem::new(ErrorCode::Unauthenticated),
            Self::Identity(error) => error.into_problem(),
        }
    }
}

/// Why something stays linked.
#[derive(Debug, thiserror::Error)]
pub(in crate::identity) enum UnlinkError {
    /// There is nothing.
    #[error("the account has no sign-in there")]
    NotLinked,
    /// Nobody could sign in to the account any more.
    #[error("this is the only way to sign in to the account: set a password first")]
    OnlyWay,
    /// The tables cannot be reached.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// By a hash: a key is no place for what somebody is called elsewhere.
fn subject_key(linked: &Linked) -> RecordKey {
    let mut hasher = blake3::Hasher::new_derive_key("cityevents 2026 subject of a provider");
    hasher.update(&(linked.issuer.len() as u64).to_be_bytes());
    hasher.update(linked.issuer.as_bytes()).update(linked.subject.as_bytes());
    RecordKey::new(RecordKind::Subject, hasher.finalize().as_bytes().as_slice())
}

impl Linked {
    fn is_same_person(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.subject == other.subject
    }
}

impl Account {
    fn has(&self, linked: &Linked) -> bool {
        self.linked.iter().any(|one| one.is_same_person(linked))
    }
}

impl Identity {
    fn linked_now(&self, provider: &Provider, person: &Person) -> Linked {
        Linked {
            provider: provider.key().to_owned(),
            issuer: provider.issuer().to_owned(),
            subject: person.subject.clone(),
            linked_at_ms: self.shared.store.now().as_millis(),
        }
    }

    /// The account that somebody of a provider signs in to; made if there is none, for somebody who
    /// reads this language.
    pub(in crate::identity) async fn account_of_person(
        &self,
        provider: &Provider,
        person: &Person,
        language: Option<&LanguageTag>,
    ) -> Result<Account, LinkError> {
        let linked = self.linked_now(provider, person);
        for _ in 0..TRIES {
            if let Some(account) = self.account_of_subject(&linked).await? {
                return if account.locked { Err(LinkError::Locked) } else { Ok(account) };
            }
            let said = person.email.as_deref().filter(|_| person.email_verified);
            let address = said.and_then(|email| Address::parse(email).ok());
            let address = address.ok_or(LinkError::NotVerified)?;
            match self.account_of(&address).await? {
                Some(account) if !account.email_verified => return Err(LinkError::AddressTaken),
                Some(account) => return self.link(&account.id, linked).await,
                None => {
                    if let Some(account) =
                        self.make_linked(&address, person, &linked, language).await?
                    {
                        return self.link(&account.id, linked).await;
                    }
                }
            }
            // Somebody has claimed the address and not made the account yet.
            tokio::time::sleep(PAUSE).await;
        }
        Err(IdentityError::Contended { kind: Subject::KIND }.into())
    }

    async fn make_linked(
        &self,
        address: &Address,
        person: &Person,
        linked: &Linked,
        language: Option<&LanguageTag>,
    ) -> Result<Option<Account>, IdentityError> {
        let new = NewAccount {
            email: address.clone(),
            name: person.name.clone(),
            language: language.cloned(),
            password_hash: None,
            role: Role::User,
        };
        self.make_account(new, Some(linked.clone())).await
    }

    async fn account_of_subject(&self, linked: &Linked) -> Result<Option<Account>, IdentityError> {
        let read = self.shared.store.read::<Subject>(subject_key(linked)).await?;
        let Some(read) = read else { return Ok(None) };
        let account = self.account(&read.value.account).await?;
        Ok(account.filter(|account| account.has(linked)))
    }

    /// Links somebody who was signed in when they began, if they still are.
    pub(in crate::identity) async fn link_to(
        &self,
        account: &UserId,
        begun_at_ms: i64,
        provider: &Provider,
        person: &Person,
    ) -> Result<Account, LinkError> {
        let now = self.account(account).await?.ok_or(LinkError::Gone)?;
        if now.revoked_before_ms.is_some_and(|before_ms| begun_at_ms < before_ms) {
            return Err(LinkError::Gone);
        }
        self.link(account, self.linked_now(provider, person)).await
    }

    /// The row first, then the record of the subject; see above.
    async fn link(&self, id: &UserId, linked: Linked) -> Result<Account, LinkError> {
        let store = &self.shared.store;
        let add = |account: &Account| {
            let has_room = account.linked.iter().all(|one| one.provider != linked.provider);
            let is_new = has_room && !account.has(&linked);
            (account.is_somebodys() && !account.locked && is_new).then(|| {
                let linked = account.linked.iter().chain([&linked]).cloned().collect();
                Account { linked, ..account.clone() }
            })
        };
        let account = store.update(account_key(id), add).await?.ok_or(LinkError::Gone)?;
        match () {
            () if !account.is_somebodys() => return Err(LinkError::Gone),
            () if account.locked => return Err(LinkError::Locked),
            () if !account.has(&linked) => return Err(LinkError::AlreadyLinked),
            () => {}
        }
        if !self.claim_subject(id, &linked).await? {
            self.forget_link(id, &linked).await?;
            return Err(LinkError::AlreadyLinked);
        }
        // Erased meanwhile: whoever did it may not have seen the record of the subject.
        let Some(account) = self.account(id).await? else {
            self.release_subject(id, &linked).await?;
            return Err(LinkError::Gone);
        };
        let account_hash = AccountHash::of(id);
        tracing::info!(%account_hash, oauth.provider = linked.provider, "linked to a provider");
        Ok(account)
    }

    /// Makes a subject an account's; `false` when it is somebody else's.
    async fn claim_subject(&self, id: &UserId, linked: &Linked) -> Result<bool, IdentityError> {
        let (store, key) = (&self.shared.store, subject_key(linked));
        let own = Subject { account: *id };
        for _ in 0..TRIES {
            let Some(read) = store.read::<Subject>(key.clone()).await? else {
                if store.insert(key.clone(), &own).await? {
                    return Ok(true);
                }
                continue;
            };
            if read.value.account == *id {
                return Ok(true);
            }
            let other = self.account(&read.value.account).await?;
            if other.is_some_and(|account| account.has(linked)) {
                return Ok(false);
            }
            // Left behind by somebody who is gone, or who unlinked it.
            if store.replace(key.clone(), &read, &own).await? {
                return Ok(true);
            }
        }
        Err(IdentityError::Contended { kind: Subject::KIND })
    }

    async fn release_subject(&self, id: &UserId, linked: &Linked) -> Result<(), IdentityError> {
        let (store, key) = (&self.shared.store, subject_key(linked));
        let Some(read) = store.read::<Subject>(key.clone()).await? else { return Ok(()) };
        if read.value.account == *id && !store.remove(key, &read).await? {
            return Err(IdentityError::Contended { kind: Subject::KIND });
        }
        Ok(())
    }

    async fn forget_link(&self, id: &UserId, linked: &Linked) -> Result<(), IdentityError> {
        let without = |account: &Account| {
            account.has(linked).then(|| {
                let stay = account.linked.iter().filter(|one| !one.is_same_person(linked));
                Account { linked: stay.cloned().collect(), ..account.clone() }
            })
        };
        self.shared.store.update(account_key(id), without).await?;
        Ok(())
    }

    /// The providers that somebody can sign in at.
    pub(in crate::identity) async fn links_of(
        &self,
        account: &Account,
    ) -> Result<Vec<Linked>, IdentityError> {
        let mut links = Vec::new();
        for linked in &account.linked {
            let read = self.shared.store.read::<Subject>(subject_key(linked)).await?;
            if read.is_some_and(|read| read.value.account == account.id) {
                links.push(linked.clone());
            }
        }
        Ok(links)
    }

    /// Takes a way to sign in away, if another one stays.
    pub(in crate::identity) async fn unlink(
        &self,
        id: &UserId,
        provider: &str,
    ) -> Result<(), UnlinkError> {
        let store = &self.shared.store;
        let another = |account: &Account| {
            let other = |one: &Linked| {
                one.provider != provider && self.shared.providers.get(&one.provider).is_some()
            };
            account.password.is_some() || account.linked.iter().any(other)
        };
        let mut gone = None;
        let without = |account: &Account| {
            gone = account.linked.iter().find(|one| one.provider == provider).cloned();
            let gone = gone.as_ref().filter(|_| another(account))?;
            let stay = account.linked.iter().filter(|one| *one != gone);
            Some(Account { linked: stay.cloned().collect(), ..account.clone() })
        };
        let account = store.update(account_key(id), without).await?;
        let (Some(account), Some(gone)) = (account, gone) else {
            return Err(UnlinkError::NotLinked);
        };
        if account.has(&gone) {
            return Err(UnlinkError::OnlyWay);
        }
        self.release_subject(id, &gone).await?;
        let account_hash = AccountHash::of(id);
        tracing::info!(%account_hash, oauth.provider = provider, "unlinked from a provider");
        Ok(())
    }

    /// Gives the subjects of an erased account free. As often as wanted.
    pub(in crate::identity) async fn release_subjects(
        &self,
        account: &Account,
    ) -> Result<(), IdentityError> {
        for linked in &account.linked {
            self.release_subject(&account.id, linked).await?;
        }
        let without = |account: &Account| {
            (account.erased && !account.linked.is_empty())
                .then(|| Account { linked: Vec::new(), ..account.clone() })
        };
        self.shared.store.update(account_key(&account.id), without).await?;
        Ok(())
    }
}
