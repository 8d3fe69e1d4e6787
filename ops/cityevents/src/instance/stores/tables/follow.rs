//! Follows the record that says which tables are live.

use std::sync::Arc;
use std::time::Duration;

use cityevents_kit::Component;
use cityevents_views::{Switch, Views};

use super::{Tables, TablesName, record};

/// How often the record is read.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Tables {
    /// The main tables are open already, in a process that serves them: what is live is taken from
    /// the record from now on. Blocks.
    ///
    /// # Errors
    /// When the record names tables that cannot be opened.
    pub(in crate::instance) fn serve(&self, main: &Views) -> anyhow::Result<Arc<Switch>> {
        self.set_main(main);
        let switch = Switch::new(TablesName::main().as_str(), main.clone());
        // Of several that serve in one process the first is followed; there is only one.
        let switch = self.switch.get_or_init(|| switch).clone();
        self.follow()?;
        Ok(switch)
    }

    /// The tables that this process serves, if it serves any.
    pub fn served(&self) -> Option<&Arc<Switch>> {
        self.switch.get()
    }

    /// Takes the tables that the record names, if they are not taken already. Blocks.
    ///
    /// # Errors
    /// When they cannot be opened: those that were live stay so here.
    pub fn follow(&self) -> anyhow::Result<()> {
        let Some(switch) = self.switch.get() else { return Ok(()) };
        let live = record::live_name(switch.main())?;
        if live.as_str() == switch.name() {
            return Ok(());
        }
        let views = self.open(&live)?;
        switch.replace(live.as_str(), &views);
        tracing::info!(views.tables = live.as_str(), "the tables {live} are live from now on");
        Ok(())
    }
}

/// Follows the record until the shutdown, on a thread of its own.
pub(in crate::instance) fn run(component: Component, tables: &Tables) {
    component.ready();
    let mut told = None;
    while !component.shutdown().wait_timeout(LOOK_EVERY) {
        let failed = tables.follow().err().map(|error| format!("{error:#}"));
        if failed == told {
            continue;
        }
        match &failed {
            Some(error) => {
                tracing::warn!(%error, "which tables are live cannot be followed: {error}");
                component.degraded(error);
            }
            None => component.ready(),
        }
        told = failed;
    }
    component.finished();
}
