//! What is taken first, and in which order records end that belong together, whatever happens.

use std::collections::BTreeSet;

use cityevents_runtime::dead_letter::CircuitPolicy;
use cityevents_runtime::host::Task as _;
use cityevents_runtime::log::LogErrorKind;
use cityevents_runtime::retry::{Bulk, Failure, Verdict};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::fixture::text_of;
use super::retry::{BULK, DEAD, SOURCE, World, busy, frontiers, poison, run};

fn bulk(in_work_max: usize) -> Bulk {
    Bulk { topic: BULK.into(), in_work_max }
}

/// One whose handler begins, and ends nothing before it is told to.
fn holding(in_work_max: usize) -> World {
    let mut world = World::new();
    world.options.bulk = Some(bulk(in_work_max));
    world.book.lock().holds = true;
    world
}

fn begun(world: &World) -> Vec<String> {
    world.book.lock().begun.iter().map(|(said, _)| said.clone()).collect()
}

#[test]
fn bulk_is_begun_when_nothing_else_is_left_and_few_at_a_time() {
    let world = holding(2);
    world.say_in(BULK, &["m1", "m2", "m3", "m4"]);
    world.say(&["a", "b"]);
    let mut consumer = world.consumer();
    run(&mut consumer).unwrap();
    assert_eq!(begun(&world), ["a", "b", "m1", "m2"]);
    world.say(&["c"]);
    run(&mut consumer).unwrap();
    assert_eq!(begun(&world)[4..], ["c"], "there is room for whoever comes");
    let m1 = world.book.lock().held.remove(2);
    m1.tell(Verdict::Done);
    run(&mut consumer).unwrap();
    assert_eq!(begun(&world)[5..], ["m3"]);
    assert_eq!(frontiers(&consumer), [0, 0, 0, 1]);
    assert_eq!(consumer.lag_records(), Some(3 + 3));
}

#[test]
fn bulk_comes_behind_what_was_there_before_it_and_follows_it_where_it_waits() {
    let mut world = World::new();
    // Nobody has room for more than one.
    (world.options.in_work_max, world.options.bulk) = (1, Some(bulk(1)));
    world.script("ada/1", [busy()]);
    world.say(&["ada/1", "bob/1", "bob/2"]);
    world.say_in(BULK, &["ada/2", "bob/3"]);
    let mut consumer = world.consumer();
    run(&mut consumer).unwrap();
    assert_eq!(world.done(), ["bob/1", "bob/2", "bob/3"]);
    assert_eq!(frontiers(&consumer), [3, 0, 0, 2], "ada/2 waits behind ada/1");
    world.pass(10);
    run(&mut consumer).unwrap();
    assert_eq!(world.done()[3..], ["ada/1", "ada/2"]);
}

#[test]
fn bulk_that_fails_waits_in_the_tiers_and_whoever_goes_on_knows_it() {
    let mut world = World::new();
    world.options.bulk = Some(bulk(1));
    world.script("ada/1", [busy(), busy(), busy()]);
    world.say_in(BULK, &["ada/1"]);
    let mut consumer = world.consumer();
    run(&mut consumer).unwrap();
    world.commit(&consumer.all_progress());
    world.say(&["ada/2"]);
    let mut consumer = world.consumer();
    for seconds in [0, 10, 60] {
        world.pass(seconds);
        run(&mut consumer).unwrap();
    }
    assert_eq!(world.done(), ["ada/2"], "behind the one that was given up");
    assert_eq!(world.records(DEAD).iter().map(text_of).collect::<Vec<_>>(), ["ada/1"]);
}

#[test]
fn what_is_due_in_the_tiers_leaves_room_for_the_source() {
    let world = World::new();
    let put_off: Vec<String> = (0..20).map(|number| format!("late {number}")).collect();
    for word in &put_off {
        world.script(word, [busy()]);
        world.say(&[word]);
    }
    let mut consumer = world.consumer();
    run(&mut consumer).unwrap();
    world.book.lock().holds = true;
    world.pass(10);
    run(&mut consumer).unwrap();
    assert_eq!(begun(&world).len(), 20 + 4, "half of eight");
    world.say(&["a"]);
    run(&mut consumer).unwrap();
    assert_eq!(begun(&world).last().unwrap(), "a");
}

/// Many records, keys, failures, crashes and losses: everything ends well or among the dead letters,
/// and of one key nothing ends before what came before it, unless that was given up or is bulk.
#[test]
fn nothing_is_lost_and_order_is_kept_whatever_happens() {
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let first = given.unwrap_or_else(|| rand::rng().random());
    for seed in (0..30).map(|round| first.wrapping_add(round)) {
        println!("SEED={seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut world = World::new();
        world.options.in_work_max = rng.random_range(1..12);
        world.options.bulk = Some(bulk(rng.random_range(1..4)));
        // Refusals are plenty here.
        let patient =
            CircuitPolicy { run_max: 900, window_failures_max: 900, window_records: 1_000 };
        (world.options.poison, world.options.refused) = (patient, patient);
        let (mut said, mut in_bulk) = (Vec::new(), BTreeSet::new());
        let mut consumer = world.consumer();
        for number in 0..rng.random_range(20..80) {
            let word = match rng.random_range(0..6) {
                0 => format!("alone {number}"),
                key => format!("{key}/{number}"),
            };
            let verdict = |rng: &mut StdRng| match rng.random_range(0..10) {
                0..4 => busy(),
                4 => Verdict::Refused(Failure::new("permanent", "no")),
                5 => poison(),
                _ => Verdict::Done,
            };
            let verdicts: Vec<_> = (0..4).map(|_| verdict(&mut rng)).collect();
            world.script(&word, verdicts);
            let is_bulk = rng.random_range(0..3) == 0;
            world.say_in(if is_bulk { BULK } else { SOURCE }, &[&word]);
            if is_bulk {
                in_bulk.insert(word.clone());
            }
            said.push(word);
            if rng.random_range(0..8) == 0 {
                world.log.fail_next_append(LogErrorKind::Unavailable);
            }
            let ran = run(&mut consumer);
            let crashed = ran.is_err() || rng.random_range(0..10) == 0;
            if crashed {
                if rng.random_range(0..2) == 0 {
                    world.commit(&consumer.all_progress());
                }
                consumer = world.consumer();
            }
            world.clock.advance(rng.random_range(0..20_000));
        }
        for _ in 0..300 {
            if run(&mut consumer).is_err() {
                world.commit(&consumer.all_progress());
                consumer = world.consumer();
            }
            world.pass(20);
        }
        assert_eq!(consumer.lag_records(), Some(0), "SEED={seed}");
        let letters = world.records(DEAD);
        for letter in &letters {
            let header = |name| letter.headers.get_text(name);
            if header("__connect.errors.exception.class.name") == Some("transient") {
                let (attempt, word) = (header("attempt"), text_of(letter));
                assert_eq!(attempt, Some("3"), "SEED={seed}: {word} was given up too soon");
            }
        }
        let dead: BTreeSet<_> = letters.iter().map(text_of).collect();
        let done = world.done();
        for word in &said {
            assert!(done.contains(word) || dead.contains(word), "SEED={seed}: {word} is lost");
        }
        // By the first time that each ended well.
        let mut ended: Vec<&String> = Vec::new();
        for word in &done {
            if !ended.contains(&word) {
                ended.push(word);
            }
        }
        for key in 1..6 {
            let ended = ended.iter().filter(|word| !dead.contains(**word));
            let of_key = ended.filter_map(|word| {
                let number: u32 = word.strip_prefix(&format!("{key}/"))?.parse().ok()?;
                Some((number, in_bulk.contains(*word)))
            });
            let of_key: Vec<_> = of_key.collect();
            for (at, (number, is_bulk)) in of_key.iter().enumerate() {
                // Bulk may be overtaken, but not by bulk, and it overtakes nobody.
                let mut later = of_key[at + 1..].iter();
                let wrong = later
                    .find(|(other, other_is_bulk)| other < number && (*is_bulk || !*other_is_bulk));
                assert_eq!(wrong, None, "SEED={seed}: key {key} ended in the order {of_key:?}");
            }
        }
    }
}
