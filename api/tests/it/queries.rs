//! Whatever is typed into the search, the answer is a page or a named error.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::facts::fields;
use crate::support::world::{OWNER, Who, World};

/// Pieces of languages of queries, of scripts, and of what breaks parsers.
const PIECES: [&str; 36] = [
    "jazz",
    "*",
    "?",
    "**:*",
    "title:",
    "AND",
    "OR NOT",
    "(",
    ")",
    "[a TO b]",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "~9",
    "^1000",
    "+",
    "-",
    "/.*/",
    "%",
    "\0",
    "\u{7f}",
    "\u{202e}",
    "\u{feff}",
    "\n",
    "🎉",
    "音楽",
    "ดนตรี",
    "e\u{301}\u{301}\u{301}",
    "ﷺ",
    "\u{10ffff}",
    "İ",
    "ß",
    " ",
    "0",
];

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn nothing_that_is_typed_is_a_failure() {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    let event = world.publish(OWNER, fields("Jazz 音楽 \"night\" (open)", 1)).await;
    world.searched().await;
    let mut found = 0;
    for _ in 0..400 {
        let typed: String = (0..chance.random_range(0..24))
            .map(|_| PIECES[chance.random_range(0..PIECES.len())])
            .collect();
        let mut uri = format!("/api/events?q={}", encoded(&typed));
        for (name, values) in [
            ("sort", ["relevance", "time", "", "score"]),
            ("city", ["porto", "%00", "*", "P"]),
            ("limit", ["1", "100", "0", "x"]),
            ("cursor", ["", "A", "%2A", "AQ"]),
            ("exclude_expired", ["true", "false", "", "no"]),
        ] {
            if chance.random_bool(0.25) {
                uri += &format!("&{name}={}", values[chance.random_range(0..4)]);
            }
        }
        let answered = world.get(Who::Nobody, &uri).await;
        match answered.status.as_u16() {
            200 => found += answered.body["items"].as_array().unwrap().len(),
            400 => assert_eq!(answered.body["error"]["code"], "validation_failed", "{uri}"),
            status => panic!("{status} for {uri}: {}", answered.body),
        }
        let uri = format!("/api/meta/cities?q={}", encoded(&typed));
        assert!(matches!(world.get(Who::Nobody, &uri).await.status.as_u16(), 200 | 400), "{uri}");
    }
    assert!(found > 0, "nothing at all found {event}");
}

#[tokio::test]
async fn a_star_is_no_wildcard() {
    let mut world = World::new();
    world.publish(OWNER, fields("Jazz", 1)).await;
    world.searched().await;
    for (typed, expected) in [("jaz*", 1), ("*azz", 0), ("j*z", 0), ("title:jazz", 0), ("*", 1)] {
        let uri = format!("/api/events?q={}", encoded(typed));
        let found = world.body(Who::Nobody, &uri).await["items"].as_array().unwrap().len();
        assert_eq!(found, expected, "{typed}");
    }
}
