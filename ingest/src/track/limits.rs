//! How much one person may say, and how many new ones may come from one address. Requests of an
//! address are counted at the edge, like everybody's.

use std::net::IpAddr;

use cityevents_domain::ids::UserId;
use cityevents_kit::config::Limits;
use cityevents_kit::http::{CallerKey, KeyLimit};
use cityevents_kit::problem::Problem;

pub(super) struct TrackLimits {
    person: KeyLimit,
    visitors: KeyLimit,
}

impl TrackLimits {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            person: KeyLimit::new("track_person", &limits.track_person, limits),
            visitors: KeyLimit::new("visitors", &limits.visitors, limits),
        }
    }

    /// Takes one request from a person's allowance. Ids of accounts and of visitors are drawn from
    /// one space.
    pub(super) fn check_person(&self, person: &[u8; 16]) -> Result<(), Problem> {
        self.person.check(CallerKey::User(UserId::from_bytes(*person)))
    }

    /// Takes one new visitor from an address's allowance: who throws the cookie away every time is
    /// not many people.
    pub(super) fn check_new_visitor(&self, address: IpAddr) -> Result<(), Problem> {
        self.visitors.check(CallerKey::of_address(address))
    }
}
