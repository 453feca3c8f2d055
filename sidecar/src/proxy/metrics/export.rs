//! The proxy's series in the form of the metrics library.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus::core::{Collector, Desc};
use prometheus::proto;

use super::{BOUNDS_US, BackendLabels, CodeClass, Histogram, Metrics};
use crate::proxy::limits::Bound;

/// A [`Metrics`] that a metrics registry can collect from.
#[derive(Clone)]
pub struct Export(pub Arc<Metrics>);

impl Collector for Export {
    /// None is declared ahead: the label sets come and go with the configuration.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let metrics = &*self.0;
        let mut families = vec![
            requests(metrics),
            durations(metrics),
            upstream_connections(metrics),
            tcp_connections(metrics),
            tcp_bytes(metrics),
            pending(metrics),
            pending_durations(metrics),
            overflows(metrics),
            faults(metrics),
        ];
        for (name, help, value) in [
            (
                "a8_retries_total",
                "Attempts beyond the first.",
                &metrics.retries,
            ),
            (
                "a8_retries_denied_total",
                "Attempts not made because the backend's retry budget was used up.",
                &metrics.retries_denied,
            ),
            (
                "a8_access_log_dropped_total",
                "Lines dropped because the log's writer could not keep up.",
                &metrics.log_dropped,
            ),
        ] {
            families.push(family(
                name,
                help,
                proto::MetricType::COUNTER,
                vec![counter(vec![], value.get())],
            ));
        }
        families.push(family(
            "a8_caller_connections",
            "Open connections of callers.",
            proto::MetricType::GAUGE,
            vec![gauge(vec![], metrics.callers.get())],
        ));
        // A family without series is not a valid one.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

fn requests(metrics: &Metrics) -> proto::MetricFamily {
    let mut series = Vec::new();
    for (labels, stats) in metrics.stats.alive() {
        for class in CodeClass::ALL {
            let count = stats.requests(class);
            if count == 0 {
                continue;
            }
            let mut pairs = backend_pairs(metrics, &labels.backend, class);
            pairs.push(label("rule", &labels.rule));
            series.push(counter(pairs, count));
        }
    }
    family(
        "a8_requests_total",
        "Requests by what they were routed to and how they ended.",
        proto::MetricType::COUNTER,
        series,
    )
}

fn durations(metrics: &Metrics) -> proto::MetricFamily {
    let mut series = Vec::new();
    for (labels, latency) in metrics.latencies.alive() {
        for class in CodeClass::ALL {
            if let Some(histogram) = latency.classes[class as usize].get() {
                let mut metric = proto::Metric::from_label(backend_pairs(metrics, &labels, class));
                metric.set_histogram(buckets(histogram));
                series.push(metric);
            }
        }
    }
    family(
        "a8_request_duration_seconds",
        "Time from the head of a request to the end of its response.",
        proto::MetricType::HISTOGRAM,
        series,
    )
}

fn upstream_connections(metrics: &Metrics) -> proto::MetricFamily {
    let series = metrics
        .connections
        .alive()
        .into_iter()
        .map(|(service, open)| gauge(vec![label("destination", &service)], open.get()))
        .collect();
    family(
        "a8_upstream_connections",
        "Open connections to instances of a service.",
        proto::MetricType::GAUGE,
        series,
    )
}

fn tcp_connections(metrics: &Metrics) -> proto::MetricFamily {
    let alive = metrics.streams.alive().into_iter();
    let series = alive.map(|(service, stats)| {
        let labels = vec![label("destination", &service)];
        gauge(labels, stats.open.get())
    });
    family(
        "a8_tcp_connections",
        "Open connections of callers to the TCP proxies of a service.",
        proto::MetricType::GAUGE,
        series.collect(),
    )
}

fn tcp_bytes(metrics: &Metrics) -> proto::MetricFamily {
    let alive = metrics.streams.alive().into_iter();
    let series = alive.flat_map(|(service, stats)| {
        [("in", &stats.to_instance), ("out", &stats.to_caller)].map(|(direction, bytes)| {
            let labels = vec![
                label("destination", &service),
                label("direction", direction),
            ];
            counter(labels, bytes.get())
        })
    });
    family(
        "a8_tcp_bytes_total",
        "Bytes passed on by the TCP proxies of a service: in is from callers.",
        proto::MetricType::COUNTER,
        series.collect(),
    )
}

fn pending(metrics: &Metrics) -> proto::MetricFamily {
    let alive = metrics.waits.alive().into_iter();
    let series = alive.map(|(destination, waits)| {
        let labels = vec![label("destination", &destination)];
        gauge(labels, waits.now.get())
    });
    family(
        "a8_pending_requests",
        "Requests and byte streams that wait for a connection of their backend.",
        proto::MetricType::GAUGE,
        series.collect(),
    )
}

fn pending_durations(metrics: &Metrics) -> proto::MetricFamily {
    let alive = metrics.waits.alive().into_iter();
    let series = alive.map(|(destination, waits)| {
        let mut metric = proto::Metric::from_label(vec![label("destination", &destination)]);
        metric.set_histogram(buckets(&waits.took));
        metric
    });
    family(
        "a8_pending_duration_seconds",
        "How long those waited that had to, whatever came of it.",
        proto::MetricType::HISTOGRAM,
        series.collect(),
    )
}

fn overflows(metrics: &Metrics) -> proto::MetricFamily {
    let alive = metrics.waits.alive().into_iter();
    let series = alive.flat_map(|(destination, waits)| {
        Bound::ALL.map(|bound| {
            let labels = vec![
                label("destination", &destination),
                label("bound", bound.name()),
            ];
            counter(labels, waits.refused(bound))
        })
    });
    family(
        "a8_overflows_total",
        "Requests and byte streams turned away because of a bound of their backend.",
        proto::MetricType::COUNTER,
        series.collect(),
    )
}

fn faults(metrics: &Metrics) -> proto::MetricFamily {
    let series = [("delay", &metrics.delays), ("abort", &metrics.aborts)]
        .map(|(kind, count)| counter(vec![label("kind", kind)], count.get()));
    family(
        "a8_faults_total",
        "Faults injected by action rules.",
        proto::MetricType::COUNTER,
        series.into(),
    )
}

/// Counts are read one by one while requests go on: the total is the sum of what was read,
/// so that a histogram never contradicts itself.
fn buckets(histogram: &Histogram) -> proto::Histogram {
    let mut total = 0;
    let mut out = Vec::with_capacity(BOUNDS_US.len());
    let mut counts = histogram.buckets.iter().map(|b| b.load(Ordering::Relaxed));
    for (bound, count) in BOUNDS_US.iter().zip(counts.by_ref()) {
        total += count;
        let mut bucket = proto::Bucket::default();
        bucket.set_cumulative_count(total);
        bucket.set_upper_bound(*bound as f64 / 1e6);
        out.push(bucket);
    }
    total += counts.sum::<u64>();
    let mut made = proto::Histogram::default();
    made.set_bucket(out);
    made.set_sample_count(total);
    made.set_sample_sum(histogram.sum_us.load(Ordering::Relaxed) as f64 / 1e6);
    made
}

fn backend_pairs(
    metrics: &Metrics,
    labels: &BackendLabels,
    class: CodeClass,
) -> Vec<proto::LabelPair> {
    vec![
        label("source", &metrics.source.load()),
        label("destination", &labels.destination),
        label("backend", &labels.backend),
        label("code_class", class.label()),
    ]
}

fn label(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.into());
    pair.set_value(value.into());
    pair
}

fn counter(labels: Vec<proto::LabelPair>, value: u64) -> proto::Metric {
    let mut counter = proto::Counter::default();
    counter.set_value(value as f64);
    let mut metric = proto::Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: Vec<proto::LabelPair>, value: i64) -> proto::Metric {
    let mut gauge = proto::Gauge::default();
    gauge.set_value(value as f64);
    let mut metric = proto::Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn family(
    name: &str,
    help: &str,
    kind: proto::MetricType,
    series: Vec<proto::Metric>,
) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(name.into());
    family.set_help(help.into());
    family.set_field_type(kind);
    family.set_metric(series);
    family
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn text(metrics: &Arc<Metrics>) -> String {
        let families = Export(metrics.clone()).collect();
        prometheus::TextEncoder::new()
            .encode_to_string(&families)
            .unwrap()
    }

    #[test]
    fn series_live_as_long_as_their_owner() {
        let metrics = Arc::new(Metrics::new("web"));
        let stats = metrics.stats("reviews", "reviews:v2", "r1");
        stats.observe(CodeClass::Success, Duration::from_millis(3));
        let same = metrics.stats("reviews", "reviews:v2", "r1");
        assert!(Arc::ptr_eq(&stats, &same));
        let now = text(&metrics);
        assert!(
            now.contains(
                r#"a8_requests_total{source="web",destination="reviews",backend="reviews:v2",code_class="2xx",rule="r1"} 1"#
            ),
            "{now}"
        );
        assert!(now.contains(r#"le="0.0025"} 0"#), "{now}");
        assert!(now.contains(r#"le="0.005"} 1"#), "{now}");
        assert!(now.contains(r#"le="+Inf"} 1"#), "{now}");
        drop((stats, same));
        assert!(!text(&metrics).contains("reviews"), "gone with its owner");
    }

    #[test]
    fn who_waits_and_who_is_turned_away_is_told_by_destination() {
        let metrics = Arc::new(Metrics::new("web"));
        let waits = metrics.waits("s");
        drop(waits.begin());
        let pending = waits.begin();
        waits.refuse(Bound::Pending);
        let now = text(&metrics);
        for line in [
            r#"a8_pending_requests{destination="s"} 1"#,
            r#"a8_pending_duration_seconds_count{destination="s"} 1"#,
            r#"a8_overflows_total{destination="s",bound="max_requests"} 0"#,
            r#"a8_overflows_total{destination="s",bound="max_pending_requests"} 1"#,
        ] {
            assert!(now.contains(line), "{line}: {now}");
        }
        drop(pending);
        assert!(text(&metrics).contains(r#"a8_pending_requests{destination="s"} 0"#));
    }

    #[test]
    fn two_rules_share_the_durations_of_a_backend() {
        let metrics = Arc::new(Metrics::new("web"));
        let one = metrics.stats("s", "s:v1", "a");
        let two = metrics.stats("s", "s:v1", "b");
        one.observe(CodeClass::of(503), Duration::ZERO);
        two.observe(CodeClass::of(500), Duration::from_secs(60));
        let now = text(&metrics);
        assert!(
            now.contains(
                r#"a8_request_duration_seconds_count{source="web",destination="s",backend="s:v1",code_class="5xx"} 2"#
            ),
            "{now}"
        );
    }
}
