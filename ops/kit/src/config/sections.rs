//! One struct per concern. What the keys mean, and their defaults, stands in
//! `ops/config/default.toml`; a test holds the two together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::network::Network;
use super::oauth::OauthProvider;
use super::properties::Properties;
use super::secret::Secret;
use super::units::{duration, durations, size};

macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$attribute:meta])* $field:ident: $kind:ty,)*
    })*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $(
                #[doc = concat!("`", stringify!($field), "` of `ops/config/default.toml`.")]
                $(#[$attribute])*
                pub $field: $kind,
            )*
        })*
    };
}

sections! {
    /// `[data]`: where an instance on one machine keeps everything.
    Data {
        dir: PathBuf,
    }
    /// `[http]`: the public listener.
    Http {
        listen: SocketAddr,
        public_url: Option<String>,
        trusted_proxies: Vec<Network>,
        cors_origins: Vec<String>,
        #[serde(with = "duration")]
        header_timeout: Duration,
        #[serde(with = "duration")]
        body_timeout: Duration,
        #[serde(with = "duration")]
        body_idle_timeout: Duration,
        #[serde(with = "duration")]
        request_timeout: Duration,
        #[serde(with = "size")]
        body_max: u64,
        #[serde(with = "size")]
        decompressed_max: u64,
        connections_max: u32,
        #[serde(with = "duration")]
        drain_notice: Duration,
    }
    /// `[ops]`: the operations listener, and how the process stops.
    Ops {
        listen: SocketAddr,
        #[serde(with = "duration")]
        shutdown_budget: Duration,
    }
    /// `[instance]`: this process among the others of a cluster.
    Instance {
        name: Option<String>,
    }
    /// `[kafka]`: the log on a cluster.
    Kafka {
        brokers: Vec<String>,
        group_protocol: GroupProtocol,
        #[serde(with = "duration")]
        session_timeout: Duration,
        #[serde(with = "duration")]
        request_timeout: Duration,
        replication: u16,
        min_insync: u16,
        #[serde(with = "size")]
        in_flight_max: u64,
        properties: Properties,
    }
    /// `[scylla]`: the tables on a cluster.
    Scylla {
        nodes: Vec<String>,
        keyspace: String,
        replication: String,
        local_datacenter: Option<String>,
        #[serde(with = "duration")]
        request_timeout: Duration,
        in_flight_max: u32,
        connections_per_node: u32,
        user: Option<String>,
        password: Option<Secret>,
        password_file: Option<PathBuf>,
    }
    /// `[registry]`: the schema registry.
    Registry {
        url: Option<String>,
        register: bool,
        #[serde(with = "duration")]
        request_timeout: Duration,
    }
    /// `[snapshots]`: where snapshots of the partitions are kept.
    Snapshots {
        url: Option<String>,
        endpoint: Option<String>,
        region: String,
        access_key_id: Option<String>,
        secret_access_key: Option<Secret>,
        secret_access_key_file: Option<PathBuf>,
        #[serde(with = "duration")]
        request_timeout: Duration,
    }
    /// `[media]`: pictures.
    Media {
        url: Option<String>,
        endpoint: Option<String>,
        region: String,
        access_key_id: Option<String>,
        secret_access_key: Option<Secret>,
        secret_access_key_file: Option<PathBuf>,
        #[serde(with = "duration")]
        request_timeout: Duration,
        origin: Option<String>,
        #[serde(with = "size")]
        upload_max: u64,
        #[serde(with = "duration")]
        upload_ttl: Duration,
        uploads_at_once: u32,
        threads: u32,
        #[serde(with = "size")]
        memory: u64,
        #[serde(with = "duration")]
        unused_after: Duration,
    }
    /// `[breaker]`: when a store is not asked for a while.
    Breaker {
        failures: u32,
        #[serde(with = "duration")]
        open_for: Duration,
    }
    /// `[log]`: topics.
    Log {
        partitions: u32,
        prefix: String,
        local: LocalLog,
    }
    /// `[log.local]`: the log on this machine's disk.
    LocalLog {
        #[serde(with = "size")]
        disk_reserve: u64,
        #[serde(with = "size")]
        record_max: u64,
        #[serde(with = "duration")]
        retention_check: Duration,
        #[serde(with = "duration")]
        tombstone_retention: Duration,
        #[serde(with = "size")]
        tail: u64,
        #[serde(with = "size")]
        cache: u64,
        #[serde(with = "size")]
        in_flight_max: u64,
        #[serde(with = "duration")]
        release_deadline: Duration,
    }
    /// `[views]`: tables.
    Views {
        #[serde(with = "size")]
        cache: u64,
        #[serde(with = "duration")]
        consistency_wait: Duration,
    }
    /// `[index]`: the public events, for lists and search.
    Index {
        folder: Option<PathBuf>,
        #[serde(with = "size")]
        memory: u64,
    }
    /// `[registration]`: the workers that decide.
    Registration {
        snapshot_every_facts: u64,
        #[serde(with = "duration")]
        snapshot_every: Duration,
        snapshots_kept: u32,
        standby: bool,
        skip_expired: bool,
        burst_max: u32,
        restarts_max: u32,
        #[serde(with = "duration")]
        restarts_window: Duration,
    }
    /// `[ingest]`: writes over HTTP.
    Ingest {
        #[serde(with = "duration")]
        wait: Duration,
        #[serde(with = "duration")]
        wait_max: Duration,
        #[serde(with = "duration")]
        queue_delay_target: Duration,
        #[serde(with = "size")]
        in_flight_max: u64,
        #[serde(with = "size")]
        line_max: u64,
    }
    /// `[limits]`: how often a caller may call.
    Limits {
        enabled: bool,
        callers_max: u32,
        login: Rate,
        account: Rate,
        register: Rate,
        account_mail: Rate,
        join: Rate,
        bulk: Rate,
        track: Rate,
        track_person: Rate,
        visitors: Rate,
        page: Rate,
        upload: Rate,
        picture: Rate,
        general: Rate,
    }
    /// An allowance of requests that comes back evenly over the window.
    Rate {
        requests: u32,
        #[serde(with = "duration")]
        window: Duration,
    }
    /// `[tokens]`: access tokens.
    Tokens {
        issuer: Option<String>,
        audience: String,
        #[serde(with = "duration")]
        ttl: Duration,
        #[serde(with = "duration")]
        ttl_max: Duration,
        #[serde(with = "duration")]
        leeway: Duration,
        cache_max: u32,
    }
    /// `[mail]`: mails to people.
    Mail {
        from: String,
        reply_to: Option<String>,
        language: String,
        time_zone: String,
        templates: Option<PathBuf>,
        backend: MailBackend,
        folder: Option<PathBuf>,
        at_once: u32,
        at_once_per_destination: u32,
        per_second: u32,
        #[serde(with = "durations")]
        retry_after: Vec<Duration>,
        allow_folder: bool,
        smtp: Smtp,
    }
    /// `[mail.smtp]`: the mail server.
    Smtp {
        host: Option<String>,
        port: u16,
        tls: SmtpTls,
        authorities: Option<PathBuf>,
        user: Option<String>,
        password: Option<Secret>,
        password_file: Option<PathBuf>,
        hello: Option<String>,
        #[serde(with = "duration")]
        connect_timeout: Duration,
        #[serde(with = "duration")]
        command_timeout: Duration,
        #[serde(with = "duration")]
        data_timeout: Duration,
        #[serde(with = "duration")]
        idle_timeout: Duration,
        connections_max: u32,
    }
    /// `[keys]`: where keys are.
    Keys {
        store: KeysStore,
        dir: Option<PathBuf>,
        instance_secret: Option<Secret>,
        instance_secret_file: Option<PathBuf>,
    }
    /// `[lag]`: how far groups are behind.
    Lag {
        #[serde(with = "duration")]
        every: Duration,
        probe: bool,
        groups: Vec<String>,
    }
    /// `[telemetry]`: logs and traces.
    Telemetry {
        log_level: String,
        log_format: LogFormat,
        access_log: AccessLog,
        otlp_endpoint: Option<String>,
        trace_ratio: f64,
        trace_callers: bool,
    }
}

/// `[oauth.NAME]`: providers that people may sign in at, by the name that stands in addresses.
pub type OauthProviders = BTreeMap<String, OauthProvider>;

/// How partitions are shared among the members of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupProtocol {
    /// The classic protocol; partitions that stay with their owner are not disturbed.
    CooperativeSticky,
    /// KIP-848: the brokers share them out.
    Consumer,
}

/// Where the signing keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeysStore {
    /// In a folder.
    Dir,
    /// Sealed in the tables.
    Views,
}

/// Where mails go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailBackend {
    /// Into a folder, a file each.
    Folder,
    /// To a mail server.
    Smtp,
}

/// How the connection to the mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmtpTls {
    /// In the clear until STARTTLS, which the server must offer.
    Starttls,
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS where the server offers it, else in the clear.
    Opportunistic,
    /// In the clear.
    None,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Pretty on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// Which requests get a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLog {
    /// Every request.
    All,
    /// Status 500 and above, and 429.
    Failed,
    /// None.
    Off,
}

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[data]`
    pub data: Data,
    /// `[http]`
    pub http: Http,
    /// `[ops]`
    pub ops: Ops,
    /// `[instance]`
    pub instance: Instance,
    /// `[log]`
    pub log: Log,
    /// `[kafka]`
    pub kafka: Kafka,
    /// `[scylla]`
    pub scylla: Scylla,
    /// `[registry]`
    pub registry: Registry,
    /// `[snapshots]`
    pub snapshots: Snapshots,
    /// `[media]`
    pub media: Media,
    /// `[breaker]`
    pub breaker: Breaker,
    /// `[views]`
    pub views: Views,
    /// `[index]`
    pub index: Index,
    /// `[registration]`
    pub registration: Registration,
    /// `[ingest]`
    pub ingest: Ingest,
    /// `[limits]`
    pub limits: Limits,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[mail]`
    pub mail: Mail,
    /// `[oauth.NAME]`
    pub oauth: OauthProviders,
    /// `[keys]`
    pub keys: Keys,
    /// `[lag]`
    pub lag: Lag,
    /// `[telemetry]`
    pub telemetry: Telemetry,
}

impl Config {
    /// Whether log and tables are on a cluster, and not on this machine's disk.
    pub fn is_cluster(&self) -> bool {
        !self.kafka.brokers.is_empty()
    }

    /// The address under which people reach this service, without a slash at the end.
    pub fn public_url(&self) -> String {
        let given = self.http.public_url.as_deref().map(|url| url.trim_end_matches('/').to_owned());
        given.unwrap_or_else(|| format!("http://{}", self.http.listen))
    }

    /// Whether people reach this service over TLS.
    pub fn is_public_tls(&self) -> bool {
        self.http.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Who issues access tokens. Without a public address this is the name of the audience and not
    /// the listener's address, so that tokens survive a change of port.
    pub fn token_issuer(&self) -> String {
        let public = || self.http.public_url.is_some().then(|| self.public_url());
        let issuer = self.tokens.issuer.clone().or_else(public);
        issuer.unwrap_or_else(|| self.tokens.audience.clone())
    }

    /// The folder of the keys.
    pub fn keys_dir(&self) -> PathBuf {
        self.keys.dir.clone().unwrap_or_else(|| self.data.dir.join("keys"))
    }
}
