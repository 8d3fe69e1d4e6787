//! What the domain speaks of, written to and read from the log. Here tags, ranges and identifiers
//! are checked, once; behind it there are no raw strings and no sentinel values.
//!
//! The functions use the schema ids that the process chose at its start ([`Codecs::install`]); the
//! methods of [`Codecs`] of the same names use those of the codecs at hand.
//!
//! [`Codecs`]: crate::Codecs
//! [`Codecs::install`]: crate::Codecs::install

mod account;
mod command;
mod email;
mod engagement;
mod fact;
mod flat;
mod link;
mod outcome;
mod parts;
mod reply;
mod row;
mod signal;
mod trend;
mod update;

pub use account::{AccountChange, AccountStatus, decode_account_change, encode_account_change};
pub use command::{decode_command, encode_command};
pub use email::{Email, EmailContent, EmailStanding, decode_email, encode_email};
pub use engagement::{
    Engagement, EngagementKind, FeedType, Person, PersonKind, decode_engagement, encode_engagement,
};
pub use flat::{
    FlatRegistration, decode_event, decode_registration, encode_event, encode_registration,
};
pub use link::{Closed, ClosedVerdict, Genesis, Link, decode_link, encode_link};
pub use reply::{Reply, ReplyVerdict, decode_reply, encode_reply};
pub use signal::{SignalKind, UserSignal, decode_user_signal, encode_user_signal};
pub use trend::{Trend, TrendState, decode_trend, encode_trend};
