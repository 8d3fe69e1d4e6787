//! What every role shares: configuration, lifecycle, telemetry, problem responses, the common part
//! of HTTP, keys and sealing.
//!
//! Nothing here knows what a join is. It knows how a process starts, tells how it is, answers
//! over HTTP, recognises who asks, and stops.

pub mod breaker;
pub mod calendar;
pub mod config;
pub mod consistency;
pub mod event_body;
pub mod files;
pub mod http;
pub mod keys;
pub mod lifecycle;
pub mod openapi;
pub mod ops_listener;
pub mod pictures;
pub mod priority;
pub mod problem;
pub mod seal;
pub mod telemetry;

pub use breaker::{Breaker, BreakerMetrics, BreakerOpen, BreakerOptions, BreakerState};
pub use config::Config;
pub use lifecycle::{Component, Lifecycle, Shutdown, Stage};
pub use problem::{ErrorCode, Problem};
