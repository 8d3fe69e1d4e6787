//! `run --role …` as a child process.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::{Cluster, DEADLINE, LOOK_EVERY, look_for, poll_for};

/// `run --role …`; killed when it is dropped.
pub struct Process<'a> {
    cluster: &'a Cluster,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl<'a> Process<'a> {
    /// Starts it, with one role.
    pub fn start(cluster: &'a Cluster) -> Self {
        Self::start_with(cluster, "registration")
    }

    /// Starts a process with some roles.
    pub fn start_with(cluster: &'a Cluster, roles: &str) -> Self {
        Self::spawn(cluster, roles, None, &[])
    }

    /// Starts a process under a name that it keeps when it is started again.
    pub fn start_named(cluster: &'a Cluster, roles: &str, name: &str) -> Self {
        Self::spawn(cluster, roles, Some(name), &[])
    }

    /// Starts a process under a name, with other settings than the cluster's.
    pub fn start_otherwise(
        cluster: &'a Cluster,
        roles: &str,
        name: &str,
        settings: &[(&str, &str)],
    ) -> Self {
        Self::spawn(cluster, roles, Some(name), settings)
    }

    fn spawn(
        cluster: &'a Cluster,
        roles: &str,
        name: Option<&str>,
        settings: &[(&str, &str)],
    ) -> Self {
        let (ops, http) = (["--ops-listen", "127.0.0.1:0"], ["--listen", "127.0.0.1:0"]);
        let mut command = cluster.command(&["run", "--role", roles]);
        command.args(ops).args(http);
        command.envs(name.map(|name| ("CITYEVENTS__INSTANCE__NAME", name)));
        command.envs(settings.iter().copied());
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        follow(child.stdout.take().unwrap(), log.clone());
        follow(child.stderr.take().unwrap(), log.clone());
        Self { cluster, child, log }
    }

    /// Its operations listener.
    #[track_caller]
    pub fn ops(&self) -> SocketAddr {
        self.listener("--ops-listen")
    }

    /// Its public listener, if one of its roles has calls.
    #[track_caller]
    pub fn http(&self) -> SocketAddr {
        self.listener("--listen")
    }

    /// Waits until it says where it listens: it chose its ports itself, so that nobody took them
    /// between the choice and the start.
    #[track_caller]
    fn listener(&self, option: &str) -> SocketAddr {
        let end = format!(" ({option})");
        let found = look_for(|| {
            let log = self.log.lock().unwrap();
            let (_, told) = log.split_once(&end).map(|(before, _)| before.rsplit_once(' '))??;
            Some(told.parse().unwrap())
        });
        found.unwrap_or_else(|| panic!("it says not where it listens: {}", self.log()))
    }

    /// Waits until it works.
    pub fn until_ready(self) -> Self {
        self.wait_for(|said| (said.status == 200).then_some(()));
        self
    }

    /// Waits until readiness is red with a reason that has this in it, and returns what it says.
    pub fn until_not_ready(&self, reason: &str) -> String {
        self.wait_for(|said| {
            (said.status == 503 && said.body.contains(reason)).then(|| said.body.clone())
        })
    }

    /// Waits until so many commands are decided.
    pub fn until_decided(self, commands: u64) -> Self {
        poll_for(|| (self.cluster.lag_of("registration")["committed"] == commands).then_some(()));
        self
    }

    /// Everything that it has said so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Stops it as a person would, and sees that it ends well.
    pub fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let status = poll_for(|| self.child.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", self.log.lock().unwrap());
    }

    fn wait_for<T>(&self, mut look: impl FnMut(&Probe) -> Option<T>) -> T {
        let ops = self.ops();
        let started = Instant::now();
        loop {
            let said = probe(ops);
            if let Some(found) = said.as_ref().and_then(&mut look) {
                return found;
            }
            let log = || self.log.lock().unwrap().clone();
            assert!(started.elapsed() < DEADLINE, "it says {said:?}, and before that {}", log());
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Process<'_> {
    fn drop(&mut self) {
        // Already gone where the test stopped it.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[derive(Debug)]
struct Probe {
    status: u16,
    body: String,
}

/// What `/readyz` says; nothing while nobody listens.
fn probe(ops: SocketAddr) -> Option<Probe> {
    let mut stream = TcpStream::connect(ops).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: ops\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    Some(Probe { status, body: body.to_owned() })
}

fn follow(stream: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
}
