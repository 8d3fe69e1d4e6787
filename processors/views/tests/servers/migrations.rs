//! Migrations: made once however many make them, and refused where they do not fit.

use cityevents_kit::BreakerOptions;
use cityevents_views::ViewsError;
use cityevents_views::scylla::{SchemaError, ScyllaOptions, ScyllaViews, check, migrate};
use futures::future::join_all;
use scylla::client::session::Session;

use crate::keyspaces::{Keyspace, RUNTIME, breaker, options, registry, session};

/// What this program knows.
const ALL: [&str; 3] = ["0001_tables", "0002_records", "0003_trends"];
const KNOWN: u32 = ALL.len() as u32;

/// A keyspace that has its tables, and a session beside the adapter.
fn migrated() -> (Keyspace, ScyllaOptions, Session) {
    let keyspace = Keyspace::named();
    let options = options(&keyspace.name);
    let session = RUNTIME.block_on(async {
        migrate(&options).await.unwrap();
        session().await
    });
    (keyspace, options, session)
}

fn query(session: &Session, text: &str) -> usize {
    RUNTIME.block_on(async {
        let result = session.query_unpaged(text, ()).await.unwrap();
        result.into_rows_result().map_or(0, |rows| rows.rows_num())
    })
}

fn check_fails(options: &ScyllaOptions) -> ViewsError {
    RUNTIME.block_on(check(options)).unwrap_err()
}

fn migrate_fails(options: &ScyllaOptions) -> ViewsError {
    RUNTIME.block_on(migrate(options)).unwrap_err()
}

fn connect_fails(options: &ScyllaOptions) -> ViewsError {
    let registry = registry();
    let breaker = breaker(BreakerOptions::default(), &registry);
    let connected = RUNTIME.block_on(ScyllaViews::connect(options.clone(), breaker, &registry));
    connected.err().unwrap()
}

#[test]
fn several_at_once_migrate_a_new_keyspace_once() {
    let keyspace = Keyspace::named();
    let options = options(&keyspace.name);
    let results = RUNTIME.block_on(join_all((0..4).map(|_| migrate(&options))));
    let done: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    let applied: Vec<_> = done.iter().flat_map(|one| &one.applied).collect();
    assert_eq!(applied, ALL);
    assert!(done.iter().all(|one| one.version == KNOWN && one.keyspace == keyspace.name));
    assert_eq!(RUNTIME.block_on(check(&options)).unwrap().version, KNOWN);
    let session = RUNTIME.block_on(session());
    let left = format!("SELECT name FROM {}.migration_locks", keyspace.name);
    assert_eq!(query(&session, &left), 0, "the lock was given back");
}

#[test]
fn a_keyspace_that_is_up_to_date_is_left_as_it_is() {
    let (_keyspace, options, _) = migrated();
    let again = RUNTIME.block_on(migrate(&options)).unwrap();
    assert_eq!((again.applied.len(), again.is_new, again.version), (0, false, KNOWN));
}

#[test]
fn a_migration_that_was_cut_off_is_finished() {
    let (keyspace, options, session) = migrated();
    query(&session, &format!("DROP TABLE {}.progress", keyspace.name));
    query(&session, &format!("TRUNCATE {}.migrations", keyspace.name));
    assert_eq!(check_fails(&options).kind(), "older_keyspace");
    let again = RUNTIME.block_on(migrate(&options)).unwrap();
    assert_eq!(again.applied, ALL);
    let rows = format!("SELECT content FROM {}.progress", keyspace.name);
    assert_eq!(query(&session, &rows), 0, "the table is there again");
}

#[test]
fn a_lock_whose_holder_was_killed_runs_out() {
    let (keyspace, options, session) = migrated();
    let lock = format!(
        "INSERT INTO {}.migration_locks (name, holder) VALUES ('migrate', 'process 1') \
         IF NOT EXISTS USING TTL 2",
        keyspace.name
    );
    // Ends are kept in whole seconds, so that it holds for one at least.
    let began = std::time::Instant::now();
    query(&session, &lock);
    RUNTIME.block_on(migrate(&options)).unwrap();
    assert!(began.elapsed().as_millis() >= 1_000, "it waited for the lock");
}

#[test]
fn a_keyspace_of_a_newer_program_is_refused_and_left_as_it_is() {
    let (keyspace, options, session) = migrated();
    let later = KNOWN + 1;
    let newer = format!(
        "INSERT INTO {}.migrations (part, number, name, checksum) VALUES (0, {later}, 'later', 'x')",
        keyspace.name
    );
    query(&session, &newer);
    for error in [check_fails(&options), migrate_fails(&options), connect_fails(&options)] {
        let expected = matches!(
            &error,
            ViewsError::Schema(SchemaError::NewerKeyspace { found, known: KNOWN, .. })
                if *found == later
        );
        assert!(expected, "{error}");
        assert!(error.to_string().contains("use a newer program"), "{error}");
        assert!(!error.is_transient());
    }
}

#[test]
fn another_migration_under_the_same_number_is_refused() {
    let (keyspace, options, session) = migrated();
    let changed = format!(
        "UPDATE {}.migrations SET checksum = 'another' WHERE part = 0 AND number = 1",
        keyspace.name
    );
    query(&session, &changed);
    for error in [check_fails(&options), migrate_fails(&options), connect_fails(&options)] {
        assert_eq!(error.kind(), "changed_migration", "{error}");
        assert!(error.to_string().contains("1 tables another"), "{error}");
    }
}

#[test]
fn a_keyspace_or_tables_that_are_not_there_are_named_with_what_makes_them() {
    let keyspace = Keyspace::named();
    let options = options(&keyspace.name);
    for error in [check_fails(&options), connect_fails(&options)] {
        let expected =
            format!("keyspace {} is not there: run `cityevents views migrate`", keyspace.name);
        assert_eq!(error.to_string(), expected);
    }
    let session = RUNTIME.block_on(session());
    let replication = &options.replication;
    let made = format!("CREATE KEYSPACE {} WITH replication = {replication}", keyspace.name);
    query(&session, &made);
    for error in [check_fails(&options), connect_fails(&options)] {
        assert_eq!(error.kind(), "older_keyspace");
        assert!(error.to_string().ends_with("run `cityevents views migrate`"), "{error}");
    }
    let done = RUNTIME.block_on(migrate(&options)).unwrap();
    assert_eq!((done.is_new, done.version), (false, KNOWN));
}

#[test]
fn a_replication_that_is_none_is_refused_with_an_example() {
    let keyspace = Keyspace::named();
    for replication in [
        "3",
        "",
        "{'class': 'NetworkTopologyStrategy'",
        "{'class': 'NoSuchStrategy', 'replication_factor': 1}",
        "{'class': 'SimpleStrategy', 'replication_factor': 'many'}",
        "{'class': 'NetworkTopologyStrategy', 'no_such_datacenter': 3}",
        "{'class' 'SimpleStrategy'}",
        "{'class': 'SimpleStrategy', 'replication_factor': 1}; DROP KEYSPACE system_auth; --}",
    ] {
        let options =
            ScyllaOptions { replication: replication.to_owned(), ..options(&keyspace.name) };
        let error = migrate_fails(&options);
        assert_eq!(error.kind(), "bad_replication", "{replication}: {error}");
        assert!(error.to_string().contains("such as {'class'"), "{error}");
        assert_eq!(check_fails(&options).kind(), "missing_keyspace");
    }
}

#[test]
fn a_name_that_is_none_is_refused_before_anybody_is_asked() {
    let wrong = options("City Events; DROP");
    for error in [check_fails(&wrong), migrate_fails(&wrong), connect_fails(&wrong)] {
        assert_eq!(error.kind(), "bad_keyspace", "{error}");
    }
}

#[test]
fn a_wrong_address_and_a_wrong_datacenter_are_named() {
    // The port of discarded packets, which no test is given.
    let address = "127.0.0.1:9";
    let nowhere = ScyllaOptions { nodes: vec![address.to_owned()], ..options("somewhere") };
    for error in [check_fails(&nowhere), migrate_fails(&nowhere), connect_fails(&nowhere)] {
        assert_eq!(error.kind(), "unreachable");
        assert!(error.to_string().contains(address), "{error}");
        assert!(error.to_string().contains("correct scylla.nodes"), "{error}");
    }
    let elsewhere =
        ScyllaOptions { local_datacenter: Some("mars".to_owned()), ..options("somewhere") };
    let error = check_fails(&elsewhere);
    assert_eq!(error.kind(), "unknown_datacenter");
    assert!(error.to_string().ends_with("to one of datacenter1"), "{error}");
}
