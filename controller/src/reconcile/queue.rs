//! Whom to look at, and when: those that failed after a pause that grows.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// Names in the order in which they came, each once.
#[derive(Default)]
pub(super) struct Queue {
    ready: VecDeque<String>,
    /// Those that failed, by when they are due.
    later: BTreeMap<(Instant, String), ()>,
    /// The number of failures in a row, and when it is due, of each that failed.
    failed: HashMap<String, (u32, Option<Instant>)>,
    waiting: std::collections::HashSet<String>,
}

impl Queue {
    /// Something of `name` may have changed.
    pub(super) fn put(&mut self, name: &str) {
        if self.waiting.insert(name.to_owned()) {
            self.ready.push_back(name.to_owned());
        }
    }

    /// The next that is due. Cancel-safe.
    pub(super) async fn next(&mut self) -> String {
        loop {
            if let Some(name) = self.ready.pop_front() {
                self.waiting.remove(&name);
                self.unschedule(&name);
                return name;
            }
            let Some(((due, _), ())) = self.later.first_key_value() else {
                return std::future::pending().await;
            };
            sleep_until(*due).await;
            if let Some(((_, name), ())) = self.later.pop_first() {
                if let Some((_, due)) = self.failed.get_mut(&name) {
                    *due = None;
                }
                self.put(&name);
            }
        }
    }

    /// `name` is as it should be.
    pub(super) fn done(&mut self, name: &str) {
        self.unschedule(name);
        self.failed.remove(name);
    }

    /// `name` is to be looked at again after a while.
    pub(super) fn again(&mut self, name: &str) {
        self.unschedule(name);
        let (failures, due) = self.failed.entry(name.to_owned()).or_default();
        let pause = FIRST_PAUSE.saturating_mul(1 << (*failures).min(10));
        // Jitter, so that they do not come back all at once.
        let pause = pause
            .min(LONGEST_PAUSE)
            .mul_f64(fastrand::f64() * 0.5 + 0.75);
        let at = Instant::now() + pause;
        *failures = failures.saturating_add(1);
        *due = Some(at);
        self.later.insert((at, name.to_owned()), ());
    }

    /// There is no `name` any more.
    pub(super) fn forget(&mut self, name: &str) {
        self.done(name);
        if self.waiting.remove(name) {
            self.ready.retain(|waiting| waiting != name);
        }
    }

    fn unschedule(&mut self, name: &str) {
        if let Some((_, due)) = self.failed.get_mut(name)
            && let Some(at) = due.take()
        {
            self.later.remove(&(at, name.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    async fn next(queue: &mut Queue, wait: Duration) -> Option<String> {
        timeout(wait, queue.next()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn each_waits_once_and_in_turn() {
        let mut queue = Queue::default();
        for name in ["b", "a", "b", "c"] {
            queue.put(name);
        }
        queue.forget("a");
        let second = Duration::from_secs(1);
        assert_eq!(next(&mut queue, second).await.as_deref(), Some("b"));
        queue.put("b");
        assert_eq!(next(&mut queue, second).await.as_deref(), Some("c"));
        assert_eq!(next(&mut queue, second).await.as_deref(), Some("b"));
        assert_eq!(next(&mut queue, second).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_comes_back_ever_later_and_holds_up_no_other() {
        let mut queue = Queue::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            queue.again("bad");
            queue.put("good");
            assert_eq!(
                next(&mut queue, FIRST_PAUSE / 4).await.as_deref(),
                Some("good")
            );
            let began = Instant::now();
            assert_eq!(
                next(&mut queue, LONGEST_PAUSE * 2).await.as_deref(),
                Some("bad")
            );
            pauses.push(began.elapsed());
        }
        assert!(pauses[0] < FIRST_PAUSE * 2, "{pauses:?}");
        assert!(pauses[11] > LONGEST_PAUSE / 2, "{pauses:?}");
        // A change is looked at at once; success begins anew.
        queue.again("bad");
        queue.put("bad");
        assert_eq!(
            next(&mut queue, FIRST_PAUSE / 4).await.as_deref(),
            Some("bad")
        );
        queue.done("bad");
        assert_eq!(next(&mut queue, LONGEST_PAUSE * 2).await, None);
        queue.again("bad");
        assert!(next(&mut queue, FIRST_PAUSE * 2).await.is_some());
    }
}
