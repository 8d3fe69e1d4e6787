//! Who may do what: giving roles, by staff and from the command line.

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::{ErrorCode, Problem};

use super::audit::Deed;
use super::store::IdentityError;
use super::{Account, Identity};

/// Why nobody got another role.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// Nobody has this account.
    #[error("there is no such account")]
    Unknown,
    /// Nobody would administer any more.
    #[error("this is the last administrator: make somebody else one first")]
    LastAdministrator,
    /// The accounts cannot be read or written.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

impl RoleError {
    /// The answer to a request that met it.
    pub(super) fn into_problem(self) -> Problem {
        match self {
            Self::Unknown => Problem::new(ErrorCode::NotFound),
            Self::LastAdministrator => Problem::because(ErrorCode::InvalidState, self.to_string()),
            Self::Identity(error) => error.into_problem(),
        }
    }
}

impl Identity {
    /// Gives an account another role, and leaves a trace of it. `by` is whoever of the staff asked;
    /// `None`: somebody at the command line.
    ///
    /// # Errors
    /// When there is no such account, or nobody would administer any more.
    pub async fn give_role(
        &self,
        by: Option<&UserId>,
        id: &UserId,
        role: Role,
    ) -> Result<Account, RoleError> {
        let account = self.account(id).await?.ok_or(RoleError::Unknown)?;
        if account.role == Role::Admin && role != Role::Admin {
            self.step_down(id).await?;
        }
        let change =
            |account: &Account| (account.role != role).then(|| Account { role, ..account.clone() });
        let changed = self.act_on(by, id, Deed::SetRole { role }, change).await?;
        let changed = changed.ok_or(RoleError::Unknown)?;
        if role == Role::Admin && !changed.locked {
            self.add_administrator(id).await?;
        }
        Ok(changed)
    }

    /// Somebody is about to administer no more; somebody else must stay who does.
    pub(super) async fn step_down(&self, id: &UserId) -> Result<(), RoleError> {
        match self.remove_administrator(id).await? {
            true => Ok(()),
            false => Err(RoleError::LastAdministrator),
        }
    }
}
