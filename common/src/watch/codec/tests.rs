use super::*;
use crate::model::{Instance, InstanceId};

fn instance(id: &str) -> String {
    format!(r#"{{"id":"{id}","service_name":"s","endpoint":{{"type":"http","value":"h:1"}}}}"#)
}

fn read(line: &str) -> Result<Message<Instance>, LineError> {
    super::read(line.as_bytes())
}

#[test]
fn every_type_of_line_is_written_as_documented() {
    let epoch = Epoch::named("e1");
    let ids = [InstanceId::new("b").unwrap()];
    let line = |event: Event<'_, &[u8], InstanceId>| {
        String::from_utf8(event.to_line().unwrap().to_vec()).unwrap()
    };
    let revision = Revision(7);
    assert_eq!(
        line(Event::Reset {
            epoch: &epoch,
            revision,
            items: &[1]
        }),
        "{\"type\":\"RESET\",\"epoch\":\"e1\",\"revision\":7,\"items\":[1]}\n"
    );
    assert_eq!(
        line(Event::Upsert {
            revision,
            items: &[1],
            ids: &[]
        }),
        "{\"type\":\"UPSERT\",\"revision\":7,\"items\":[1]}\n"
    );
    assert_eq!(
        line(Event::Upsert {
            revision,
            items: &[1],
            ids: &ids
        }),
        "{\"type\":\"UPSERT\",\"revision\":7,\"items\":[1],\"ids\":[\"b\"]}\n"
    );
    assert_eq!(
        line(Event::Remove {
            revision,
            ids: &ids
        }),
        "{\"type\":\"REMOVE\",\"revision\":7,\"ids\":[\"b\"]}\n"
    );
    assert_eq!(
        line(Event::Bookmark { revision }),
        "{\"type\":\"BOOKMARK\",\"revision\":7}\n"
    );
}

#[test]
fn a_change_may_set_and_remove_at_once() {
    let line = format!(
        r#"{{"type":"UPSERT","revision":8,"new":1,"items":[{}],"ids":["b"]}}"#,
        instance("a")
    );
    let Ok(Message::Change {
        revision,
        items,
        ids,
    }) = read(&line)
    else {
        panic!("not a change");
    };
    assert_eq!(revision, Revision(8));
    assert_eq!(items.items[0].id.as_str(), "a");
    assert_eq!(ids[0].as_str(), "b");
}

#[test]
fn an_item_that_cannot_be_read_leaves_the_others_alone() {
    let line = format!(
        r#"{{"type":"RESET","epoch":"e","revision":1,"items":[{},{{"id":"b"}},7]}}"#,
        instance("a")
    );
    let Ok(Message::Reset { items, .. }) = read(&line) else {
        panic!("not a reset");
    };
    assert_eq!(items.items.len(), 1);
    assert_eq!(items.unreadable.len(), 2);
    assert_eq!(items.unreadable[0].id, Some(InstanceId::new("b").unwrap()));
    assert!(items.unreadable[0].reason.contains("service_name"));
    assert_eq!(items.unreadable[1].id, None);
}

#[test]
fn a_line_that_is_none_is_refused_with_the_reason() {
    for (line, reason) in [
        ("", "EOF"),
        ("<html>", "expected value"),
        (
            r#"{"type":"RESET","epoch":"e","revision":1,"items":[{"#,
            "EOF",
        ),
        (
            r#"{"type":"RESET","revision":1,"items":[]}"#,
            "without epoch",
        ),
        (r#"{"type":"UPSERT","revision":1}"#, "without items"),
        (r#"{"type":"REMOVE","revision":1}"#, "without ids"),
        (r#"{"type":"BOOKMARK"}"#, "without revision"),
        (r#"{"type":"BOOKMARK","revision":-1}"#, "invalid value"),
        (
            r#"{"type":"RENAME","revision":1}"#,
            "unknown type \"RENAME\"",
        ),
    ] {
        let error = read(line).unwrap_err().to_string();
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn more_items_than_are_allowed_are_refused() {
    let many = "1,".repeat(MAX_ITEMS);
    let line = format!(r#"{{"type":"REMOVE","revision":1,"ids":[{many}1]}}"#);
    let error = read(&line).unwrap_err().to_string();
    assert!(error.contains("at most 100000"), "{error}");
}

#[test]
fn a_rule_comes_as_it_was_sent_and_a_wrong_one_says_why() {
    let good = r#"{"id":"r1","priority":3,"destination":"reviews","route":{"backends":[{"tags":["v1"],"weight":0.25},{"tags":["v2"]}]}}"#;
    let bad = r#"{"id":"r2","destination":"reviews","route":{"backends":[]}}"#;
    let line = format!(r#"{{"type":"UPSERT","revision":8,"items":[{good},{bad}]}}"#);
    let Ok(Message::<crate::rule::Rule>::Change { items, .. }) = super::read(line.as_bytes())
    else {
        panic!("not a change");
    };
    assert_eq!(serde_json::to_string(&*items.items[0]).unwrap(), good);
    let left_out = &items.unreadable[0];
    assert_eq!(left_out.id.as_ref().unwrap().as_str(), "r2");
    assert!(left_out.reason.contains("backends"), "{}", left_out.reason);
}
