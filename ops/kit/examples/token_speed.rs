//! Measures the check of access tokens, first and repeated:
//! `cargo run --release -p cityevents-kit --example token_speed`.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use cityevents_domain::actor::Role;
use cityevents_domain::ids::UserId;
use cityevents_kit::config::{Config, Sources};
use cityevents_kit::keys::{Caller, KeyRing, Standing, Standings, TokenSigner, TokenVerifier};
use uuid::Uuid;

/// Tokens of as many people, all of which are remembered.
const TOKENS: u32 = 10_000;
/// Rounds over all of them, of which the best counts.
const ROUNDS: u32 = 20;

/// Lets everybody do what their token says.
struct Everybody;

impl Standings for Everybody {
    fn standing(&self, caller: &Caller) -> Standing {
        Standing::Allowed(caller.role)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().display().to_string();
    let overrides = [("data.dir".to_owned(), dir)].into();
    let config = Config::load(Sources { overrides, ..Sources::default() })?.config;
    let ring = KeyRing::open(&config.keys_dir())?;
    let signer = TokenSigner::new(ring.clone(), &config);
    let tokens: Vec<String> = (0..TOKENS)
        .map(|number| {
            let user = UserId::from_bytes(u128::from(number).to_be_bytes());
            signer.sign(&user, Role::User, &Uuid::from_u128(number.into()))
        })
        .collect::<Result<_, _>>()?;
    let verifier = TokenVerifier::new(ring, &config).with_standings(Arc::new(Everybody));
    let round = || -> Result<f64, Box<dyn Error>> {
        let started_at = Instant::now();
        for token in &tokens {
            black_box(verifier.verify(black_box(token))?);
        }
        Ok(started_at.elapsed().as_secs_f64() * 1e6 / f64::from(TOKENS))
    };
    println!("first      {:8.3} µs a token", round()?);
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        best = best.min(round()?);
    }
    println!("remembered {best:8.3} µs a token");
    Ok(())
}
