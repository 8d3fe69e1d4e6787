//! Records of known ages, one age a partition, and what lag in seconds has to say of them.

use cityevents_runtime::log::Outgoing;
use serde_json::Value;

/// From seconds to days, in milliseconds.
pub const AGES_MS: [i64; 4] = [2_000, 90_000, 3_600_000, 2 * 86_400_000];

/// When the oldest record of each partition was written.
pub fn written_ms() -> [i64; AGES_MS.len()] {
    AGES_MS.map(|age_ms| now_ms() - age_ms)
}

/// What to write into a partition: younger ones behind the oldest, which is the one that counts.
pub fn records(oldest_ms: i64) -> [Outgoing; 3] {
    [oldest_ms, oldest_ms + 500, now_ms()]
        .map(|at_ms| Outgoing { timestamp_ms: Some(at_ms), ..Outgoing::default() })
}

/// Asks for the rows of all groups, and holds those of one against the truth.
pub fn check(written_ms: [i64; AGES_MS.len()], group: &str, ask: impl FnOnce() -> Value) {
    let asked_ms = now_ms();
    let answer = ask();
    let answered_ms = now_ms();
    for (partition, oldest_ms) in (0_u32..).zip(written_ms) {
        let is_it = |row: &&Value| row["group"] == group && row["partition"] == partition;
        let row = answer["rows"].as_array().unwrap().iter().find(is_it).unwrap();
        let seconds = row["seconds"].as_f64().unwrap();
        let truth = |at_ms: i64| (at_ms - oldest_ms) as f64 / 1_000.0;
        let (least, most) = (truth(asked_ms), truth(answered_ms));
        println!("{seconds} s where the truth is {least} to {most} s");
        let off = (least - seconds).max(seconds - most).max(0.0);
        assert!(off <= (least * 0.05).max(1.0), "off by {off} s: {row}");
        assert_eq!(row["records"], 3, "{row}");
    }
}

fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
