//! What a process tells about itself: logs to standard error, metrics to whoever scrapes them, spans to
//! whoever takes them.

mod accounts;
mod http;
mod levels;
mod logging;
mod metrics;
mod otlp;
mod process;

pub use self::accounts::{AccountHash, hash_accounts_with};
pub(crate) use self::http::method_label;
pub use self::http::{HttpMetrics, RequestOutcome};
pub(crate) use self::levels::filter;
pub use self::levels::{log_level, set_log_level};
pub use self::logging::{LoggingError, init_logging};
pub use self::metrics::{METRICS_CONTENT_TYPE, MetricsRegistry};
pub use self::otlp::{TracingError, start_tracing};
