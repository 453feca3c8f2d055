//! The rules of a namespace, in the form of the controller's API.

use std::collections::BTreeMap;
use std::io::Write;

use a8_common::kubernetes::rule_objects::{
    CallError, Listed, NotWritten, Objects, Step, Terms, by_name, name, unfit,
};
use a8_common::kubernetes::{Cluster, routing_rule};
use a8_common::rule::{self, Ids, Rule};
use kube::core::DynamicObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CALL_TIMEOUT, FIELD_MANAGER};
use crate::args::Filter;
use crate::book::Change;
use crate::error::Error;
use crate::wire::{Refusal, RulesByService};

/// How many of the objects that are no rules are named.
const NAMED: usize = 5;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It routes.
    Route,
    /// It acts.
    Action,
}

/// The rules of a cluster's namespace.
pub(crate) struct Rules {
    objects: Objects,
}

/// Rules that were read, in the order of their ids.
pub(crate) struct Read {
    pub(crate) rules: BTreeMap<String, Rule>,
    /// The objects that are no valid rules, and why.
    pub(crate) left_out: Vec<String>,
    version: u64,
}

impl Rules {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        let objects = Objects::new(cluster, FIELD_MANAGER, CALL_TIMEOUT);
        Self { objects }
    }

    /// As [`Book::list`](crate::book::Book::list).
    pub(crate) async fn list(&self, which: &Filter, notes: &mut dyn Write) -> Result<Value, Error> {
        let read = self.read(notes).await?;
        let rules = selected(&read, which)?;
        Ok(json!({ "rules": rules, "revision": read.version }))
    }

    /// As [`Book::routes`](crate::book::Book::routes) and `actions`.
    pub(crate) async fn grouped(
        &self,
        kind: Kind,
        which: &Filter,
        notes: &mut dyn Write,
    ) -> Result<RulesByService, Error> {
        let read = self.read(notes).await?;
        let mut rules = selected(&read, which)?;
        rules.retain(|rule| rule.route().is_some() == (kind == Kind::Route));
        rules.sort_unstable_by(|a, b| a.order(b));
        let mut services: BTreeMap<&str, Vec<&Rule>> = BTreeMap::new();
        for rule in rules {
            let of_service = services.entry(rule.destination().as_str());
            of_service.or_default().push(rule);
        }
        let services = json!({ "services": services });
        RulesByService::deserialize(services).map_err(|e| Error::Listing {
            what: "rules",
            reason: e.to_string(),
        })
    }

    /// All rules that are valid; of the others `notes` is told.
    pub(super) async fn read(&self, notes: &mut dyn Write) -> Result<Read, Error> {
        let read = self.judged().await?;
        if !read.left_out.is_empty() {
            writeln!(notes, "Left out, being no valid rules:")?;
            for one in read.left_out.iter().take(NAMED) {
                writeln!(notes, "  {one}")?;
            }
            if let more @ 1.. = read.left_out.len().saturating_sub(NAMED) {
                writeln!(notes, "  and {more} more")?;
            }
        }
        Ok(read)
    }

    /// All rules that are valid, and what is wrong with the others.
    pub(crate) async fn judged(&self) -> Result<Read, Error> {
        let Listed { objects, version } = self.objects.list(None).await?;
        let (mut rules, mut left_out) = (BTreeMap::new(), Vec::new());
        for object in &objects {
            match routing_rule::rule(object) {
                Ok(rule) => {
                    rules.insert(name(object).to_owned(), rule);
                }
                Err(e) => left_out.push(format!("{}: {e}", name(object))),
            }
        }
        Ok(Read {
            rules,
            left_out,
            version,
        })
    }

    /// As [`Book::create`](crate::book::Book::create).
    pub(crate) async fn create(&self, change: Change<'_>) -> Result<Value, Error> {
        let rules = self.put(&change, Ids::Make, false).await?;
        match rules {
            Put::Tried(answer) => Ok(answer),
            Put::Done(rules) => {
                let ids: Vec<&str> = rules.iter().map(|rule| rule.id().as_str()).collect();
                Ok(json!({ "ids": ids }))
            }
        }
    }

    /// As [`Book::update`](crate::book::Book::update).
    pub(crate) async fn update(&self, change: Change<'_>) -> Result<Value, Error> {
        match self.put(&change, Ids::Require, true).await? {
            Put::Tried(answer) => Ok(answer),
            Put::Done(_) => Ok(Value::Null),
        }
    }

    async fn put(&self, change: &Change<'_>, ids: Ids, there: bool) -> Result<Put, Error> {
        let rules = rule::parse_json_with(change.document.get().as_bytes(), ids)
            .map_err(|faults| Error::Unfit(Refusal::invalid_rule(faults)))?;
        if rules.is_empty() {
            let none = "rules: must hold at least one rule".to_owned();
            return Err(Error::Unfit(Refusal::new("no_rules_provided", none)));
        }
        let unfit = unfit(&rules);
        if !unfit.is_empty() {
            return Err(Error::Unfit(Refusal::invalid_rule(unfit)));
        }
        let now = self.objects.list(None).await?;
        let version = now.version;
        if let Some(revision) = change.if_revision {
            self.unmoved(&now, revision).await?;
        }
        let live = by_name(now.objects);
        if there {
            known(rules.iter().map(|rule| rule.id().as_str()), |id| {
                live.contains_key(id)
            })?;
        }
        let steps = Step::puts(&rules, &live);
        let terms = Terms {
            makes: !there,
            takes: &|_| true,
            bound: change.if_revision.is_some(),
        };
        match change.dry_run {
            true => self.objects.try_out(&steps, &terms).await?,
            false => drop(self.objects.commit(steps, &terms).await?),
        }
        Ok(match change.dry_run {
            true => Put::Tried(json!({ "rules": rules, "revision": version })),
            false => Put::Done(rules),
        })
    }

    /// As [`Book::delete`](crate::book::Book::delete). What is no valid rule goes by its name,
    /// or with all.
    pub(crate) async fn delete(&self, which: &Filter) -> Result<(), Error> {
        let now = self.objects.list(None).await?;
        let live = by_name(now.objects);
        known(which.id.iter().map(String::as_str), |id| {
            live.contains_key(id)
        })?;
        let by_content = !(which.tag.is_empty() && which.destination.is_empty());
        let goes = |object: &DynamicObject| match routing_rule::rule(object) {
            Ok(rule) => takes(which, &rule),
            Err(_) => {
                let named = |id: &String| id == name(object);
                !by_content && (which.id.is_empty() || which.id.iter().any(named))
            }
        };
        let steps = Step::removes(&live, goes);
        let terms = Terms {
            makes: false,
            takes: &goes,
            bound: false,
        };
        self.objects.commit(steps, &terms).await?;
        Ok(())
    }

    /// Refuses to build on `revision`, unless the rules are still what they were then. A
    /// cluster counts the changes of everything, so its number alone does not tell.
    async fn unmoved(&self, now: &Listed, revision: u64) -> Result<(), Error> {
        if now.version == revision {
            return Ok(());
        }
        let said = |listed: &Listed| -> Vec<(Option<String>, Option<i64>)> {
            let objects = listed.objects.iter();
            objects
                .map(|object| (object.metadata.uid.clone(), object.metadata.generation))
                .collect()
        };
        match self.objects.list(Some(revision)).await {
            Ok(then) if said(&then) == said(now) => Ok(()),
            Ok(_) => Err(Error::NotThere(
                "the rules have changed since that revision: look at them again",
            )),
            Err(CallError::Expired) => Err(Error::NotThere(
                "the cluster no longer knows that revision, so it cannot tell whether the rules \
                 have changed since: look at them again",
            )),
            Err(e) => Err(e.into()),
        }
    }
}

enum Put {
    /// What would be stored.
    Tried(Value),
    Done(Vec<Rule>),
}

/// Refuses ids that are not there.
fn known<'a>(
    ids: impl Iterator<Item = &'a str>,
    there: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let unknown: Vec<String> = ids.filter(|id| !there(id)).map(str::to_owned).collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(NotWritten::Unknown(unknown).into()),
    }
}

fn selected<'a>(read: &'a Read, which: &Filter) -> Result<Vec<&'a Rule>, Error> {
    known(which.id.iter().map(String::as_str), |id| {
        read.rules.contains_key(id)
    })?;
    let rules = read.rules.values().filter(|rule| takes(which, rule));
    Ok(rules.collect())
}

fn takes(which: &Filter, rule: &Rule) -> bool {
    let among = |given: &[String], text: &str| given.is_empty() || given.iter().any(|g| g == text);
    among(&which.id, rule.id().as_str())
        && among(&which.destination, rule.destination().as_str())
        && which.tag.iter().all(|tag| rule.tags().contains(tag))
}
