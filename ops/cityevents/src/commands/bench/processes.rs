//! Processor time of the servers that are measured, as the kernel counts it.
//!
//! A server is found by the port that it listens on, since a measurement of the wrong process
//! would be worse than none. Its children count with it: a database may have one a connection.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::net::{SocketAddr, ToSocketAddrs as _};

use super::measure::process_cpu;

/// Name of this process among those that are measured.
pub(super) const CLIENT: &str = "client";
/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Processor seconds by name.
pub(super) type Spent = BTreeMap<String, f64>;

/// This process, and servers that work for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes(BTreeMap<String, u32>);

impl Processes {
    /// Adds a server under a name.
    pub(super) fn with(mut self, name: &str, pid: Option<u32>) -> Self {
        self.0.extend(pid.map(|pid| (name.to_owned(), pid)));
        self
    }

    /// What each has taken since it started.
    pub(super) fn now(&self) -> Spent {
        let mut spent = BTreeMap::from([(CLIENT.to_owned(), process_cpu().as_secs_f64())]);
        if self.0.is_empty() {
            return spent;
        }
        let table = Table::read();
        let ticks_per_second = rustix::param::clock_ticks_per_second().max(1) as f64;
        for (name, pid) in &self.0 {
            spent.insert(name.clone(), table.of_tree(*pid) as f64 / ticks_per_second);
        }
        spent
    }
}

/// What each took between two moments.
pub(super) fn between(before: &Spent, after: &Spent) -> Spent {
    let earlier = |name: &String| before.get(name).copied().unwrap_or(0.0);
    after.iter().map(|(name, spent)| (name.clone(), (spent - earlier(name)).max(0.0))).collect()
}

/// One line of the kernel's table of processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    parent: u32,
    /// Its own, and of children that have ended.
    ticks: u64,
}

impl Entry {
    /// Reads `/proc/PID/stat`. The name in it may contain anything, brackets too.
    fn parse(stat: &str) -> Option<Self> {
        let (_, behind_name) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = behind_name.split_whitespace().collect();
        let times = fields.get(11..15)?;
        let ticks = times.iter().map(|field| field.parse::<u64>()).sum::<Result<_, _>>().ok()?;
        Some(Self { parent: fields.get(1)?.parse().ok()?, ticks })
    }
}

struct Table(HashMap<u32, Entry>);

impl Table {
    fn read() -> Self {
        let entries = process_ids().filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, Entry::parse(&stat)?))
        });
        Self(entries.collect())
    }

    /// Of a process and all that it started.
    fn of_tree(&self, root: u32) -> u64 {
        let mut ticks = 0;
        let mut left = vec![root];
        let mut seen = HashSet::new();
        while let Some(pid) = left.pop() {
            if !seen.insert(pid) {
                continue;
            }
            ticks += self.0.get(&pid).map_or(0, |entry| entry.ticks);
            left.extend(self.0.iter().filter(|(_, one)| one.parent == pid).map(|(pid, _)| *pid));
        }
        ticks
    }
}

fn process_ids() -> impl Iterator<Item = u32> {
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    folders.filter_map(|folder| folder.file_name().to_str()?.parse().ok())
}

/// The process on this machine that listens where an address (`host:port`) points; `None` when
/// there is none, or it is not ours to look at.
pub(super) fn listening_at(address: &str) -> Option<u32> {
    let is_here = |address: &SocketAddr| address.ip().is_loopback();
    let port = address.to_socket_addrs().ok()?.find(is_here)?.port();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
    let inodes: HashSet<u64> =
        tables.iter().flatten().flat_map(|table| listeners(table, port)).collect();
    if inodes.is_empty() {
        return None;
    }
    let holders: HashSet<u32> = process_ids().filter(|pid| holds(*pid, &inodes)).collect();
    let table = Table::read();
    // Children may have inherited the socket; the one that opened it is meant.
    let is_first =
        |pid: &&u32| table.0.get(*pid).is_none_or(|entry| !holders.contains(&entry.parent));
    holders.iter().find(is_first).copied()
}

/// Inodes of the sockets that listen on a port, of `/proc/net/tcp`.
fn listeners(table: &str, port: u16) -> Vec<u64> {
    let wanted = format!("{port:04X}");
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, listens_on) = fields.get(1)?.rsplit_once(':')?;
        let is_meant = listens_on == wanted && *fields.get(3)? == LISTENING;
        is_meant.then(|| fields.get(9)?.parse().ok())?
    });
    rows.collect()
}

fn holds(pid: u32, inodes: &HashSet<u64>) -> bool {
    let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| {
        let inode = target.to_str().and_then(|text| text.strip_prefix("socket:["));
        let inode = inode.and_then(|text| text.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let stat = "77 (odd) name) S 42 77 77 0 -1 4194560 900 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        assert_eq!(Entry::parse(stat), Some(Entry { parent: 42, ticks: 110 }));
        assert_eq!(Entry::parse("77 (short) S 42"), None);
        assert_eq!(Entry::parse(""), None);
    }

    #[test]
    fn a_tree_is_summed_and_strangers_are_left_out() {
        let entry = |parent, ticks| Entry { parent, ticks };
        let table = Table(HashMap::from([
            (1, entry(0, 1)),
            (2, entry(1, 10)),
            (3, entry(2, 100)),
            (4, entry(3, 1_000)),
            (5, entry(1, 10_000)),
        ]));
        assert_eq!(table.of_tree(2), 1_110);
        assert_eq!(table.of_tree(9), 0);
    }

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st\n\
            0: 0100007F:4A94 00000000:0000 0A 0:0 00:0 0 0 0 701 1 0 100 0 0 10 0\n\
            1: 0100007F:4A94 0100007F:9C40 01 0:0 00:0 0 0 0 702 1 0 100 0 0 10 0\n\
            2: 0100007F:4A95 00000000:0000 0A 0:0 00:0 0 0 0 703 1 0 100 0 0 10 0\n";
        assert_eq!(listeners(table, 0x4A94), [701]);
        assert_eq!(listeners(table, 1), Vec::<u64>::new());
    }

    #[test]
    fn this_process_is_found_by_its_port_and_has_taken_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        assert_eq!(listening_at(&address), Some(std::process::id()));
        drop(listener);
        assert_eq!(listening_at(&address), None);
        let processes = Processes::default().with("itself", Some(std::process::id()));
        let before = processes.now();
        let mut after = processes.now();
        // The kernel counts in ticks of about 10 ms.
        while between(&before, &after)["itself"] == 0.0 {
            after = processes.now();
        }
        assert!(between(&before, &after)[CLIENT] > 0.0);
    }
}
