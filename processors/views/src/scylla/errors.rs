//! What can be wrong with the database, and what its driver's errors mean.

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    MetadataError, NewSessionError, PrepareError, RequestAttemptError,
};
use thiserror::Error;

use crate::error::ViewsError;

/// Why the tables of a keyspace cannot be used, or cannot be made.
#[derive(Debug, Error)]
pub enum SchemaError {
    /// No node answers.
    #[error("cannot reach ScyllaDB at {nodes} ({detail}): start it, or correct scylla.nodes")]
    Unreachable {
        /// The nodes of the configuration.
        nodes: String,
        /// What the driver says.
        detail: String,
    },
    /// The user or the password is wrong.
    #[error(
        "ScyllaDB at {nodes} refuses {}: correct scylla.user and scylla.password ({detail})",
        user.as_ref().map_or_else(|| "a connection without a user".to_owned(), |user| format!("user {user}"))
    )]
    Credentials {
        /// The nodes of the configuration.
        nodes: String,
        /// The user of the configuration.
        user: Option<String>,
        /// What the database says.
        detail: String,
    },
    /// There is no such datacenter.
    #[error("there is no datacenter {datacenter}: set scylla.local_datacenter to one of {}", known.join(", "))]
    UnknownDatacenter {
        /// The one of the configuration.
        datacenter: String,
        /// Those that the cluster has.
        known: Vec<String>,
    },
    /// The name of the keyspace is not one.
    #[error(
        "{keyspace:?} cannot be the name of a keyspace: give scylla.keyspace a name of up to 48 \
         lower-case letters, digits and underscores that begins with a letter"
    )]
    BadKeyspace {
        /// The name.
        keyspace: String,
    },
    /// The keyspace cannot be made with this replication.
    #[error(
        "the replication {replication} is not accepted ({detail}): set scylla.replication to a map \
         such as {{'class': 'NetworkTopologyStrategy', 'replication_factor': 3}}"
    )]
    BadReplication {
        /// The text of the configuration.
        replication: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The keyspace is not there.
    #[error("keyspace {keyspace} is not there: run `cityevents views migrate`")]
    MissingKeyspace {
        /// Its name.
        keyspace: String,
    },
    /// The keyspace lacks migrations that this program has.
    #[error(
        "the tables of keyspace {keyspace} have version {found} and this program needs version \
         {known}: run `cityevents views migrate`"
    )]
    OlderKeyspace {
        /// Its name.
        keyspace: String,
        /// The version that it has; 0 without any table.
        found: u32,
        /// The version that this program needs.
        known: u32,
    },
    /// The keyspace was migrated by a newer program.
    #[error(
        "the tables of keyspace {keyspace} have version {found} and this program knows versions up \
         to {known}: use a newer program, or another keyspace and rebuild the tables from the log"
    )]
    NewerKeyspace {
        /// Its name.
        keyspace: String,
        /// The version that it has.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// What was applied under a number is not what this program has under it.
    #[error(
        "migration {number} of keyspace {keyspace} was applied as {found} and is {known} here: \
         use the program that applied it, or another keyspace and rebuild the tables from the log"
    )]
    ChangedMigration {
        /// The keyspace.
        keyspace: String,
        /// Which migration.
        number: u32,
        /// Name and checksum as recorded.
        found: String,
        /// Name and checksum of this program.
        known: String,
    },
    /// The user may not do what a migration does.
    #[error(
        "{} may not change keyspace {keyspace} ({detail}): grant it CREATE, ALTER, SELECT and MODIFY, \
         or run `cityevents views migrate` as a user that may",
        user.as_ref().map_or_else(|| "the anonymous user".to_owned(), |user| format!("user {user}"))
    )]
    NoRights {
        /// The keyspace.
        keyspace: String,
        /// The user of the configuration.
        user: Option<String>,
        /// What the database says.
        detail: String,
    },
    /// Somebody else is migrating for longer than one waits.
    #[error(
        "keyspace {keyspace} is being migrated by {holder}: wait for it; if it was killed, its lock \
         ends within {lock_seconds} s"
    )]
    Locked {
        /// The keyspace.
        keyspace: String,
        /// Who holds the lock.
        holder: String,
        /// How long a lock lasts.
        lock_seconds: i32,
    },
    /// The lock ended before the migration did.
    #[error(
        "the lock on keyspace {keyspace} was lost in the middle of a migration: run `cityevents \
         views migrate` again"
    )]
    LockLost {
        /// The keyspace.
        keyspace: String,
    },
}

impl SchemaError {
    /// A bounded word for metrics and logs.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Credentials { .. } => "credentials",
            Self::UnknownDatacenter { .. } => "unknown_datacenter",
            Self::BadKeyspace { .. } => "bad_keyspace",
            Self::BadReplication { .. } => "bad_replication",
            Self::MissingKeyspace { .. } => "missing_keyspace",
            Self::OlderKeyspace { .. } => "older_keyspace",
            Self::NewerKeyspace { .. } => "newer_keyspace",
            Self::ChangedMigration { .. } => "changed_migration",
            Self::NoRights { .. } => "no_rights",
            Self::Locked { .. } => "locked",
            Self::LockLost { .. } => "lock_lost",
        }
    }

    /// Whether the same call may succeed later without anybody doing something.
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Locked { .. } | Self::LockLost { .. })
    }
}

/// What an error of the driver means for the caller and for the breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The database did not answer in time; what came of the request is unknown.
    TimedOut,
    /// The database cannot be reached, or says that it cannot do it now.
    Unavailable,
    /// The user may not do it.
    Unauthorized,
    /// The database answered that it will not do it.
    Refused,
}

impl Verdict {
    /// The word for metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "timeout",
            Self::Unavailable => "unavailable",
            Self::Unauthorized => "unauthorized",
            Self::Refused => "refused",
        }
    }

    /// Whether it speaks against the database.
    pub(super) const fn is_failure(self) -> bool {
        matches!(self, Self::TimedOut | Self::Unavailable)
    }

    pub(super) fn of(error: &ExecutionError) -> Self {
        match error {
            ExecutionError::RequestTimeout(_) => Self::TimedOut,
            ExecutionError::LastAttemptError(error) => Self::of_attempt(error),
            ExecutionError::PrepareError(error) => Self::of_prepare(error),
            ExecutionError::BadQuery(_) => Self::Refused,
            _ => Self::Unavailable,
        }
    }

    pub(super) fn of_prepare(error: &PrepareError) -> Self {
        match error {
            PrepareError::AllAttemptsFailed { first_attempt } => Self::of_attempt(first_attempt),
            PrepareError::PreparedStatementIdsMismatch => Self::Refused,
            _ => Self::Unavailable,
        }
    }

    pub(super) const fn of_attempt(error: &RequestAttemptError) -> Self {
        match error {
            RequestAttemptError::DbError(error, _) => match error {
                DbError::ReadTimeout { .. } | DbError::WriteTimeout { .. } => Self::TimedOut,
                DbError::Unavailable { .. }
                | DbError::Overloaded
                | DbError::IsBootstrapping
                | DbError::ReadFailure { .. }
                | DbError::WriteFailure { .. }
                | DbError::TruncateError
                | DbError::ServerError
                | DbError::RateLimitReached { .. } => Self::Unavailable,
                DbError::Unauthorized | DbError::AuthenticationError => Self::Unauthorized,
                _ => Self::Refused,
            },
            RequestAttemptError::BrokenConnectionError(_)
            | RequestAttemptError::UnableToAllocStreamId => Self::Unavailable,
            _ => Self::Refused,
        }
    }

    /// The error for the caller.
    pub(super) fn into_error(self, detail: impl Into<String>) -> ViewsError {
        let detail = detail.into();
        match self {
            Self::TimedOut | Self::Unavailable => ViewsError::unavailable(detail),
            Self::Unauthorized | Self::Refused => ViewsError::Refused { detail },
        }
    }
}

/// Whether a session could not be opened because the user or the password is wrong.
pub(super) fn refuses_credentials(error: &NewSessionError) -> bool {
    let NewSessionError::MetadataError(MetadataError::ConnectionPoolError(
        ConnectionPoolError::Broken { last_connection_error },
    )) = error
    else {
        return false;
    };
    let ConnectionError::ConnectionSetupRequestError(setup) = last_connection_error else {
        return false;
    };
    matches!(
        setup.error,
        ConnectionSetupRequestErrorKind::MissingAuthentication
            | ConnectionSetupRequestErrorKind::AuthChallengeEvaluationError(_)
            | ConnectionSetupRequestErrorKind::AuthFinishError(_)
            | ConnectionSetupRequestErrorKind::StartAuthSessionError(_)
            | ConnectionSetupRequestErrorKind::DbError(DbError::AuthenticationError, _)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_database_cannot_do_now_speaks_against_it_and_what_we_did_wrong_does_not() {
        let of = |error| Verdict::of(&RequestAttemptError::DbError(error, String::new()).into());
        for error in [DbError::Overloaded, DbError::IsBootstrapping, DbError::ServerError] {
            assert!(of(error).is_failure());
        }
        for error in [DbError::SyntaxError, DbError::Invalid, DbError::Unauthorized] {
            assert!(!of(error).is_failure());
        }
        let timeout = ExecutionError::RequestTimeout(std::time::Duration::from_secs(1));
        assert_eq!(Verdict::of(&timeout), Verdict::TimedOut);
        assert!(Verdict::of(&timeout).into_error("x").is_transient());
        assert!(!of(DbError::Invalid).into_error("x").is_transient());
    }
}
