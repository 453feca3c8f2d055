//! From a request to where it goes and what is done to it.
//!
//! The order in which things are settled is that of the documentation: the routing rule, the
//! backend by its weight, then the actions of the destination that was found.

mod address;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::HeaderMap;
use smallvec::SmallVec;

pub(super) use self::address::Address;
use super::action::{Action, ReturnCode, Trace};
use super::affinity::Affinity;
use super::holds::{Miss, holds};
use super::route::{Backend, Route, Uri};
use super::table::{Compiled, Reach, RuleTable};
use super::weights::happens;
use super::{Rule, Share};
use crate::model::{Identity, Tags};

/// Where chance comes from.
pub trait Draw {
    /// A number below `n`, each as likely as the others. `n` is at least 1.
    fn below(&mut self, n: u32) -> u32;
}

/// The usual chance.
impl Draw for fastrand::Rng {
    fn below(&mut self, n: u32) -> u32 {
        self.u32(..n)
    }
}

/// Asked which of a route's backends the caller was given before, by a route that has
/// [`Affinity`] and with what is attached to each of its backends; `None` is a new caller.
pub type Held<'h, B> = dyn FnMut(&Affinity, &[B]) -> Option<usize> + 'h;

/// What the engine looks at.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who calls.
    pub caller: &'a Identity,
    /// The service that the request's host names; `None` when the first segment of its path
    /// is to name it.
    pub service: Option<&'a str>,
    /// Path and query, as they came.
    pub target: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// Why a request is not routed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The target is not an absolute path.
    #[error("the path does not begin with '/'")]
    NotAPath,
    /// The path leads out of what it addresses.
    #[error("the path climbs out of its service by '..'")]
    Climbs,
    /// Neither host nor path name a service, and no rule wants the path.
    #[error("the request names no service")]
    NoService,
}

/// Where a request goes, and what is done to it on the way.
#[derive(Debug)]
pub struct Decision<'a, B> {
    /// The service being called.
    pub destination: Cow<'a, str>,
    /// The rule that decided; `None` for the default route, which is all instances of the
    /// destination.
    pub routed: Option<Routed<'a, B>>,
    /// Path and query to send.
    pub target: Cow<'a, str>,
    /// Until the head of the response must be there, all attempts included.
    pub timeout: Duration,
    /// How many more attempts a failed request is given.
    pub retries: u32,
    /// By how much each attempt is held back.
    pub delay: Option<Injected<'a, Duration>>,
    /// What each attempt is answered in the destination's place.
    pub abort: Option<Injected<'a, ReturnCode>>,
    /// Marks for the access log.
    pub traces: SmallVec<[&'a Trace; 2]>,
}

/// The choice that a routing rule made.
#[derive(Debug)]
pub struct Routed<'a, B> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// The position of the backend in its rule.
    pub at: usize,
    /// The backend.
    pub backend: &'a Backend,
    /// What the table's owner attached to it.
    pub attachment: &'a B,
    /// Whether the caller had it before; else it was drawn.
    pub held: bool,
}

/// A fault, and the rule that asks for it.
#[derive(Debug)]
pub struct Injected<'a, T> {
    /// The rule.
    pub rule: &'a Arc<Rule>,
    /// The fault.
    pub what: T,
}

/// Sees everything that is weighed on the way to a decision. `explain` listens; for
/// `decide` all of it compiles to nothing.
pub(super) trait Record<'a, B> {
    /// Whether rules are to be weighed, too, that an index rules out.
    const REACH: Reach;
    /// A routing rule was tried.
    fn route(&mut self, rule: &'a Compiled<B>, found: Result<(), Miss<'a>>);
    /// A routing rule was not tried, since one before it held.
    fn untried(&mut self, rule: &'a Compiled<B>);
    /// The match of an action rule was tried.
    fn action_rule(&mut self, rule: &'a Compiled<B>, found: Result<(), Miss<'a>>);
    /// An action was weighed.
    fn action(&mut self, action: &'a Action, found: Weighed<'a>);
}

/// What became of an action whose rule holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Weighed<'a> {
    /// It is done.
    Done,
    /// Its probability was drawn, and it is not done this time.
    NotDrawn(Share),
    /// Another of its kind came first.
    Second,
    /// The backend was not chosen by these tags.
    Tags(&'a Tags),
    /// It has tags, and the default route was taken.
    DefaultRoute,
}

struct Silent;

impl<'a, B> Record<'a, B> for Silent {
    const REACH: Reach = Reach::Likely;
    fn route(&mut self, _: &'a Compiled<B>, _: Result<(), Miss<'a>>) {}
    fn untried(&mut self, _: &'a Compiled<B>) {}
    fn action_rule(&mut self, _: &'a Compiled<B>, _: Result<(), Miss<'a>>) {}
    fn action(&mut self, _: &'a Action, _: Weighed<'a>) {}
}

impl<B> RuleTable<B> {
    /// Decides a request as that of a new caller.
    ///
    /// # Errors
    /// [`Refused`] when the request can go nowhere. Whether the destination of a decision
    /// has instances, or exists at all, is for the caller to see.
    pub fn decide<'a>(
        &'a self,
        request: &Request<'a>,
        draw: &mut impl Draw,
    ) -> Result<Decision<'a, B>, Refused> {
        self.decide_for(request, draw, &mut |_, _| None)
    }

    /// Decides a request whose caller may have been given a backend before.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub fn decide_for<'a>(
        &'a self,
        request: &Request<'a>,
        draw: &mut impl Draw,
        held: &mut Held<'_, B>,
    ) -> Result<Decision<'a, B>, Refused> {
        run(self, request, draw, held, &mut Silent)
    }

    /// Decides a byte stream to `service`. It has no path, so rules with a `uri` are no
    /// candidates, and whatever wants a header does not hold.
    ///
    /// # Errors
    /// [`Refused::NoService`] when the name is empty.
    pub fn decide_stream<'a>(
        &'a self,
        caller: &'a Identity,
        service: &'a str,
        draw: &mut impl Draw,
    ) -> Result<Decision<'a, B>, Refused> {
        let (address, request) = stream(caller, service);
        let held = &mut |_: &Affinity, _: &[B]| None;
        run_at(self, address, &request, draw, held, &mut Silent)
    }
}

/// A byte stream, as if it were a request.
pub(super) fn stream<'a>(caller: &'a Identity, service: &'a str) -> (Address<'a>, Request<'a>) {
    static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    let request = Request {
        caller,
        service: Some(service),
        target: "/",
        headers: &NONE,
    };
    (Address::of_stream(service), request)
}

/// Decides, and tells `record` how.
pub(super) fn run<'a, B, R: Record<'a, B>>(
    table: &'a RuleTable<B>,
    request: &Request<'a>,
    draw: &mut impl Draw,
    held: &mut Held<'_, B>,
    record: &mut R,
) -> Result<Decision<'a, B>, Refused> {
    run_at(table, Address::of(request)?, request, draw, held, record)
}

/// Decides what is addressed to `address`, and tells `record` how.
pub(super) fn run_at<'a, B, R: Record<'a, B>>(
    table: &'a RuleTable<B>,
    address: Address<'a>,
    request: &Request<'a>,
    draw: &mut impl Draw,
    held: &mut Held<'_, B>,
    record: &mut R,
) -> Result<Decision<'a, B>, Refused> {
    let mut candidates = table.routes(address.service.as_deref(), address.path, request, R::REACH);
    let mut chosen = None;
    for rule in candidates.by_ref() {
        let found = holds(rule.rule.matches(), request);
        record.route(rule, found);
        if found.is_ok() {
            chosen = rule.rule.route().map(|route| (rule, route));
            break;
        }
    }
    if R::REACH == Reach::All {
        candidates.for_each(|rule| record.untried(rule));
    }
    let mut decision = match chosen {
        Some((rule, route)) => by_rule(&address, rule, route, draw, held)?,
        None => by_default(address)?,
    };
    act(table, request, draw, record, &mut decision);
    Ok(decision)
}

fn by_rule<'a, B>(
    address: &Address<'a>,
    compiled: &'a Compiled<B>,
    route: &'a Route,
    draw: &mut impl Draw,
    held: &mut Held<'_, B>,
) -> Result<Decision<'a, B>, Refused> {
    let target = match &route.uri {
        None => address.below_service(),
        Some(Uri::Path { .. }) => Cow::Borrowed(address.target),
        Some(Uri::Prefix {
            prefix,
            prefix_rewrite,
        }) => address.below_prefix(prefix, prefix_rewrite.as_ref())?,
    };
    let held = compiled.held(held);
    let at = held.unwrap_or_else(|| compiled.draw(draw));
    let routed = route.backends.get(at).zip(compiled.attachment(at));
    Ok(Decision {
        destination: Cow::Borrowed(compiled.rule.destination().as_str()),
        target,
        timeout: routed.map_or(Route::DEFAULT_TIMEOUT, |(b, _)| route.timeout(b)),
        retries: route.retries(),
        routed: routed.map(|(backend, attachment)| Routed {
            rule: &compiled.rule,
            at,
            backend,
            attachment,
            held: held.is_some(),
        }),
        delay: None,
        abort: None,
        traces: SmallVec::new(),
    })
}

fn by_default<'a, B>(address: Address<'a>) -> Result<Decision<'a, B>, Refused> {
    let target = address.below_service();
    Ok(Decision {
        destination: address.service.ok_or(Refused::NoService)?,
        routed: None,
        target,
        timeout: Route::DEFAULT_TIMEOUT,
        retries: 0,
        delay: None,
        abort: None,
        traces: SmallVec::new(),
    })
}

fn act<'a, B, R: Record<'a, B>>(
    table: &'a RuleTable<B>,
    request: &Request<'a>,
    draw: &mut impl Draw,
    record: &mut R,
    decision: &mut Decision<'a, B>,
) {
    let chosen_by = decision.routed.as_ref().map(|routed| &routed.backend.tags);
    // Of each kind the first that holds wins, even where its probability then spares the
    // request.
    let (mut delays, mut aborts) = (false, false);
    for compiled in table.actions(&decision.destination, request, R::REACH) {
        let found = holds(compiled.rule.matches(), request);
        record.action_rule(compiled, found);
        if found.is_err() {
            continue;
        }
        for action in compiled.rule.actions() {
            let kind = match action {
                Action::Delay(_) => Some(&mut delays),
                Action::Abort(_) => Some(&mut aborts),
                Action::Trace(_) => None,
            };
            let weighed = weigh(action, chosen_by, kind, draw);
            record.action(action, weighed);
            if !matches!(weighed, Weighed::Done) {
                continue;
            }
            let rule = &compiled.rule;
            match action {
                Action::Delay(delay) => {
                    let what = delay.duration();
                    decision.delay = Some(Injected { rule, what });
                }
                Action::Abort(abort) => {
                    let what = abort.return_code();
                    decision.abort = Some(Injected { rule, what });
                }
                Action::Trace(trace) => decision.traces.push(trace),
            }
        }
    }
}

fn weigh<'a>(
    action: &'a Action,
    chosen_by: Option<&Tags>,
    kind_taken: Option<&mut bool>,
    draw: &mut impl Draw,
) -> Weighed<'a> {
    if let Some(wanted) = action.tags() {
        match chosen_by {
            None => return Weighed::DefaultRoute,
            Some(tags) if !tags.contains_all(wanted) => return Weighed::Tags(wanted),
            Some(_) => {}
        }
    }
    if let Some(taken) = kind_taken
        && std::mem::replace(taken, true)
    {
        return Weighed::Second;
    }
    let probability = action.probability();
    match happens(probability, draw) {
        true => Weighed::Done,
        false => Weighed::NotDrawn(probability),
    }
}
