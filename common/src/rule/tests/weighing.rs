use serde_json::json;

use super::*;
use crate::rule::weights::Weights;

/// The draws that fall on each backend, by trying all of them.
fn exhausted(weights: &[Option<f64>]) -> Vec<u32> {
    let backends: Vec<_> = (0..weights.len())
        .map(|i| match weights[i] {
            Some(weight) => json!({"tags": [format!("{i}")], "weight": weight}),
            None => json!({"tags": [format!("{i}")]}),
        })
        .collect();
    let table = table(json!({"id": "r", "destination": "s", "route": {"backends": backends}}));
    let call = call("/s");
    let mut counts = vec![0; weights.len()];
    let mut n = 0;
    loop {
        let mut draw = Script::of(&[n]);
        let decision = table.decide(&call.request(), &mut draw).unwrap();
        counts[decision.routed.unwrap().at] += 1;
        n += 1;
        if draw.asked.first().is_none_or(|outcomes| n >= *outcomes) {
            return counts;
        }
    }
}

#[test]
fn shares_are_exact_over_all_outcomes() {
    assert_eq!(exhausted(&[Some(0.25), None]), [1, 3]);
    assert_eq!(exhausted(&[Some(0.29), None]), [29, 71]);
    assert_eq!(exhausted(&[None, None, None]), [1, 1, 1]);
    assert_eq!(exhausted(&[Some(0.0), None, None]), [0, 1, 1]);
    assert_eq!(exhausted(&[Some(0.1), Some(0.9)]), [1, 9]);
    assert_eq!(exhausted(&[Some(0.1), None, None, None]), [1, 3, 3, 3]);
    assert_eq!(exhausted(&[Some(1.0), None]), [1, 0]);
    assert_eq!(
        exhausted(&[Some(0.3333), Some(0.3333), None]),
        [3333, 3333, 3334]
    );
    assert_eq!(exhausted(&[Some(0.001), Some(0.998), None]), [1, 998, 1]);
}

#[test]
fn a_sum_may_miss_one_by_its_decimals_only() {
    let given = |weights: &[f64]| {
        Weights::new(weights.iter().map(|w| Share::try_from(*w).ok()))
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert_eq!(given(&[0.333_333_3, 0.333_333_3, 0.333_333_3]), Ok(()));
    assert_eq!(given(&[0.7, 0.300_000_9]), Ok(()));
    let above = "the weights add up to 1.000002, more than 1";
    assert_eq!(given(&[0.7, 0.300_002]), Err(above.into()));
    let below = "every backend has a weight and they add up to 0.999, less than 1";
    assert_eq!(given(&[0.333, 0.333, 0.333]), Err(below.into()));
}

#[test]
fn a_draw_out_of_its_bounds_falls_on_some_backend() {
    let table = table(json!({"id": "r", "destination": "s",
        "route": {"backends": [{"tags": ["a"]}, {"tags": ["b"]}]}}));
    let call = call("/s");
    let decision = table
        .decide(&call.request(), &mut Script::of(&[u32::MAX]))
        .unwrap();
    assert_eq!(decision.routed.unwrap().at, 1);
}

#[test]
fn the_first_action_of_a_kind_wins_and_then_its_probability_is_drawn() {
    let table = table(json!([
        {"id": "a", "priority": 2, "destination": "s",
         "actions": [{"action": "delay", "duration": 1, "probability": 0.25}]},
        {"id": "b", "priority": 1, "destination": "s",
         "actions": [{"action": "delay", "duration": 2}, {"action": "abort", "return_code": -5}]}
    ]));
    let call = call("/s");
    for (drawn, delayed) in [(0, true), (1, false), (3, false)] {
        let mut draw = Script::of(&[drawn]);
        let decision = table.decide(&call.request(), &mut draw).unwrap();
        assert_eq!(draw.asked, [4]);
        let by = decision.delay.map(|d| d.rule.id().to_string());
        assert_eq!(by, delayed.then(|| "a".to_owned()));
        assert_eq!(decision.abort.unwrap().what, ReturnCode::Close(-5));
    }
    let why = table
        .explain(&call.request(), &mut Script::of(&[1]))
        .unwrap();
    let told: Vec<_> = why.actions.iter().flat_map(|c| &c.actions).collect();
    assert_eq!(told[0].why, "its probability of 0.25 spared this request");
    assert_eq!(told[1].why, "another of its kind came first");
    assert_eq!((told[2].action.as_str(), told[2].done), ("abort -5", true));
}
