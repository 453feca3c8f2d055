use a8_common::rule;

use super::super::balance::Balancer;
use super::*;

fn upstreams(n: usize) -> Vec<Arc<Upstream>> {
    mixed(n, 0)
}

/// So many that take requests, then so many that take byte streams only.
fn mixed(http: usize, tcp: usize) -> Vec<Arc<Upstream>> {
    let one = |i| {
        let kind = if i > http { "tcp" } else { "http" };
        let text = format!(
            r#"{{"id":"i{i}","service_name":"s","endpoint":{{"type":"{kind}","value":"10.0.0.1:{i}"}}}}"#
        );
        let instance = serde_json::from_str(&text).unwrap();
        Arc::new(Upstream::new(&instance, Arc::default()).unwrap())
    };
    (1..=http + tcp).map(one).collect()
}

/// A roster whose time is told to it.
struct Rig {
    roster: Roster,
    start: Instant,
    by: Resilience,
}

impl Rig {
    /// Two errors in a row; out for 30 s, looked after every 10 s.
    fn new(upstreams: &[Arc<Upstream>]) -> Self {
        let text = r#"{"destination": "s", "route": {"backends": [{"tags": ["v1"],
            "resilience": {"consecutive_errors": 2}}]}}"#;
        let rules = rule::parse_json(text.as_bytes()).unwrap();
        let start = Instant::now();
        let rig = Self {
            roster: Roster::new(start),
            start,
            by: rules[0].route().unwrap().backends[0]
                .resilience
                .as_deref()
                .cloned()
                .unwrap(),
        };
        rig.set(upstreams);
        rig
    }

    fn set(&self, upstreams: &[Arc<Upstream>]) {
        let members = Members {
            usable: upstreams.into(),
            unusable: 0,
        };
        self.roster.set(Arc::new(members), "s");
    }

    fn at(&self, seconds: f64) -> Instant {
        self.start + Duration::from_secs_f64(seconds)
    }

    fn member(&self, of: &Arc<Upstream>) -> Arc<Member> {
        let now = self.roster.now.load();
        let found = now.all().iter().find(|m| m.upstream.key == of.key);
        found.unwrap().clone()
    }

    fn fail(&self, of: &Arc<Upstream>, seconds: f64) {
        let member = self.member(of);
        self.roster.failed(&member, self.at(seconds), &self.by, "s");
    }

    fn eject(&self, of: &Arc<Upstream>, seconds: f64) {
        self.fail(of, seconds);
        self.fail(of, seconds);
    }

    /// The last digits of the ports of those that take requests.
    fn taking(&self, seconds: f64) -> String {
        self.roster.settle(self.at(seconds), "s");
        let now = self.roster.now.load();
        let taking = now.available.as_deref().unwrap_or_else(|| now.all());
        let last = |m: &Arc<Member>| m.upstream.label.chars().last();
        taking.iter().filter_map(last).collect()
    }
}

#[test]
fn errors_in_a_row_eject_and_a_success_between_them_does_not() {
    let all = upstreams(4);
    let rig = Rig::new(&all);
    rig.fail(&all[0], 0.0);
    rig.member(&all[0]).succeeded();
    rig.fail(&all[0], 0.0);
    assert_eq!(rig.taking(0.0), "1234");
    rig.fail(&all[0], 0.0);
    assert_eq!(rig.taking(0.0), "234");
}

#[test]
fn it_comes_back_at_the_first_sweep_after_its_time_and_with_a_clean_record() {
    let all = upstreams(4);
    let rig = Rig::new(&all);
    rig.eject(&all[1], 3.0);
    // Three sweeps end within 33 s; the fourth is the first after that.
    assert_eq!(rig.taking(39.999), "134");
    // What was under way when it was ejected does not count against its return.
    rig.fail(&all[1], 20.0);
    assert_eq!(rig.taking(40.0), "1234");
    rig.fail(&all[1], 41.0);
    assert_eq!(rig.taking(41.0), "1234");
    rig.fail(&all[1], 41.0);
    assert_eq!(rig.taking(79.999), "134", "and out again for as long");
    assert_eq!(rig.taking(80.0), "1234");
}

#[test]
fn never_more_than_half_are_out() {
    for (n, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (7, 3)] {
        let all = upstreams(n);
        let rig = Rig::new(&all);
        for upstream in &all {
            rig.eject(upstream, 0.0);
        }
        assert_eq!(rig.taking(1.0).len(), n - most, "of {n}");
        assert_eq!(rig.roster.ejected().len(), most);
        // Whoever has failed often enough goes as soon as another has come back.
        if n == 2 {
            assert_eq!(rig.taking(30.0), "12");
            rig.fail(&all[1], 30.5);
            assert_eq!(rig.taking(31.0), "1");
        }
    }
}

#[test]
fn instances_that_stay_keep_their_records_and_the_bound_holds_when_others_go() {
    let all = upstreams(6);
    let rig = Rig::new(&all);
    for (i, at) in [(0, 0.0), (1, 11.0), (2, 0.0)] {
        rig.eject(&all[i], at);
    }
    rig.fail(&all[3], 11.0);
    // One of those that are out is taken away, and one that is not.
    rig.set(&[&all[1..5]].concat());
    assert_eq!(rig.taking(12.0), "45");
    rig.fail(&all[3], 12.0);
    assert_eq!(rig.taking(12.0), "45", "two of four are out already");
    // With three left only one may be out: the one that has longer to go.
    rig.set(&[&all[1..4]].concat());
    assert_eq!(rig.taking(13.0), "34");
    rig.set(&[&all[1..2]].concat());
    assert_eq!(rig.taking(13.0), "2");
    // An instance that was taken away while a request was under way is nobody's.
    let gone = Arc::new(Member::new(all[5].clone()));
    for _ in 0..5 {
        rig.roster.failed(&gone, rig.at(13.0), &rig.by, "s");
    }
    assert_eq!(rig.taking(13.0), "2");
}

#[test]
fn nor_more_than_half_of_those_that_take_requests() {
    for (http, tcp, left) in [(1, 1, "1"), (1, 3, "14"), (2, 2, "24"), (3, 3, "236")] {
        let all = mixed(http, tcp);
        let rig = Rig::new(&all);
        for upstream in &all {
            rig.eject(upstream, 0.0);
        }
        assert_eq!(rig.taking(1.0), left, "of {http} and {tcp}");
    }
    // When instances go it holds as well: of those that take requests the one with longer to
    // go stays out.
    let all = mixed(4, 2);
    let rig = Rig::new(&all);
    rig.eject(&all[0], 0.0);
    rig.eject(&all[1], 11.0);
    assert_eq!(rig.taking(12.0), "3456");
    rig.set(&[&all[..2], &all[4..]].concat());
    assert_eq!(rig.taking(13.0), "156");
}

#[test]
fn no_way_of_balancing_picks_one_that_is_out() {
    use a8_common::rule::Balance;
    let all = upstreams(4);
    let rig = Rig::new(&all);
    rig.eject(&all[0], 0.0);
    rig.eject(&all[2], 0.0);
    for how in [Balance::RoundRobin, Balance::LeastRequest, Balance::Random] {
        let balancer = Balancer::new(how);
        let mut counts = HashMap::<String, usize>::new();
        for i in 0..4_000 {
            // Another attempt than the first would rather have another instance, but not
            // one that is out.
            // Not by turns of two, as those of round robin are.
            let tried: &[u64] = if i % 3 > 0 { &[] } else { &[all[1].key] };
            let picked = rig
                .roster
                .available("s", |members| balancer.pick(members, tried).cloned());
            let label = picked.unwrap().upstream.label.to_string();
            *counts.entry(label).or_default() += 1;
        }
        let mut labels: Vec<_> = counts.keys().map(String::as_str).collect();
        labels.sort_unstable();
        assert_eq!(labels, ["10.0.0.1:2", "10.0.0.1:4"], "{how:?}");
        assert!(counts["10.0.0.1:2"] > 500, "{how:?}: {counts:?}");
    }
}
