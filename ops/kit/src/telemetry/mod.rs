//! What a process tells about itself: logs to standard error, metrics to whoever scrapes them.

mod http;
mod logging;
mod metrics;
mod process;

pub use self::http::{HttpMetrics, RequestOutcome};
pub use self::logging::{LoggingError, init_logging};
pub use self::metrics::{METRICS_CONTENT_TYPE, MetricsRegistry};
