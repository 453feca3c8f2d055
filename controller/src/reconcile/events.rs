//! Events of rules that turn invalid, or valid again: each once.

use std::time::Duration;

use a8_common::kubernetes::routing_rule::{self, State};
use a8_common::kubernetes::{Cluster, RoutingRuleStatus, api_reason};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::core::DynamicObject;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::time::timeout;
use tracing::warn;

use crate::rulebook::kubernetes::FIELD_MANAGER;

/// How long the API server may take to answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Events {
    recorder: Recorder,
    namespace: String,
    told: Option<String>,
}

impl Events {
    /// Those of the controller that goes by `name`.
    pub(super) fn new(cluster: &Cluster, name: &str) -> Self {
        let reporter = Reporter {
            controller: FIELD_MANAGER.to_owned(),
            instance: Some(name.to_owned()),
        };
        Self {
            recorder: Recorder::new(cluster.client.clone(), reporter),
            namespace: cluster.namespace.clone(),
            told: None,
        }
    }

    /// Tells of what is new in `after`, which is written already.
    pub(super) async fn tell(
        &mut self,
        object: &DynamicObject,
        before: Option<&RoutingRuleStatus>,
        after: &RoutingRuleStatus,
    ) {
        let Some(event) = event(before, after) else {
            return;
        };
        let kind = routing_rule::kind();
        let about = ObjectReference {
            api_version: Some(kind.api_version),
            kind: Some(kind.kind),
            name: object.metadata.name.clone(),
            namespace: Some(self.namespace.clone()),
            uid: object.metadata.uid.clone(),
            ..ObjectReference::default()
        };
        let published = timeout(CALL_TIMEOUT, self.recorder.publish(&event, &about)).await;
        let why = match published {
            Ok(Ok(())) => {
                self.told = None;
                return;
            }
            Ok(Err(e)) => api_reason(&e),
            Err(_) => "no answer in time".to_owned(),
        };
        // The status says it all the same.
        if self.told.as_ref() != Some(&why) {
            warn!(reason = why, "an event could not be published");
            self.told = Some(why);
        }
    }
}

fn event(before: Option<&RoutingRuleStatus>, after: &RoutingRuleStatus) -> Option<Event> {
    let was = before.and_then(|before| before.state);
    let told = before.and_then(|before| before.message.as_ref());
    let accepted = after.conditions.first();
    let event = |type_, note: String| Event {
        type_,
        reason: accepted.map_or_else(String::new, |accepted| accepted.reason.clone()),
        note: Some(note),
        action: "Validate".to_owned(),
        secondary: None,
    };
    match (after.state?, was) {
        (State::Valid, Some(State::Invalid)) => Some(event(
            EventType::Normal,
            "the rule is valid again".to_owned(),
        )),
        (State::Invalid, was) if was != Some(State::Invalid) || told != after.message.as_ref() => {
            let why = after.message.clone().unwrap_or_default();
            Some(event(EventType::Warning, why))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(state: State, message: Option<&str>) -> RoutingRuleStatus {
        RoutingRuleStatus {
            state: Some(state),
            message: message.map(str::to_owned),
            ..RoutingRuleStatus::default()
        }
    }

    #[test]
    fn only_what_is_new_is_an_event() {
        let (valid, bad) = (
            status(State::Valid, None),
            status(State::Invalid, Some("bad")),
        );
        let worse = status(State::Invalid, Some("worse"));
        let kind =
            |before: Option<&RoutingRuleStatus>, after| event(before, after).map(|e| e.type_);
        assert_eq!(kind(None, &valid), None);
        assert_eq!(kind(Some(&valid), &valid), None);
        assert_eq!(kind(None, &bad), Some(EventType::Warning));
        assert_eq!(kind(Some(&valid), &bad), Some(EventType::Warning));
        assert_eq!(kind(Some(&bad), &bad), None);
        assert_eq!(kind(Some(&bad), &worse), Some(EventType::Warning));
        assert_eq!(kind(Some(&bad), &valid), Some(EventType::Normal));
    }
}
