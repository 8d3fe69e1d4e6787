//! What stands on the disk: taken up again, and built anew where it is of no use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cityevents_api::index::IndexPlace;
use cityevents_domain::event::EventStatus;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Asked, BY_START, Shelf, event};

async fn filled(folder: &Path) -> Shelf {
    let shelf = Shelf::new(IndexPlace::Folder(folder.to_owned())).await;
    for hundred in 0..3 {
        let events: Vec<_> = (0..40)
            .map(|number| event(hundred * 40 + number, &format!("Fair {number} 音楽"), 1))
            .collect();
        shelf.put(&events).await;
    }
    shelf
}

async fn is_whole(shelf: &Shelf) {
    assert_eq!(shelf.index().len(), 120);
    assert_eq!(shelf.walk(&Asked::default(), 50).await.len(), 120);
    let asked = Asked { typed: Some("fair 音楽".into()), ..Asked::default() };
    assert_eq!(shelf.walk(&asked, 50).await.len(), 120);
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder.join("events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "lock"))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_restart_goes_on_from_the_disk_and_reads_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = filled(folder.path()).await;
    shelf.stop();
    let mut gone = event(7, "Fair 7", 1);
    gone.status = EventStatus::Canceled;
    shelf.published.put(&gone);
    shelf.published.put(&event(500, "Fair 500 音楽", 1));
    shelf.begin();
    shelf.ready().await;
    is_whole(&shelf).await;
    assert_eq!(shelf.index().event(&gone.id), None);
    assert_eq!((shelf.counted("index_rebuilds"), shelf.counted("index_records")), (0, 2));
}

#[tokio::test]
async fn every_damage_is_seen_and_mended() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = filled(folder.path()).await;
    shelf.stop();
    let count = files(folder.path()).len();
    assert!(count >= 8, "{count}");
    for number in 0..count {
        for kind in ["flipped", "cut", "empty", "away"] {
            let there = files(folder.path());
            let Some(path) = there.get(number % there.len()) else { continue };
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let mut data = std::fs::read(path).unwrap();
            match kind {
                "flipped" if !data.is_empty() => {
                    let at = chance.random_range(0..data.len());
                    data[at] ^= 1 << chance.random_range(0..8);
                    std::fs::write(path, &data).unwrap();
                }
                "cut" => {
                    data.truncate(chance.random_range(0..=data.len().saturating_sub(1)));
                    std::fs::write(path, &data).unwrap();
                }
                "empty" => std::fs::write(path, b"").unwrap(),
                _ => std::fs::remove_file(path).unwrap(),
            }
            shelf.begin();
            shelf.ready().await;
            is_whole(&shelf).await;
            let rebuilds = shelf.counted("index_rebuilds");
            assert_eq!(rebuilds, 1, "{name} {kind}");
            shelf.stop();
        }
    }
}

#[tokio::test]
async fn the_index_of_another_topic_is_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    drop(filled(folder.path()).await);
    let other = Shelf::new(IndexPlace::Folder(folder.path().to_owned())).await;
    assert_eq!((other.index().len(), other.counted("index_rebuilds")), (0, 1));
}

#[tokio::test]
async fn what_was_not_read_for_long_is_built_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut shelf = filled(folder.path()).await;
    shelf.stop();
    shelf.clock.advance(25 * 60 * 60 * 1_000);
    shelf.begin();
    shelf.ready().await;
    is_whole(&shelf).await;
    assert_eq!(shelf.counted("index_rebuilds"), 1);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("file");
    std::fs::write(&in_the_way, b"no folder").unwrap();
    let memory = Shelf::new(IndexPlace::Memory).await;
    let mut shelf = Shelf { place: IndexPlace::Folder(in_the_way.clone()), ..memory };
    shelf.stop();
    shelf.begin();
    let told = async {
        loop {
            let problem = shelf.index().problem().unwrap_or_default();
            if problem.contains("[index] folder") {
                break problem;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let told = tokio::time::timeout(super::AT_MOST, told).await.unwrap();
    assert!(told.contains(&in_the_way.display().to_string()), "{told}");
    std::fs::remove_file(&in_the_way).unwrap();
    shelf.ready().await;
    shelf.put(&[event(1, "Fair", 1)]).await;
    assert_eq!(shelf.titles("fair", BY_START).await, ["Fair"]);
}

#[tokio::test]
async fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = filled(folder.path()).await;
    let memory = Shelf::new(IndexPlace::Memory).await;
    let mut second = Shelf { place: IndexPlace::Folder(folder.path().to_owned()), ..memory };
    second.stop();
    second.begin();
    let told = async {
        while !second.index().problem().unwrap_or_default().contains("another process") {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(super::AT_MOST, told).await.unwrap();
    is_whole(&first).await;
}
