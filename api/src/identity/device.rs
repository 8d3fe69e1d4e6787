//! From where somebody signed in, as the list of sessions shows it.

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;
use serde::{Deserialize, Serialize};

/// Longest name that is kept.
const CHARACTERS_MAX: usize = 200;

/// What a client says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) user_agent: Option<String>,
}

impl Device {
    /// Of a request. Control characters, which nobody's browser has in its name, are left out.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let said = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        let plain = said.map(|agent| {
            agent.chars().filter(|c| !c.is_control()).take(CHARACTERS_MAX).collect::<String>()
        });
        Self { user_agent: plain.filter(|agent| !agent.is_empty()) }
    }
}
