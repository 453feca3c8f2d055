//! When the next request is due.
//!
//! With a rate, request *n* is due *n* intervals after the start, whether or not anybody is free
//! to make it: its time counts from there, so a proxy that stands still cannot hide the requests
//! that it kept from being made. Without one, a request is due as soon as somebody asks.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// A thread does not sleep for less; what became due meanwhile is let go together.
const SHORTEST: Duration = Duration::from_micros(100);

/// Says when requests are due, to all who make them.
pub(crate) struct Pace {
    start: Instant,
    until: Instant,
    schedule: Option<Schedule>,
}

struct Schedule {
    rate: f64,
    total: u64,
    taken: Cell<u64>,
    due: Arc<Semaphore>,
}

impl Pace {
    /// From now on: as fast as can be, or at a rate for each second.
    pub(crate) fn new(rate: Option<f64>, time: Duration) -> Self {
        let start = Instant::now();
        let schedule = rate.map(|rate| Schedule {
            rate,
            // Rates and times of a run are far from what does not fit.
            total: (rate * time.as_secs_f64()).round() as u64,
            taken: Cell::new(0),
            due: Arc::new(Semaphore::new(0)),
        });
        Self {
            start,
            until: start + time,
            schedule,
        }
    }

    /// Since when requests are made.
    pub(crate) fn start(&self) -> Instant {
        self.start
    }

    /// Waits for the next request to be due, and says since when it has been; nothing once the run
    /// is over.
    pub(crate) async fn next(&self) -> Option<Instant> {
        let Some(schedule) = &self.schedule else {
            let now = Instant::now();
            return (now < self.until).then_some(now);
        };
        schedule.due.acquire().await.ok()?.forget();
        let n = schedule.taken.get();
        schedule.taken.set(n + 1);
        (n < schedule.total).then(|| self.start + schedule.after(n))
    }

    /// Lets requests become due until there are no more, and then lets those who ask for one go,
    /// `makers` of them.
    ///
    /// By a thread of its own: the runtime's timers round to a millisecond, which is more than what
    /// is measured.
    pub(crate) fn keep(&self, makers: usize) {
        let Some(schedule) = &self.schedule else {
            return;
        };
        let (start, rate, total) = (self.start, schedule.rate, schedule.total);
        let due = schedule.due.clone();
        let interval = Duration::from_secs_f64(1.0 / rate).max(SHORTEST);
        std::thread::spawn(move || {
            let mut given = 0;
            let mut next = start;
            while given < total {
                let now = (start.elapsed().as_secs_f64() * rate) as u64 + 1;
                let now = now.min(total);
                due.add_permits((now - given) as usize);
                given = now;
                next += interval;
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            due.add_permits(makers);
        });
    }
}

impl Schedule {
    fn after(&self, n: u64) -> Duration {
        Duration::from_secs_f64(n as f64 / self.rate)
    }
}
