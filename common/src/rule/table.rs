//! Rules made ready to decide by.
//!
//! A table is built whole and never changed. What the table before it already has is taken
//! over by pointer: compiled rules with their attachments, whole destinations, the index of
//! paths. So a change costs what it touches, and balancers that hang on unchanged rules live
//! on.
//!
//! Rules are found by destination and by path, so the rules of other destinations cost a
//! request nothing. Among many rules of one destination an [index] passes over those
//! that cannot hold.

mod index;
mod list;
mod paths;

use std::collections::HashMap;
use std::sync::Arc;

use self::list::List;
pub(super) use self::list::{Candidates, Reach};
use self::paths::Paths;
use super::Rule;
use super::decide::{Draw, Held, Request};
use super::route::Backend;
use super::weights::Weights;
use crate::model::{RuleId, ServiceName};

/// A rule with all that can be worked out before a request comes.
#[derive(Debug)]
pub(super) struct Compiled<B> {
    pub(super) rule: Arc<Rule>,
    weights: Option<Weights>,
    /// One for each backend.
    attachments: Box<[B]>,
}

impl<B> Compiled<B> {
    fn new(rule: Arc<Rule>, attach: &mut impl FnMut(&Arc<Rule>, &Backend) -> B) -> Self {
        let backends = rule.route().map_or(&[][..], |route| &route.backends);
        for pattern in rule.matches().into_iter().flat_map(|m| m.patterns()) {
            pattern.prepare();
        }
        Self {
            // The reader refuses rules whose weights are none.
            weights: Weights::new(backends.iter().map(|b| b.weight)).ok(),
            attachments: backends.iter().map(|b| attach(&rule, b)).collect(),
            rule,
        }
    }

    /// The backend that the caller was given before, if it may still have it.
    pub(super) fn held(&self, held: &mut Held<'_, B>) -> Option<usize> {
        let affinity = self.rule.route()?.affinity.as_ref()?;
        let at = held(affinity, &self.attachments)?;
        let weights = self.weights.as_ref()?;
        weights.can_draw(at).then_some(at)
    }

    /// What is attached to the backend `at`.
    pub(super) fn attachment(&self, at: usize) -> Option<&B> {
        self.attachments.get(at)
    }

    /// Draws a backend.
    pub(super) fn draw(&self, draw: &mut impl Draw) -> usize {
        self.weights.as_ref().map_or(0, |w| w.draw(draw))
    }
}

/// All rules of a namespace, ready to decide by.
///
/// `B` is what the owner of the table wants at hand for each backend of each rule: a
/// balancer, say, or metrics.
#[derive(Debug)]
pub struct RuleTable<B> {
    rules: HashMap<RuleId, Arc<Compiled<B>>>,
    destinations: HashMap<ServiceName, Arc<Destination<B>>>,
    paths: Arc<Paths<B>>,
}

/// The rules of one destination.
#[derive(Debug)]
struct Destination<B> {
    /// Routing rules without a path of their own.
    routes: List<B>,
    actions: List<B>,
}

impl<B> Default for RuleTable<B> {
    fn default() -> Self {
        Self {
            rules: HashMap::new(),
            destinations: HashMap::new(),
            paths: Arc::default(),
        }
    }
}

/// The rules of one destination while they are being gathered.
struct Gathered<B> {
    routes: Vec<Arc<Compiled<B>>>,
    actions: Vec<Arc<Compiled<B>>>,
}

impl<B> Default for Gathered<B> {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            actions: Vec::new(),
        }
    }
}

impl<B> RuleTable<B> {
    /// Compiles `rules`, whose ids differ. What is unchanged since `before` is taken over
    /// from there; `attach` is called for the backends of the rest.
    pub fn build(
        rules: impl IntoIterator<Item = Arc<Rule>>,
        before: Option<&Self>,
        mut attach: impl FnMut(&Arc<Rule>, &Backend) -> B,
    ) -> Self {
        let mut all = HashMap::new();
        for rule in rules {
            let known = before.and_then(|table| table.rules.get(rule.id()));
            let compiled = match known {
                Some(known) if Arc::ptr_eq(&known.rule, &rule) || known.rule == rule => {
                    known.clone()
                }
                _ => Arc::new(Compiled::new(rule, &mut attach)),
            };
            all.insert(compiled.rule.id().clone(), compiled);
        }
        let mut by_path = Vec::new();
        let mut gathered: HashMap<&ServiceName, Gathered<B>> = HashMap::new();
        for compiled in all.values() {
            let place = match compiled.rule.route() {
                Some(route) if route.uri.is_some() => &mut by_path,
                Some(_) => {
                    &mut gathered
                        .entry(compiled.rule.destination())
                        .or_default()
                        .routes
                }
                None => {
                    &mut gathered
                        .entry(compiled.rule.destination())
                        .or_default()
                        .actions
                }
            };
            place.push(compiled.clone());
        }
        let destinations = gathered.into_iter().map(|(name, rules)| {
            let before = before.and_then(|table| table.destinations.get(name));
            (name.clone(), Destination::build(rules, before))
        });
        Self {
            destinations: destinations.collect(),
            paths: Paths::build(by_path, before.map(|table| &table.paths)),
            rules: all,
        }
    }

    /// All rules, in no order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.values().map(|compiled| &compiled.rule)
    }

    /// All backends of all rules with what is attached to them, in no order.
    pub fn backends(&self) -> impl Iterator<Item = (&Arc<Rule>, &Backend, &B)> {
        self.rules.values().flat_map(|compiled| {
            let backends = compiled.rule.route().into_iter().flat_map(|r| &r.backends);
            backends
                .zip(&compiled.attachments)
                .map(|(backend, attachment)| (&compiled.rule, backend, attachment))
        })
    }

    /// The share of each backend of the rule `id`.
    pub(super) fn shares(&self, id: &RuleId) -> Vec<f64> {
        let compiled = self.rules.get(id);
        let weights = compiled.and_then(|compiled| compiled.weights.as_ref());
        weights.map(Weights::shares).unwrap_or_default()
    }

    /// The candidates for routing a request to `service` with this path, in order.
    pub(super) fn routes<'a>(
        &'a self,
        service: Option<&str>,
        path: Option<&str>,
        request: &Request<'_>,
        reach: Reach,
    ) -> Candidates<'a, B> {
        let mut candidates = Candidates::default();
        if let Some(destination) = service.and_then(|name| self.destinations.get(name)) {
            candidates.add(&destination.routes, request, reach);
        }
        if let Some(path) = path {
            self.paths
                .find(path, |list| candidates.add(list, request, reach));
        }
        candidates
    }

    /// The action rules of `destination`, in order.
    pub(super) fn actions<'a>(
        &'a self,
        destination: &str,
        request: &Request<'_>,
        reach: Reach,
    ) -> Candidates<'a, B> {
        let mut candidates = Candidates::default();
        if let Some(destination) = self.destinations.get(destination) {
            candidates.add(&destination.actions, request, reach);
        }
        candidates
    }
}

impl<B> Destination<B> {
    fn build(rules: Gathered<B>, before: Option<&Arc<Self>>) -> Arc<Self> {
        let routes = List::sorted(rules.routes);
        let actions = List::sorted(rules.actions);
        match before {
            Some(b) if b.routes.is_of(&routes) && b.actions.is_of(&actions) => b.clone(),
            _ => Arc::new(Self {
                routes: List::build(routes),
                actions: List::build(actions),
            }),
        }
    }
}
