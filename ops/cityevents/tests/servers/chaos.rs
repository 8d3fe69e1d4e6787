//! Faults under load, the short form: every fault of `bench chaos` a few times, and no promise
//! broken. The long form is the same command with its defaults.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::stack;

/// A few thousand joins a fault.
const JOINS: &str = "24000";
const RATE: &str = "500";
const FAULTS: [&str; 10] = [
    "workers-killed",
    "workers-frozen",
    "publishers-frozen",
    "rebalanced",
    "ingest-killed",
    "roles-stopped",
    "leaders-killed",
    "tables-frozen",
    "registry-away",
    "broker-restarted",
];

#[test]
fn no_fault_breaks_a_promise() {
    stack::kafka();
    stack::cassandra();
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stack");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cityevents"));
    command.args(["bench", "chaos", "--fault", "all", "--joins", JOINS, "--rate", RATE]);
    command.args(["--away", "4s", "--session-timeout", "2s", "--output", "json"]);
    command.arg("--stack").arg(program);
    if let Ok(seed) = std::env::var("CITYEVENTS_TEST_SEED") {
        command.args(["--seed", &seed]);
    }
    // What it says on the way, the seed first of all, goes to the test's own output.
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let report: Value =
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert!(output.status.success(), "{report:#}");
    let rows = report["rows"].as_array().unwrap();
    let mut faults: Vec<_> = rows.iter().map(|row| row["fault"].as_str().unwrap()).collect();
    faults.sort_unstable();
    let mut expected = FAULTS;
    expected.sort_unstable();
    assert_eq!(faults, expected);
    for row in rows {
        let count = |field: &str| row[field].as_u64().unwrap();
        assert_eq!(count("answered"), count("joins") + count("leaves"), "{row:#}");
        assert!(count("strikes") > 0 && count("refused") > 0, "{row:#}");
        for wrong in ["lost", "doubled", "oversold", "overtaken", "contradictions"] {
            assert_eq!(count(wrong), 0, "{row:#}");
        }
    }
}
