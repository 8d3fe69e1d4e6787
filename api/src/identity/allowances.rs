//! Allowances that all instances share: signing in, registering, mails about accounts, and tries at
//! one account.
//!
//! What each instance counts for itself ([`cityevents_kit::http::RateLimits`]) grows with the number
//! of instances, and who guesses passwords asks all of them. So where there are several, what passed
//! the limit of one is counted once more in a record of the tables: the time at which the whole
//! allowance will be back (GCRA), moved on by compare and set. The keys are hashes with a key of the
//! instance secret, and records expire when they say nothing any more.
//!
//! - It is asked before anything is read or hashed, and after the local limit, so that a flood costs
//!   the tables no more than the allowance of one instance.
//! - While the tables are away the local limit alone decides, and a metric says so: who could not
//!   sign in without them cannot anyway.
//! - Instances have to agree about the time, as for tokens (`tokens.leeway`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use cityevents_domain::time::Timestamp;
use cityevents_kit::config::{Limits, Rate};
use cityevents_kit::http::{CallClass, CallerKey, RequestContext};
use cityevents_kit::seal::InstanceSecret;
use cityevents_kit::{ErrorCode, Problem};
use cityevents_runtime::log::clock::Clock;
use cityevents_views::Views;
use cityevents_views::records::{RecordKey, RecordKind};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::Identity;
use super::routes::route_policy;
use super::store::{IdentityError, Kept, Store};

/// Longest time that a request waits to be counted; then the local limit alone decides.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Callers of one instance take turns by so many locks, so that they do not contend in the tables.
const TURNS: usize = 64;
/// When to come again where others of the same allowance were always first.
const CONTENDED_RETRY: Duration = Duration::from_secs(1);
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Login,
    Register,
    AccountMail,
    Account,
}

impl Class {
    /// The class of calls of that limit, if they are counted here.
    const fn of(class: CallClass) -> Option<Self> {
        match class {
            CallClass::Login => Some(Self::Login),
            CallClass::Register => Some(Self::Register),
            CallClass::AccountMail => Some(Self::AccountMail),
            _ => None,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Register => "register",
            Self::AccountMail => "account_mail",
            Self::Account => "account",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TakenLabels {
    class: &'static str,
    result: &'static str,
}

/// Figures of the shared allowances.
#[derive(Debug, Clone, Default)]
pub struct AllowanceMetrics {
    taken: Family<TakenLabels, Counter>,
}

impl AllowanceMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "api_shared_allowances",
            "Requests counted in the allowances that all instances share, by class and by whether \
             they were allowed, refused, or not counted because the tables were away: alert when \
             many are away, since each instance then counts for itself",
            metrics.taken.clone(),
        );
        metrics
    }

    fn count(&self, class: Class, result: &'static str) {
        self.taken.get_or_create_owned(&TakenLabels { class: class.as_str(), result }).inc();
    }
}

/// When a whole allowance will be back, in microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Arrival {
    at_us: i64,
}

impl Kept for Arrival {
    const KIND: &'static str = "allowances";

    fn expires_at(&self) -> Option<Timestamp> {
        Some(Timestamp::from_millis(self.at_us.div_euclid(1_000) + 1))
    }
}

/// Takes one request from an allowance, or says when to come again.
fn next_arrival(before: Option<Arrival>, now_us: i64, rate: &Rate) -> Result<Arrival, Duration> {
    let window_us = i64::try_from(rate.window.as_micros()).unwrap_or(i64::MAX / 2);
    let each_us = (window_us / i64::from(rate.requests.max(1))).max(1);
    let at_us = before.map_or(now_us, |before| before.at_us.max(now_us));
    // What of the allowance is used, as the time in which it comes back.
    let used_us = at_us.saturating_sub(now_us);
    let over_us = used_us.saturating_add(each_us).saturating_sub(window_us);
    if over_us > 0 {
        let over_us = u64::try_from(over_us).unwrap_or_default();
        return Err(Duration::from_micros(over_us).min(rate.window));
    }
    Ok(Arrival { at_us: at_us.saturating_add(each_us) })
}

/// The allowances.
pub struct SharedAllowances {
    store: Store,
    key: [u8; 32],
    limits: Limits,
    turns: [Mutex<()>; TURNS],
    metrics: AllowanceMetrics,
}

impl SharedAllowances {
    /// In the records of the tables, by the limits of the instance.
    pub fn new(
        views: &Views,
        clock: Arc<dyn Clock>,
        secret: &InstanceSecret,
        limits: &Limits,
        metrics: AllowanceMetrics,
    ) -> Self {
        Self {
            store: Store::new(views.records.clone(), clock),
            key: secret.derive("cityevents 2026 shared allowances"),
            limits: limits.clone(),
            turns: std::array::from_fn(|_| Mutex::default()),
            metrics,
        }
    }

    /// Takes one request of a caller.
    async fn take(&self, class: Class, caller: &str) -> Result<(), Problem> {
        if !self.limits.enabled {
            return Ok(());
        }
        let id = self.id(class, caller);
        let taken = tokio::time::timeout(WAIT_MAX, self.count(class, id)).await;
        let (result, answer) = match taken {
            Ok(Ok(Ok(_))) => ("allowed", Ok(())),
            Ok(Ok(Err(after))) => ("refused", Err(refused(class, after))),
            // So many were first that whoever comes last of them is too many.
            Ok(Err(IdentityError::Contended { .. })) => {
                ("refused", Err(refused(class, CONTENDED_RETRY)))
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "an allowance is counted here only: {error}");
                ("away", Ok(()))
            }
            Err(_) => ("away", Ok(())),
        };
        self.metrics.count(class, result);
        answer
    }

    async fn count(
        &self,
        class: Class,
        id: [u8; 32],
    ) -> Result<Result<Arrival, Duration>, IdentityError> {
        let _turn = self.turns[usize::from(id[0]) % TURNS].lock().await;
        let rate = match class {
            Class::Login => &self.limits.login,
            Class::Register => &self.limits.register,
            Class::AccountMail => &self.limits.account_mail,
            Class::Account => &self.limits.account,
        };
        let key = RecordKey::new(RecordKind::Allowance, id.as_slice());
        let now_us = self.store.now().as_millis().saturating_mul(1_000);
        self.store.upsert(key, |before| next_arrival(before, now_us, rate)).await
    }

    /// Nobody who reads the tables learns addresses of clients or accounts.
    fn id(&self, class: Class, caller: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(class.as_str().as_bytes()).update(b"/").update(caller.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

fn refused(class: Class, after: Duration) -> Problem {
    let problem = Problem::new(ErrorCode::RateLimited).with_meta("class", class.as_str());
    let after_seconds = after.as_secs_f64().ceil().max(1.0) as u64;
    let problem = problem.with_retry_after(after);
    let limit = format!("\"{}\";r=0;t={after_seconds}", class.as_str());
    match HeaderValue::try_from(limit) {
        Ok(limit) => problem.with_header(RATE_LIMIT, limit),
        Err(_) => problem,
    }
}

/// Counts calls that all instances count together, before their handlers and their bodies.
pub(super) async fn check(
    State(identity): State<Identity>,
    request: Request,
    next: Next,
) -> Response {
    let Some(shared) = &identity.shared.allowances else { return next.run(request).await };
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let class = route_policy(request.method(), route).and_then(|policy| Class::of(policy.class));
    let address = request.extensions().get::<RequestContext>().map(RequestContext::client_address);
    if let (Some(class), Some(address)) = (class, address)
        && let Err(problem) = shared.take(class, &caller_of(address)).await
    {
        return problem.into_response();
    }
    next.run(request).await
}

/// One customer's addresses are one caller here as they are for the limit of one instance.
fn caller_of(address: IpAddr) -> String {
    match CallerKey::of_address(address) {
        CallerKey::Address(address) => address.to_string(),
        _ => address.to_string(),
    }
}

impl Identity {
    /// Takes one try at an account, from wherever, whether there is such an account or not.
    pub(super) async fn check_tries(&self, account: &str) -> Result<(), Problem> {
        self.shared.tries.check(account)?;
        match &self.shared.allowances {
            Some(shared) => shared.take(Class::Account, account).await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: i64 = 1_000_000;

    fn rate(requests: u32, seconds: u64) -> Rate {
        Rate { requests, window: Duration::from_secs(seconds) }
    }

    #[test]
    fn the_whole_allowance_may_come_at_once_and_comes_back_evenly() {
        let rate = rate(10, 60);
        let mut arrival = None;
        for _ in 0..10 {
            arrival = Some(next_arrival(arrival, 0, &rate).unwrap());
        }
        assert_eq!(arrival, Some(Arrival { at_us: 60 * SECOND_US }));
        assert_eq!(next_arrival(arrival, 0, &rate), Err(Duration::from_secs(6)));
        assert_eq!(next_arrival(arrival, 5 * SECOND_US, &rate), Err(Duration::from_secs(1)));
        let next = next_arrival(arrival, 6 * SECOND_US, &rate).unwrap();
        assert!(next_arrival(Some(next), 6 * SECOND_US, &rate).is_err());
        // Once all is back, it does not grow.
        let fresh = next_arrival(Some(next), 1_000 * SECOND_US, &rate).unwrap();
        assert_eq!(fresh, Arrival { at_us: 1_006 * SECOND_US });
    }

    #[test]
    fn a_record_of_a_clock_that_is_ahead_keeps_nobody_out_for_longer_than_a_window() {
        let ahead = Some(Arrival { at_us: i64::MAX });
        assert_eq!(next_arrival(ahead, 0, &rate(10, 60)), Err(Duration::from_secs(60)));
        let many = rate(u32::MAX, 1);
        assert!(next_arrival(None, 0, &many).is_ok(), "each takes some time, however short");
    }

    #[test]
    fn what_says_nothing_any_more_expires() {
        let arrival = Arrival { at_us: 1_999 };
        assert_eq!(arrival.expires_at(), Some(Timestamp::from_millis(2)));
    }
}
