//! The metrics of a process: one registry, its text form, and what every process has.
//!
//! Names are `cityevents_<area>_<what>_<unit>` (`_total` is added to counters by the encoder);
//! labels are bounded, and never the id of an event or a person.

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::process::ProcessCollector;

/// The content type of [`MetricsRegistry::encode`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The metrics of a process. Cheap to clone; all clones are the same registry.
#[derive(Clone)]
pub struct MetricsRegistry {
    registry: Arc<Mutex<Registry>>,
}

impl MetricsRegistry {
    /// A registry with the metrics of the process itself and of its build.
    pub fn new(version: &str, revision: &str) -> Self {
        let mut registry = Registry::with_prefix("cityevents");
        let labels = vec![
            ("version".to_owned(), version.to_owned()),
            ("revision".to_owned(), revision.to_owned()),
        ];
        registry.register("build", "What this process was built from", Info::new(labels));
        registry.register_collector(Box::new(ProcessCollector::new()));
        Self { registry: Arc::new(Mutex::new(registry)) }
    }

    /// Lets a part of the program register its metrics; names are given without `cityevents_`.
    pub fn register<T>(&self, register: impl FnOnce(&mut Registry) -> T) -> T {
        register(&mut self.registry.lock())
    }

    /// All metrics in the text form of OpenMetrics.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry.lock())?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;

    #[test]
    fn a_registered_counter_and_the_process_are_encoded() {
        let metrics = MetricsRegistry::new("1.2.3", "abc");
        let counter = metrics.register(|registry| {
            let counter: Counter = Counter::default();
            registry.register("test_turns", "Turns", counter.clone());
            counter
        });
        counter.inc_by(3);
        let text = metrics.encode().unwrap();
        assert!(text.contains("cityevents_test_turns_total 3"), "{text}");
        assert!(text.contains(r#"cityevents_build_info{version="1.2.3",revision="abc"} 1"#));
        assert!(text.contains("cityevents_process_uptime_seconds "));
        assert!(text.ends_with("# EOF\n"));
        if cfg!(target_os = "linux") {
            assert!(text.contains("cityevents_process_cpu_seconds_total "), "{text}");
            assert!(text.contains("cityevents_process_resident_memory_bytes "));
            assert!(text.contains("cityevents_process_open_file_descriptors "));
        }
    }
}
