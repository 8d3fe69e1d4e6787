//! `token`: signs access tokens, for scripts and load.

use std::process::ExitCode;

use cityevents_domain::ids::UserId;
use cityevents_kit::keys::TokenSigner;
use uuid::Uuid;

use super::random_id;
use crate::cli::Token;
use crate::instance;
use crate::output::{self, Format};

pub(super) fn run(arguments: &Token) -> anyhow::Result<ExitCode> {
    let config = arguments.place.load(Vec::new())?.config;
    let (ttl, ttl_max) = (arguments.ttl, config.tokens.ttl_max);
    anyhow::ensure!(
        ttl <= ttl_max,
        "--ttl {ttl:?} is longer than tokens.ttl_max, {ttl_max:?}; raise that setting to sign such \
         tokens"
    );
    let signer = TokenSigner::new(instance::open_keys(&config)?, &config);
    let mut tokens = Vec::new();
    for _ in 0..arguments.count {
        let subject = arguments.subject.unwrap_or_else(|| UserId::from_bytes(random_id()));
        let session = Uuid::from_bytes(random_id());
        let token = signer.sign_for(&subject, arguments.role, &session, ttl)?;
        match arguments.place.output {
            Format::Table => output::line(&token),
            Format::Json => tokens.push(serde_json::json!({
                "subject": subject.to_string(),
                "role": arguments.role.as_str(),
                "token": token,
            })),
        }
    }
    if arguments.place.output == Format::Json {
        output::json(&tokens)?;
    }
    Ok(ExitCode::SUCCESS)
}
