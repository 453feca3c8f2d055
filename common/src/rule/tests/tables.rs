use std::cell::Cell;

use serde_json::json;

use super::*;
use crate::rule::action::Action;
use crate::rule::decide::{Record, Weighed, run};
use crate::rule::holds::Miss;
use crate::rule::table::{Compiled, Reach};

/// Counts the routing rules that a decision tries.
#[derive(Default)]
struct Tried(usize);

impl<'a, B> Record<'a, B> for Tried {
    const REACH: Reach = Reach::Likely;
    fn route(&mut self, _: &'a Compiled<B>, _: Result<(), Miss<'a>>) {
        self.0 += 1;
    }
    fn untried(&mut self, _: &'a Compiled<B>) {}
    fn action_rule(&mut self, _: &'a Compiled<B>, _: Result<(), Miss<'a>>) {}
    fn action(&mut self, _: &'a Action, _: Weighed<'a>) {}
}

#[test]
fn of_many_rules_a_request_tries_few() {
    let route = json!({"backends": [{"tags": ["t"]}]});
    let document: Vec<_> = (0..3000)
        .map(|i| match i % 30 {
            0 => json!({"headers": {"Cookie": format!("(.*;)?user=u{i};.*")}}),
            n if n < 10 => json!({"source": {"name": format!("s{i}")}}),
            _ => json!({"all": [{"headers": {"X-User": format!("u{i}")}}]}),
        })
        .map(|when| json!({"destination": "s", "match": when, "route": route}))
        .collect();
    let table = table(json!(document));
    for (call, most) in [
        (call("/s"), 0),
        (call("/s").from("s1").header("x-user", "nobody"), 1),
        (call("/s").from("s1").header("x-user", "u2999"), 2),
        (call("/s").header("cookie", "user=u2970;"), 3),
        (
            call("/s").header("cookie", "a=b").header("x-user", "u11"),
            1,
        ),
    ] {
        let mut tried = Tried::default();
        let request = call.request();
        run(
            &table,
            &request,
            &mut Script::default(),
            &mut |_, _| None,
            &mut tried,
        )
        .unwrap();
        assert!(tried.0 <= most, "{} tried by {request:?}", tried.0);
    }
}

fn rules(document: Value) -> Vec<Arc<Rule>> {
    parse_value(document)
        .unwrap()
        .into_iter()
        .map(Arc::new)
        .collect()
}

fn simple(id: &str, destination: &str, tag: &str) -> Value {
    json!({"id": id, "destination": destination, "route": {"backends": [{"tags": [tag]}]}})
}

#[test]
fn what_did_not_change_is_taken_over_with_its_attachments() {
    let made = Cell::new(0);
    let attach = |_: &Arc<Rule>, _: &Backend| {
        made.set(made.get() + 1);
        made.get()
    };
    let before = rules(json!([simple("a", "s", "v1"), simple("b", "t", "v1")]));
    let first = RuleTable::build(before.clone(), None, attach);
    assert_eq!(made.get(), 2);
    // One rule is the same by pointer, one by value, one changed, one is new, one gone.
    let after = rules(json!([simple("b", "t", "v1"), simple("c", "s", "v1")]));
    let second = RuleTable::build(after, Some(&first), attach);
    assert_eq!(made.get(), 3);
    assert_eq!(call("/t").goes(&second), "t b v1 /");
    assert_eq!(call("/s").goes(&second), "s c v1 /");
    let same: Vec<_> = second.rules().cloned().collect();
    let third = RuleTable::build(same, Some(&second), attach);
    let changed = rules(json!([simple("b", "t", "v2"), simple("c", "s", "v1")]));
    assert_eq!(made.get(), 3);
    let fourth = RuleTable::build(changed, Some(&third), attach);
    assert_eq!(made.get(), 4);
    assert_eq!(call("/t").goes(&fourth), "t b v2 /");
    assert_eq!(fourth.backends().count(), 2);
}

#[test]
fn a_request_meets_the_same_rule_with_and_without_the_index() {
    let mut document = Vec::new();
    for i in 0..400 {
        let when = match i % 8 {
            0 => json!({"headers": {"User": format!("u{i}")}}),
            1 => json!({"headers": {"Cookie": format!(".*user=u{i}(;.*)?")}}),
            2 => json!({"source": {"name": format!("s{i}")}}),
            3 => json!({"all": [{"headers": {"Team": format!("t{}", i % 5)}}]}),
            4 => {
                json!({"any": [{"headers": {"User": format!("u{i}")}}, {"source": {"name": "x"}}]})
            }
            5 => json!({"none": [{"headers": {"User": ".*"}}], "headers": {"Zone": "a|b"}}),
            6 => json!({"headers": {"User": format!("u{i}"), "Cookie": ".*"}}),
            _ => json!({"source": {"name": "web", "tags": [format!("k{i}")]}}),
        };
        document.push(
            json!({"id": format!("r{i}"), "priority": (i * 7) % 11, "destination": "s",
            "match": when, "route": {"backends": [{"tags": ["t"]}]}}),
        );
    }
    let table = table(json!(document));
    let mut deciding = std::collections::BTreeSet::new();
    for i in 0..400 {
        let call = call("/s")
            .from(["nobody", "s2", "x", "web:k15"][i % 4])
            .header("cookie", &format!("a=b;user=u{}", i % 50));
        let user = format!("u{i}");
        let call = match i % 4 {
            3 => call.header("user", &user).header("user", &user),
            0 => call.header("team", "t3"),
            1 => call.header("zone", "b").header("user", "u16"),
            _ => call,
        };
        let why = table
            .explain(&call.request(), &mut Script::default())
            .unwrap();
        let decided = table
            .decide(&call.request(), &mut Script::default())
            .unwrap();
        let decided = decided.routed.map(|routed| routed.rule.id().clone());
        assert_eq!(why.routing.len(), 400);
        assert_eq!(why.rule, decided);
        deciding.insert(decided);
    }
    assert!(deciding.len() > 5, "{deciding:?}");
}

#[test]
fn a_value_may_contain_what_many_rules_ask_for() {
    let document: Vec<_> = (0..120)
        .map(|i| {
            json!({"id": format!("r{i}"), "priority": i % 7, "destination": "s",
                "match": {"headers": {"Cookie": format!("(.*;)?user=u{i}(;.*)?")}},
                "route": {"backends": [{"tags": ["t"]}]}})
        })
        .collect();
    let table = table(json!(document));
    let some = |users: &[u32]| -> String {
        let crumbs = users.iter().map(|u| format!("user=u{u}"));
        crumbs.collect::<Vec<_>>().join(";")
    };
    let all: Vec<u32> = (0..120).collect();
    for (cookie, rule) in [
        ("a=b".to_owned(), "-"),
        (some(&[301]), "-"),
        (some(&[8]), "r8"),
        (some(&[7, 8, 9]), "r9"),
        (some(&[0, 7, 14, 21, 28, 35, 42, 49, 56, 63, 70]), "r0"),
        (
            some(&[70, 63, 56, 49, 42, 35, 28, 21, 14, 7, 1, 118]),
            "r118",
        ),
        (some(&all), "r104"),
        (some(&[1; 500]), "r1"),
    ] {
        let call = call("/s").header("cookie", &cookie);
        let found = call.goes(&table);
        assert!(found.starts_with(&format!("s {rule} ")), "{found}: {rule}");
    }
}

#[test]
fn texts_that_overlap_without_end_hide_no_rule() {
    // 150 texts that all begin at every place of a value of 1000: more hits than are followed.
    let document: Vec<_> = (0..150)
        .map(|i| {
            let pattern = format!("{}b?", "a".repeat(i + 3));
            json!({"id": format!("r{i}"), "destination": "s",
                "match": {"headers": {"X": pattern}}, "route": {"backends": [{"tags": ["t"]}]}})
        })
        .chain([
            json!({"id": "last", "destination": "s", "match": {"headers": {"X": "aaaaa(a*)"}},
            "route": {"backends": [{"tags": ["t"]}]}}),
        ])
        .collect();
    let table = table(json!(document));
    for (length, rule) in [(3, "r0"), (5, "last"), (102, "last"), (1000, "last")] {
        let found = call("/s").header("x", &"a".repeat(length)).goes(&table);
        assert_eq!(found, format!("s {rule} t /"), "{length}");
    }
}

#[test]
fn an_explanation_says_why_each_rule_did_not_apply() {
    let table = table(json!([
        {"id": "source", "priority": 9, "destination": "s", "match": {"source": {"name": "reviews"}},
         "route": {"backends": [{"tags": ["t"]}]}},
        {"id": "tags", "priority": 8, "destination": "s", "match": {"source": {"name": "web", "tags": ["v9"]}},
         "route": {"backends": [{"tags": ["t"]}]}},
        {"id": "value", "priority": 7, "destination": "s", "match": {"headers": {"Cookie": "user=.*"}},
         "route": {"backends": [{"tags": ["t"]}]}},
        {"id": "absent", "priority": 6, "destination": "s", "match": {"all": [{"headers": {"X": "y"}}]},
         "route": {"backends": [{"tags": ["t"]}]}},
        {"id": "none", "priority": 5, "destination": "s", "match": {"none": [{"headers": {"Cookie": ".*"}}]},
         "route": {"backends": [{"tags": ["t"]}]}},
        {"id": "path", "priority": 10, "destination": "s",
         "route": {"backends": [{"tags": ["t"]}], "uri": {"prefix": "/other"}}},
        {"id": "fault", "destination": "s", "actions": [{"action": "delay", "duration": 1, "tags": ["t"]}]}
    ]));
    let call = call("/s").header("cookie", "a=b");
    let why = table
        .explain(&call.request(), &mut Script::default())
        .unwrap();
    let told: Vec<_> = why
        .routing
        .iter()
        .map(|c| (c.rule.as_str(), c.why.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("source", "the caller is web, the rule wants reviews"),
            (
                "tags",
                "the caller web:version=v1 does not carry all of the tags v9"
            ),
            ("value", "header Cookie does not match `user=.*`"),
            ("absent", "all[0] does not hold: header X is not there"),
            ("none", "none[0] holds"),
            ("path", "the path is not at or below /other"),
        ]
    );
    assert!(why.routing.iter().all(|c| c.outcome == Outcome::NotHeld));
    assert_eq!(
        why.actions[0].actions[0].why,
        "it asks for tags, and the default route was taken"
    );
    let text = serde_json::to_string(&why).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), why);
}
