use serde_json::json;

use super::*;

fn split(weights: [f64; 2]) -> Value {
    json!({"id": "r", "destination": "s", "route": {
        "affinity": {"cookie": "stay"},
        "backends": [{"tags": ["v1"], "weight": weights[0]}, {"tags": ["v2"], "weight": weights[1]}]}})
}

/// The tags a request goes to, whether the caller held them, and how often was drawn.
fn decided(table: &RuleTable<String>, held: Option<usize>) -> (String, bool, usize) {
    let call = call("/s");
    let mut draw = Script::of(&[0]);
    let mut asked = Vec::new();
    let mut ask = |affinity: &Affinity, attachments: &[String]| {
        asked.push(affinity.cookie.to_string());
        assert_eq!(attachments.len(), 2);
        held
    };
    let decision = table
        .decide_for(&call.request(), &mut draw, &mut ask)
        .unwrap();
    let routed = decision.routed.unwrap();
    assert_eq!(asked, ["stay"]);
    (
        routed.backend.tags.to_string(),
        routed.held,
        draw.asked.len(),
    )
}

#[test]
fn a_caller_stays_where_it_was_and_nothing_is_drawn() {
    let table = table(split([0.5, 0.5]));
    assert_eq!(decided(&table, None), ("v1".into(), false, 1));
    assert_eq!(decided(&table, Some(0)), ("v1".into(), true, 0));
    assert_eq!(decided(&table, Some(1)), ("v2".into(), true, 0));
}

#[test]
fn a_backend_that_takes_nothing_or_is_not_there_keeps_nobody() {
    let second_out = table(split([1.0, 0.0]));
    assert_eq!(decided(&second_out, Some(1)), ("v1".into(), false, 0));
    assert_eq!(decided(&second_out, Some(0)), ("v1".into(), true, 0));
    let first_out = table(split([0.0, 1.0]));
    assert_eq!(decided(&first_out, Some(0)), ("v2".into(), false, 0));
    assert_eq!(decided(&first_out, Some(1)), ("v2".into(), true, 0));
    for at in [2, usize::MAX] {
        let table = table(split([0.5, 0.5]));
        assert_eq!(decided(&table, Some(at)), ("v1".into(), false, 1));
    }
}

#[test]
fn a_rule_without_affinity_asks_nobody() {
    let mut rule = split([0.5, 0.5]);
    rule["route"].as_object_mut().unwrap().remove("affinity");
    let table = table(rule);
    let call = call("/s");
    let decision = table
        .decide_for(&call.request(), &mut Script::default(), &mut |_, _| {
            panic!("it was asked")
        })
        .unwrap();
    assert!(!decision.routed.unwrap().held);
}

#[test]
fn explaining_asks_as_deciding_does() {
    let table = table(split([0.5, 0.5]));
    let call = call("/s");
    let why = table
        .explain_for(&call.request(), &mut Script::default(), &mut |_, _| Some(1))
        .unwrap();
    assert!(why.held && why.backends[1].drawn && !why.backends[0].drawn);
}

#[test]
fn affinity_is_read_printed_and_checked() {
    let rules = parse_value(split([0.5, 0.5])).unwrap();
    assert_eq!(serde_json::to_value(&rules[0]).unwrap(), split([0.5, 0.5]));
    for (affinity, place) in [
        (json!({}), "route.affinity.cookie: is required"),
        (
            json!({"cookie": "a b"}),
            "route.affinity.cookie: must not contain ' '",
        ),
        (
            json!({"cookie": 7}),
            "route.affinity.cookie: must be a text",
        ),
        (
            json!({"header": "x"}),
            "route.affinity.header: unknown member",
        ),
        (json!("stay"), "route.affinity: must be an object"),
    ] {
        let mut rule = split([0.5, 0.5]);
        rule["route"]["affinity"] = affinity;
        let text = parse_value(rule).unwrap_err().to_string();
        assert!(text.contains(place), "{text}");
    }
}
