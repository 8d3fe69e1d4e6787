//! Numbered migrations: what a keyspace goes through to have the tables of this program.
//!
//! A migration is a file of CQL statements, built into the program. Each statement can be run again,
//! and so can a migration that was cut off. What was applied is recorded in the keyspace with number,
//! name and checksum; a keyspace that has more, or something else under a number, is refused.
//!
//! One at a time: a lock in the keyspace is taken by a lightweight transaction and runs out by
//! itself when its holder was killed.

use std::time::Duration;

use cityevents_domain::time::Timestamp;
use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError};
use scylla::response::query_result::QueryResult;
use scylla::serialize::row::SerializeRow;
use scylla::statement::{Consistency, SerialConsistency, Statement};
use scylla::value::{CqlTimestamp, CqlValue, Row};
use tokio::time::{Instant, sleep};

use super::applied::{
    MIGRATIONS, applied, applied_if_there, check_applied, checksum, db_error, has_keyspace,
    known_version,
};
use super::errors::Verdict;
use super::request::{collect, refused};
use super::{SchemaError, ScyllaOptions, connect};
use crate::error::ViewsError;

/// How long a change of the schema may take.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(60);

/// A lock runs out after so long, unless it is renewed; longer than any one statement takes.
const LOCK_SECONDS: i32 = 90;

/// How long to wait for somebody else's migration.
const LOCK_WAIT: Duration = Duration::from_secs(120);

/// How often to look whether the lock is free.
const LOCK_POLL: Duration = Duration::from_millis(250);

/// The only lock.
const LOCK_NAME: &str = "migrate";

/// What `migrate` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The keyspace.
    pub keyspace: String,
    /// Whether the keyspace was made.
    pub is_new: bool,
    /// The version that it has now.
    pub version: u32,
    /// The migrations that were applied now, as `number_name`.
    pub applied: Vec<String>,
}

/// The version of a keyspace that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaVersion {
    /// The keyspace.
    pub keyspace: String,
    /// Its version, the one of this program.
    pub version: u32,
}

/// Makes the keyspace if it is not there, and brings it to the version of this program.
///
/// A keyspace that is there keeps its replication, and whatever else it was made with.
pub async fn migrate(options: &ScyllaOptions) -> Result<Migrated, ViewsError> {
    let session = connect::connect(options).await?;
    let keyspace = &options.keyspace;
    let work = Work { session: &session, options };
    let is_new = !has_keyspace(&session, keyspace).await?;
    if is_new {
        work.make_keyspace().await?;
    }
    // Refused before anything is written.
    match applied_if_there(&session, keyspace).await? {
        Some(applied) => check_applied(keyspace, &applied)?,
        None => work.make_own_tables().await?,
    }
    let holder = format!("process {} ({})", std::process::id(), token());
    work.lock(&holder).await?;
    let result = work.apply(&holder).await;
    let unlocked = work.unlock(&holder).await;
    let applied = result?;
    unlocked?;
    Ok(Migrated { keyspace: keyspace.clone(), is_new, version: known_version(), applied })
}

/// Whether a keyspace can be used by this program as it is. Changes nothing.
pub async fn check(options: &ScyllaOptions) -> Result<SchemaVersion, ViewsError> {
    let session = connect::connect(options).await?;
    check_session(&session, &options.keyspace).await
}

/// Drops a keyspace with all that is in it, if it is there. Whoever has it open gets errors from then on.
pub async fn drop_keyspace(options: &ScyllaOptions) -> Result<(), ViewsError> {
    let session = connect::connect(options).await?;
    let work = Work { session: &session, options };
    let text = format!("DROP KEYSPACE IF EXISTS {}", options.keyspace);
    let dropped = session.query_unpaged(schema_statement(text), ()).await;
    dropped.map(drop).map_err(|error| work.explain(&error))
}

/// What the clock of one node says.
pub async fn server_time(options: &ScyllaOptions) -> Result<Timestamp, ViewsError> {
    let session = connect::connect(options).await?;
    let asked = "SELECT toTimestamp(now()) FROM system.local";
    let told = session.query_unpaged(asked, ()).await;
    let rows = told.map_err(|error| Work { session: &session, options }.explain(&error))?;
    let found: Vec<(CqlTimestamp,)> = collect(&rows.into_rows_result().map_err(refused)?)?;
    let (now,) = found.into_iter().next().unwrap_or((CqlTimestamp(0),));
    Ok(Timestamp::from_millis(now.0))
}

pub(super) async fn check_session(
    session: &Session,
    keyspace: &str,
) -> Result<SchemaVersion, ViewsError> {
    if !has_keyspace(session, keyspace).await? {
        return Err(SchemaError::MissingKeyspace { keyspace: keyspace.to_owned() }.into());
    }
    let applied = applied_if_there(session, keyspace).await?.unwrap_or_default();
    check_applied(keyspace, &applied)?;
    let (found, known) = (applied.len() as u32, known_version());
    if found < known {
        let keyspace = keyspace.to_owned();
        return Err(SchemaError::OlderKeyspace { keyspace, found, known }.into());
    }
    Ok(SchemaVersion { keyspace: keyspace.to_owned(), version: known })
}

/// Differs from one call to the next, in this process and in others.
fn token() -> String {
    use std::hash::{BuildHasher, Hasher};
    let random = std::collections::hash_map::RandomState::new().build_hasher().finish();
    format!("{random:016x}")
}

/// The statements of a migration, without comments.
fn statements(cql: &str) -> impl Iterator<Item = String> {
    let lines = cql.lines().map(|line| line.split_once("--").map_or(line, |(code, _)| code));
    let code: Vec<_> = lines.collect();
    let code = code.join("\n");
    let statements = code.split(';').map(|text| text.trim().to_owned());
    statements.filter(|text| !text.is_empty()).collect::<Vec<_>>().into_iter()
}

struct Work<'a> {
    session: &'a Session,
    options: &'a ScyllaOptions,
}

impl Work<'_> {
    async fn make_keyspace(&self) -> Result<(), ViewsError> {
        let ScyllaOptions { keyspace, replication, .. } = self.options;
        let replication = replication.trim();
        let bad = |detail: String| SchemaError::BadReplication {
            replication: replication.to_owned(),
            detail,
        };
        let is_map = replication.starts_with('{') && replication.ends_with('}');
        if !is_map || replication.contains(';') {
            return Err(bad("it is not a CQL map".to_owned()).into());
        }
        let text =
            format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}");
        match self.session.query_unpaged(schema_statement(text), ()).await {
            Ok(_) => Ok(()),
            Err(error) => Err(match db_error(&error) {
                Some((DbError::SyntaxError | DbError::ConfigError | DbError::Invalid, detail)) => {
                    bad(detail.to_owned()).into()
                }
                _ => self.explain(&error),
            }),
        }
    }

    async fn make_own_tables(&self) -> Result<(), ViewsError> {
        // In this order: who finds the table of migrations relies on the one of locks.
        self.change(
            "CREATE TABLE IF NOT EXISTS {}.migration_locks (name text, holder text, \
             PRIMARY KEY (name))",
        )
        .await?;
        self.change(
            "CREATE TABLE IF NOT EXISTS {}.migrations (part smallint, number int, name text, \
             checksum text, PRIMARY KEY ((part), number))",
        )
        .await
    }

    /// What the lock holder does.
    async fn apply(&self, holder: &str) -> Result<Vec<String>, ViewsError> {
        let keyspace = &self.options.keyspace;
        // Somebody else may have done it meanwhile.
        let present = applied(self.session, keyspace).await?;
        check_applied(keyspace, &present)?;
        let mut done = Vec::new();
        for migration in MIGRATIONS.iter().skip(present.len()) {
            tracing::info!(
                scylla.keyspace = keyspace,
                views.version = migration.number,
                "applying migration {} to keyspace {keyspace}",
                migration.name
            );
            for statement in statements(migration.cql) {
                self.renew(holder).await?;
                self.change(&qualified(&statement)).await?;
            }
            self.renew(holder).await?;
            let number = migration.number as i32;
            let values = (0_i16, number, migration.name, checksum(migration.cql));
            self.transact(
                "INSERT INTO {}.migrations (part, number, name, checksum) VALUES (?, ?, ?, ?) \
                 IF NOT EXISTS",
                values,
            )
            .await?;
            done.push(format!("{:04}_{}", migration.number, migration.name));
        }
        Ok(done)
    }

    async fn lock(&self, holder: &str) -> Result<(), ViewsError> {
        let deadline = Instant::now() + LOCK_WAIT;
        loop {
            let values = (LOCK_NAME, holder, LOCK_SECONDS);
            let text = "INSERT INTO {}.migration_locks (name, holder) VALUES (?, ?) \
                        IF NOT EXISTS USING TTL ?";
            // One that timed out may have taken it all the same.
            let taken = self.transact(text, values).await;
            if matches!(taken, Ok(true)) {
                return Ok(());
            }
            let present = self.lock_holder().await?;
            if present.as_deref() == Some(holder) {
                return Ok(());
            }
            taken?;
            if Instant::now() >= deadline {
                return Err(SchemaError::Locked {
                    keyspace: self.options.keyspace.clone(),
                    holder: present.unwrap_or_else(|| "somebody".to_owned()),
                    lock_seconds: LOCK_SECONDS,
                }
                .into());
            }
            sleep(LOCK_POLL).await;
        }
    }

    async fn renew(&self, holder: &str) -> Result<(), ViewsError> {
        let text = "UPDATE {}.migration_locks USING TTL ? SET holder = ? WHERE name = ? \
                    IF holder = ?";
        if self.transact(text, (LOCK_SECONDS, holder, LOCK_NAME, holder)).await? {
            return Ok(());
        }
        Err(SchemaError::LockLost { keyspace: self.options.keyspace.clone() }.into())
    }

    async fn unlock(&self, holder: &str) -> Result<(), ViewsError> {
        let text = "DELETE FROM {}.migration_locks WHERE name = ? IF holder = ?";
        self.transact(text, (LOCK_NAME, holder)).await.map(|_| ())
    }

    async fn lock_holder(&self) -> Result<Option<String>, ViewsError> {
        let text = "SELECT holder FROM {}.migration_locks WHERE name = ?";
        let mut statement = self.statement(text);
        statement.set_consistency(Consistency::Serial);
        let result = self.session.query_unpaged(statement, (LOCK_NAME,)).await;
        let rows = result.map_err(|error| self.explain(&error))?.into_rows_result();
        let found: Vec<(Option<String>,)> = collect(&rows.map_err(refused)?)?;
        Ok(found.into_iter().next().and_then(|(holder,)| holder))
    }

    /// A change of the schema, seen by all nodes when this returns.
    async fn change(&self, text: &str) -> Result<(), ViewsError> {
        let result = self.session.query_unpaged(self.statement(text), ()).await;
        result.map(|_| ()).map_err(|error| self.explain(&error))
    }

    /// A lightweight transaction; whether it was applied.
    async fn transact(&self, text: &str, values: impl SerializeRow) -> Result<bool, ViewsError> {
        let mut statement = self.statement(text);
        statement.set_serial_consistency(Some(SerialConsistency::Serial));
        let result = self.session.query_unpaged(statement, values).await;
        is_applied(result.map_err(|error| self.explain(&error))?)
    }

    fn statement(&self, text: &str) -> Statement {
        schema_statement(text.replacen("{}", &self.options.keyspace, 1))
    }

    fn explain(&self, error: &ExecutionError) -> ViewsError {
        let verdict = Verdict::of(error);
        let detail = match db_error(error) {
            Some((_, detail)) => detail.to_owned(),
            None => error.to_string(),
        };
        if verdict == Verdict::Unauthorized {
            let ScyllaOptions { keyspace, user, .. } = self.options;
            let (keyspace, user) = (keyspace.clone(), user.clone());
            return SchemaError::NoRights { keyspace, user, detail }.into();
        }
        verdict.into_error(detail)
    }
}

/// A statement of a migration with the place for its keyspace. Migrations name one table each, right
/// behind these words.
fn qualified(statement: &str) -> String {
    let words = ["CREATE TABLE IF NOT EXISTS ", "ALTER TABLE ", "DROP TABLE IF EXISTS "];
    let found = words.into_iter().find(|words| statement.starts_with(words)).unwrap_or_default();
    statement.replacen(found, &format!("{found}{{}}."), 1)
}

fn schema_statement(text: String) -> Statement {
    let mut statement = Statement::new(text);
    statement.set_request_timeout(Some(SCHEMA_TIMEOUT));
    statement.set_consistency(Consistency::LocalQuorum);
    statement
}

fn is_applied(result: QueryResult) -> Result<bool, ViewsError> {
    let rows = result.into_rows_result().map_err(refused)?;
    let row: Row = rows.first_row().map_err(refused)?;
    Ok(matches!(row.columns.first(), Some(Some(CqlValue::Boolean(true)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_of_a_migration_can_be_run_again_and_names_its_table() {
        for migration in MIGRATIONS {
            let statements: Vec<_> = statements(migration.cql).collect();
            assert!(!statements.is_empty());
            for statement in statements {
                assert!(qualified(&statement).contains("{}."), "{statement}");
            }
        }
    }

    #[test]
    fn nothing_but_the_common_part_of_cql_is_used() {
        for migration in MIGRATIONS {
            for word in ["INDEX", "MATERIALIZED", "CUSTOM", "counter,", "FILTERING", "VECTOR"] {
                let mut statements = statements(migration.cql);
                assert!(statements.all(|statement| !statement.contains(word)), "{word}");
            }
        }
    }
}
