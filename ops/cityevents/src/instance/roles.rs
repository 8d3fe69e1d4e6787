//! What a process of a cluster does.

use std::collections::BTreeSet;

use clap::ValueEnum;

/// One of the things that a process can do. A process can do any number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum ProcessRole {
    /// Writes over HTTP
    Ingest,
    /// Reads over HTTP
    Api,
    /// Decides commands
    Registration,
    /// Writes the tables
    Projection,
    /// Publishes the flat topics
    Publisher,
    /// Tells how far every group is behind
    Lag,
    /// Tells which mails are to be sent
    Notifier,
    /// Sends mails
    Mailer,
    /// Works out what is talked about
    Trending,
    /// Works out what people like
    Profiles,
}

impl ProcessRole {
    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Api => "api",
            Self::Registration => "registration",
            Self::Projection => "projection",
            Self::Publisher => "publisher",
            Self::Lag => "lag",
            Self::Notifier => "notifier",
            Self::Mailer => "mailer",
            Self::Trending => "trending",
            Self::Profiles => "profiles",
        }
    }
}

/// The roles of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRoles(BTreeSet<ProcessRole>);

impl ProcessRoles {
    /// These.
    pub fn new(roles: impl IntoIterator<Item = ProcessRole>) -> Self {
        Self(roles.into_iter().collect())
    }

    /// All there are: the whole product in one process.
    pub fn all() -> Self {
        Self::new(ProcessRole::value_variants().iter().copied())
    }

    /// Whether this is one of them.
    pub fn has(&self, role: ProcessRole) -> bool {
        self.0.contains(&role)
    }

    /// Whether people call this process.
    pub fn serve_http(&self) -> bool {
        self.has(ProcessRole::Ingest) || self.has(ProcessRole::Api)
    }

    /// Whether the tables are needed: for reads, for the keys that seal free text, to be written, and
    /// for who gets which mail.
    pub fn need_views(&self) -> bool {
        let with_tables = [
            ProcessRole::Projection,
            ProcessRole::Profiles,
            ProcessRole::Notifier,
            ProcessRole::Mailer,
        ];
        self.serve_http() || with_tables.into_iter().any(|role| self.has(role))
    }
}

impl std::fmt::Display for ProcessRoles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.0.iter().map(|role| role.as_str()).collect();
        formatter.write_str(&names.join(", "))
    }
}
