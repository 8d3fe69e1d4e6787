//! Fenced batches that fail, and those in doubt.

use cityevents_runtime::log::contract::text;
use cityevents_runtime::log::memory::{Faults, MemoryLog};
use cityevents_runtime::log::{
    Committed, FencedBatch, Isolation, Log, LogErrorKind, TopicPartition,
};

use super::{all, partition, simulated, values};

fn batch(output: &TopicPartition, input: &TopicPartition, offset: u64) -> FencedBatch {
    let values = [format!("{offset}a"), format!("{offset}b")];
    FencedBatch {
        records: values.map(|value| (output.clone(), text("k", &value))).to_vec(),
        group: "g".to_owned(),
        progress: vec![(input.clone(), Committed { offset, metadata: String::new() })],
    }
}

fn counted(log: &MemoryLog, place: &TopicPartition) -> Vec<String> {
    values(log, place, Isolation::Committed)
}

fn progress(log: &MemoryLog, input: &TopicPartition) -> Option<u64> {
    log.committed("g", input).unwrap().map(|committed| committed.offset)
}

#[test]
fn of_a_lost_batch_nothing_is_there() {
    let log = simulated(1, Faults { fenced_lost: 1.0, ..Faults::none() });
    let (output, input) = (partition(&log, "output"), partition(&log, "input"));
    let mut writer = log.fenced("w").unwrap();
    let failed = writer.write(batch(&output, &input, 1)).unwrap_err();
    assert_eq!(failed.kind(), LogErrorKind::TimedOut);
    assert_eq!((all(&log, &output).len(), progress(&log, &input)), (0, None));
    log.set_faults(Faults::none());
    assert!(writer.write(batch(&output, &input, 2)).is_err(), "it is to be dropped");
}

#[test]
fn an_aborted_batch_is_there_and_does_not_count() {
    let log = simulated(1, Faults { fenced_aborted: 1.0, fenced_mark: 1.0, ..Faults::none() });
    let (output, input) = (partition(&log, "output"), partition(&log, "input"));
    let mut writer = log.fenced("w").unwrap();
    assert!(writer.write(batch(&output, &input, 1)).is_err());
    assert_eq!(all(&log, &output), ["1a", "1b"]);
    assert_eq!((counted(&log, &output).len(), progress(&log, &input)), (0, None));
    assert_eq!(log.watermarks(&output).unwrap().high, 3, "its end mark takes an offset");
}

#[test]
fn a_batch_in_doubt_hides_what_comes_after_it_until_it_is_decided() {
    let mut outcomes = [0, 0];
    for seed in 0..40 {
        let in_doubt = Faults { fenced_in_doubt: 1.0, delay: 1.0, ..Faults::none() };
        let log = simulated(seed, in_doubt);
        let (output, input) = (partition(&log, "output"), partition(&log, "input"));
        let mut zombie = log.fenced("w").unwrap();
        assert!(zombie.write(batch(&output, &input, 1)).is_err());
        log.set_faults(Faults { delay: 1.0, ..Faults::none() });
        log.fenced("another").unwrap().write(batch(&output, &input, 7)).unwrap();
        log.tick();
        assert_eq!(counted(&log, &output).len(), 0, "seed {seed}");

        // Either way of deciding it: by itself, or by the next holder of the identity.
        match seed % 2 {
            0 => drop(log.fenced("w").unwrap()),
            _ => {
                log.set_faults(Faults::none());
                log.tick();
            }
        }
        let counts = counted(&log, &output) == ["1a", "1b", "7a", "7b"];
        assert_eq!(progress(&log, &input), Some(if counts { 1 } else { 7 }), "seed {seed}");
        assert!(counts || counted(&log, &output) == ["7a", "7b"], "seed {seed}");
        outcomes[usize::from(counts)] += 1;
    }
    assert!(outcomes.iter().all(|count| *count > 5), "{outcomes:?}");
}
