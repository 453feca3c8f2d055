//! Background work: every task has an owner, a name and an end.
//!
//! A component makes one [`Tasks`], spawns its loops on it and ends with [`Tasks::finish`].
//! A [`Stop`] is handed to each loop; it fires once and stays fired.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, warn};

/// Fires once, when it is time to end. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// A signal that has not fired.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells every holder to end. Calling it again does nothing.
    pub fn fire(&self) {
        self.0.cancel();
    }

    /// Whether it has fired.
    pub fn fired(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it fires. Cancel-safe.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }

    /// A signal that fires with this one, or earlier by its own.
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Runs `work` until it is done or the signal fires; `None` when it fired first.
    pub async fn race<F: Future>(&self, work: F) -> Option<F::Output> {
        self.0.run_until_cancelled(work).await
    }
}

/// Somewhat less than `time`, by a tenth at most, so that many who do something again and again
/// do not do it in step.
pub fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.9 + 0.1 * fastrand::f64())
}

#[derive(Default)]
struct Running {
    set: JoinSet<()>,
    names: Vec<(Id, &'static str)>,
}

/// The owner of a component's background tasks. Clones share the same tasks.
#[derive(Clone, Default)]
pub struct Tasks {
    stop: Stop,
    running: Arc<Mutex<Running>>,
}

impl Tasks {
    /// An owner whose tasks end when `stop` fires.
    pub fn new(stop: Stop) -> Self {
        Self {
            stop,
            running: Arc::default(),
        }
    }

    /// The signal that ends the tasks.
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Starts `work` under `name`. It must end soon after [`stop`](Self::stop) fires.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let span = tracing::info_span!("task", name);
        let mut running = self.lock();
        while let Some(ended) = running.set.try_join_next_with_id() {
            report(&mut running.names, ended);
        }
        let handle = running.set.spawn(work.instrument(span));
        running.names.push((handle.id(), name));
    }

    /// Fires the stop signal and waits for all tasks, at most `grace`; those still running
    /// then are aborted and named in the log.
    pub async fn finish(self, grace: Duration) {
        self.stop.fire();
        let Running { mut set, mut names } = std::mem::take(&mut *self.lock());
        let all_ended = async {
            while let Some(ended) = set.join_next_with_id().await {
                report(&mut names, ended);
            }
        };
        if tokio::time::timeout(grace, all_ended).await.is_err() {
            for (_, name) in &names {
                warn!(task = name, "did not end in time, aborted");
            }
            set.shutdown().await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn report(names: &mut Vec<(Id, &'static str)>, ended: Result<(Id, ()), tokio::task::JoinError>) {
    let id = match &ended {
        Ok((id, ())) => *id,
        Err(e) => e.id(),
    };
    let name = match names.iter().position(|(known, _)| *known == id) {
        Some(at) => names.swap_remove(at).1,
        None => "unknown",
    };
    match ended {
        Ok(_) => debug!(task = name, "ended"),
        Err(e) if e.is_panic() => error!(task = name, "panicked"),
        Err(_) => debug!(task = name, "aborted"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn finish_ends_what_listens_and_aborts_what_does_not() {
        let tasks = Tasks::new(Stop::new());
        let ended = Arc::new(AtomicBool::new(false));
        let (stop, flag) = (tasks.stop().clone(), ended.clone());
        tasks.spawn("listens", async move {
            stop.wait().await;
            flag.store(true, Ordering::SeqCst);
        });
        tasks.spawn("never ends", std::future::pending());
        tasks.finish(Duration::from_secs(1)).await;
        assert!(ended.load(Ordering::SeqCst));
    }
}
