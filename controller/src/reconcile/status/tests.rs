use a8_common::kubernetes::routing_rule;
use a8_common::model::Instance;
use serde_json::json;

use super::*;

fn known(spec: Value) -> Known {
    let mut object = DynamicObject::new("r", &routing_rule::kind()).data(json!({"spec": spec}));
    object.metadata.generation = Some(3);
    let verdict = routing_rule::rule(&object).map(Into::into);
    Known { object, verdict }
}

fn carried(instances: &[(&str, &str)]) -> Option<Carried> {
    let instance = |(service, tags): &(&str, &str)| -> Instance {
        serde_json::from_value(json!({
            "id": format!("{service}-{tags}"), "service_name": service,
            "endpoint": {"type": "http", "value": "10.0.0.1:80"},
            "tags": tags.split(',').collect::<Vec<_>>(),
        }))
        .unwrap()
    };
    let instances: Vec<Instance> = instances.iter().map(instance).collect();
    Some(Carried::of(instances.iter()))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn condition(status: &RoutingRuleStatus, at: usize) -> [&str; 4] {
    let one = &status.conditions[at];
    [&one.kind, &one.status, &one.reason, &one.message]
}

fn route(tags: &[&str]) -> Value {
    json!({"destination": "reviews", "route": {"backends": [{"tags": tags}, {"name": "ratings", "tags": ["v1"]}]}})
}

#[test]
fn a_valid_rule_is_resolved_when_each_backend_has_an_instance() {
    let rule = known(route(&["v2", "blue"]));
    let both = carried(&[("reviews", "v2,blue"), ("reviews", "v1"), ("ratings", "v1")]);
    let said = judged(&rule, &both, None, at(0));
    assert_eq!(
        (said.state, said.kind.as_deref(), said.message.clone()),
        (Some(State::Valid), Some("route"), Some(String::new()))
    );
    assert_eq!(said.observed_generation, Some(3));
    assert_eq!(
        condition(&said, 0),
        ["Accepted", "True", "Valid", "the rule is valid"]
    );
    assert_eq!(
        condition(&said, 1),
        ["ResolvedRefs", "True", "Resolved", ""]
    );
    assert_eq!(
        said.conditions[0].last_transition_time,
        "1970-01-01T00:00:00Z"
    );
    // Tags of two instances are not those of one.
    let apart = carried(&[("reviews", "v2"), ("reviews", "blue"), ("ratings", "v2")]);
    let said = judged(&rule, &apart, None, at(0));
    assert_eq!(said.state, Some(State::Valid));
    let missing = "no instance of reviews carries v2, blue; no instance of ratings carries v1";
    assert_eq!(
        condition(&said, 1),
        ["ResolvedRefs", "False", "NoInstances", missing]
    );
    let unknown = judged(&rule, &None, None, at(0));
    assert_eq!(
        condition(&unknown, 1)[1..3],
        ["Unknown", "InstancesUnknown"]
    );
}

#[test]
fn an_action_is_about_instances_of_its_destination() {
    let rule =
        known(json!({"destination": "reviews", "actions": [{"action": "delay", "duration": 1}]}));
    let said = judged(&rule, &carried(&[]), None, at(0));
    assert_eq!(said.kind.as_deref(), Some("action"));
    assert_eq!(
        condition(&said, 1)[1..],
        ["False", "NoInstances", "reviews has no instance"]
    );
    let said = judged(&rule, &carried(&[("reviews", "v1")]), None, at(0));
    assert_eq!(condition(&said, 1)[1], "True");
}

#[test]
fn an_invalid_rule_says_why_within_bounds() {
    let mut spec = route(&["v1"]);
    spec["route"]["backends"][0]["weight"] = json!(7);
    let said = judged(&known(spec), &carried(&[]), None, at(0));
    let why = "spec.route.backends[0].weight: must be between 0 and 1, got 7";
    assert_eq!(
        (said.state, said.message.as_deref()),
        (Some(State::Invalid), Some(why))
    );
    assert_eq!(said.kind.as_deref(), Some("route"));
    assert_eq!(
        condition(&said, 0),
        ["Accepted", "False", "InvalidSpec", why]
    );
    assert_eq!(condition(&said, 1)[1..3], ["Unknown", "NotAccepted"]);
    let many = json!({"destination": "ä".repeat(3000), "x".repeat(2000): 1});
    let said = judged(&known(many), &carried(&[]), None, at(0));
    assert!(said.message.unwrap().len() <= MAX_TEXT);
}

#[test]
fn the_time_of_a_condition_is_that_of_its_last_change() {
    let rule = known(route(&["v1"]));
    let (none, all) = (
        carried(&[]),
        carried(&[("reviews", "v1"), ("ratings", "v1")]),
    );
    let first = judged(&rule, &none, None, at(1));
    let same = judged(&rule, &none, Some(&first), at(2));
    assert_eq!(same, first);
    let resolved = judged(&rule, &all, Some(&first), at(3));
    let times = |status: &RoutingRuleStatus| -> Vec<String> {
        status
            .conditions
            .iter()
            .map(|one| one.last_transition_time.clone())
            .collect()
    };
    assert_eq!(
        times(&resolved),
        ["1970-01-01T00:00:01Z", "1970-01-01T00:00:03Z"]
    );
}

#[test]
fn what_others_say_is_not_compared() {
    let rule = known(route(&["v1"]));
    let said = judged(&rule, &None, None, at(1));
    let mut shared = said.clone();
    shared.conditions.insert(
        0,
        Condition {
            kind: "Theirs".to_owned(),
            ..said.conditions[0].clone()
        },
    );
    assert_eq!(ours(&shared), said);
    for status in [json!(7), json!({"conditions": {}}), json!({"state": "odd"})] {
        let object = DynamicObject::new("r", &routing_rule::kind()).data(json!({"status": status}));
        assert_eq!(of(&object), None);
    }
}
