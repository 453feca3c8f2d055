use super::*;

fn by(connections: u32, pending: u32) -> Resilience {
    Resilience {
        max_connections: Some(connections),
        max_pending_requests: Some(pending),
        ..Resilience::default()
    }
}

const BOTH: (bool, bool) = (true, true);

fn enter(gate: &Arc<Gate>, worker: usize, at: Instant) -> Waiting {
    match gate.enter(worker, BOTH, Place::Back, at) {
        Entry::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

/// What was granted already.
fn got(waiting: &mut Waiting) -> Option<Grant> {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let granted = std::pin::pin!(waiting.granted());
    match granted.poll(&mut cx) {
        std::task::Poll::Ready(grant) => grant,
        std::task::Poll::Pending => None,
    }
}

fn opened(waiting: &mut Waiting) -> Charge {
    match got(waiting) {
        Some(Grant::Open(charge)) => charge,
        other => panic!("{other:?}"),
    }
}

#[test]
fn as_many_as_allowed_are_open_and_the_next_comes_when_one_ends() {
    let gate = Gate::new(&by(2, 10));
    let now = Instant::now();
    let (one, other) = (gate.reserve().unwrap(), gate.reserve().unwrap());
    assert!(gate.reserve().is_none());
    assert_eq!(gate.pressure(), 0);
    let (mut first, mut second) = (enter(&gate, 0, now), enter(&gate, 1, now));
    assert_eq!((gate.pressure(), gate.counts()), (2, (2, 2)));
    assert!(got(&mut first).is_none());
    drop(one);
    let third = opened(&mut first);
    assert!(got(&mut second).is_none(), "in the order of arrival");
    assert_eq!((gate.pressure(), gate.counts()), (1, (2, 1)));
    drop((other, third));
    let last = opened(&mut second);
    assert_eq!((gate.pressure(), gate.counts()), (0, (1, 0)));
    drop(last);
    assert_eq!(gate.counts(), (0, 0));
}

#[test]
fn whoever_goes_away_leaves_the_queue_and_gives_on_what_it_got() {
    let gate = Gate::new(&by(1, 10));
    let now = Instant::now();
    let open = gate.reserve().unwrap();
    let (first, second, mut third) = (
        enter(&gate, 0, now),
        enter(&gate, 0, now),
        enter(&gate, 0, now),
    );
    drop(first);
    assert_eq!(gate.counts(), (1, 2));
    // Granted, and gone before it knew.
    drop(open);
    drop(second);
    assert_eq!(gate.counts(), (1, 0));
    drop(opened(&mut third));
    assert_eq!((gate.pressure(), gate.counts()), (0, (0, 0)));
}

#[test]
fn no_more_wait_than_may() {
    let gate = Gate::new(&by(1, 2));
    let now = Instant::now();
    let _open = gate.reserve().unwrap();
    let _waiting = (enter(&gate, 0, now), enter(&gate, 0, now));
    let full = |place| matches!(gate.enter(0, BOTH, place, now), Entry::Full);
    assert!(full(Place::Back));
    // One that gave up a connection for this waits for that connection's end only.
    assert!(!full(Place::BackFor) && !full(Place::Front));
}

#[test]
fn new_bounds_count_at_once() {
    let gate = Gate::new(&by(1, 10));
    let now = Instant::now();
    let open = gate.reserve().unwrap();
    let mut waiting: Vec<_> = (0..3).map(|_| enter(&gate, 0, now)).collect();
    gate.set(&by(3, 10));
    let charges: Vec<_> = waiting[..2].iter_mut().map(opened).collect();
    assert!(got(&mut waiting[2]).is_none());
    // Too many are open now: they are wanted back before anybody gets one.
    gate.set(&by(1, 10));
    assert_eq!(gate.pressure(), 1 + 2);
    assert!(matches!(gate.offer(0, false), Offer::GiveUp));
    drop((open, charges));
    drop(opened(&mut waiting[2]));
    assert_eq!((gate.pressure(), gate.counts()), (0, (0, 0)));
}

#[test]
fn a_connection_stays_on_its_worker_unless_somebody_waits_much_longer_elsewhere() {
    let gate = Gate::new(&by(1, 10));
    let start = Instant::now();
    let later = |ms| start + Duration::from_millis(ms);
    let _open = gate.reserve().unwrap();
    assert!(matches!(gate.offer(0, false), Offer::Keep));
    let elsewhere = enter(&gate, 1, start);
    let own = enter(&gate, 0, later(15));
    let late = enter(&gate, 0, later(25));
    let Offer::Lend(lent) = gate.offer(0, false) else {
        panic!("not lent");
    };
    assert_eq!(lent.ticket, own.ticket);
    assert!(matches!(gate.offer(0, false), Offer::GiveUp));
    drop(elsewhere);
    assert!(matches!(gate.offer(0, false), Offer::Lend(w) if w.ticket == late.ticket));
}

#[test]
fn only_what_can_be_used_is_lent() {
    let gate = Gate::new(&by(1, 10));
    let now = Instant::now();
    let _open = gate.reserve().unwrap();
    let Entry::Wait(upgrade) = gate.enter(0, (true, false), Place::Back, now) else {
        panic!("not waiting");
    };
    let grpc = gate.enter(0, (false, true), Place::Back, now);
    assert!(matches!(&grpc, Entry::Wait(_)));
    let Offer::Lend(lent) = gate.offer(0, true) else {
        panic!("not lent");
    };
    assert_ne!(lent.ticket, upgrade.ticket);
    assert!(matches!(gate.offer(0, true), Offer::GiveUp));
    assert!(matches!(gate.offer(0, false), Offer::Lend(_)));
}

/// Whatever comes in whatever order: never more than allowed, and nothing is left at the end.
#[test]
fn nothing_is_lost_in_a_long_run() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let gate = Gate::new(&by(3, 5));
        let now = Instant::now();
        let (mut charges, mut waiting) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            match random.u32(..5) {
                0 | 1 => match gate.enter(random.usize(..3), BOTH, Place::Back, now) {
                    Entry::Open(charge) => charges.push(charge),
                    Entry::Wait(place) => waiting.push(place),
                    Entry::Full => assert!(waiting.len() >= 5),
                },
                2 if !charges.is_empty() => {
                    charges.swap_remove(random.usize(..charges.len()));
                }
                3 if !waiting.is_empty() => {
                    waiting.swap_remove(random.usize(..waiting.len()));
                }
                _ if !waiting.is_empty() => {
                    let at = random.usize(..waiting.len());
                    if let Some(Grant::Open(charge)) = got(&mut waiting[at]) {
                        charges.push(charge);
                        waiting.swap_remove(at);
                    }
                }
                _ => {}
            }
            let (open, queued) = gate.counts();
            assert!(open <= 3 && charges.len() <= open && queued <= 5);
            assert!(queued == 0 || open == 3, "somebody waits for nothing");
            assert_eq!(gate.pressure() as usize, queued);
        }
        drop((charges, waiting));
        assert_eq!((gate.counts(), gate.pressure()), ((0, 0), 0));
    }
}
