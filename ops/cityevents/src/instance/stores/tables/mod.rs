//! The tables of an instance by their names: the main ones, and others that were made anew from the
//! log beside them.
//!
//! On a machine the others are folders, on a cluster keyspaces. Which of them are the live ones is a
//! record among the accounts, in the main tables: those are never replaced, since what people do
//! with their accounts is in no log.

pub(in crate::instance) mod follow;
pub mod record;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use cityevents_kit::Config;
use cityevents_kit::telemetry::MetricsRegistry;
use cityevents_views::{Switch, Views, ViewsError, embedded, scylla};
use parking_lot::Mutex;
use tokio::runtime::{Handle, Runtime};

use super::cluster::{self, Breakers};
use super::folder;

/// The folder of all tables that were made anew, in the data folder.
const FOLDER: &str = "shadows";
/// Longest name: with the name of a keyspace before it, it has to be one.
const NAME_LENGTH_MAX: usize = 20;
/// How long it is waited for those who read tables that are dropped or wrote them until now.
const CLOSE_WAIT: Duration = Duration::from_secs(5);
const CLOSE_LOOK_EVERY: Duration = Duration::from_millis(20);
const MAIN: &str = "main";

/// A name of tables.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TablesName(String);

impl TablesName {
    /// The tables that an instance begins with.
    pub fn main() -> Self {
        Self(MAIN.to_owned())
    }

    /// Whether these are the ones that an instance begins with.
    pub fn is_main(&self) -> bool {
        self.0 == MAIN
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TablesName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl FromStr for TablesName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
        if begins && name.len() <= NAME_LENGTH_MAX && name.bytes().all(plain) {
            return Ok(Self(name.to_owned()));
        }
        Err(format!(
            "up to {NAME_LENGTH_MAX} lower-case letters, digits and underscores, a letter first"
        ))
    }
}

/// Opens tables by name, each once.
pub struct Tables {
    config: Config,
    breakers: Option<Breakers>,
    open: Mutex<BTreeMap<TablesName, Views>>,
    /// Those that this process serves.
    switch: OnceLock<Arc<Switch>>,
    runtime: OnceLock<Runtime>,
}

impl Tables {
    /// Of an instance; opens none yet.
    pub(super) fn new(config: &Config, breakers: Option<Breakers>) -> Self {
        Self {
            config: config.clone(),
            breakers,
            open: Mutex::default(),
            switch: OnceLock::new(),
            runtime: OnceLock::new(),
        }
    }

    /// The main tables are open already.
    fn set_main(&self, views: &Views) {
        self.open.lock().insert(TablesName::main(), views.clone());
    }

    /// Whether there are tables of this name.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn exist(&self, name: &TablesName) -> anyhow::Result<bool> {
        if name.is_main() {
            return Ok(true);
        }
        if !self.config.is_cluster() {
            return Ok(self.folder(name).is_dir());
        }
        let options = self.options(name)?;
        match self.wait(scylla::check(&options))? {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == "missing_keyspace" => Ok(false),
            // Half made, or older: it is there.
            Err(error) if error.kind() == "older_keyspace" => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens tables that are there.
    ///
    /// # Errors
    /// When there are none of this name, or they cannot be opened.
    pub fn open(&self, name: &TablesName) -> anyhow::Result<Views> {
        if let Some(views) = self.open.lock().get(name) {
            return Ok(views.clone());
        }
        ensure!(
            self.exist(name)?,
            "there are no tables {name}; `cityevents replay --into {name}` makes them"
        );
        self.open_new(name)
    }

    /// Brings the tables of a database to the version of this program, and makes them if they are not
    /// there. Those of a folder do so when they are opened.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn migrate(&self, name: &TablesName) -> anyhow::Result<()> {
        if self.config.is_cluster() {
            self.wait(scylla::migrate(&self.options(name)?))??;
        }
        Ok(())
    }

    /// Opens tables, and makes them if they are not there.
    ///
    /// # Errors
    /// When they cannot be opened or made.
    pub fn open_or_make(&self, name: &TablesName) -> anyhow::Result<Views> {
        if !name.is_main() {
            self.migrate(name)?;
        }
        self.open_new(name)
    }

    /// Drops tables that are not the main ones, with all that is in them. Whoever has them open in
    /// another process gets errors from then on; in this one it is waited for them, and `let_go` is
    /// called to end what nobody goes on with.
    ///
    /// # Errors
    /// When somebody goes on using them, or they cannot be dropped.
    pub fn drop_tables(&self, name: &TablesName, let_go: impl Fn()) -> anyhow::Result<()> {
        ensure!(!name.is_main(), "the main tables are never dropped");
        let (folder, deadline) = (self.folder(name), Instant::now() + CLOSE_WAIT);
        loop {
            {
                // Nobody opens them meanwhile.
                let mut open = self.open.lock();
                open.remove(name);
                let_go();
                if self.config.is_cluster() {
                    self.wait(scylla::drop_keyspace(&self.options(name)?))??;
                    return Ok(());
                }
                match embedded::remove(&folder) {
                    Err(ViewsError::InUse { .. }) if Instant::now() < deadline => {}
                    removed => return Ok(removed?),
                }
            }
            std::thread::sleep(CLOSE_LOOK_EVERY);
        }
    }

    /// Finishes droppings that were cut off.
    ///
    /// # Errors
    /// When that cannot be done.
    pub fn finish_drops(&self) -> anyhow::Result<()> {
        let folder = self.config.data.dir.join(FOLDER);
        if !self.config.is_cluster() && folder.is_dir() {
            embedded::remove_leftovers(&folder)?;
        }
        Ok(())
    }

    fn open_new(&self, name: &TablesName) -> anyhow::Result<Views> {
        let mut open = self.open.lock();
        if let Some(views) = open.get(name) {
            return Ok(views.clone());
        }
        let views = if self.config.is_cluster() {
            self.open_keyspace(name)?
        } else if name.is_main() {
            folder::open_views(&self.config)?
        } else {
            folder::open_tables(&self.config, &self.folder(name))?
        };
        open.insert(name.clone(), views.clone());
        Ok(views)
    }

    /// Whether other processes use them too.
    pub fn are_shared(&self) -> bool {
        self.config.is_cluster()
    }

    /// Where tables are, for people.
    pub fn place(&self, name: &TablesName) -> String {
        if self.config.is_cluster() {
            return format!("keyspace {}", self.keyspace(name));
        }
        if name.is_main() {
            return format!("folder {}", self.config.data.dir.join("views").display());
        }
        format!("folder {}", self.folder(name).display())
    }

    fn folder(&self, name: &TablesName) -> PathBuf {
        self.config.data.dir.join(FOLDER).join(name.as_str())
    }

    fn keyspace(&self, name: &TablesName) -> String {
        let main = &self.config.scylla.keyspace;
        if name.is_main() { main.clone() } else { format!("{main}_{name}") }
    }

    fn options(&self, name: &TablesName) -> anyhow::Result<scylla::ScyllaOptions> {
        let keyspace = self.keyspace(name);
        Ok(scylla::ScyllaOptions { keyspace, ..cluster::scylla_options(&self.config)? })
    }

    fn open_keyspace(&self, name: &TablesName) -> anyhow::Result<Views> {
        let Some(breakers) = &self.breakers else { bail!("this process has no database") };
        let options = self.options(name)?;
        // Those of the process are registered with its main tables, and nobody scrapes a tool.
        let metrics = MetricsRegistry::new(env!("CARGO_PKG_VERSION"), "");
        let opened = self.wait(breakers.open_tables(options, &metrics))?;
        opened.with_context(|| format!("{} ({name})", self.place(name)))
    }

    /// Waits for the database, on the runtime of the process or on one of its own.
    pub fn wait<T>(&self, answer: impl Future<Output = T>) -> anyhow::Result<T> {
        if let Ok(runtime) = Handle::try_current() {
            return Ok(tokio::task::block_in_place(|| runtime.block_on(answer)));
        }
        if self.runtime.get().is_none() {
            let made = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            // Who came first made the same.
            let _is_second = self.runtime.set(made);
        }
        let runtime = self.runtime.get().context("no runtime was made")?;
        Ok(runtime.block_on(answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_short_names_are_taken() {
        for good in ["main", "a", "night_2", &"a".repeat(20)] {
            assert!(good.parse::<TablesName>().is_ok(), "{good}");
        }
        for bad in ["", "_a", "2a", "Night", "a-b", "a/b", "..", "ä", &"a".repeat(21)] {
            assert!(bad.parse::<TablesName>().is_err(), "{bad}");
        }
    }
}
