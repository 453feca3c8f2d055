//! What may be in effect while something is changed: rules whose weights move, or an instance
//! that is dead while the callers' sidecar does not know it yet.
//!
//! A change may be in effect from the moment it is sent, and what was before it until the
//! change is known to be in effect. A request is judged by all that may have held between
//! its first byte and the end of its answer.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longer than any request takes.
const KEPT: Duration = Duration::from_secs(300);

/// What held when.
pub struct Epochs<T> {
    all: Mutex<Vec<Epoch<T>>>,
}

struct Epoch<T> {
    what: T,
    until: Option<Instant>,
}

impl<T: Clone> Epochs<T> {
    /// From now on `what` holds.
    pub fn new(what: T) -> Self {
        let epochs = Self {
            all: Mutex::new(Vec::new()),
        };
        epochs.begin(what);
        epochs
    }

    /// To be called before the change to `what` is sent.
    pub fn begin(&self, what: T) {
        self.all.lock().unwrap().push(Epoch { what, until: None });
    }

    /// To be called once the latest change is known to be in effect.
    pub fn settled(&self) {
        let now = Instant::now();
        let mut all = self.all.lock().unwrap();
        if let Some((_, former)) = all.split_last_mut() {
            for epoch in former {
                epoch.until.get_or_insert(now);
            }
        }
        all.retain(|e| e.until.is_none_or(|until| now - until < KEPT));
    }

    /// Whether anything for which `check` holds may have been in effect since `from`.
    pub fn any_since(&self, from: Instant, check: impl Fn(&T) -> bool) -> bool {
        let all = self.all.lock().unwrap();
        all.iter()
            .filter(|e| e.until.is_none_or(|until| until >= from))
            .any(|e| check(&e.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_holds_until_the_change_is_settled() {
        let epochs = Epochs::new("v1");
        let early = Instant::now();
        let allows = |from, what| epochs.any_since(from, |held| *held == what);
        epochs.begin("v2");
        assert!(allows(early, "v1") && allows(early, "v2"));
        epochs.settled();
        let late = Instant::now() + Duration::from_millis(1);
        assert!(allows(early, "v1"), "it may have been decided before");
        assert!(!allows(late, "v1") && allows(late, "v2"));
        assert!(!allows(early, "v3"));
    }
}
