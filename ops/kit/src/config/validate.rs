//! What types cannot say: ranges, and values that must fit together.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Config, KeysStore, MailBackend, Rate, SmtpTls};

/// Longest shutdown that an operator should have to wait for.
const SHUTDOWN_BUDGET_MAX: Duration = Duration::from_secs(600);

/// Topics in which mails wait for another try.
const MAIL_TIERS: usize = 3;
/// How long they may wait there.
const MAIL_WAITS: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(86_400);

/// Partitions of the widest topic.
const PARTITIONS_MAX: u32 = 1024;

/// Key and what is wrong with it, for all that is wrong.
pub(super) fn validate(config: &Config) -> Vec<(&'static str, String)> {
    let mut problems = Vec::new();
    let mut check = |key, fine: bool, message: &str| {
        if !fine {
            problems.push((key, message.to_owned()));
        }
    };
    let second = Duration::from_secs(1);

    check("data.dir", !config.data.dir.as_os_str().is_empty(), "must name a folder");

    let http = &config.http;
    let url_fine = http.public_url.as_deref().is_none_or(is_origin_with_path);
    check("http.public_url", url_fine, "write https://host or http://host, without ? and #");
    let origins_fine = http.cors_origins.iter().all(|origin| is_origin(origin));
    check(
        "http.cors_origins",
        origins_fine,
        "write each origin as https://host or http://host:port, without a path; \"*\" is not possible",
    );
    for (key, value) in [
        ("http.header_timeout", http.header_timeout),
        ("http.body_timeout", http.body_timeout),
        ("http.body_idle_timeout", http.body_idle_timeout),
        ("http.request_timeout", http.request_timeout),
    ] {
        check(key, value >= second, "at least 1s");
    }
    let waits = http.request_timeout > config.ingest.wait_max;
    check("http.request_timeout", waits, "must be longer than ingest.wait_max");
    check("http.body_max", http.body_max >= 1024, "at least 1 KiB");
    let decompressed = http.decompressed_max >= http.body_max;
    check("http.decompressed_max", decompressed, "at least http.body_max");
    check("http.connections_max", http.connections_max >= 1, "at least 1");

    let mail = &config.mail;
    check("mail.at_once", mail.at_once >= 1, "at least 1");
    let each = (1..=mail.at_once.max(1)).contains(&mail.at_once_per_destination);
    check("mail.at_once_per_destination", each, "at least 1, and at most mail.at_once");
    let waits = mail.retry_after.len() == MAIL_TIERS
        && mail.retry_after.iter().all(|wait| MAIL_WAITS.contains(wait))
        && mail.retry_after.is_sorted();
    check("mail.retry_after", waits, "three lengths of time of 10ms to 1day, the shortest first");
    check("mail.per_second", (1..=1_000_000).contains(&mail.per_second), "between 1 and 1000000");

    let ops = &config.ops;
    let distinct = ops.listen != http.listen || ops.listen.port() == 0;
    check("ops.listen", distinct, "must be another address than http.listen");
    let budget = ops.shutdown_budget >= second && ops.shutdown_budget <= SHUTDOWN_BUDGET_MAX;
    check("ops.shutdown_budget", budget, "between 1s and 10min");
    let notice = http.drain_notice * 2 <= ops.shutdown_budget;
    check("http.drain_notice", notice, "at most half of ops.shutdown_budget");

    let log = &config.log;
    let partitions = (1..=PARTITIONS_MAX).contains(&log.partitions);
    check("log.partitions", partitions, "between 1 and 1024");
    check(
        "log.prefix",
        is_topic_prefix(&log.prefix),
        "at most 100 of a-z, A-Z, 0-9, '.', '_', '-'",
    );
    let record = log.local.record_max >= 256 * 1024;
    check("log.local.record_max", record, "at least 256 KiB, the size of the largest fact");
    let in_flight = log.local.in_flight_max >= log.local.record_max;
    check("log.local.in_flight_max", in_flight, "at least log.local.record_max");
    let retention = log.local.retention_check >= second;
    check("log.local.retention_check", retention, "at least 1s");
    let release = log.local.release_deadline <= ops.shutdown_budget;
    check("log.local.release_deadline", release, "at most ops.shutdown_budget");

    let kafka = &config.kafka;
    let brokers = kafka.brokers.iter().all(|broker| has_port(broker));
    check("kafka.brokers", brokers, "write each broker as host:port");
    let session = (second..=Duration::from_secs(1800)).contains(&kafka.session_timeout);
    check("kafka.session_timeout", session, "between 1s and 30min");
    let request = (second..=Duration::from_secs(300)).contains(&kafka.request_timeout);
    check("kafka.request_timeout", request, "between 1s and 5min");
    check("kafka.replication", kafka.replication >= 1, "at least 1");
    let insync = (1..=kafka.replication).contains(&kafka.min_insync);
    check("kafka.min_insync", insync, "between 1 and kafka.replication");
    let in_flight = kafka.in_flight_max >= 1 << 20;
    check("kafka.in_flight_max", in_flight, "at least 1 MiB, the size of the largest record");

    let scylla = &config.scylla;
    let nodes = scylla.nodes.iter().all(|node| has_port(node));
    check("scylla.nodes", nodes, "write each node as host:port");
    let given = !config.is_cluster() || !scylla.nodes.is_empty();
    check("scylla.nodes", given, "give nodes, since kafka.brokers is given");
    let keyspace = is_keyspace(&scylla.keyspace);
    check("scylla.keyspace", keyspace, "a letter, then at most 47 of a-z, 0-9 and '_'");
    let replication = scylla.replication.starts_with('{') && scylla.replication.ends_with('}');
    check(
        "scylla.replication",
        replication,
        "write a CQL map: {'class': 'SimpleStrategy', 'replication_factor': 1}",
    );
    let request = scylla.request_timeout >= Duration::from_millis(10);
    check("scylla.request_timeout", request, "at least 10ms");
    check("scylla.in_flight_max", scylla.in_flight_max >= 1, "at least 1");
    let connections = (1..=64).contains(&scylla.connections_per_node);
    check("scylla.connections_per_node", connections, "between 1 and 64");
    let password = scylla.password.is_some() && scylla.password_file.is_some();
    check("scylla.password_file", !password, "give scylla.password or this, not both");

    let smtp = &config.mail.smtp;
    let host = config.mail.backend == MailBackend::Folder || smtp.host.is_some();
    check("mail.smtp.host", host, "give the mail server, since mail.backend is smtp");
    for (key, value) in [
        ("mail.smtp.connect_timeout", smtp.connect_timeout),
        ("mail.smtp.command_timeout", smtp.command_timeout),
        ("mail.smtp.data_timeout", smtp.data_timeout),
    ] {
        let fine = (Duration::from_millis(100)..=Duration::from_secs(1800)).contains(&value);
        check(key, fine, "between 100ms and 30min");
    }
    let connections = (1..=1_000).contains(&smtp.connections_max);
    check("mail.smtp.connections_max", connections, "between 1 and 1000");
    let both = smtp.password.is_some() && smtp.password_file.is_some();
    check("mail.smtp.password_file", !both, "give mail.smtp.password or this, not both");
    let secret = smtp.password.is_some() || smtp.password_file.is_some();
    let login = smtp.user.is_some() == secret;
    check("mail.smtp.user", login, "give mail.smtp.user and a password, or neither");
    let clear = smtp.user.is_some() && smtp.tls == SmtpTls::None;
    check("mail.smtp.tls", !clear, "a password is not sent in the clear: use starttls or implicit");

    let registry = &config.registry;
    let url = registry.url.as_deref().is_none_or(is_origin_with_path);
    check(
        "registry.url",
        url,
        "write http://host:port or https://host:port, with a path if needed",
    );
    let request = registry.request_timeout >= Duration::from_millis(100);
    check("registry.request_timeout", request, "at least 100ms");

    let snapshots = &config.snapshots;
    let is_store = |url: &str| url.starts_with("file:///") || url.starts_with("s3://");
    let url = snapshots.url.as_deref().is_none_or(is_store);
    check("snapshots.url", url, "write file:///path or s3://bucket/prefix");
    let endpoint = snapshots.endpoint.as_deref().is_none_or(is_origin_with_path);
    check("snapshots.endpoint", endpoint, "write http://host:port or https://host:port");
    let both = snapshots.secret_access_key.is_some() && snapshots.secret_access_key_file.is_some();
    let say = "give snapshots.secret_access_key or this, not both";
    check("snapshots.secret_access_key_file", !both, say);
    let request = snapshots.request_timeout >= second;
    check("snapshots.request_timeout", request, "at least 1s");

    let media = &config.media;
    let url = media.url.as_deref().is_none_or(is_store);
    check("media.url", url, "write file:///path or s3://bucket/prefix");
    let endpoint = media.endpoint.as_deref().is_none_or(is_origin_with_path);
    check("media.endpoint", endpoint, "write http://host:port or https://host:port");
    let both = media.secret_access_key.is_some() && media.secret_access_key_file.is_some();
    let say = "give media.secret_access_key or this, not both";
    check("media.secret_access_key_file", !both, say);
    check("media.request_timeout", media.request_timeout >= second, "at least 1s");
    let origin = media.origin.as_deref().is_none_or(is_origin);
    check("media.origin", origin, "write https://host or http://host:port, without a path");
    let upload = (1 << 10..=100 << 20).contains(&media.upload_max);
    check("media.upload_max", upload, "between 1 KiB and 100 MiB");
    let ttl = (second..=Duration::from_secs(24 * 3600)).contains(&media.upload_ttl);
    check("media.upload_ttl", ttl, "between 1s and 24h");
    let at_once = (1..=1_000).contains(&media.uploads_at_once);
    check("media.uploads_at_once", at_once, "between 1 and 1000");
    check("media.threads", (1..=256).contains(&media.threads), "between 1 and 256");
    let memory = (64 << 20..=1 << 40).contains(&media.memory);
    check("media.memory", memory, "between 64 MiB and 1 TiB");
    check("media.unused_after", media.unused_after >= second, "at least 1s");

    let every = config.lag.every >= Duration::from_millis(100);
    check("lag.every", every, "at least 100ms");
    check("breaker.failures", config.breaker.failures >= 1, "at least 1");
    let open_for = config.breaker.open_for >= Duration::from_millis(100);
    check("breaker.open_for", open_for, "at least 100ms");

    let name = config
        .instance
        .name
        .as_deref()
        .is_none_or(|name| !name.is_empty() && is_topic_prefix(name));
    check("instance.name", name, "1 to 100 of a-z, A-Z, 0-9, '.', '_', '-'");

    let registration = &config.registration;
    let facts = registration.snapshot_every_facts >= 1;
    check("registration.snapshot_every_facts", facts, "at least 1");
    let every = registration.snapshot_every >= second;
    check("registration.snapshot_every", every, "at least 1s");
    check("registration.snapshots_kept", registration.snapshots_kept >= 1, "at least 1");
    check("registration.burst_max", registration.burst_max >= 1, "at least 1");
    check("registration.restarts_window", registration.restarts_window >= second, "at least 1s");

    let ingest = &config.ingest;
    check("ingest.wait", ingest.wait <= ingest.wait_max, "at most ingest.wait_max");
    check("ingest.queue_delay_target", !ingest.queue_delay_target.is_zero(), "above 0");
    let in_flight = ingest.in_flight_max >= http.body_max;
    check("ingest.in_flight_max", in_flight, "at least http.body_max");
    check("ingest.line_max", ingest.line_max >= 1024, "at least 1 KiB");

    let limits = &config.limits;
    check("limits.callers_max", limits.callers_max >= 1, "at least 1");
    for (requests_key, window_key, rate) in [
        ("limits.login.requests", "limits.login.window", &limits.login),
        ("limits.account.requests", "limits.account.window", &limits.account),
        ("limits.page.requests", "limits.page.window", &limits.page),
        ("limits.register.requests", "limits.register.window", &limits.register),
        ("limits.account_mail.requests", "limits.account_mail.window", &limits.account_mail),
        ("limits.join.requests", "limits.join.window", &limits.join),
        ("limits.bulk.requests", "limits.bulk.window", &limits.bulk),
        ("limits.track.requests", "limits.track.window", &limits.track),
        ("limits.track_person.requests", "limits.track_person.window", &limits.track_person),
        ("limits.visitors.requests", "limits.visitors.window", &limits.visitors),
        ("limits.upload.requests", "limits.upload.window", &limits.upload),
        ("limits.picture.requests", "limits.picture.window", &limits.picture),
        ("limits.general.requests", "limits.general.window", &limits.general),
    ] {
        let Rate { requests, window } = rate;
        let say = "at least 1; to switch limits off set limits.enabled = false";
        check(requests_key, *requests >= 1, say);
        let even = *window >= second && window.as_nanos() >= u128::from(*requests);
        check(window_key, even, "at least 1s");
    }

    let tokens = &config.tokens;
    check("tokens.audience", !tokens.audience.is_empty(), "must not be empty");
    let issuer = tokens.issuer.as_deref().is_none_or(|issuer| !issuer.is_empty());
    check("tokens.issuer", issuer, "must not be empty");
    check("tokens.ttl", tokens.ttl >= second, "at least 1s");
    check("tokens.ttl_max", tokens.ttl_max >= tokens.ttl, "at least tokens.ttl");
    check("tokens.leeway", tokens.leeway <= Duration::from_secs(60), "at most 1min");
    let memory = config.index.memory;
    check(
        "index.memory",
        (15 << 20..=4_000 << 20).contains(&memory),
        "between 15 MiB and 4000 MiB",
    );
    check("tokens.cache_max", tokens.cache_max >= 1, "at least 1");

    let keys = &config.keys;
    let shared = keys.store == KeysStore::Dir || config.is_cluster();
    check("keys.store", shared, "\"views\" is for clusters: give kafka.brokers, or take \"dir\"");
    let both = keys.instance_secret.is_some() && keys.instance_secret_file.is_some();
    check("keys.instance_secret_file", !both, "give keys.instance_secret or this, not both");
    let filter = crate::telemetry::filter(&config.telemetry.log_level);
    check("telemetry.log_level", filter.is_ok(), "write a level or target=level, …");
    let ratio = config.telemetry.trace_ratio;
    check("telemetry.trace_ratio", (0.0..=1.0).contains(&ratio), "between 0 and 1");
    let endpoint = config.telemetry.otlp_endpoint.as_deref();
    let is_fine = endpoint.is_none_or(is_origin_with_path);
    check("telemetry.otlp_endpoint", is_fine, "an address such as http://127.0.0.1:4318");
    problems
}

/// `host:port`.
fn has_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

fn is_keyspace(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    text.len() <= 48
        && text.bytes().all(fine)
        && text.starts_with(|first: char| first.is_ascii_lowercase())
}

fn is_topic_prefix(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= 100 && text.bytes().all(fine)
}

/// `https://host[:port]`.
fn is_origin(text: &str) -> bool {
    is_origin_with_path(text) && text.matches('/').count() == 2
}

/// `https://host[:port][/path]`.
pub(super) fn is_origin_with_path(text: &str) -> bool {
    let Ok(uri) = text.parse::<axum::http::Uri>() else { return false };
    let http = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().is_some_and(|host| !host.is_empty() && !host.contains('*'));
    let plain = !text.contains(['?', '#', '@']);
    http && host && plain
}
