use sha2::{Digest, Sha256};

use super::*;

fn object(name: &str, data: Value) -> DynamicObject {
    DynamicObject::new(name, &kind()).data(data)
}

fn spec() -> Value {
    json!({"destination": "reviews", "route": {"backends": [{"tags": ["version=v1"]}]}})
}

#[test]
fn the_definition_in_the_repository_is_that_of_the_code() {
    let written = include_str!("../../../../kubernetes/crd.yaml");
    assert_eq!(written, crd_yaml().unwrap(), "run: make generate");
}

/// A controller leaves a definition alone that is as new as its own.
#[test]
fn another_definition_has_another_version() {
    let spec = serde_json::to_vec(&crd().spec).unwrap();
    let hash: String = Sha256::digest(spec)[..8]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    assert_eq!(definition_version(&crd()), DEFINITION_VERSION);
    assert_eq!(
        (DEFINITION_VERSION, hash.as_str()),
        (1, "38354a7275429818"),
        "the definition is another: raise DEFINITION_VERSION, and write both here"
    );
}

#[test]
fn the_objects_name_is_the_rules_id() {
    let read = rule(&object("to-v1", json!({"spec": spec()}))).unwrap();
    assert_eq!(read.id().as_str(), "to-v1");
    for id in [json!("to-v1"), json!(""), json!(null)] {
        let mut named = spec();
        named["id"] = id;
        assert_eq!(
            rule(&object("to-v1", json!({"spec": named}))),
            Ok(read.clone())
        );
    }
    let mut other = spec();
    other["id"] = json!("other");
    let refused = rule(&object("to-v1", json!({"spec": other}))).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "spec.id: is \"other\", and must be the object's name or be left out"
    );
}

#[test]
fn an_object_of_whatever_shape_is_refused_and_says_why() {
    for (data, told) in [
        (json!({}), "it has no spec"),
        (json!({"spec": null}), "it has no spec"),
        (
            json!({"spec": 7}),
            "spec: must be an object, is the number 7",
        ),
        (json!({"spec": []}), "spec: must be an object, is a list"),
        (
            json!({"spec": {"id": 7, "destination": "a", "route": {"backends": [{"tags": ["a"]}]}}}),
            "spec.id: must be a text, is the number 7; put it in quotes",
        ),
        (
            json!({"spec": {"destination": "a"}}),
            "spec: has neither route nor actions; one must be there",
        ),
        (
            json!({"spec": {"destination": "a", "route": {"backends": [{"tags": ["a"], "weight": 7}]}}}),
            "spec.route.backends[0].weight: must be between 0 and 1, got 7",
        ),
    ] {
        let refused = rule(&object("a", data)).unwrap_err();
        assert_eq!(refused.to_string(), told);
    }
}

#[test]
fn what_a_status_says_counts_for_nothing() {
    let data = json!({"spec": spec(), "status": {"state": "invalid", "message": "stale"}});
    assert!(rule(&object("to-v1", data)).is_ok());
}

/// The shape that is generated from must know every member that a rule can have.
#[test]
fn every_rule_keeps_its_members_in_the_shape_of_the_definition() {
    let full = json!({
        "id": "full", "priority": -3, "tags": ["t"], "destination": "reviews",
        "match": {
            "source": {"name": "p", "tags": ["v1"]}, "headers": {"Cookie": ".*"},
            "all": [{"source": {"name": "p"}}], "any": [{"headers": {"A": "b"}}],
            "none": [{"source": {"name": "q", "tags": ["v2"]}, "headers": {"C": "d"}}],
        },
        "route": {
            "backends": [
                {"name": "s", "tags": ["a"], "weight": 0.25, "timeout": 1.5, "lb_type": "random", "resilience": {
                    "max_connections": 1, "max_pending_requests": 2, "max_requests": 3,
                    "max_requests_per_connection": 4, "consecutive_errors": 5,
                    "sleep_window": 6.5, "detection_interval": 7.5,
                }},
                {"tags": ["b"]},
            ],
            "uri": {"prefix": "/a", "prefix_rewrite": "/b"},
            "http_req_timeout": 2.5, "http_req_retries": 3, "affinity": {"cookie": "c"},
        },
    });
    let acting = json!({"id": "acting", "destination": "reviews", "actions": [
        {"action": "delay", "duration": 0.5, "probability": 0.5, "tags": ["a"]},
        {"action": "abort", "return_code": -5, "probability": 0.5, "tags": ["a"]},
        {"action": "trace", "log_key": "k", "log_value": "v", "tags": ["a"]},
    ]});
    for document in [full, acting] {
        let rules = crate::rule::parse_value(document).unwrap();
        let written = serde_json::to_value(&rules[0]).unwrap();
        let shaped: RoutingRuleSpec = serde_json::from_value(written.clone()).unwrap();
        let mut back = serde_json::to_value(&shaped).unwrap();
        if written.get("priority").is_none() {
            assert_eq!(
                back.as_object_mut().unwrap().remove("priority"),
                Some(json!(0))
            );
        }
        assert_eq!(back, written);
    }
}

#[test]
fn a_rule_is_its_object_and_the_object_the_rule() {
    let document = json!({"id": "a.b-1", "priority": 3, "destination": "s",
        "actions": [{"action": "delay", "duration": 0.5}]});
    let written = crate::rule::parse_value(document).unwrap().remove(0);
    let object = super::object(&written).unwrap();
    assert_eq!(object.data["spec"].get("id"), None);
    assert_eq!(rule(&object), Ok(written));
}

#[test]
fn an_id_may_be_no_name_that_kubernetes_takes() {
    for (id, fits) in [
        ("a", true),
        ("0.a-1.b", true),
        ("7cf2e5a4-0c8e-4f39-9d93-2d3f9a1a0f41", true),
        ("A", false),
        ("a_b", false),
        ("-a", false),
        ("a-", false),
        ("a..b", false),
        ("a.-b", false),
    ] {
        assert_eq!(is_name(&RuleId::new(id).unwrap()), fits, "{id}");
    }
}
