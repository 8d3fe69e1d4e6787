//! Every statement, prepared once. A statement names its tables without the keyspace in this file;
//! it is put in front of them when they are prepared.

use std::sync::Arc;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::errors::PrepareError;
use scylla::policies::retry::FallthroughRetryPolicy;
use scylla::statement::prepared::PreparedStatement;
use scylla::statement::{Consistency, SerialConsistency};

/// What a statement may be sent again for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Sending it twice does no more than sending it once.
    Idempotent,
    /// A lightweight transaction: what came of it is found out by reading, never by sending again.
    Never,
    /// A read that sees what a lightweight transaction has decided.
    Serial,
}

macro_rules! statements {
    ($($name:ident $label:literal $again:ident $text:literal;)*) => {
        /// A statement.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum Statement {
            $($name,)*
        }

        impl Statement {
            /// All of them.
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for metrics.
            pub(super) const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            const fn again(self) -> Again {
                match self { $(Self::$name => Again::$again,)* }
            }

            const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

statements! {
    InsertEvent "insert_event" Idempotent
        "INSERT INTO {}.events (event, content) VALUES (?, ?) USING TIMESTAMP ?";
    InsertOwned "insert_owned_event" Idempotent
        "INSERT INTO {}.owned_events (owner, created_at, event, written) \
         VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    InsertRegistration "insert_registration" Idempotent
        "INSERT INTO {}.registrations (event, bucket, person, content) \
         VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    InsertParticipant "insert_participant" Idempotent
        "INSERT INTO {}.participants (event, joined_at, person, content) \
         VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    InsertJoin "insert_join" Idempotent
        "INSERT INTO {}.joins (person, joined_at, event, written) \
         VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    InsertLine "insert_line_place" Idempotent
        "INSERT INTO {}.line (event, bucket, ticket, person, written) \
         VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?";
    InsertLineBucket "insert_line_bucket" Idempotent
        "INSERT INTO {}.line_buckets (event, bucket) VALUES (?, ?) USING TIMESTAMP ?";
    InsertBan "insert_ban" Idempotent
        "INSERT INTO {}.bans (event, person, content) VALUES (?, ?, ?) USING TIMESTAMP ?";
    InsertCounters "insert_counters" Idempotent
        "INSERT INTO {}.counters (event, content) VALUES (?, ?) USING TIMESTAMP ?";
    InsertOutcome "insert_outcome" Idempotent
        "INSERT INTO {}.outcomes (command, content) VALUES (?, ?) USING TIMESTAMP ? AND TTL ?";
    InsertProgress "insert_progress" Idempotent
        "INSERT INTO {}.progress (projection, source_partition, content) \
         VALUES (?, ?, ?) USING TIMESTAMP ?";

    InsertTrend "insert_trend" Idempotent
        "INSERT INTO {}.trending (list, source_partition, slot, content) \
         VALUES (?, ?, ?, ?) USING TIMESTAMP ?";
    InsertProfile "insert_profile" Idempotent
        "INSERT INTO {}.profiles (person, content) VALUES (?, ?) USING TIMESTAMP ? AND TTL ?";

    DeleteOwned "delete_owned_event" Idempotent
        "DELETE FROM {}.owned_events USING TIMESTAMP ? \
         WHERE owner = ? AND created_at = ? AND event = ?";
    DeleteParticipant "delete_participant" Idempotent
        "DELETE FROM {}.participants USING TIMESTAMP ? \
         WHERE event = ? AND joined_at = ? AND person = ?";
    DeleteJoin "delete_join" Idempotent
        "DELETE FROM {}.joins USING TIMESTAMP ? \
         WHERE person = ? AND joined_at = ? AND event = ?";
    DeleteLine "delete_line_place" Idempotent
        "DELETE FROM {}.line USING TIMESTAMP ? \
         WHERE event = ? AND bucket = ? AND ticket = ? AND person = ?";

    SelectEvent "select_event" Idempotent
        "SELECT content FROM {}.events WHERE event = ?";
    SelectRegistration "select_registration" Idempotent
        "SELECT content FROM {}.registrations WHERE event = ? AND bucket = ? AND person = ?";
    SelectBan "select_ban" Idempotent
        "SELECT content FROM {}.bans WHERE event = ? AND person = ?";
    SelectCounters "select_counters" Idempotent
        "SELECT content FROM {}.counters WHERE event = ?";
    SelectOutcome "select_outcome" Idempotent
        "SELECT content FROM {}.outcomes WHERE command = ?";
    SelectProgress "select_progress" Idempotent
        "SELECT content FROM {}.progress WHERE projection = ? AND source_partition = ?";

    SelectProfile "select_profile" Idempotent
        "SELECT content FROM {}.profiles WHERE person = ?";

    ListTrends "list_trends" Idempotent
        "SELECT content FROM {}.trending WHERE list = ?";
    ListOwned "list_owned_events" Idempotent
        "SELECT created_at, event, written FROM {}.owned_events \
         WHERE owner = ? AND (created_at, event) < (?, ?) LIMIT ?";
    ListParticipants "list_participants" Idempotent
        "SELECT joined_at, person, content FROM {}.participants \
         WHERE event = ? AND (joined_at, person) > (?, ?) LIMIT ?";
    ListJoins "list_joins" Idempotent
        "SELECT joined_at, event, written FROM {}.joins \
         WHERE person = ? AND (joined_at, event) < (?, ?) LIMIT ?";
    ListLine "list_line" Idempotent
        "SELECT ticket, person, written FROM {}.line \
         WHERE event = ? AND bucket = ? AND (ticket, person) > (?, ?) LIMIT ?";
    ListLineBuckets "list_line_buckets" Idempotent
        "SELECT bucket FROM {}.line_buckets WHERE event = ? AND bucket >= ?";
    ListBans "list_bans" Idempotent
        "SELECT person, content FROM {}.bans WHERE event = ? AND person > ? LIMIT ?";

    SelectPersonKey "select_person_key" Idempotent
        "SELECT sealing_key, erased FROM {}.person_keys WHERE person = ?";
    DecidedPersonKey "decided_person_key" Serial
        "SELECT sealing_key, erased FROM {}.person_keys WHERE person = ?";
    InsertPersonKey "insert_person_key" Never
        "INSERT INTO {}.person_keys (person, sealing_key) VALUES (?, ?) IF NOT EXISTS";
    ErasePersonKey "erase_person_key" Never
        "UPDATE {}.person_keys SET erased = true, sealing_key = null WHERE person = ? \
         IF erased = null";

    SelectRecord "select_record" Serial
        "SELECT revision, content, expires_at FROM {}.records WHERE kind = ? AND id = ?";
    InsertRecord "insert_record" Never
        "UPDATE {}.records USING TTL ? SET revision = ?, content = ?, expires_at = ? \
         WHERE kind = ? AND id = ? IF revision = null";
    UpdateRecord "update_record" Never
        "UPDATE {}.records USING TTL ? SET revision = ?, content = ?, expires_at = ? \
         WHERE kind = ? AND id = ? IF revision = ?";
    DeleteRecord "delete_record" Never
        "DELETE FROM {}.records WHERE kind = ? AND id = ? IF revision = ?";

    InsertPlace "insert_place" Idempotent
        "INSERT INTO {}.places (list, position) VALUES (?, ?) USING TIMESTAMP ?";
    DeletePlace "delete_place" Idempotent
        "DELETE FROM {}.places USING TIMESTAMP ? WHERE list = ? AND position = ?";
    ListPlaces "list_places" Idempotent
        "SELECT position FROM {}.places WHERE list = ? AND position > ? LIMIT ?";
    ListPlacesBackwards "list_places_backwards" Idempotent
        "SELECT position FROM {}.places WHERE list = ? AND position < ? \
         ORDER BY position DESC LIMIT ?";
}

/// All statements of one keyspace, prepared.
pub(super) struct Statements {
    prepared: Vec<PreparedStatement>,
}

impl Statements {
    /// Prepares all of them on the connections of a session.
    pub(super) async fn prepare(
        session: &Session,
        keyspace: &str,
        request_timeout: Duration,
    ) -> Result<Self, PrepareError> {
        let prepare = Statement::ALL.iter().map(|statement| async move {
            let text = statement.text().replacen("{}", keyspace, 1);
            let mut prepared = session.prepare(text).await?;
            prepared.set_request_timeout(Some(request_timeout));
            prepared.set_consistency(Consistency::LocalQuorum);
            match statement.again() {
                Again::Idempotent => prepared.set_is_idempotent(true),
                Again::Never => {
                    // Uniqueness holds everywhere, not per datacenter.
                    prepared.set_serial_consistency(Some(SerialConsistency::Serial));
                    prepared.set_retry_policy(Some(Arc::new(FallthroughRetryPolicy::new())));
                }
                Again::Serial => {
                    prepared.set_consistency(Consistency::Serial);
                    prepared.set_is_idempotent(true);
                }
            }
            Ok::<_, PrepareError>(prepared)
        });
        let prepared = futures::future::try_join_all(prepare).await?;
        Ok(Self { prepared })
    }

    /// One of them.
    pub(super) fn get(&self, statement: Statement) -> Option<&PreparedStatement> {
        self.prepared.get(statement as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_are_unique_and_every_statement_names_one_table() {
        let labels: BTreeSet<_> = Statement::ALL.iter().map(|one| one.label()).collect();
        assert_eq!(labels.len(), Statement::ALL.len());
        for statement in Statement::ALL {
            assert_eq!(statement.text().matches("{}.").count(), 1, "{statement:?}");
        }
    }

    #[test]
    fn every_write_says_its_timestamp_but_those_of_keys_and_records_which_have_conditions() {
        for statement in Statement::ALL {
            let text = statement.text();
            let writes = ["INSERT", "DELETE", "UPDATE"].iter().any(|word| text.starts_with(word));
            let decides = text.contains("person_keys") || text.contains("}.records");
            assert_eq!(text.contains("USING TIMESTAMP ?"), writes && !decides, "{text}");
            assert_eq!(text.contains(" IF "), writes && decides, "{text}");
            assert_eq!(statement.again() == Again::Never, writes && decides, "{text}");
        }
    }

    #[test]
    fn nothing_scans_more_than_a_partition() {
        for statement in Statement::ALL {
            let text = statement.text();
            assert!(!text.contains("ALLOW FILTERING"), "{text}");
            assert!(text.starts_with("INSERT") || text.contains(" WHERE "), "{text}");
        }
    }
}
