//! Accounts by their role, for staff: the list that the tables keep is the index.
//!
//! An account has a place in the list of every role that it had; it is shown in that of the role
//! that its row says.

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_views::records::{Place, PlacesQuery};

use super::store::IdentityError;
use super::{Account, Identity};

/// The order of a list without a role: who may do most comes first.
const ORDER: [Role; 3] = [Role::Admin, Role::Moderator, Role::User];
/// Accounts that are looked at for one page.
const LOOKED_MAX: usize = 500;
/// Places that are read at once.
const READ_AT_ONCE: usize = 128;

/// Where somebody stands in the list: by role, and then the oldest account first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AccountPosition {
    role: Role,
    position: Vec<u8>,
}

impl AccountPosition {
    pub(super) fn of(account: &Account) -> Self {
        let created = account.created_at_ms.max(0).cast_unsigned().to_be_bytes();
        let position = [created.as_slice(), account.id.as_bytes()].concat();
        Self { role: account.role, position }
    }
}

impl crate::lists::Place for AccountPosition {
    fn to_bytes(&self) -> Vec<u8> {
        let role = ORDER.iter().position(|role| *role == self.role).unwrap_or_default();
        let role = u8::try_from(role).unwrap_or_default();
        [&[role], self.position.as_slice()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (role, position) = bytes.split_first()?;
        let role = *ORDER.get(usize::from(*role))?;
        (position.len() == 24).then(|| Self { role, position: position.to_vec() })
    }
}

fn list_of(role: Role) -> Vec<u8> {
    [b"accounts/role/", role.as_str().as_bytes()].concat()
}

/// Which accounts are asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) role: Option<Role>,
    pub(super) locked: Option<bool>,
    /// Part of a name or an address, in small letters.
    pub(super) text: Option<String>,
    /// Whether addresses are looked at too.
    pub(super) in_addresses: bool,
}

impl Wanted {
    fn fits(&self, account: &Account) -> bool {
        let has = |text: &str| {
            let name = account.name.as_deref().unwrap_or_default();
            name.to_lowercase().contains(text)
                || (self.in_addresses && account.email.to_lowercase().contains(text))
        };
        self.locked.is_none_or(|locked| account.locked == locked)
            && self.text.as_deref().is_none_or(has)
    }
}

impl Identity {
    /// Puts an account into the list of its role. Comes before the row, which decides.
    pub(super) async fn list_under_role(&self, account: &Account) -> Result<(), IdentityError> {
        let AccountPosition { role, position } = AccountPosition::of(account);
        self.shared.store.add_place(Place { list: list_of(role), position }).await
    }

    /// Accounts, of one role or of all, who may do most first and then the oldest; so many at most,
    /// and whether there are more.
    ///
    /// # Errors
    /// When the tables cannot be reached.
    pub async fn accounts_of(
        &self,
        role: Option<Role>,
        limit: usize,
    ) -> Result<(Vec<Account>, bool), IdentityError> {
        let wanted = Wanted { role, ..Wanted::default() };
        let (mut found, mut after) = (Vec::new(), None);
        // One more than is shown tells whether there are more.
        while found.len() <= limit {
            let (accounts, next) =
                self.accounts(&wanted, after.take(), limit + 1 - found.len()).await?;
            found.extend(accounts);
            after = next;
            if after.is_none() {
                break;
            }
        }
        let has_more = found.len() > limit;
        found.truncate(limit);
        Ok((found, has_more))
    }

    /// Accounts in order, so many at most, and where to go on.
    pub(super) async fn accounts(
        &self,
        wanted: &Wanted,
        after: Option<AccountPosition>,
        limit: usize,
    ) -> Result<(Vec<Account>, Option<AccountPosition>), IdentityError> {
        let (mut found, mut looked) = (Vec::new(), 0);
        let first = after.as_ref().map(|after| after.role);
        let roles = ORDER.into_iter().skip_while(|role| first.is_some_and(|first| first != *role));
        let mut after = after.map(|after| after.position);
        for role in roles {
            let mut behind = after.take();
            if wanted.role.is_some_and(|wanted| wanted != role) {
                continue;
            }
            loop {
                let list = list_of(role);
                let after = behind.take();
                let query = PlacesQuery { list, descending: false, after, limit: READ_AT_ONCE };
                let positions = self.shared.store.places(query).await?;
                let is_end = positions.len() < READ_AT_ONCE;
                for position in positions {
                    looked += 1;
                    let account = self.account_at(&position).await?;
                    let fits = |account: &Account| account.role == role && wanted.fits(account);
                    found.extend(account.filter(fits));
                    if found.len() == limit || looked == LOOKED_MAX {
                        return Ok((found, Some(AccountPosition { role, position })));
                    }
                    behind = Some(position);
                }
                if is_end {
                    break;
                }
            }
        }
        Ok((found, None))
    }

    async fn account_at(&self, position: &[u8]) -> Result<Option<Account>, IdentityError> {
        match position.last_chunk::<16>() {
            Some(id) => self.account(&UserId::from_bytes(*id)).await,
            None => Ok(None),
        }
    }
}
