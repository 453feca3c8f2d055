//! How fresh the state is, and who is ejected, as metrics.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use a8_common::source::Link;
use prometheus::core::{Collector, Desc};
use prometheus::{GaugeVec, Opts, proto};
use tokio::sync::watch;

use super::status::seconds_since;
use super::{Known, Proxy};
use crate::proxy::Routes;
use crate::state::Applied;

/// Revision, age and connection of each source, read when somebody asks.
pub struct Gauges {
    known: Known,
    proxy: Option<Proxy>,
    revision: GaugeVec,
    age: GaugeVec,
    connected: GaugeVec,
    left_out: GaugeVec,
    certificates: GaugeVec,
    ejected: Opts,
}

impl Gauges {
    /// The gauges of what is `known`, and of the proxy where there is one.
    ///
    /// # Errors
    /// Only if the names were wrong.
    pub fn new(known: Known, proxy: Option<Proxy>) -> Result<Self, prometheus::Error> {
        let gauge = |name, help| GaugeVec::new(Opts::new(name, help), &["kind"]);
        Ok(Self {
            known,
            proxy,
            revision: gauge("a8_config_revision", "The newest change that was taken in")?,
            age: gauge(
                "a8_config_age_seconds",
                "Seconds since the source was last heard of",
            )?,
            connected: gauge(
                "a8_control_plane_connected",
                "1 when the source is answering",
            )?,
            left_out: gauge(
                "a8_config_left_out",
                "What the source has and is left out, since it is not valid or too much",
            )?,
            certificates: gauge(
                "a8_certificates_current",
                "1 when the files of certificates are in use as they are now",
            )?,
            ejected: Opts::new(
                "a8_ejected_instances",
                "Instances that a backend of the destination leaves alone",
            ),
        })
    }

    fn set(&self, kind: &str, applied: &Applied, link: &watch::Receiver<Link>) {
        let (connected, left_out, heard): (bool, usize, Option<Instant>) = {
            let link = link.borrow();
            let heard = link.last_contact.or(applied.at);
            (link.connected, link.left_out, heard)
        };
        self.revision
            .with_label_values(&[kind])
            .set(applied.revision.0 as f64);
        if let Some(age) = heard.map(seconds_since) {
            self.age.with_label_values(&[kind]).set(age);
        }
        self.connected
            .with_label_values(&[kind])
            .set(f64::from(u8::from(connected)));
        self.left_out
            .with_label_values(&[kind])
            .set(left_out as f64);
    }
}

impl Gauges {
    fn all(&self) -> [&GaugeVec; 5] {
        let Self {
            revision,
            age,
            connected,
            left_out,
            certificates,
            ..
        } = self;
        [revision, age, connected, left_out, certificates]
    }
}

impl Collector for Gauges {
    fn desc(&self) -> Vec<&Desc> {
        let all = self.all().into_iter();
        all.flat_map(Collector::desc).collect()
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let Known {
            status,
            instances,
            rules,
        } = &self.known;
        let status = status.borrow().clone();
        self.set("instances", &status.instances, &instances.link);
        if let Some(rules) = rules {
            self.set("rules", &status.rules, &rules.link);
        }
        let certificates = self.proxy.iter().flat_map(|proxy| &*proxy.certificates);
        for kept in certificates {
            let good = kept.standing.borrow().problem.is_none();
            let gauge = self.certificates.with_label_values(&[kept.kind]);
            gauge.set(f64::from(u8::from(good)));
        }
        let all = self.all().into_iter();
        let mut families: Vec<_> = all.flat_map(Collector::collect).collect();
        // Made anew each time, so that services that are gone leave nothing behind.
        if let Ok(gauge) = GaugeVec::new(self.ejected.clone(), &["destination"]) {
            if let Some(proxy) = &self.proxy {
                for (service, count) in ejected(&proxy.routes.load()) {
                    gauge.with_label_values(&[service]).set(count as f64);
                }
            }
            families.extend(gauge.collect());
        }
        // A family without series is not a valid one.
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}

/// How many instances are ejected by the backends of each destination.
fn ejected(routes: &Routes) -> BTreeMap<&str, usize> {
    let now = Instant::now();
    let of_rules = routes.table.backends().map(|(_, _, backend)| backend);
    let mut all: BTreeMap<&str, HashSet<u64>> = BTreeMap::new();
    for backend in routes.services.values().chain(of_rules) {
        let out = all.entry(backend.key.destination.as_str()).or_default();
        out.extend(
            backend
                .ejected(now)
                .iter()
                .map(|(upstream, _)| upstream.key),
        );
    }
    all.into_iter().map(|(s, out)| (s, out.len())).collect()
}
