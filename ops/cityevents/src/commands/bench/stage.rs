//! An instance to measure, of its own or a running one, and people with tokens of its keys.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use cityevents_domain::actor::Role;
use cityevents_kit::Config;
use cityevents_kit::keys::{KeyRing, TokenSigner};
use tokio::runtime::Runtime;

use super::options::BenchTarget;
use crate::cli::{Place, Usage};
use crate::commands::demo::{address_of, check_keys};
use crate::commands::signer_for;
use crate::instance::roles::ProcessRoles;
use crate::instance::{self, Instance};
use crate::load::client::Connection;
use crate::load::crowd::{Person, publish_event};

/// Places of an event that everybody fits into.
pub(super) const ROOMY: u32 = 1_000_000;

/// What runs.
pub(super) struct Stage {
    pub(super) signer: TokenSigner,
    /// Where its public listener is.
    pub(super) http: SocketAddr,
    /// Where the operations listener of one of its processes is.
    pub(super) ops: SocketAddr,
    /// If it is an instance of its own.
    own: Option<(Instance, Runtime)>,
}

/// The load's threads, apart from those of the server so that their times can be told apart.
pub(super) fn load_runtime() -> anyhow::Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    Ok(builder.worker_threads(1).thread_name("load").enable_all().build()?)
}

impl Stage {
    /// Starts an instance on an empty folder: durable, without limits and access log. `prepare` is
    /// called with its configuration before.
    pub(super) fn start(
        folder: &Path,
        prepare: impl FnOnce(&Config) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        Self::start_with(folder, &[], prepare)
    }

    /// [`Stage::start`] with settings of its own.
    pub(super) fn start_with(
        folder: &Path,
        more: &[(&str, &str)],
        prepare: impl FnOnce(&Config) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let place = Place { data: Some(folder.join("instance")), ..Place::default() };
        let settings = [
            ("http.listen", "127.0.0.1:0"),
            ("ops.listen", "127.0.0.1:0"),
            ("limits.enabled", "false"),
            ("telemetry.access_log", "off"),
        ];
        let settings = settings.iter().chain(more);
        let settings = settings.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let config = place.load(settings.collect())?.config;
        prepare(&config)?;
        let server = tokio::runtime::Builder::new_multi_thread()
            .thread_name("server")
            .enable_all()
            .build()?;
        let instance = server.block_on(async {
            let instance = instance::start(&config, &ProcessRoles::all()).await?;
            instance.wait_ready().await?;
            anyhow::Ok(instance)
        })?;
        let signer = TokenSigner::new(KeyRing::open(&config.keys_dir())?, &config);
        let http = instance.http().context("an instance with all roles listens")?;
        let ops = instance.ops();
        Ok(Self { signer, http, ops, own: Some((instance, server)) })
    }

    /// Takes a running instance. Its limits and its access log are as they are.
    pub(super) fn attach(url: &str, target: &BenchTarget) -> anyhow::Result<Self> {
        let missing = || Usage("--url needs --ops-url".to_owned());
        let ops = target.ops_url.as_deref().ok_or_else(missing)?;
        let config = Place::default().load(Vec::new())?.config;
        let signer = signer_for(target.keys.as_deref(), &config)?;
        let (http, ops) = (address_of(url)?, address_of(ops)?);
        load_runtime()?.block_on(check_keys(http, &signer))?;
        Ok(Self { signer, http, ops, own: None })
    }

    /// Somebody new, so many times.
    pub(super) fn people(&self, count: usize) -> anyhow::Result<Vec<Person>> {
        (0..count).map(|_| Person::new(&self.signer, Role::User)).collect()
    }

    /// Makes and publishes roomy events of different people.
    pub(super) fn publish(&self, load: &Runtime, count: usize) -> anyhow::Result<Vec<String>> {
        const TOGETHER: usize = 16;
        let owners = Arc::new(self.people(TOGETHER)?);
        let http = self.http;
        load.block_on(async {
            let mut makers = tokio::task::JoinSet::new();
            for maker in 0..TOGETHER {
                let owners = owners.clone();
                makers.spawn(async move {
                    let mut connection = Connection::open(http).await?;
                    let mut made = Vec::new();
                    for _ in (maker..count).step_by(TOGETHER) {
                        let owner = &owners[maker];
                        made.push(
                            publish_event(&mut connection, owner, "Measured", ROOMY, None).await?,
                        );
                    }
                    anyhow::Ok(made)
                });
            }
            let mut made = Vec::new();
            while let Some(events) = makers.join_next().await {
                made.extend(events??);
            }
            ensure!(made.len() == count, "an event of the measurement was not made");
            Ok(made)
        })
    }

    /// The body of an event that anybody may create.
    pub(super) fn event_body() -> anyhow::Result<Bytes> {
        let start = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 7);
        Ok(Bytes::from(serde_json::to_vec(&serde_json::json!({
            "title": "Measured",
            "description": "Made by a load run.",
            "city": "Springfield",
            "category": "music",
            "start_time": start.to_string(),
            "end_time": (start + jiff::SignedDuration::from_hours(3)).to_string(),
            "capacity": 100,
        }))?))
    }

    /// Ends it if it is ours; what it had is thrown away, so that how it ended does not matter.
    pub(super) fn stop(self) {
        if let Some((instance, server)) = self.own {
            let _is_clean = server.block_on(instance.stop());
        }
    }
}
