//! Counts and times of HTTP requests, by route template.
//!
//! The handles of a route are resolved once and found again by a cheap lookup, so that a request
//! costs two increments and one observation.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, StatusCode};

use parking_lot::RwLock;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::MetricsRegistry;

/// Upper bounds of the buckets of request durations, in seconds.
const DURATION_BUCKETS: [f64; 14] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Routes × methods that get series of their own; beyond, all count as `other`.
const SERIES_MAX: usize = 500;

const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    method: &'static str,
    route: String,
    status: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CallClassLabels {
    class: &'static str,
}

/// What the metrics want to know about an answered request.
#[derive(Debug, Clone, Copy)]
pub struct RequestOutcome<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The template that matched, if one did.
    pub route: Option<&'a str>,
    /// What it was answered.
    pub status: StatusCode,
    /// From the head of the request to the head of the answer.
    pub duration: Duration,
}

/// Metrics of one or several HTTP listeners.
#[derive(Clone)]
pub struct HttpMetrics {
    shared: Arc<Shared>,
}

struct Shared {
    /// By method and route template, for a lookup without a new string.
    routes: RwLock<HashMap<&'static str, HashMap<String, Arc<RouteMetrics>>>>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    connections: Gauge,
    panics: Counter,
    rate_limited: Family<CallClassLabels, Counter>,
}

struct RouteMetrics {
    by_status: [Counter; STATUS_CLASSES.len()],
    duration: Histogram,
}

impl HttpMetrics {
    /// Registers the metrics; once a process.
    pub fn new(metrics: &MetricsRegistry) -> Self {
        let shared = Shared {
            routes: RwLock::default(),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            panics: Counter::default(),
            rate_limited: Family::default(),
        };
        metrics.register(|registry| {
            registry.register(
                "http_requests",
                "Requests answered, by method, route template and class of status",
                shared.requests.clone(),
            );
            registry.register_with_unit(
                "http_request_duration",
                "From the head of the request to the head of the answer",
                Unit::Seconds,
                shared.durations.clone(),
            );
            registry.register(
                "http_requests_in_flight",
                "Requests being worked on",
                shared.in_flight.clone(),
            );
            registry.register("http_connections", "Open connections", shared.connections.clone());
            registry.register(
                "http_handler_panics",
                "Handlers that panicked and were answered with 500; anything above 0 is a bug",
                shared.panics.clone(),
            );
            registry.register(
                "http_rate_limited",
                "Requests refused by a rate limit, by class of call",
                shared.rate_limited.clone(),
            );
        });
        Self { shared: Arc::new(shared) }
    }

    /// A request has come.
    pub fn began(&self) {
        self.shared.in_flight.inc();
    }

    /// A request that [`HttpMetrics::began`] has gone, answered or not.
    pub fn ended(&self) {
        self.shared.in_flight.dec();
    }

    /// A request was answered.
    pub fn observe(&self, outcome: RequestOutcome<'_>) {
        let route = self.route(method_label(outcome.method), outcome.route.unwrap_or("unmatched"));
        let class = usize::from(outcome.status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = route.by_status.get(class) {
            counter.inc();
        }
        route.duration.observe(outcome.duration.as_secs_f64());
    }

    /// A handler panicked.
    pub fn panicked(&self) {
        self.shared.panics.inc();
    }

    /// A request was refused by a rate limit.
    pub fn rate_limited(&self, class: &'static str) {
        self.shared.rate_limited.get_or_create_owned(&CallClassLabels { class }).inc();
    }

    pub(crate) fn connections(&self) -> &Gauge {
        &self.shared.connections
    }

    fn route(&self, method: &'static str, route: &str) -> Arc<RouteMetrics> {
        {
            let routes = self.shared.routes.read();
            if let Some(found) = routes.get(method).and_then(|routes| routes.get(route)) {
                return Arc::clone(found);
            }
        }
        let mut routes = self.shared.routes.write();
        let known: usize = routes.values().map(HashMap::len).sum();
        let route = if known < SERIES_MAX { route } else { "other" };
        let created = routes.entry(method).or_default().entry(route.to_owned());
        Arc::clone(created.or_insert_with(|| Arc::new(self.shared.resolve(method, route))))
    }
}

impl Shared {
    fn resolve(&self, method: &'static str, route: &str) -> RouteMetrics {
        let by_status = STATUS_CLASSES.map(|status| {
            let labels = RequestLabels { method, route: route.to_owned(), status };
            self.requests.get_or_create_owned(&labels)
        });
        let labels = RouteLabels { method, route: route.to_owned() };
        RouteMetrics { by_status, duration: self.durations.get_or_create_owned(&labels) }
    }
}

/// Methods that anybody makes up are one.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_template_and_class() {
        let registry = MetricsRegistry::new("0", "0");
        let metrics = HttpMetrics::new(&registry);
        for status in [StatusCode::OK, StatusCode::OK, StatusCode::CONFLICT] {
            metrics.observe(RequestOutcome {
                method: &Method::POST,
                route: Some("/api/events/{id}/join"),
                status,
                duration: Duration::from_millis(2),
            });
        }
        let text = registry.encode().unwrap();
        let series = r#"{method="POST",route="/api/events/{id}/join""#;
        assert!(
            text.contains(&format!("cityevents_http_requests_total{series},status=\"2xx\"}} 2")),
            "{text}"
        );
        assert!(
            text.contains(&format!("cityevents_http_requests_total{series},status=\"4xx\"}} 1"))
        );
        assert!(
            text.contains(&format!("cityevents_http_request_duration_seconds_count{series}}} 3"))
        );
    }

    #[test]
    fn made_up_methods_and_routes_do_not_make_series_without_end() {
        let registry = MetricsRegistry::new("0", "0");
        let metrics = HttpMetrics::new(&registry);
        for number in 0..2 * SERIES_MAX {
            metrics.observe(RequestOutcome {
                method: &Method::from_bytes(format!("M{number}").as_bytes()).unwrap(),
                route: Some(&format!("/{number}")),
                status: StatusCode::OK,
                duration: Duration::ZERO,
            });
        }
        let lines = registry.encode().unwrap();
        let series = lines.lines().filter(|line| line.contains("duration_seconds_count")).count();
        assert!(series <= SERIES_MAX + 1, "{series}");
    }
}
