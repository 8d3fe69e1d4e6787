//! Figures of the clients of a cluster, from librdkafka's own statistics.
//!
//! Clients that do the same for different partitions share a label, so that the number of series
//! does not grow with partitions. Gauges are sums over the living clients of a label.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use rdkafka::Statistics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClientLabels {
    client: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokerLabels {
    client: String,
    broker: i32,
}

/// All of them. Clones share.
#[derive(Debug, Clone)]
pub struct KafkaMetrics {
    clients: Family<ClientLabels, Gauge>,
    queued_records: Family<ClientLabels, Gauge>,
    queued_bytes: Family<ClientLabels, Gauge>,
    in_flight: Family<BrokerLabels, Gauge>,
    failed_sends: Family<BrokerLabels, Counter>,
    failed_receives: Family<BrokerLabels, Counter>,
    timeouts: Family<BrokerLabels, Counter>,
    disconnects: Family<BrokerLabels, Counter>,
    round_trip: Family<BrokerLabels, Histogram, fn() -> Histogram>,
}

impl KafkaMetrics {
    /// Makes and registers them.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("kafka");
        let metrics = Self::unregistered();
        let m = &metrics;
        registry.register("clients", "Living clients, by what they do", m.clients.clone());
        registry.register(
            "queued_records",
            "Records that wait in producers, sent or not, for their acknowledgement",
            m.queued_records.clone(),
        );
        registry.register_with_unit(
            "queued",
            "Size of the records that wait in producers",
            Unit::Bytes,
            m.queued_bytes.clone(),
        );
        registry.register(
            "requests_in_flight",
            "Requests that a broker has not answered yet",
            m.in_flight.clone(),
        );
        registry.register(
            "send_errors",
            "Requests that could not be sent. Alert when it keeps rising",
            m.failed_sends.clone(),
        );
        registry.register(
            "receive_errors",
            "Answers that could not be received",
            m.failed_receives.clone(),
        );
        registry.register(
            "request_timeouts",
            "Requests without an answer in time. Alert when it keeps rising",
            m.timeouts.clone(),
        );
        registry.register("disconnects", "Connections that ended", m.disconnects.clone());
        registry.register_with_unit(
            "round_trip",
            "Mean time of a request to a broker, once for each client and report",
            Unit::Seconds,
            m.round_trip.clone(),
        );
        metrics
    }

    /// Makes them for nobody to see: tests and tools.
    pub fn unregistered() -> Self {
        Self {
            clients: Family::default(),
            queued_records: Family::default(),
            queued_bytes: Family::default(),
            in_flight: Family::default(),
            failed_sends: Family::default(),
            failed_receives: Family::default(),
            timeouts: Family::default(),
            disconnects: Family::default(),
            round_trip: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
            }),
        }
    }

    /// The share of one client in all that.
    pub(super) fn client(&self, name: &str) -> ClientMetrics {
        let labels = ClientLabels { client: label_of(name) };
        self.clients.get_or_create_owned(&labels).inc();
        ClientMetrics { all: self.clone(), labels, last: Mutex::default() }
    }
}

/// What a client does, without the partition it does it for: numbers at the end are cut.
fn label_of(name: &str) -> String {
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    name.split(['-', '/']).filter(|part| !is_number(part)).collect::<Vec<_>>().join("-")
}

#[derive(Default)]
struct Last {
    queued_records: i64,
    queued_bytes: i64,
    brokers: BTreeMap<i32, LastBroker>,
}

#[derive(Default, Clone, Copy)]
struct LastBroker {
    in_flight: i64,
    failed_sends: u64,
    failed_receives: u64,
    timeouts: u64,
    disconnects: u64,
}

/// What one client last reported, so that its share can be taken back.
pub(super) struct ClientMetrics {
    all: KafkaMetrics,
    labels: ClientLabels,
    last: Mutex<Last>,
}

impl ClientMetrics {
    pub(super) fn report(&self, statistics: &Statistics) {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let mut last = self.last.lock();
        let records = signed(statistics.msg_cnt);
        let bytes = signed(statistics.msg_size);
        self.add_queued(records - last.queued_records, bytes - last.queued_bytes);
        last.queued_records = records;
        last.queued_bytes = bytes;
        for broker in statistics.brokers.values().filter(|broker| broker.nodeid >= 0) {
            let now = LastBroker {
                in_flight: broker.waitresp_cnt + broker.outbuf_cnt,
                failed_sends: broker.txerrs,
                failed_receives: broker.rxerrs,
                timeouts: broker.req_timeouts,
                disconnects: broker.disconnects.map_or(0, |count| count.max(0).cast_unsigned()),
            };
            let before = last.brokers.insert(broker.nodeid, now).unwrap_or_default();
            let all = &self.all;
            let labels = self.broker(broker.nodeid);
            all.in_flight.get_or_create_owned(&labels).inc_by(now.in_flight - before.in_flight);
            for (family, now, before) in [
                (&all.failed_sends, now.failed_sends, before.failed_sends),
                (&all.failed_receives, now.failed_receives, before.failed_receives),
                (&all.timeouts, now.timeouts, before.timeouts),
                (&all.disconnects, now.disconnects, before.disconnects),
            ] {
                family.get_or_create_owned(&labels).inc_by(now.saturating_sub(before));
            }
            if let Some(rtt) = &broker.rtt
                && rtt.cnt > 0
            {
                let seconds = rtt.avg as f64 / 1_000_000.0;
                all.round_trip.get_or_create_owned(&labels).observe(seconds);
            }
        }
    }

    fn add_queued(&self, records: i64, bytes: i64) {
        self.all.queued_records.get_or_create_owned(&self.labels).inc_by(records);
        self.all.queued_bytes.get_or_create_owned(&self.labels).inc_by(bytes);
    }

    fn broker(&self, broker: i32) -> BrokerLabels {
        BrokerLabels { client: self.labels.client.clone(), broker }
    }
}

impl Drop for ClientMetrics {
    fn drop(&mut self) {
        let last = std::mem::take(&mut *self.last.lock());
        self.add_queued(-last.queued_records, -last.queued_bytes);
        for (broker, last) in last.brokers {
            let gauge = self.all.in_flight.get_or_create_owned(&self.broker(broker));
            gauge.dec_by(last.in_flight);
        }
        self.all.clients.get_or_create_owned(&self.labels).dec();
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::statistics::{Broker, Window};

    use super::*;

    fn statistics(queued: u64, in_flight: i64, timeouts: u64) -> Statistics {
        let rtt = Some(Window { cnt: 1, avg: 2_000, ..Window::default() });
        let broker = Broker {
            nodeid: 1,
            waitresp_cnt: in_flight,
            req_timeouts: timeouts,
            rtt,
            ..Broker::default()
        };
        Statistics {
            msg_cnt: queued,
            brokers: [("broker/1".to_owned(), broker)].into(),
            ..Statistics::default()
        }
    }

    #[test]
    fn gauges_are_sums_over_living_clients_and_counters_never_fall() {
        let metrics = KafkaMetrics::unregistered();
        let one = metrics.client("registration-0");
        let other = metrics.client("registration-17");
        let labels = ClientLabels { client: "registration".to_owned() };
        let broker = BrokerLabels { client: "registration".to_owned(), broker: 1 };
        one.report(&statistics(5, 2, 1));
        other.report(&statistics(7, 1, 0));
        one.report(&statistics(3, 1, 4));
        let queued = || metrics.queued_records.get_or_create_owned(&labels).get();
        let in_flight = || metrics.in_flight.get_or_create_owned(&broker).get();
        let timeouts = || metrics.timeouts.get_or_create_owned(&broker).get();
        assert_eq!((queued(), in_flight(), timeouts()), (10, 2, 4));
        drop(one);
        assert_eq!((queued(), in_flight(), timeouts()), (7, 1, 4));
        drop(other);
        assert_eq!((queued(), in_flight(), timeouts()), (0, 0, 4));
        assert_eq!(metrics.clients.get_or_create_owned(&labels).get(), 0);
    }

    #[test]
    fn labels_do_not_name_partitions() {
        assert_eq!(label_of("registration-12-side"), "registration-side");
        assert_eq!(label_of("event-facts/3"), "event-facts");
    }
}
