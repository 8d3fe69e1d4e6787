//! What all clients of a cluster have in common: their log lines go to tracing, their figures to
//! the metrics, and what went wrong is kept for who asks why.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::statistics::Statistics;

use super::metrics::{ClientMetrics, KafkaMetrics};

/// Complaints of a client that are kept.
const COMPLAINTS_MAX: usize = 16;

/// Rounded up, for polls of consumers: rdkafka waits whole milliseconds, and burns what is left over
/// in a loop that does not wait.
pub(super) const fn whole_millis(wait: Duration) -> Duration {
    Duration::from_millis(wait.as_nanos().div_ceil(1_000_000) as u64)
}

/// The part of a context that is the same for every client.
pub(super) struct Core {
    name: String,
    metrics: ClientMetrics,
    complaints: Mutex<Vec<(Code, String)>>,
    /// Statistics in a row that knew of no broker.
    without_brokers: AtomicU32,
}

/// So many in a row, since one may fall between two lists of brokers.
const STRANDED_AFTER: u32 = 2;

impl Core {
    pub(super) fn new(name: &str, metrics: &KafkaMetrics) -> Self {
        let complaints = Mutex::default();
        let without_brokers = AtomicU32::new(0);
        Self { name: name.to_owned(), metrics: metrics.client(name), complaints, without_brokers }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What the client complained of, the latest last.
    pub(super) fn complaints(&self) -> Vec<(Code, String)> {
        self.complaints.lock().clone()
    }

    pub(super) fn on_log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Properties of producers are handed to consumers too, and the other way round.
        if facility == "CONFWARN" {
            return;
        }
        let client = &*self.name;
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", client, facility, "{message}");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", client, facility, "{message}");
            }
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", client, facility, "{message}");
            }
            RDKafkaLogLevel::Debug => {
                tracing::debug!(target: "librdkafka", client, facility, "{message}");
            }
        }
    }

    pub(super) fn on_statistics(&self, statistics: &Statistics) {
        let is_broker = |source: &str| matches!(source, "learned" | "configured");
        if statistics.brokers.values().any(|broker| is_broker(&broker.source)) {
            self.without_brokers.store(0, Ordering::Relaxed);
        } else {
            self.without_brokers.fetch_add(1, Ordering::Relaxed);
        }
        self.metrics.report(statistics);
    }

    /// Whether the client has forgotten every broker, and will never find one again: a cluster of
    /// one broker that starts again tells of its topics before it counts itself as a broker, and
    /// librdkafka takes such an answer at its word
    /// (<https://github.com/confluentinc/librdkafka/issues/5301>). Only another client helps.
    pub(super) fn is_stranded(&self) -> bool {
        self.without_brokers.load(Ordering::Relaxed) >= STRANDED_AFTER
    }

    pub(super) fn on_error(&self, error: &KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        if code == Code::PartitionEOF {
            return;
        }
        tracing::warn!(target: "librdkafka", client = &*self.name, "{code}: {reason}");
        let mut complaints = self.complaints.lock();
        if complaints.len() == COMPLAINTS_MAX {
            complaints.remove(0);
        }
        complaints.push((code, reason.to_owned()));
    }
}

/// Hands a context's events to its core, a field of that name.
macro_rules! client_context {
    ($context:ty) => {
        client_context!($context; error(context, error, reason) {
            context.core.on_error(&error, reason);
        });
    };
    ($context:ty; error($this:ident, $error:ident, $reason:ident) $body:block) => {
        impl rdkafka::client::ClientContext for $context {
            fn log(
                &self,
                level: rdkafka::config::RDKafkaLogLevel,
                facility: &str,
                message: &str,
            ) {
                self.core.on_log(level, facility, message);
            }

            fn stats(&self, statistics: rdkafka::Statistics) {
                self.core.on_statistics(&statistics);
            }

            fn error(&self, $error: rdkafka::error::KafkaError, $reason: &str) {
                let $this = self;
                $body
            }
        }
    };
}
pub(super) use client_context;

/// The context of a client with nothing special.
pub(super) struct Plain {
    pub(super) core: Core,
}

impl Plain {
    pub(super) fn new(name: &str, metrics: &KafkaMetrics) -> Self {
        Self { core: Core::new(name, metrics) }
    }
}

client_context!(Plain);

impl ConsumerContext for Plain {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_rounded_up_to_whole_milliseconds() {
        assert_eq!(whole_millis(Duration::ZERO), Duration::ZERO);
        assert_eq!(whole_millis(Duration::from_micros(1)), Duration::from_millis(1));
        assert_eq!(whole_millis(Duration::from_micros(49_990)), Duration::from_millis(50));
        assert_eq!(whole_millis(Duration::from_millis(50)), Duration::from_millis(50));
    }
}
