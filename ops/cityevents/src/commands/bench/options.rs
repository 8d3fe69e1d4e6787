//! Options of the measurements that reach out to other processes.

use std::path::PathBuf;

use clap::Args;

use crate::cli::Usage;

/// The servers that `bench kafka` compares.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of kafka, restore, http and ingest")]
pub struct BenchServers {
    /// For `kafka` and `restore`: brokers, with commas between [default: for `kafka` those of the
    /// configuration; `restore` uses the embedded log]
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// For `kafka`: a PostgreSQL to compare with; a schema is made and dropped
    #[arg(long, value_name = "URL")]
    pub postgres: Option<String>,
    /// For `kafka`: a Redis to compare with; its appendonly and appendfsync are set and put back
    #[arg(long, value_name = "URL")]
    pub redis: Option<String>,
    /// For `kafka`: connections to PostgreSQL and Redis
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub connections: u32,
    /// A server process whose processor time is printed, any number of times; `kafka` finds those
    /// of this machine by their ports
    #[arg(long = "pid", value_name = "NAME=PID")]
    pub pids: Vec<NamedPid>,
}

/// A running instance that is measured.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of kafka, restore, http and ingest")]
pub struct BenchTarget {
    /// For `http` and `ingest`: a running instance; it should run with `limits.enabled = false`
    #[arg(long, value_name = "URL", requires = "ops_url")]
    pub url: Option<String>,
    /// Operations listener of one of the running instance's processes: it is asked for the lag
    #[arg(long, value_name = "URL", requires = "url")]
    pub ops_url: Option<String>,
    /// Folder of the keys of the running instance, to sign tokens with; `ingest` makes an API key
    /// there. Where signing keys are in the tables (keys.store), give the instance's settings instead
    #[arg(long, value_name = "DIR", requires = "url")]
    pub keys: Option<PathBuf>,
    /// For `http`: events that are joined at the same time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub events: u32,
}

/// Reads `--kafka`.
///
/// # Errors
/// [`Usage`] when a broker has no port.
pub fn brokers(text: &str) -> Result<Vec<String>, Usage> {
    let brokers: Vec<_> = text.split(',').map(|broker| broker.trim().to_owned()).collect();
    let has_port = |broker: &String| {
        let parts = broker.rsplit_once(':');
        parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    match brokers.iter().find(|broker| !has_port(broker)) {
        None => Ok(brokers),
        Some(wrong) => Err(Usage(format!("--kafka {wrong:?}: write each broker as host:port"))),
    }
}

/// A process under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPid {
    /// What it is called in tables.
    pub name: String,
    /// Which process.
    pub pid: u32,
}

impl std::str::FromStr for NamedPid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "write NAME=PID, for example kafka=4711".to_owned();
        let (name, pid) = text.split_once('=').ok_or_else(wrong)?;
        let pid = pid.parse().map_err(|_| wrong())?;
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Self { name: name.to_owned(), pid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_have_ports() {
        let read = |text: &str| brokers(text).map_err(|usage| usage.0);
        assert_eq!(read("a:1, b:2").unwrap(), ["a:1", "b:2"]);
        for wrong in ["a", "a:1,", ":1", "a:b", ""] {
            assert!(read(wrong).unwrap_err().contains("host:port"), "{wrong}");
        }
    }

    #[test]
    fn a_process_is_named() {
        let read = |text: &str| text.parse::<NamedPid>();
        assert_eq!(read("kafka=12"), Ok(NamedPid { name: "kafka".into(), pid: 12 }));
        for wrong in ["kafka", "kafka=", "=12", "kafka=-1", "kafka=many"] {
            assert!(read(wrong).unwrap_err().contains("NAME=PID"), "{wrong}");
        }
    }
}
