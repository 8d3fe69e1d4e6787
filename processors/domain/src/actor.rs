//! Who asks.

use crate::ids::UserId;

/// What a person may do beyond their own things. Each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everybody with an account.
    User,
    /// Staff: may act on any event.
    Moderator,
    /// Staff: may act on accounts too.
    Admin,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 3] = [Self::User, Self::Moderator, Self::Admin];

    /// The word used in tokens, on the wire and in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Moderator => "moderator",
            Self::Admin => "admin",
        }
    }

    /// The role of a word, if there is one.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// Moderators and admins.
    pub const fn is_staff(self) -> bool {
        matches!(self, Self::Moderator | Self::Admin)
    }
}

/// Who gave a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A person, with the role that their token carried.
    Person {
        /// Whose account.
        user: UserId,
        /// With which role.
        role: Role,
    },
    /// The platform itself: ticks.
    System,
}

impl Actor {
    /// The person, if it is one.
    pub const fn user(&self) -> Option<UserId> {
        match self {
            Self::Person { user, .. } => Some(*user),
            Self::System => None,
        }
    }

    /// Whether this actor may manage an event of `owner`.
    pub fn manages(&self, owner: &UserId) -> bool {
        match self {
            Self::Person { user, role } => user == owner || role.is_staff(),
            Self::System => true,
        }
    }

    /// Whether this is a moderator or an admin.
    pub const fn is_staff(&self) -> bool {
        matches!(self, Self::Person { role, .. } if role.is_staff())
    }
}
