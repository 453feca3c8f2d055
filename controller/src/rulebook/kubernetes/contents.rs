//! What is known of the namespace's objects, those that are no rules too: for the writes that
//! wait to be seen, and for whoever tells people how their rules stand.

use std::sync::Arc;

use a8_common::kubernetes::routing_rule::{self, NotARule};
use a8_common::rule::Rule;
use imbl::OrdMap;
use kube::core::DynamicObject;

/// An object, and what it is as a rule.
#[derive(Debug)]
pub struct Known {
    /// The object, without what the API server notes of its fields' managers.
    pub object: DynamicObject,
    /// The rule that it is, or why it is none.
    pub verdict: Result<Arc<Rule>, NotARule>,
}

/// All objects of the namespace by name. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// Whether they have been read once.
    pub loaded: bool,
    /// The newest version that was heard of.
    pub version: u64,
    /// The objects.
    pub objects: OrdMap<String, Arc<Known>>,
}

/// It is the same as long as it is the same object in the same version.
impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.is(&other.object)
    }
}

impl Known {
    /// Judges `object`, unless `before` was judged by the same spec.
    pub(super) fn of(mut object: DynamicObject, before: Option<&Arc<Self>>) -> Self {
        object.metadata.managed_fields = None;
        let same = |before: &&Arc<Self>| {
            let (a, b) = (&before.object.metadata, &object.metadata);
            a.uid == b.uid && a.generation.is_some() && a.generation == b.generation
        };
        let verdict = match before.filter(same) {
            Some(before) => before.verdict.clone(),
            None => routing_rule::rule(&object).map(Arc::new),
        };
        Self { object, verdict }
    }

    /// The rule, if it is one.
    pub fn rule(&self) -> Option<&Arc<Rule>> {
        self.verdict.as_ref().ok()
    }

    /// Whether both are the same object in the same version.
    pub(super) fn is(&self, object: &DynamicObject) -> bool {
        let (a, b) = (&self.object.metadata, &object.metadata);
        a.uid == b.uid && a.resource_version == b.resource_version
    }
}
