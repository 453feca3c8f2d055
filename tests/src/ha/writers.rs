//! Whoever writes: rules at the controllers, and instances that never expire at the
//! registries, each writer with keys of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::Crew;
use super::history::History;
use super::pair::{Pair, Said};

/// Writers of each kind.
const WRITERS: usize = 10;

pub(super) fn start(
    registries: &Arc<Pair>,
    controllers: &Arc<Pair>,
    rate: u32,
    history: &Arc<History>,
    crew: &mut Crew,
) {
    for (pair, kind) in [(registries, &INSTANCES), (controllers, &RULES)] {
        for writer in 0..WRITERS {
            let every = Duration::from_secs(1) * 2 * WRITERS as u32 / rate;
            let (pair, history, stop) = (pair.clone(), history.clone(), crew.stop.clone());
            crew.tasks
                .spawn(write(pair, kind, writer, every, history, stop));
        }
    }
}

struct Kind {
    member: &'static str,
    path: &'static str,
    body: fn(&str) -> Value,
    /// The id in the answer to a creation.
    id: fn(&Value) -> Option<&str>,
    delete: fn(&str) -> String,
}

const INSTANCES: Kind = Kind {
    member: "instances",
    path: "/api/v1/instances",
    body: |name| {
        json!({"service_name": "written", "endpoint": {"type": "http", "value": format!("{name}:80")},
               "status": "OUT_OF_SERVICE", "tags": ["v1"]})
    },
    id: |answer| answer["id"].as_str(),
    delete: |id| format!("/api/v1/instances/{id}"),
};

const RULES: Kind = Kind {
    member: "rules",
    path: "/v1/rules",
    body: |name| json!({"rules": [{"id": name, "destination": "written", "route": {"backends": [{"tags": ["v1"]}]}}]}),
    id: |answer| answer["ids"][0].as_str(),
    delete: |id| format!("/v1/rules?id={id}"),
};

async fn write(
    pair: Arc<Pair>,
    kind: &'static Kind,
    writer: usize,
    every: Duration,
    history: Arc<History>,
    stop: Arc<AtomicBool>,
) {
    let mut at = pair.first();
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for n in 0_u64.. {
        tick.tick().await;
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("w{writer}-{n}");
        // The other one, now and then: both must see what either has acknowledged.
        at += usize::from(n % 7 == 0);
        let body = (kind.body)(&name);
        let id = match pair.ask(at, Method::POST, kind.path, Some(&body)).await {
            Said::Done(answer) => (kind.id)(&answer).unwrap().to_owned(),
            Said::Refused(status, text) => panic!("{name} was refused with {status}: {text}"),
            Said::Unsure => {
                // An instance's id is not known; it is never asked for again.
                history.unsure(kind.member, &name);
                at += 1;
                continue;
            }
        };
        history.acknowledged(kind.member, &id, true);
        // Two of three go again, so that there is something that could come back.
        if n % 3 == 0 {
            continue;
        }
        tick.tick().await;
        match pair
            .ask(at + 1, Method::DELETE, &(kind.delete)(&id), None)
            .await
        {
            Said::Done(_) => history.acknowledged(kind.member, &id, false),
            Said::Unsure => history.unsure(kind.member, &id),
            Said::Refused(StatusCode::GONE | StatusCode::NOT_FOUND, _) => {
                panic!("{name} was acknowledged and is not there for the other server");
            }
            Said::Refused(status, text) => panic!("{name} was kept with {status}: {text}"),
        }
    }
}
