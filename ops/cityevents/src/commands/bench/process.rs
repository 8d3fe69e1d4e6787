//! A process of its own that is measured or disturbed: started, heard, ended, always by its own pid.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often a process is looked at while somebody waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Lines of its log that are shown when it does not start.
const LINES_SHOWN: usize = 15;

/// A running process.
pub(super) struct Process {
    name: String,
    child: Child,
    said: PathBuf,
    log: PathBuf,
    pid_file: PathBuf,
}

/// How a process ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) took: Duration,
}

/// Where a process that is ready listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listening {
    pub(super) http: Option<SocketAddr>,
}

impl Process {
    /// Starts a command line under a name; `number` tells its starts apart. Nothing of the caller's
    /// settings reaches it.
    pub(super) fn start(
        folder: &Path,
        name: &str,
        number: u32,
        arguments: &[&str],
        settings: &[(&str, String)],
    ) -> anyhow::Result<Self> {
        let said = folder.join(format!("{name}.{number}.out"));
        let log = folder.join(format!("{name}.{number}.log"));
        let mut command = Command::new(std::env::current_exe()?);
        let ours = std::env::vars_os().map(|(variable, _)| variable);
        for variable in
            ours.filter(|variable| variable.to_string_lossy().starts_with("CITYEVENTS_"))
        {
            command.env_remove(variable);
        }
        command.args(arguments).envs(settings.iter().map(|(key, value)| (*key, value)));
        command.stdin(Stdio::null()).stdout(File::create(&said)?).stderr(File::create(&log)?);
        let child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let pid_file = folder.join(format!("{name}.pid"));
        std::fs::write(&pid_file, format!("{}\n", child.id()))?;
        Ok(Self { name: name.to_owned(), child, said, log, pid_file })
    }

    /// Its id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its log.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until it says that it is ready.
    pub(super) fn wait_ready(&mut self, timeout: Duration) -> anyhow::Result<Listening> {
        let deadline = Instant::now() + timeout;
        loop {
            let said = std::fs::read_to_string(&self.said)?;
            if let Some(line) = said.lines().find(|line| line.contains(" is ready")) {
                return Ok(Listening { http: public_address(line) });
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended with {status} before it was ready: {}",
                    self.name,
                    self.last_lines()
                );
            }
            if Instant::now() >= deadline {
                bail!("{} is not ready after {timeout:?}: {}", self.name, self.last_lines());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Runs a command line that ends by itself.
    pub(super) fn finish(mut self) -> anyhow::Result<()> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}: {}", self.name, self.last_lines());
        }
        Ok(())
    }

    /// Its standard output, of a command that ends by itself, and whether it succeeded.
    pub(super) fn output(mut self) -> anyhow::Result<(bool, String)> {
        let status = self.child.wait()?;
        let said = std::fs::read_to_string(&self.said)?;
        let said = if status.success() { said } else { self.last_lines() };
        Ok((status.success(), said))
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a pid that is none")?;
        kill_process(pid, signal).with_context(|| format!("{} cannot be signalled", self.name))
    }

    /// Waits for its end.
    pub(super) fn wait_ended(&mut self, timeout: Duration) -> anyhow::Result<Option<Ended>> {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(Ended { status, took: started.elapsed() }));
            }
            if started.elapsed() >= timeout {
                return Ok(None);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// SIGKILL.
    pub(super) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let from = lines.len().saturating_sub(LINES_SHOWN);
        format!("{}\n(more in {})", lines[from..].join("\n"), self.log.display())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Ended already, or of no use to anybody any more.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
        let _gone = std::fs::remove_file(&self.pid_file);
    }
}

/// `cityevents (api, ingest) is ready at http://A (operations at http://B)`
fn public_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once(" is ready at http://")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_address_is_read_from_the_line_that_says_ready() {
        let line = "cityevents (ingest, api) is ready at http://127.0.0.1:4711 (operations at \
                    http://127.0.0.1:4712)";
        assert_eq!(public_address(line), "127.0.0.1:4711".parse().ok());
        let line = "cityevents (projection) is ready (operations at http://127.0.0.1:4712)";
        assert_eq!(public_address(line), None);
    }
}
