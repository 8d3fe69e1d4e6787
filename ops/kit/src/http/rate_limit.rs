//! Rate limits by GCRA: an allowance that may be used at once and comes back evenly.
//!
//! Kept in memory, one number a caller and class. Callers that have their whole allowance back are
//! forgotten; beyond the bound, callers share buckets, so that memory is bounded whatever happens.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::http::header::{HeaderMap, HeaderName, HeaderValue};
use cityevents_domain::ids::UserId;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::policy::CallClass;
use crate::config::{Limits, Rate};
use crate::problem::{ErrorCode, Problem};

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Buckets that callers share once too many are remembered.
const SHARED_BUCKETS: u64 = 65_536;

/// Requests of a class between two looks at how many callers are remembered.
const LOOK_EVERY: u32 = 1024;

/// Requests of a class between two times of forgetting those who need not be remembered; a
/// multiple of [`LOOK_EVERY`].
const CLEANUP_EVERY: u32 = 16 * LOOK_EVERY;

/// Bits of an IPv6 address that one customer of a provider shares.
const IPV6_PREFIX_BITS: u32 = 64;

/// Who uses up an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallerKey {
    /// Somebody who is signed in.
    User(UserId),
    /// An address; of IPv6 the network.
    Address(IpAddr),
    /// Whoever tries to sign in to an account, by the hash of its address.
    Account(u64),
    /// One of those who share a bucket.
    Shared(u64),
}

impl CallerKey {
    /// The key of an address.
    pub fn of_address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> IPV6_PREFIX_BITS << IPV6_PREFIX_BITS;
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            address => address,
        })
    }

    fn shared(&self) -> Self {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        Self::Shared(hasher.finish() % SHARED_BUCKETS)
    }
}

/// What a limit says about one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateDecision {
    /// How long to wait before the next request; `None`: this one is fine.
    pub retry_after: Option<Duration>,
    /// The class's name, for metrics.
    pub class: &'static str,
    remaining: u32,
    policy: HeaderValue,
    reset_seconds: u64,
}

/// The limits of all classes.
pub struct RateLimits<C: Clock + Clone = DefaultClock> {
    enabled: bool,
    login: ClassLimit<C>,
    register: ClassLimit<C>,
    account_mail: ClassLimit<C>,
    join: ClassLimit<C>,
    bulk: ClassLimit<C>,
    track: ClassLimit<C>,
    page: ClassLimit<C>,
    upload: ClassLimit<C>,
    picture: ClassLimit<C>,
    general: ClassLimit<C>,
}

type Limiter<C> =
    RateLimiter<CallerKey, DashMapStateStore<CallerKey>, C, StateInformationMiddleware>;

struct ClassLimit<C: Clock + Clone> {
    name: &'static str,
    rate: Rate,
    limiter: Limiter<C>,
    clock: C,
    policy: HeaderValue,
    callers_max: usize,
    turns: AtomicU32,
    crowded: AtomicBool,
}

impl RateLimits {
    /// Limits by the wall clock.
    pub fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, &DefaultClock::default())
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    /// Limits by another clock.
    pub fn with_clock(limits: &Limits, clock: &C) -> Self {
        let callers_max = limits.callers_max as usize;
        let class = |name, rate: &Rate| ClassLimit::new(name, rate, callers_max, clock.clone());
        Self {
            enabled: limits.enabled,
            login: class("login", &limits.login),
            register: class("register", &limits.register),
            account_mail: class("account_mail", &limits.account_mail),
            join: class("join", &limits.join),
            bulk: class("bulk", &limits.bulk),
            track: class("track", &limits.track),
            page: class("page", &limits.page),
            upload: class("upload", &limits.upload),
            picture: class("picture", &limits.picture),
            general: class("general", &limits.general),
        }
    }

    /// Takes one request from the allowance of a caller; `None` where there is no limit.
    pub fn check(
        &self,
        class: CallClass,
        user: Option<UserId>,
        address: IpAddr,
    ) -> Option<RateDecision> {
        let (limit, by_user) = match class {
            CallClass::Login => (&self.login, false),
            CallClass::Register => (&self.register, false),
            CallClass::AccountMail => (&self.account_mail, false),
            CallClass::Bulk => (&self.bulk, false),
            CallClass::Track => (&self.track, false),
            CallClass::Join => (&self.join, true),
            CallClass::Page => (&self.page, true),
            CallClass::Upload => (&self.upload, true),
            CallClass::Picture => (&self.picture, false),
            CallClass::General => (&self.general, true),
            CallClass::Unlimited => return None,
        };
        let user = user.filter(|_| by_user).map(CallerKey::User);
        self.enabled.then(|| limit.check(user.unwrap_or_else(|| CallerKey::of_address(address))))
    }
}

/// An allowance that a handler keeps, beside the one of its class.
pub struct KeyLimit {
    limit: ClassLimit<DefaultClock>,
    enabled: bool,
}

impl KeyLimit {
    /// By the wall clock, as the limits say.
    pub fn new(name: &'static str, rate: &Rate, limits: &Limits) -> Self {
        let callers_max = limits.callers_max as usize;
        let limit = ClassLimit::new(name, rate, callers_max, DefaultClock::default());
        Self { limit, enabled: limits.enabled }
    }

    /// Takes one request from the allowance of a key.
    ///
    /// # Errors
    /// When nothing is left of it.
    pub fn check(&self, key: CallerKey) -> Result<(), Problem> {
        let refused = self.enabled.then(|| self.limit.check(key).to_problem()).flatten();
        refused.map_or(Ok(()), Err)
    }
}

/// How often somebody may try to sign in to one account, wherever they try from.
pub struct AccountLimit<C: Clock + Clone = DefaultClock> {
    limit: ClassLimit<C>,
    enabled: bool,
}

impl AccountLimit {
    /// By the wall clock.
    pub fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C: Clock + Clone> AccountLimit<C> {
    fn with_clock(limits: &Limits, clock: C) -> Self {
        let callers_max = limits.callers_max as usize;
        let limit = ClassLimit::new("account", &limits.account, callers_max, clock);
        Self { limit, enabled: limits.enabled }
    }

    /// Takes one try from the allowance of an account, whether there is such an account or not.
    ///
    /// # Errors
    /// When nothing is left of it.
    pub fn check(&self, account: &str) -> Result<(), Problem> {
        let mut hasher = DefaultHasher::new();
        account.hash(&mut hasher);
        let key = CallerKey::Account(hasher.finish());
        let refused = self.enabled.then(|| self.limit.check(key).to_problem()).flatten();
        refused.map_or(Ok(()), Err)
    }
}

impl<C: Clock + Clone> ClassLimit<C> {
    fn new(name: &'static str, rate: &Rate, callers_max: usize, clock: C) -> Self {
        let burst = NonZeroU32::new(rate.requests).unwrap_or(NonZeroU32::MIN);
        let seconds = rate.window.as_secs();
        let policy = format!("\"{name}\";q={burst};w={seconds}");
        let each = (rate.window / burst.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(each).unwrap_or(Quota::per_second(burst));
        let limiter: Limiter<C> =
            RateLimiter::new(quota.allow_burst(burst), DashMapStateStore::default(), clock.clone());
        Self {
            name,
            rate: rate.clone(),
            limiter,
            clock,
            // Printable characters are always a header value.
            policy: HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("")),
            callers_max,
            turns: AtomicU32::new(0),
            crowded: AtomicBool::new(false),
        }
    }

    fn check(&self, key: CallerKey) -> RateDecision {
        let key = if self.is_crowded() { key.shared() } else { key };
        let (remaining, retry_after) = match self.limiter.check_key(&key) {
            Ok(snapshot) => (snapshot.remaining_burst_capacity(), None),
            Err(denied) => (0, Some(denied.wait_time_from(self.clock.now()))),
        };
        let missing = self.rate.requests.saturating_sub(remaining);
        let reset = self.rate.window.as_secs_f64() * f64::from(missing)
            / f64::from(self.rate.requests.max(1));
        RateDecision {
            retry_after,
            class: self.name,
            remaining,
            policy: self.policy.clone(),
            reset_seconds: reset.ceil() as u64,
        }
    }

    /// Whether too many callers are remembered; now and then forgets those who need not be.
    fn is_crowded(&self) -> bool {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        if turn.is_multiple_of(LOOK_EVERY) {
            if turn.is_multiple_of(CLEANUP_EVERY) {
                self.limiter.retain_recent();
                self.limiter.shrink_to_fit();
            }
            self.crowded.store(self.limiter.len() >= self.callers_max, Ordering::Relaxed);
        }
        self.crowded.load(Ordering::Relaxed)
    }
}

impl RateDecision {
    /// The answer to a request that is one too many.
    pub(super) fn to_problem(&self) -> Option<Problem> {
        let problem = Problem::new(ErrorCode::RateLimited).with_meta("class", self.class);
        Some(problem.with_retry_after(self.retry_after?))
    }

    /// Says what is left, unless somebody behind the edge has said that it is less.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.policy.clone());
        if headers.contains_key(LIMIT) {
            return;
        }
        let limit = format!("\"{}\";r={};t={}", self.class, self.remaining, self.reset_seconds);
        if let Ok(limit) = HeaderValue::try_from(limit) {
            headers.insert(LIMIT, limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::config::{Config, Sources};

    const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn limits(callers_max: u32) -> (RateLimits<FakeRelativeClock>, FakeRelativeClock) {
        let mut config = Config::load(Sources::default()).unwrap().config;
        config.limits.callers_max = callers_max;
        let clock = FakeRelativeClock::default();
        (RateLimits::with_clock(&config.limits, &clock), clock)
    }

    #[test]
    fn the_whole_allowance_may_come_at_once_and_comes_back_evenly() {
        let (limits, clock) = limits(1000);
        let user = Some(UserId::from_bytes([1; 16]));
        for left in (0..60).rev() {
            let decision = limits.check(CallClass::Join, user, ADDRESS).unwrap();
            assert_eq!((decision.retry_after, decision.remaining), (None, left));
        }
        let denied = limits.check(CallClass::Join, user, ADDRESS).unwrap();
        assert_eq!(denied.retry_after, Some(Duration::from_secs(1)));
        let mut headers = HeaderMap::new();
        denied.add_headers(&mut headers);
        assert_eq!(headers[LIMIT], "\"join\";r=0;t=60");
        assert_eq!(headers[POLICY], "\"join\";q=60;w=60");
        let other = Some(UserId::from_bytes([2; 16]));
        assert_eq!(limits.check(CallClass::Join, other, ADDRESS).unwrap().retry_after, None);
        clock.advance(Duration::from_secs(1));
        assert_eq!(limits.check(CallClass::Join, user, ADDRESS).unwrap().retry_after, None);
        assert!(limits.check(CallClass::Join, user, ADDRESS).unwrap().retry_after.is_some());
    }

    #[test]
    fn signing_in_is_limited_by_address_whoever_signs_in() {
        let (limits, _) = limits(1000);
        for number in 0..10 {
            let user = Some(UserId::from_bytes([number; 16]));
            assert_eq!(limits.check(CallClass::Login, user, ADDRESS).unwrap().retry_after, None);
        }
        assert!(limits.check(CallClass::Login, None, ADDRESS).unwrap().retry_after.is_some());
        assert_eq!(limits.check(CallClass::Unlimited, None, ADDRESS), None);
    }

    #[test]
    fn one_account_is_tried_so_often_and_others_are_not_hindered() {
        let config = Config::load(Sources::default()).unwrap().config;
        let clock = FakeRelativeClock::default();
        let limit = AccountLimit::with_clock(&config.limits, clock.clone());
        for _ in 0..config.limits.account.requests {
            limit.check("ada@example.org").unwrap();
        }
        let refused = limit.check("ada@example.org").unwrap_err();
        assert_eq!(refused.code(), ErrorCode::RateLimited);
        limit.check("eve@example.org").unwrap();
        clock.advance(Duration::from_secs(30));
        limit.check("ada@example.org").unwrap();
        assert!(limit.check("ada@example.org").is_err());
    }

    #[test]
    fn memory_is_bounded_however_many_callers_come() {
        let (limits, clock) = limits(100);
        for number in 0..200_000_u32 {
            let address = IpAddr::V4(Ipv4Addr::from_bits(number));
            limits.check(CallClass::General, None, address);
        }
        assert!(
            limits.general.limiter.len() <= 100 + (LOOK_EVERY + SHARED_BUCKETS as u32) as usize
        );
        clock.advance(Duration::from_secs(61));
        for _ in 0..=CLEANUP_EVERY {
            limits.check(CallClass::General, None, ADDRESS);
        }
        // This caller, and the bucket that it shared before.
        assert!(limits.general.limiter.len() <= 2);
    }

    #[test]
    fn one_customers_addresses_are_one_caller() {
        let key = |text: &str| CallerKey::of_address(text.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::3"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::3"), key("2001:db8:1:3::3"));
        assert_eq!(key("::ffff:1.2.3.4"), key("1.2.3.4"));
    }
}
