use serde_json::json;

use super::*;

fn rule() -> Value {
    json!({"id": "r", "destination": "s", "route": {"backends": [{"tags": ["a"]}]}})
}

fn faults(found: Result<Vec<Rule>, Faults>) -> Vec<String> {
    found.unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn one_rule_a_list_and_a_set_are_read() {
    for document in [
        rule(),
        json!([rule()]),
        json!({"rules": [rule()]}),
        json!({"rules": [rule()], "revision": 7}),
    ] {
        let read = parse_json(document.to_string().as_bytes()).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(read, parse_value(document).unwrap());
    }
    let yaml = "rules:\n- id: r\n  destination: s\n  route:\n    backends:\n    - tags: [a]\n";
    assert_eq!(parse_yaml(yaml).unwrap(), parse_value(rule()).unwrap());
    assert_eq!(parse_value(json!([])).unwrap(), []);
}

#[test]
fn an_absent_id_is_made_or_refused() {
    for id in [json!(null), json!("")] {
        let mut nameless = rule();
        nameless["id"] = id;
        let read = parse_value(nameless.clone()).unwrap();
        assert_eq!(
            uuid::Uuid::try_parse(read[0].id().as_str())
                .unwrap()
                .get_version_num(),
            4
        );
        let refused = parse_value_with(&nameless, Ids::Require).unwrap_err();
        assert_eq!(
            refused.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(),
            ["id"]
        );
    }
    assert_eq!(
        faults(parse_value(json!([rule(), rule()]))),
        ["rules[1].id: is the id of rules[0] too"]
    );
}

#[test]
fn what_is_no_document_is_refused() {
    for text in [
        "",
        "nul",
        "7",
        "\"x\"",
        "{",
        "[1]",
        "{\"rules\": 1}",
        "{\"rules\": [], \"x\": 1}",
    ] {
        assert!(parse_json(text.as_bytes()).is_err(), "{text}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in [
        deep.as_str(),
        r#"{"destination": "s", "destination": "t", "actions": [{"action": "trace"}]}"#,
        r#"{"destination": "s", "actions": [{"action": "delay", "duration": 1e999}]}"#,
    ] {
        assert!(parse_json(text.as_bytes()).is_err());
        assert!(parse_yaml(text).is_err());
    }
    for yaml in [
        "{destination: s, actions: [{action: delay, duration: .nan}]}",
        "{destination: s, actions: [{action: delay, duration: .inf}]}",
        "? [a, b]\n: c",
    ] {
        assert!(parse_yaml(yaml).is_err(), "{yaml}");
    }
}

#[test]
fn aliases_do_not_multiply_without_end() {
    let mut laughs = "l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let before = format!("*l{}, ", n - 1).repeat(10);
        laughs += &format!("l{n}: &l{n} [{}]\n", before.trim_end_matches(", "));
    }
    let faults = faults(parse_yaml(&laughs));
    assert!(faults[0].starts_with("not a YAML document: "), "{faults:?}");
    let few = "- &r {destination: s, actions: [{action: trace}]}\n- *r\n- *r\n";
    assert_eq!(parse_yaml(few).unwrap().len(), 3);
}

#[test]
fn numbers_out_of_all_bounds_are_faults() {
    let mut huge = rule();
    huge["priority"] = json!(1e300);
    huge["route"]["http_req_timeout"] = json!(1e300);
    huge["route"]["http_req_retries"] = json!(u64::MAX);
    huge["route"]["backends"][0]["weight"] = json!(-1e-300);
    huge["route"]["backends"][0]["resilience"] = json!({"max_connections": 4_294_967_296_u64});
    let places: Vec<_> = parse_value(huge)
        .unwrap_err()
        .into_iter()
        .map(|f| f.path)
        .collect();
    assert_eq!(
        places,
        [
            "priority",
            "route.http_req_timeout",
            "route.http_req_retries",
            "route.backends[0].weight",
            "route.backends[0].resilience.max_connections",
        ]
    );
}

#[test]
fn a_wrong_type_is_named() {
    let yaml = "{id: 1, destination: 7, tags: [1.0], match: {headers: {A: 1}}, route: {backends: {}, http_req_retries: 1.5, uri: {path: 3}}}";
    assert_eq!(
        faults(parse_yaml(yaml)),
        [
            "id: must be a text, is the number 1; put it in quotes",
            "destination: must be a text, is the number 7; put it in quotes",
            "tags[0]: must be a text, is the number 1.0; put it in quotes",
            "match.headers.A: must be a text, is the number 1; put it in quotes",
            "route.uri.path: must be a text, is the number 3; put it in quotes",
            "route.http_req_retries: must be a whole number, got 1.5",
            "route.backends: must be a list, is an object",
        ]
    );
}

#[test]
fn lists_are_bounded() {
    let many =
        |n: usize| -> Vec<Value> { (0..n).map(|i| json!({"tags": [i.to_string()]})).collect() };
    let mut wide = rule();
    wide["route"]["backends"] = json!(many(MAX_BACKENDS + 1));
    assert_eq!(
        faults(parse_value(wide)),
        ["route.backends: has 65 entries, at most 64 are allowed"]
    );
    let long: Vec<Value> = vec![json!({}); MAX_RULES + 1];
    assert_eq!(
        faults(parse_value(json!(long))),
        ["rules: has 10001 rules, at most 10000 are allowed"]
    );
    // Every rule of this one is wrong in two ways; the report ends all the same.
    let hopeless: Vec<Value> = vec![json!({}); MAX_RULES];
    assert_eq!(faults(parse_value(json!(hopeless))).len(), Faults::MAX);
}

#[test]
fn numbers_print_as_they_were_written() {
    let text = concat!(
        r#"{"id":"r","priority":2,"tags":["x"],"destination":"s","#,
        r#""match":{"source":{"name":"a","tags":["v1"]},"headers":{"Cookie":"user=.*"},"any":[{"headers":{"A":"1"}}]},"#,
        r#""route":{"backends":[{"name":"t","tags":["a"],"weight":0.25,"timeout":0.5,"lb_type":"least_request","#,
        r#""resilience":{"max_connections":0,"sleep_window":30,"detection_interval":2.5}},{"tags":["b"]}],"#,
        r#""uri":{"prefix":"/a/","prefix_rewrite":"/"},"http_req_timeout":15,"http_req_retries":1}}"#
    );
    let rule: Rule = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&rule).unwrap(), text);
    let text = concat!(
        r#"{"id":"f","destination":"s","actions":[{"action":"delay","duration":7,"probability":1,"tags":["v1"]},"#,
        r#"{"action":"abort","return_code":503,"probability":0.5},{"action":"trace","log_key":"k","log_value":"v"}]}"#
    );
    let rule: Rule = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&rule).unwrap(), text);
}

#[test]
fn a_wrong_rule_is_refused_by_serde_with_all_reasons() {
    let err = serde_json::from_str::<Rule>(r#"{"id": "a b"}"#)
        .unwrap_err()
        .to_string();
    assert!(
        err.contains("id: ") && err.contains("destination: is required"),
        "{err}"
    );
}
