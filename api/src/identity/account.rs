//! Accounts.

use cityevents_domain::actor::Role;
use cityevents_domain::ids::{ImageId, UserId};
use cityevents_domain::time::Timestamp;
use cityevents_views::records::{RecordKey, RecordKind};
use serde::{Deserialize, Serialize};

use super::audit::Act;
use super::oidc::Linked;
use super::store::{IdentityError, Kept, Stored};
use super::{Address, Identity, LanguageTag};

/// A claim of an address whose account was not made by then was left behind by a crash.
const CLAIM_PATIENCE_MS: i64 = 60_000;

/// An account.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Whose it is.
    #[serde(with = "super::as_text")]
    pub id: UserId,
    /// The address as it was written.
    pub email: String,
    /// What the person wants to be called.
    pub name: Option<String>,
    /// The hash of the password in PHC form; `None` for who signs in elsewhere only.
    pub(super) password: Option<String>,
    /// What the person may do.
    #[serde(with = "role")]
    pub role: Role,
    /// The language that the person is written to in; `None`: that of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) language: Option<LanguageTag>,
    /// Whether the person has shown that the address is theirs.
    pub email_verified: bool,
    /// Whether staff has locked the account.
    pub locked: bool,
    /// A picture.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "super::as_text::option")]
    pub avatar: Option<ImageId>,
    /// When it was made, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// Rises with every change that others have to know.
    pub version: u64,
    /// Tokens and sessions from before are no longer good, in milliseconds since 1970.
    #[serde(default)]
    pub(super) revoked_before_ms: Option<i64>,
    /// Who the person is at other providers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) linked: Vec<Linked>,
    /// What staff did to it, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) acts: Vec<Act>,
    /// Stands where an account was going to be made by somebody who took too long, so that it never
    /// is: the address is somebody else's now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) abandoned: bool,
    /// The person had it erased. The row stays, without anything personal, so that its id is nobody
    /// else's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) erased: bool,
}

/// Without what is secret or personal.
impl std::fmt::Debug for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Account")
            .field("id", &self.id)
            .field("role", &self.role)
            .field("locked", &self.locked)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// An account to be made.
#[derive(Debug)]
pub struct NewAccount {
    /// Where mails go.
    pub email: Address,
    /// What the person wants to be called.
    pub name: Option<String>,
    /// The language that the person is written to in, if it is known.
    pub language: Option<LanguageTag>,
    /// The hash of the password, from [`super::Passwords`].
    pub password_hash: Option<String>,
    /// What the person may do.
    pub role: Role,
}

impl Kept for Account {
    const KIND: &'static str = "accounts";
}

impl Account {
    /// Whether there is somebody whose account it is.
    pub(super) const fn is_somebodys(&self) -> bool {
        !self.abandoned && !self.erased
    }

    /// What tries to sign in are counted by.
    pub(super) fn tried_as(&self) -> String {
        let address = Address::parse(&self.email);
        address.map_or_else(|_| self.email.clone(), |address| address.key())
    }

    /// What keeps the account of a claim from being made.
    fn abandoned(claim: &Claim) -> Self {
        Self {
            id: claim.account,
            email: String::new(),
            name: None,
            password: None,
            role: Role::User,
            language: None,
            email_verified: false,
            locked: true,
            avatar: None,
            created_at_ms: claim.claimed_at_ms,
            version: 0,
            revoked_before_ms: None,
            linked: Vec::new(),
            acts: Vec::new(),
            abandoned: true,
            erased: false,
        }
    }
}

/// Whose an address is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Claim {
    #[serde(with = "super::as_text")]
    pub(super) account: UserId,
    claimed_at_ms: i64,
}

impl Kept for Claim {
    const KIND: &'static str = "addresses";
}

pub(super) mod role {
    use cityevents_domain::actor::Role;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::identity) fn serialize<S: Serializer>(
        role: &Role,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(role.as_str())
    }

    pub(in crate::identity) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Role, D::Error> {
        let text = String::deserialize(from)?;
        Role::parse(&text).ok_or_else(|| serde::de::Error::custom("no such role"))
    }
}

pub(super) fn account_key(id: &UserId) -> RecordKey {
    RecordKey::new(RecordKind::Account, id.as_bytes().as_slice())
}

pub(super) fn address_key(address: &Address) -> RecordKey {
    RecordKey::new(RecordKind::Address, address.key())
}

impl Identity {
    /// Makes an account; `None` when there is one with this address.
    ///
    /// # Errors
    /// When the tables cannot be reached.
    pub async fn create_account(
        &self,
        account: NewAccount,
    ) -> Result<Option<Account>, IdentityError> {
        self.make_account(account, None).await
    }

    /// As above; for somebody of a provider, who has shown there that the address is theirs.
    pub(super) async fn make_account(
        &self,
        account: NewAccount,
        linked: Option<Linked>,
    ) -> Result<Option<Account>, IdentityError> {
        let store = &self.shared.store;
        let now = store.now();
        let id = uuid::Builder::from_random_bytes(super::store::random()?).into_uuid();
        let id = UserId::from_bytes(id.into_bytes());
        if !self.claim(&account.email, id, now).await? {
            return Ok(None);
        }
        let account = Account {
            id,
            email: account.email.as_str().to_owned(),
            name: account.name,
            password: account.password_hash,
            role: account.role,
            language: account.language,
            email_verified: linked.is_some(),
            locked: false,
            avatar: None,
            created_at_ms: now.as_millis(),
            version: 1,
            revoked_before_ms: None,
            linked: linked.into_iter().collect(),
            acts: Vec::new(),
            abandoned: false,
            erased: false,
        };
        self.list_under_role(&account).await?;
        if !store.insert(account_key(&id), &account).await? {
            return Err(IdentityError::Contended { kind: Account::KIND });
        }
        if account.role == Role::Admin {
            self.add_administrator(&id).await?;
        }
        Ok(Some(account))
    }

    /// Writes to somebody in another language from now on. Nobody else has to know.
    pub(super) async fn set_language(
        &self,
        id: &UserId,
        language: &LanguageTag,
    ) -> Result<(), IdentityError> {
        let change = |account: &Account| {
            let is_new = account.is_somebodys() && account.language.as_ref() != Some(language);
            is_new.then(|| Account { language: Some(language.clone()), ..account.clone() })
        };
        self.shared.store.update(account_key(id), change).await?;
        Ok(())
    }

    /// Claims an address for an account that is going to be made.
    async fn claim(
        &self,
        address: &Address,
        account: UserId,
        now: Timestamp,
    ) -> Result<bool, IdentityError> {
        let store = &self.shared.store;
        let claim = Claim { account, claimed_at_ms: now.as_millis() };
        if store.insert(address_key(address), &claim).await? {
            return Ok(true);
        }
        let Some(read) = store.read::<Claim>(address_key(address)).await? else {
            return Err(IdentityError::Contended { kind: Claim::KIND });
        };
        let Stored { value: earlier, .. } = &read;
        let is_young = now.as_millis() < earlier.claimed_at_ms.saturating_add(CLAIM_PATIENCE_MS);
        if is_young || self.account(&earlier.account).await?.is_some() {
            return Ok(false);
        }
        let abandoned_key = account_key(&earlier.account);
        if !store.insert(abandoned_key.clone(), &Account::abandoned(earlier)).await? {
            // Whoever abandoned or erased it before may not have come to the claim.
            let present = store.read::<Account>(abandoned_key).await?;
            if present.is_none_or(|present| present.value.is_somebodys()) {
                return Ok(false);
            }
        }
        store.replace(address_key(address), &read, &claim).await
    }

    /// Calls somebody something else. `None` when there is no such account any more.
    pub(super) async fn rename(
        &self,
        user: &UserId,
        name: Option<String>,
    ) -> Result<Option<Account>, IdentityError> {
        let change = |account: &Account| {
            let stays = !account.is_somebodys() || account.name == name;
            (!stays).then(|| Account { name: name.clone(), ..account.clone() })
        };
        let account = self.shared.store.update(account_key(user), change).await?;
        Ok(account.filter(Account::is_somebodys))
    }

    /// An account by its id.
    ///
    /// # Errors
    /// When the tables cannot be reached.
    pub async fn account(&self, id: &UserId) -> Result<Option<Account>, IdentityError> {
        Ok(self.row(id).await?.filter(Account::is_somebodys))
    }

    /// The row of an account, even if it was erased.
    pub(super) async fn row(&self, id: &UserId) -> Result<Option<Account>, IdentityError> {
        let stored = self.shared.store.read::<Account>(account_key(id)).await?;
        Ok(stored.map(|stored| stored.value).filter(|account| !account.abandoned))
    }

    /// An account by its address.
    ///
    /// # Errors
    /// When the tables cannot be reached.
    pub async fn account_of(&self, address: &Address) -> Result<Option<Account>, IdentityError> {
        let claim = self.shared.store.read::<Claim>(address_key(address)).await?;
        match claim {
            Some(claim) => self.account(&claim.value.account).await,
            None => Ok(None),
        }
    }

    /// Sets another password, and revokes all sessions with it, if the hash is still the one that was
    /// seen; says whether it was.
    pub(super) async fn set_password(
        &self,
        id: &UserId,
        seen: Option<&str>,
        hash: &str,
    ) -> Result<bool, IdentityError> {
        let revoked_before_ms = Some(self.shared.store.now().as_millis());
        let change = |account: &Account| {
            (account.password.as_deref() == seen).then(|| Account {
                password: Some(hash.to_owned()),
                revoked_before_ms: account.revoked_before_ms.max(revoked_before_ms),
                ..account.clone()
            })
        };
        let changed = self.change_account(id, change).await?;
        Ok(changed.is_some_and(|account| account.password.as_deref() == Some(hash)))
    }

    /// The person has shown that the address is theirs.
    pub(super) async fn set_verified(&self, id: &UserId) -> Result<(), IdentityError> {
        let change = |account: &Account| {
            (!account.email_verified).then(|| Account { email_verified: true, ..account.clone() })
        };
        self.shared.store.update(account_key(id), change).await?;
        Ok(())
    }

    /// Replaces the hash of a password by a stronger one if it is still the one that was seen.
    pub(super) async fn upgrade_password_hash(
        &self,
        id: &UserId,
        seen: Option<&str>,
        hash: &str,
    ) -> Result<(), IdentityError> {
        let change = |account: &Account| {
            (account.password.as_deref() == seen)
                .then(|| Account { password: Some(hash.to_owned()), ..account.clone() })
        };
        self.shared.store.update(account_key(id), change).await?;
        Ok(())
    }
}
