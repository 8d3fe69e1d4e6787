//! What the operating system knows about this process, gathered when metrics are scraped.
//!
//! Read from `/proc`; where there is none, only the uptime is told.

use std::fs;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

#[derive(Debug)]
pub(super) struct ProcessCollector {
    started_at: Instant,
}

impl ProcessCollector {
    pub(super) fn new() -> Self {
        Self { started_at: Instant::now() }
    }
}

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut put = |name: &str, help: &str, unit: Option<&Unit>, metric: Value| {
            let kind = match metric {
                Value::Counter(_) => MetricType::Counter,
                Value::Gauge(_) => MetricType::Gauge,
            };
            let metric_encoder = encoder.encode_descriptor(name, help, unit, kind)?;
            match metric {
                Value::Counter(value) => ConstCounter::new(value).encode(metric_encoder),
                Value::Gauge(value) => ConstGauge::new(value).encode(metric_encoder),
            }
        };
        let uptime = self.started_at.elapsed().as_secs_f64();
        put("process_uptime", "Time since start", Some(&Unit::Seconds), Value::Gauge(uptime))?;
        if let Some(usage) = Usage::read() {
            let cpu = Value::Counter(usage.cpu_seconds);
            put("process_cpu", "User and system time", Some(&Unit::Seconds), cpu)?;
            let memory = Value::Gauge(usage.resident_bytes);
            put("process_resident_memory", "Memory in use", Some(&Unit::Bytes), memory)?;
            let open = Value::Gauge(usage.open_file_descriptors);
            put("process_open_file_descriptors", "Files and sockets open", None, open)?;
            put("process_threads", "Threads", None, Value::Gauge(usage.threads))?;
        }
        Ok(())
    }
}

enum Value {
    Counter(f64),
    Gauge(f64),
}

struct Usage {
    cpu_seconds: f64,
    resident_bytes: f64,
    open_file_descriptors: f64,
    threads: f64,
}

impl Usage {
    /// `None` where the operating system does not tell.
    fn read() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program, in parentheses, may contain anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // Numbered from 1 with the state as number 3, see proc(5).
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks_per_second = ticks_per_second()? as f64;
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / ticks_per_second,
            resident_bytes: field(24)? * page_bytes()? as f64,
            open_file_descriptors: fs::read_dir("/proc/self/fd").ok()?.count() as f64,
            threads: field(20)?,
        })
    }
}

#[cfg(target_os = "linux")]
fn ticks_per_second() -> Option<u64> {
    Some(rustix::param::clock_ticks_per_second())
}

#[cfg(target_os = "linux")]
fn page_bytes() -> Option<usize> {
    Some(rustix::param::page_size())
}

#[cfg(not(target_os = "linux"))]
fn ticks_per_second() -> Option<u64> {
    None
}

#[cfg(not(target_os = "linux"))]
fn page_bytes() -> Option<usize> {
    None
}
