//! The rules of a document's list, taken in one by one.

use std::collections::HashMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Ids, MAX_RULES};
use crate::model::RuleId;
use crate::rule::fault::Faults;
use crate::rule::node::{Node, Report};
use crate::rule::{Rule, read};

/// What has been read of a list.
pub(in crate::rule) struct Rules {
    pub(super) ids: Ids,
    report: Report,
    rules: Vec<Rule>,
    /// How many entries there were.
    count: usize,
    /// Where each id stands.
    seen: HashMap<RuleId, usize>,
    /// How often each id was derived.
    derived: HashMap<String, u32>,
}

impl Rules {
    pub(super) fn new(ids: Ids) -> Self {
        Self {
            ids,
            report: Report::default(),
            rules: Vec::new(),
            count: 0,
            seen: HashMap::new(),
            derived: HashMap::new(),
        }
    }

    /// Takes the next entry in.
    pub(super) fn take(&mut self, mut entry: Value) {
        let at = self.count;
        self.count += 1;
        if at >= MAX_RULES {
            return;
        }
        self.identify(&mut entry);
        let node = Node::rule(&entry, Some(at), &self.report);
        let Some(rule) = read::rule(node, self.ids) else {
            return;
        };
        if let Some(first) = self.seen.insert(rule.id().clone(), at) {
            let reason = format!("is the id of rules[{first}] too");
            node.fault_in("id", reason);
        }
        self.rules.push(rule);
    }

    /// Gives a rule that has no id one that follows from its content, if it is to have that.
    pub(super) fn identify(&mut self, rule: &mut Value) {
        let nameless = |id: &Value| id.is_null() || id.as_str() == Some("");
        if self.ids != Ids::Derive || !rule.get("id").is_none_or(nameless) {
            return;
        }
        let content = rule.to_string();
        let Value::Object(members) = rule else {
            return;
        };
        let hash = Sha256::digest(content);
        let hash: String = hash[..8].iter().map(|b| format!("{b:02x}")).collect();
        let copies = self.derived.entry(hash.clone()).or_default();
        *copies += 1;
        let id = match *copies {
            1 => hash,
            copy => format!("{hash}-{copy}"),
        };
        members.insert("id".to_owned(), Value::String(id));
    }

    /// The rules, if nothing was wrong with any.
    pub(super) fn into_result(self) -> Result<Vec<Rule>, Faults> {
        let got = self.count;
        if got > MAX_RULES {
            return Err(Faults::at_rules(format!(
                "has {got} rules, at most {MAX_RULES} are allowed"
            )));
        }
        self.report.into_faults().map_or(Ok(self.rules), Err)
    }
}
