//! What goes wrong on demand.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::watch;

use crate::failure::Failure;
use crate::record::Asked;

/// Which requests a fault is for.
pub(crate) type Which = Box<dyn Fn(&Asked) -> bool + Send + Sync>;

/// What happens to a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is answered late.
    Delay(Duration),
    /// It is refused.
    Refuse(Failure),
    /// Its connection is cut without an answer.
    Cut,
}

struct Waiting {
    which: Which,
    left: usize,
    fault: Fault,
}

/// The faults that wait for their request.
pub(crate) struct Faults {
    waiting: Mutex<Vec<Waiting>>,
    stalled: watch::Sender<bool>,
    /// Counts how often all watches were cut.
    cuts: watch::Sender<u64>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            stalled: watch::channel(false).0,
            cuts: watch::channel(0).0,
        }
    }
}

impl Faults {
    pub(crate) fn add(&self, times: usize, which: Which, fault: Fault) {
        self.waiting.lock().unwrap().push(Waiting {
            which,
            left: times,
            fault,
        });
    }

    pub(crate) fn clear(&self) {
        self.waiting.lock().unwrap().clear();
    }

    /// What is to happen to a request. A delay and a refusal may come together.
    pub(crate) fn take(&self, asked: &Asked) -> Vec<Fault> {
        let mut waiting = self.waiting.lock().unwrap();
        let mut taken: Vec<Fault> = Vec::new();
        for one in waiting.iter_mut() {
            let ends = taken.iter().any(|f| !matches!(f, Fault::Delay(_)));
            if !ends && (one.which)(asked) {
                one.left -= 1;
                taken.push(one.fault.clone());
            }
        }
        waiting.retain(|one| one.left > 0);
        taken
    }

    pub(crate) fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// Returns once nothing is stalled.
    pub(crate) async fn unstalled(&self) {
        let mut stalled = self.stalled.subscribe();
        // The sender lives as long as this.
        let _ = stalled.wait_for(|stalled| !stalled).await;
    }

    pub(crate) fn cut_watches(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub(crate) fn cuts(&self) -> watch::Receiver<u64> {
        let mut cuts = self.cuts.subscribe();
        cuts.mark_unchanged();
        cuts
    }
}
