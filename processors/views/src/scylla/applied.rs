//! The migrations of this program, and what a keyspace says that it went through.

use scylla::client::session::Session;
use scylla::errors::{DbError, ExecutionError, RequestAttemptError};
use scylla::statement::{Consistency, Statement};

use super::SchemaError;
use super::errors::Verdict;
use super::request::{collect, refused};
use crate::error::ViewsError;

/// One step.
pub(super) struct Migration {
    pub(super) number: u32,
    pub(super) name: &'static str,
    pub(super) cql: &'static str,
}

/// In order, without gaps. One that was released never changes.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "tables", cql: include_str!("../../migrations/0001_tables.cql") },
    Migration {
        number: 2,
        name: "records",
        cql: include_str!("../../migrations/0002_records.cql"),
    },
    Migration { number: 3, name: "trends", cql: include_str!("../../migrations/0003_trends.cql") },
];

/// A migration as it is recorded.
pub(super) struct Applied {
    number: u32,
    name: String,
    checksum: String,
}

pub(super) const fn known_version() -> u32 {
    MIGRATIONS.len() as u32
}

/// What was applied must be what this program would have applied, in order, and nothing more.
pub(super) fn check_applied(keyspace: &str, applied: &[Applied]) -> Result<(), SchemaError> {
    let (found, known) = (applied.iter().map(|one| one.number).max(), known_version());
    if let Some(found) = found.filter(|found| *found > known) {
        return Err(SchemaError::NewerKeyspace { keyspace: keyspace.to_owned(), found, known });
    }
    for (migration, one) in MIGRATIONS.iter().zip(applied) {
        let checksum = checksum(migration.cql);
        if (one.number, one.name.as_str(), &one.checksum)
            != (migration.number, migration.name, &checksum)
        {
            return Err(SchemaError::ChangedMigration {
                keyspace: keyspace.to_owned(),
                number: migration.number,
                found: format!("{} {} {}", one.number, one.name, one.checksum),
                known: format!("{} {} {checksum}", migration.number, migration.name),
            });
        }
    }
    Ok(())
}

pub(super) fn checksum(cql: &str) -> String {
    let mut hex = blake3::hash(cql.as_bytes()).to_hex();
    hex.truncate(32);
    hex.to_string()
}

pub(super) async fn has_keyspace(session: &Session, keyspace: &str) -> Result<bool, ViewsError> {
    let text = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::One);
    let result = session.query_unpaged(statement, (keyspace,)).await;
    let rows = result.map_err(|error| plain(&error))?.into_rows_result().map_err(refused)?;
    Ok(rows.rows_num() > 0)
}

pub(super) async fn applied(session: &Session, keyspace: &str) -> Result<Vec<Applied>, ViewsError> {
    select_applied(session, keyspace).await?.map_err(|error| plain(&error))
}

/// `None` where the table of migrations is not there. Only asking it tells: what the database lists
/// as there may not be usable yet.
pub(super) async fn applied_if_there(
    session: &Session,
    keyspace: &str,
) -> Result<Option<Vec<Applied>>, ViewsError> {
    match select_applied(session, keyspace).await? {
        Ok(applied) => Ok(Some(applied)),
        Err(error) if matches!(db_error(&error), Some((DbError::Invalid, _))) => Ok(None),
        Err(error) => Err(plain(&error)),
    }
}

async fn select_applied(
    session: &Session,
    keyspace: &str,
) -> Result<Result<Vec<Applied>, ExecutionError>, ViewsError> {
    let text = format!("SELECT number, name, checksum FROM {keyspace}.migrations WHERE part = 0");
    let mut statement = Statement::new(text);
    statement.set_consistency(Consistency::LocalQuorum);
    let result = match session.query_unpaged(statement, ()).await {
        Ok(result) => result,
        Err(error) => return Ok(Err(error)),
    };
    let rows: Vec<(i32, String, String)> = collect(&result.into_rows_result().map_err(refused)?)?;
    let applied = |(number, name, checksum): (i32, _, _)| Applied {
        number: u32::try_from(number).unwrap_or(0),
        name,
        checksum,
    };
    Ok(Ok(rows.into_iter().map(applied).collect()))
}

fn plain(error: &ExecutionError) -> ViewsError {
    Verdict::of(error).into_error(error.to_string())
}

/// The error of the database, and its words.
pub(super) fn db_error(error: &ExecutionError) -> Option<(&DbError, &str)> {
    match error {
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, detail)) => {
            Some((error, detail))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (number, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.number, number);
        }
    }

    #[test]
    fn a_keyspace_with_more_or_with_something_else_is_refused() {
        let one = |number: u32, name: &str, checksum: String| Applied {
            number,
            name: name.to_owned(),
            checksum,
        };
        let first = || one(1, "tables", checksum(MIGRATIONS[0].cql));
        assert!(check_applied("k", &[]).is_ok());
        assert!(check_applied("k", &[first()]).is_ok());
        let kind = |applied: &[Applied]| check_applied("k", applied).map_err(|error| error.kind());
        let newer = [first(), one(known_version() + 1, "later", String::new())];
        assert_eq!(kind(&newer), Err("newer_keyspace"));
        assert_eq!(kind(&[one(1, "tables", "00".to_owned())]), Err("changed_migration"));
        assert_eq!(kind(&[one(1, "other", checksum(MIGRATIONS[0].cql))]), Err("changed_migration"));
    }
}
