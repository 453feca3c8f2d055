//! Instances that send heartbeats, as sidecars do: to the other registry when one fails.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::history::List;
use super::pair::{Pair, Said};
use super::{Crew, Report};

pub(super) struct Beats {
    ids: BTreeSet<String>,
    every: Duration,
    sent: AtomicUsize,
    late: AtomicUsize,
    expired: AtomicUsize,
}

impl Beats {
    /// Registers so many.
    pub(super) async fn register(registries: &Arc<Pair>, count: usize, ttl: u32) -> Self {
        let one = |n: usize| async move {
            let body = json!({"service_name": "steady", "ttl": ttl, "tags": ["v1"],
                "endpoint": {"type": "http", "value": format!("host-{n}:80")}});
            for at in n.. {
                if let Said::Done(answer) = registries
                    .ask(at, Method::POST, "/api/v1/instances", Some(&body))
                    .await
                {
                    return answer["id"].as_str().unwrap().to_owned();
                }
            }
            unreachable!("it is tried for ever");
        };
        let ids = stream::iter((0..count).map(one))
            .buffer_unordered(32)
            .collect();
        Self {
            ids: ids.await,
            every: Duration::from_secs(ttl.into()) / 3,
            sent: AtomicUsize::new(0),
            late: AtomicUsize::new(0),
            expired: AtomicUsize::new(0),
        }
    }

    pub(super) fn start(self: &Arc<Self>, registries: &Arc<Pair>, crew: &mut Crew) {
        for (n, id) in self.ids.iter().enumerate() {
            let (beats, registries, stop) = (self.clone(), registries.clone(), crew.stop.clone());
            let path = format!("/api/v1/instances/{id}/heartbeat");
            // They do not all come at once.
            let first = self.every.mul_f64(n as f64 / self.ids.len() as f64);
            crew.tasks
                .spawn(async move { beats.send(&registries, &path, first, &stop).await });
        }
    }

    async fn send(&self, registries: &Pair, path: &str, first: Duration, stop: &AtomicBool) {
        let mut at = registries.first();
        let mut pause = first;
        while !stop.load(Ordering::Relaxed) {
            tokio::time::sleep(pause.min(Duration::from_secs(1))).await;
            if pause > Duration::from_secs(1) {
                // In steps, so that the end is seen.
                pause -= Duration::from_secs(1);
                continue;
            }
            pause = self.every;
            match registries.ask(at, Method::PUT, path, None).await {
                Said::Done(_) => {
                    self.sent.fetch_add(1, Ordering::Relaxed);
                }
                Said::Refused(StatusCode::GONE, _) => {
                    self.expired.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Said::Refused(..) | Said::Unsure => {
                    self.late.fetch_add(1, Ordering::Relaxed);
                    at += 1;
                    pause = Duration::from_secs(1);
                }
            }
        }
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(super) fn judge(&self, list: &List, report: &mut Report) {
        report.beats = self.sent.load(Ordering::Relaxed);
        report.late = self.late.load(Ordering::Relaxed);
        let expired = self.expired.load(Ordering::Relaxed);
        if expired > 0 {
            let fault = format!("{expired} heartbeats were told that their instance is gone");
            report.faults.push(fault);
        }
        let missing = self.ids.iter().filter(|id| !list.has(id)).count();
        if missing > 0 {
            let fault = format!("{missing} instances with heartbeats are not in the list");
            report.faults.push(fault);
        }
    }
}
