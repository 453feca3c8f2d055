//! Which instance of a backend gets the next attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use a8_common::rule::Balance;

use super::roster::Member;

/// One backend's balancer. It outlives every change of the backend's instances.
#[derive(Debug)]
pub(super) struct Balancer {
    how: Balance,
    next: AtomicUsize,
}

impl Balancer {
    pub(super) fn new(how: Balance) -> Self {
        Self {
            how,
            // Many sidecars begin at the same time: they should not all begin with the
            // same instance.
            next: AtomicUsize::new(fastrand::usize(..)),
        }
    }

    /// Picks among `members`, where there is a choice one that is not among `tried`.
    pub(super) fn pick<'a>(
        &self,
        members: &'a [Arc<Member>],
        tried: &[u64],
    ) -> Option<&'a Arc<Member>> {
        let len = members.len();
        if len < 2 {
            return members.first();
        }
        let first = match self.how {
            Balance::RoundRobin if tried.is_empty() => {
                self.next.fetch_add(1, Ordering::Relaxed) % len
            }
            // Another attempt takes no turn: with one instance of two dead, every request
            // would begin with the dead one.
            Balance::RoundRobin => self.next.load(Ordering::Relaxed) % len,
            Balance::Random => fastrand::usize(..len),
            Balance::LeastRequest => least_of_two(members),
        };
        if tried.is_empty() {
            return members.get(first);
        }
        (0..len)
            .filter_map(|step| members.get((first + step) % len))
            .find(|member| !tried.contains(&member.upstream.key))
            .or_else(|| members.get(first))
    }
}

/// The less busy of two drawn at random: nearly as even as looking at all of them, and no
/// herd runs to the one that was least busy a moment ago.
fn least_of_two(members: &[Arc<Member>]) -> usize {
    let one = fastrand::usize(..members.len());
    let other = (one + fastrand::usize(1..members.len())) % members.len();
    if members[other].upstream.in_flight() < members[one].upstream.in_flight() {
        other
    } else {
        one
    }
}

#[cfg(test)]
mod tests {
    use super::super::upstream::{InFlight, Upstream};
    use super::*;

    fn members(n: usize) -> Vec<Arc<Member>> {
        (0..n)
            .map(|i| {
                let text = format!(
                    r#"{{"id":"i{i}","service_name":"s","endpoint":{{"type":"http","value":"10.0.0.1:{}"}}}}"#,
                    i + 1
                );
                let instance = serde_json::from_str(&text).unwrap();
                let upstream = Upstream::new(&instance, Arc::default()).unwrap();
                Arc::new(Member::new(Arc::new(upstream)))
            })
            .collect()
    }

    fn shares(how: Balance, members: &[Arc<Member>], draws: usize) -> Vec<usize> {
        let balancer = Balancer::new(how);
        let mut counts = vec![0; members.len()];
        for _ in 0..draws {
            let picked = balancer.pick(members, &[]).unwrap();
            let at = members.iter().position(|m| Arc::ptr_eq(m, picked)).unwrap();
            counts[at] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_is_exactly_even() {
        assert_eq!(shares(Balance::RoundRobin, &members(7), 700), vec![100; 7]);
    }

    #[test]
    fn another_attempt_takes_no_turn() {
        let members = members(2);
        let balancer = Balancer::new(Balance::RoundRobin);
        let dead = members[0].upstream.key;
        let mut first = 0;
        for _ in 0..100 {
            if balancer.pick(&members, &[]).unwrap().upstream.key == dead {
                first += 1;
                assert_ne!(balancer.pick(&members, &[dead]).unwrap().upstream.key, dead);
            }
        }
        assert_eq!(first, 50);
    }

    #[test]
    fn random_and_idle_least_request_reach_all_about_evenly() {
        for how in [Balance::Random, Balance::LeastRequest] {
            for count in shares(how, &members(4), 40_000) {
                assert!((9_000..11_000).contains(&count), "{how:?}: {count}");
            }
        }
    }

    #[test]
    fn least_request_leaves_the_busiest_alone() {
        let members = members(3);
        let _busy: Vec<_> = (0..5)
            .map(|_| InFlight::new(members[1].upstream.clone()))
            .collect();
        let counts = shares(Balance::LeastRequest, &members, 3_000);
        // Of two that are drawn, the busiest always loses.
        assert_eq!(counts[1], 0, "{counts:?}");
    }

    #[test]
    fn another_instance_is_preferred_but_not_required() {
        let members = members(3);
        for how in [Balance::RoundRobin, Balance::Random, Balance::LeastRequest] {
            let balancer = Balancer::new(how);
            for _ in 0..50 {
                let keys: Vec<u64> = members.iter().map(|m| m.upstream.key).collect();
                let picked = balancer.pick(&members, &[keys[0], keys[2]]).unwrap();
                assert!(Arc::ptr_eq(picked, &members[1]));
                let all = keys;
                assert!(balancer.pick(&members, &all).is_some());
            }
            assert!(balancer.pick(&[], &[]).is_none());
        }
    }
}
