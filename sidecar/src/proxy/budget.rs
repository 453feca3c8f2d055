//! How many more attempts the requests of a backend may have: a fifth of the requests, and a
//! few beside it so that a request that comes alone is tried again, too. Without a bound,
//! retries multiply the load of a backend just when it cannot bear it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// So many requests pay for one retry.
const PRICE: u32 = 5;
/// The most requests that are saved up: 100 retries.
const MOST: u32 = 100 * PRICE;
/// The retries that no request needs to pay for, while they are not used up...
const RESERVE: u64 = 25;
/// ...and the time after which one of them is there again, in microseconds.
const REFILL: u64 = 400_000;

/// One backend's account of retries.
#[derive(Debug)]
pub(super) struct Budget {
    created: Instant,
    saved: AtomicU32,
    /// When the reserve is full again, in microseconds after `created`.
    full_at: AtomicU64,
}

impl Budget {
    pub(super) fn new(created: Instant) -> Self {
        Self {
            created,
            saved: AtomicU32::new(0),
            full_at: AtomicU64::new(0),
        }
    }

    /// A request has come.
    pub(super) fn deposit(&self) {
        // Full most of the time, so mostly a look. Workers that meet here may save up a few
        // more than the most.
        if self.saved.load(Ordering::Relaxed) < MOST {
            self.saved.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether there may be one more attempt at `now`; it is then paid for.
    pub(super) fn withdraw(&self, now: Instant) -> bool {
        let pay = |saved: u32| saved.checked_sub(PRICE);
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        if self.saved.fetch_update(set, fetch, pay).is_ok() {
            return true;
        }
        let now = now.saturating_duration_since(self.created).as_micros();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        let take = |full_at: u64| {
            let full_at = full_at.max(now).saturating_add(REFILL);
            (full_at <= now.saturating_add(RESERVE * REFILL)).then_some(full_at)
        };
        self.full_at.fetch_update(set, fetch, take).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn withdrawn(budget: &Budget, now: Instant) -> u64 {
        let mut count = 0;
        while budget.withdraw(now) {
            count += 1;
        }
        count
    }

    #[test]
    fn a_fifth_of_the_requests_may_be_tried_again_and_a_few_beside() {
        let start = Instant::now();
        let budget = Budget::new(start);
        assert_eq!(withdrawn(&budget, start), RESERVE);
        for _ in 0..200 {
            budget.deposit();
        }
        assert_eq!(withdrawn(&budget, start), 200 / 5);
        assert_eq!(withdrawn(&budget, start), 0);
    }

    #[test]
    fn savings_are_bounded() {
        let start = Instant::now();
        let budget = Budget::new(start);
        for _ in 0..1_000_000 {
            budget.deposit();
        }
        assert_eq!(withdrawn(&budget, start), u64::from(MOST / PRICE) + RESERVE);
    }

    #[test]
    fn the_reserve_fills_up_slowly_and_not_beyond_its_size() {
        let start = Instant::now();
        let budget = Budget::new(start);
        let after = |micros: u64| start + Duration::from_micros(micros);
        withdrawn(&budget, start);
        assert_eq!(withdrawn(&budget, after(REFILL - 1)), 0);
        assert_eq!(withdrawn(&budget, after(REFILL)), 1);
        assert_eq!(withdrawn(&budget, after(3 * REFILL)), 2);
        assert_eq!(withdrawn(&budget, after(1_000 * REFILL)), RESERVE);
    }
}
