//! Opening a session.

use std::num::NonZeroUsize;
use std::time::Duration;

use scylla::client::PoolSize;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::policies::load_balancing::DefaultPolicy;
use scylla::statement::{Consistency, SerialConsistency};

use super::errors::refuses_credentials;
use super::{SchemaError, ScyllaOptions};
use crate::error::ViewsError;

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest name of a keyspace that both databases take.
const KEYSPACE_LENGTH_MAX: usize = 48;

/// Opens a session with the nodes of the configuration.
pub(super) async fn connect(options: &ScyllaOptions) -> Result<Session, ViewsError> {
    check_keyspace_name(&options.keyspace)?;
    let mut balancing = DefaultPolicy::builder().token_aware(true);
    if let Some(datacenter) = &options.local_datacenter {
        balancing = balancing.prefer_datacenter(datacenter.clone());
    }
    let profile = ExecutionProfile::builder()
        .consistency(Consistency::LocalQuorum)
        .serial_consistency(Some(SerialConsistency::Serial))
        .request_timeout(Some(options.request_timeout))
        .load_balancing_policy(balancing.build())
        .build();
    let connections = NonZeroUsize::new(options.connections_per_node).unwrap_or(NonZeroUsize::MIN);
    let mut builder = SessionBuilder::new()
        .known_nodes(&options.nodes)
        .default_execution_profile_handle(profile.into_handle())
        .pool_size(PoolSize::PerHost(connections))
        .connection_timeout(CONNECT_TIMEOUT)
        .keyspaces_to_fetch([&options.keyspace])
        .fetch_schema_metadata(true)
        .fetch_full_schema_metadata(false)
        .driver_config_reporting(false)
        .tcp_nodelay(true);
    if let (Some(user), Some(password)) = (&options.user, &options.password) {
        builder = builder.user(user, password);
    }
    let nodes = || options.nodes.join(", ");
    let session = builder.build().await.map_err(|error| {
        let detail = error.to_string();
        if refuses_credentials(&error) {
            let user = options.user.clone();
            return SchemaError::Credentials { nodes: nodes(), user, detail };
        }
        SchemaError::Unreachable { nodes: nodes(), detail }
    })?;
    check_datacenter(&session, options)?;
    Ok(session)
}

/// A datacenter that is not there would leave nobody to ask.
fn check_datacenter(session: &Session, options: &ScyllaOptions) -> Result<(), SchemaError> {
    let Some(wanted) = &options.local_datacenter else { return Ok(()) };
    let state = session.get_cluster_state();
    let mut known: Vec<_> =
        state.get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect();
    known.sort();
    known.dedup();
    if known.contains(wanted) {
        return Ok(());
    }
    Err(SchemaError::UnknownDatacenter { datacenter: wanted.clone(), known })
}

/// The name is put into statements as it is.
fn check_keyspace_name(keyspace: &str) -> Result<(), SchemaError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let begins = keyspace.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    if begins && keyspace.len() <= KEYSPACE_LENGTH_MAX && keyspace.bytes().all(plain) {
        return Ok(());
    }
    Err(SchemaError::BadKeyspace { keyspace: keyspace.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_of_keyspaces_are_taken() {
        for good in ["a", "cityevents", "city_events_2", &"a".repeat(48)] {
            assert!(check_keyspace_name(good).is_ok(), "{good}");
        }
        for bad in ["", "_a", "2a", "City", "a-b", "a;b", "a b", "ä", &"a".repeat(49)] {
            let error = check_keyspace_name(bad).unwrap_err();
            assert_eq!(error.kind(), "bad_keyspace", "{bad}");
        }
    }
}
