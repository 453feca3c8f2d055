//! A steady stream of requests to helloworld through the gateway.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use a8_common::task::{Stop, Tasks};
use http::StatusCode;
use tokio::time::{MissedTickBehavior, interval};

use super::tally::{Figures, Outcome, Tally, Totals};
use crate::helloworld;

/// Requests a second, and by how many connections.
const RATE: u32 = 200;
const WORKERS: u32 = 8;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The running load. It ends when this is dropped.
pub(super) struct Load {
    tally: Arc<Mutex<Tally>>,
    stop: Stop,
    _tasks: Tasks,
}

impl Load {
    /// Begins to request `url`.
    pub(super) fn start(http: &reqwest::Client, url: &str) -> Self {
        let tally = Arc::<Mutex<Tally>>::default();
        let tasks = Tasks::new(Stop::new());
        for _ in 0..WORKERS {
            let (http, url, tally) = (http.clone(), url.to_owned(), tally.clone());
            let stop = tasks.stop().clone();
            tasks.spawn("load", async move {
                stop.race(requests(&http, &url, &tally)).await;
            });
        }
        Self {
            tally,
            stop: tasks.stop().clone(),
            _tasks: tasks,
        }
    }

    /// Where requests went lately.
    pub(super) fn figures(&self) -> Figures {
        lock(&self.tally).figures(Instant::now())
    }

    /// All requests since the beginning.
    pub(super) fn totals(&self) -> Totals {
        lock(&self.tally).totals()
    }

    /// Counts anew from here.
    pub(super) fn restart(&self) {
        lock(&self.tally).restart(Instant::now());
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.fire();
    }
}

async fn requests(http: &reqwest::Client, url: &str, tally: &Mutex<Tally>) {
    let mut tick = interval(Duration::from_secs(1) * WORKERS / RATE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let began = Instant::now();
        let outcome = request(http, url).await;
        lock(tally).add(began, Instant::now(), outcome);
    }
}

async fn request(http: &reqwest::Client, url: &str) -> Outcome {
    let Ok(answer) = http.get(url).timeout(PATIENCE).send().await else {
        return Outcome::Broken;
    };
    let status = answer.status();
    let injected = answer
        .headers()
        .get("a8-error")
        .is_some_and(|flag| flag == "FI");
    let Ok(text) = answer.text().await else {
        return Outcome::Broken;
    };
    match helloworld::parse(&text) {
        Some((version, instance)) if status == StatusCode::OK => Outcome::Answered {
            version: version.to_owned(),
            instance: instance.to_owned(),
        },
        _ if injected => Outcome::Fault(status.as_u16()),
        _ => Outcome::Other(status.as_u16()),
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    // A panic cannot leave a tally half changed in a way that matters to a picture.
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
