//! Why a request goes where it goes: the decision, with a word about every rule.
//!
//! There is no second matcher: [`run_at`] decides here too, and this module only listens.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::action::Action;
use super::decide::{
    Address, Decision, Draw, Held, Record, Refused, Request, Weighed, run_at, stream,
};
use super::holds::Miss;
use super::route::Uri;
use super::table::{Compiled, Reach, RuleTable};
use super::{Rule, path};
use crate::model::{Identity, RuleId, Tags};

/// A decision and its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The service being called.
    pub destination: String,
    /// The rule that decided; absent for the default route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub rule: Option<RuleId>,
    /// Whether the caller stays with the backend that it was given before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// The backends of that rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<Chance>,
    /// Path and query as they are sent; empty for a byte stream.
    pub target: String,
    /// Seconds until the head of the response must be there.
    pub timeout: f64,
    /// How many more attempts a failed request is given.
    pub retries: u32,
    /// The routing rules that could have decided, in the order in which they are tried.
    pub routing: Vec<Considered>,
    /// The action rules of the destination, in the order in which they are tried.
    pub actions: Vec<Considered>,
}

/// A backend's part in a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Chance {
    /// The service.
    pub name: String,
    /// The tags that its instances must carry.
    #[schema(value_type = Vec<String>)]
    pub tags: Tags,
    /// Its share of the requests that the rule decides.
    pub share: f64,
    /// Whether this request goes to it.
    pub drawn: bool,
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Considered {
    /// The rule.
    #[schema(value_type = String)]
    pub rule: RuleId,
    /// Its priority.
    pub priority: i64,
    /// Whether it held.
    pub outcome: Outcome,
    /// Why, for people.
    pub why: String,
    /// What became of its actions, if it has any and held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ConsideredAction>,
}

/// What became of one action of a rule that held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConsideredAction {
    /// The action, as people say it: `delay 7 s`.
    pub action: String,
    /// Whether it is done to this request.
    pub done: bool,
    /// Why, for people.
    pub why: String,
}

/// Whether a rule held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It did.
    Held,
    /// It did not.
    NotHeld,
    /// Nobody asked, since a rule before it held.
    NotTried,
}

#[derive(Default)]
struct Listener {
    /// The rule that decided: id and priority.
    first: Option<(RuleId, i64)>,
    routing: Vec<Considered>,
    actions: Vec<Considered>,
}

impl<'a, B> Record<'a, B> for Listener {
    const REACH: Reach = Reach::All;

    fn route(&mut self, rule: &'a Compiled<B>, found: Result<(), Miss<'a>>) {
        let rule = &*rule.rule;
        if found.is_ok() {
            self.first = Some((rule.id().clone(), rule.priority()));
        }
        self.routing.push(tried(rule, found));
    }

    fn untried(&mut self, rule: &'a Compiled<B>) {
        let why = match &self.first {
            Some((id, priority)) => {
                format!("rule {id} (priority {priority}) was tried first and held")
            }
            None => String::new(),
        };
        self.routing
            .push(considered(&rule.rule, Outcome::NotTried, why));
    }

    fn action_rule(&mut self, rule: &'a Compiled<B>, found: Result<(), Miss<'a>>) {
        self.actions.push(tried(&rule.rule, found));
    }

    fn action(&mut self, action: &'a Action, found: Weighed<'a>) {
        let Some(of) = self.actions.last_mut() else {
            return;
        };
        let why = match found {
            Weighed::Done => "its rule holds".to_owned(),
            Weighed::NotDrawn(probability) => format!(
                "its probability of {} spared this request",
                f64::from(probability)
            ),
            Weighed::Second => "another of its kind came first".to_owned(),
            Weighed::Tags(tags) => format!("the backend was not chosen by the tags {tags}"),
            Weighed::DefaultRoute => "it asks for tags, and the default route was taken".to_owned(),
        };
        of.actions.push(ConsideredAction {
            action: describe(action),
            done: matches!(found, Weighed::Done),
            why,
        });
    }
}

fn tried(rule: &Rule, found: Result<(), Miss<'_>>) -> Considered {
    match found {
        Ok(()) if rule.matches().is_none() => considered(
            rule,
            Outcome::Held,
            "it has no match, so it always holds".into(),
        ),
        Ok(()) => considered(rule, Outcome::Held, "its match holds".into()),
        Err(miss) => considered(rule, Outcome::NotHeld, miss.to_string()),
    }
}

fn considered(rule: &Rule, outcome: Outcome, why: String) -> Considered {
    Considered {
        rule: rule.id().clone(),
        priority: rule.priority(),
        outcome,
        why,
        actions: Vec::new(),
    }
}

fn describe(action: &Action) -> String {
    match action {
        Action::Delay(delay) => format!("delay {} s", delay.duration().as_secs_f64()),
        Action::Abort(abort) => format!("abort {}", abort.return_code().number()),
        Action::Trace(trace) => format!("trace {}={}", trace.log_key(), trace.log_value()),
    }
}

impl<B> RuleTable<B> {
    /// Decides a request as [`decide`](Self::decide) does, and says why.
    ///
    /// # Errors
    /// [`Refused`] when the request can go nowhere.
    pub fn explain(
        &self,
        request: &Request<'_>,
        draw: &mut impl Draw,
    ) -> Result<Explanation, Refused> {
        self.explain_for(request, draw, &mut |_, _| None)
    }

    /// Decides a request as [`decide_for`](Self::decide_for) does, and says why.
    ///
    /// # Errors
    /// [`Refused`] when the request can go nowhere.
    pub fn explain_for(
        &self,
        request: &Request<'_>,
        draw: &mut impl Draw,
        held: &mut Held<'_, B>,
    ) -> Result<Explanation, Refused> {
        self.tell(Address::of(request)?, request, draw, held)
    }

    /// Decides a byte stream as [`decide_stream`](Self::decide_stream) does, and says why.
    ///
    /// # Errors
    /// [`Refused::NoService`] when the name is empty.
    pub fn explain_stream(
        &self,
        caller: &Identity,
        service: &str,
        draw: &mut impl Draw,
    ) -> Result<Explanation, Refused> {
        let (address, request) = stream(caller, service);
        self.tell(address, &request, draw, &mut |_, _| None)
    }

    fn tell<'a>(
        &'a self,
        address: Address<'a>,
        request: &Request<'a>,
        draw: &mut impl Draw,
        held: &mut Held<'_, B>,
    ) -> Result<Explanation, Refused> {
        let has_path = address.path.is_some();
        let mut heard = Listener::default();
        let mut decision = run_at(self, address, request, draw, held, &mut heard)?;
        if !has_path {
            decision.target = "".into();
        }
        let mut routing = heard.routing;
        routing.extend(self.elsewhere(request, &decision, &routing));
        Ok(Explanation {
            rule: decision.routed.as_ref().map(|r| r.rule.id().clone()),
            held: decision.routed.as_ref().is_some_and(|r| r.held),
            backends: self.chances(&decision),
            target: decision.target.into_owned(),
            timeout: decision.timeout.as_secs_f64(),
            retries: decision.retries,
            routing,
            actions: heard.actions,
            destination: decision.destination.into_owned(),
        })
    }

    fn chances(&self, decision: &Decision<'_, B>) -> Vec<Chance> {
        let Some(routed) = &decision.routed else {
            return Vec::new();
        };
        let backends = routed.rule.route().into_iter().flat_map(|r| &r.backends);
        let shares = self.shares(routed.rule.id());
        backends
            .enumerate()
            .map(|(at, backend)| Chance {
                name: backend.service(routed.rule.destination()).to_string(),
                tags: backend.tags.clone(),
                share: shares.get(at).copied().unwrap_or(0.0),
                drawn: at == routed.at,
            })
            .collect()
    }

    /// The rules of the services in question that want another path.
    fn elsewhere(
        &self,
        request: &Request<'_>,
        decision: &Decision<'_, B>,
        known: &[Considered],
    ) -> Vec<Considered> {
        let known: HashSet<&RuleId> = known.iter().map(|c| &c.rule).collect();
        let (path, _) = path::split_query(request.target);
        let addressed = request
            .service
            .map(|service| service.as_bytes().into())
            .or_else(|| path::segments(path).next().map(path::decoded));
        let mut rules: Vec<_> = self
            .rules()
            .filter(|rule| {
                let name = rule.destination().as_str();
                name == decision.destination || addressed.as_deref() == Some(name.as_bytes())
            })
            .filter(|rule| !known.contains(rule.id()))
            .collect();
        rules.sort_unstable_by(|a, b| a.order(b));
        let why = |rule: &Rule| match rule.route()?.uri.as_ref()? {
            _ if decision.target.is_empty() => Some("a byte stream has no path".to_owned()),
            Uri::Path { path } => Some(format!("the path is not {path}")),
            Uri::Prefix { prefix, .. } => Some(format!("the path is not at or below {prefix}")),
        };
        let found = rules
            .into_iter()
            .filter_map(|rule| why(rule).map(|why| considered(rule, Outcome::NotHeld, why)));
        found.collect()
    }
}
