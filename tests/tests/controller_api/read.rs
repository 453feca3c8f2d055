//! Lists, by filter and by destination.

use reqwest::Method;
use serde_json::json;

use crate::{Database, ids, listed, route, rules, seeded};

crate::over_each_database!(listings_filter_by_id_tag_and_destination routes_and_actions_are_grouped_by_destination lists_have_an_etag_and_answer_304 a_parameter_that_means_nothing_is_refused_by_name groups_know_their_filters_and_what_the_caller_has);

async fn listings_filter_by_id_tag_and_destination(database: Database) {
    let controller = seeded(database).await;
    assert_eq!(listed(&controller, "").await, ["f1", "r1", "r2"]);
    assert_eq!(listed(&controller, "?id=r1&id=f1").await, ["f1", "r1"]);
    assert_eq!(listed(&controller, "?tag=t").await, ["r1", "r2"]);
    assert_eq!(listed(&controller, "?tag=t&tag=r1").await, ["r1"]);
    assert_eq!(listed(&controller, "?destination=a").await, ["f1", "r1"]);
    assert_eq!(
        listed(&controller, "?destination=a&destination=b").await,
        ["f1", "r1", "r2"]
    );
    assert_eq!(
        listed(&controller, "?tag=nobody").await,
        Vec::<String>::new()
    );
    controller
        .get("/v1/rules?id=r1&id=gone")
        .await
        .refused(404, "gone");
    controller
        .get("/v1/rules?colour=red")
        .await
        .refused(400, "colour");
}

async fn routes_and_actions_are_grouped_by_destination(database: Database) {
    let controller = seeded(database).await;
    let routes = controller.get("/v1/rules/routes").await.expect(200).json();
    assert_eq!(ids(&routes["services"]["a"]), ["r1"]);
    assert_eq!(ids(&routes["services"]["b"]), ["r2"]);
    let actions = controller.get("/v1/rules/actions").await.expect(200).json();
    assert_eq!(
        actions["services"]
            .as_object()
            .unwrap()
            .keys()
            .collect::<Vec<_>>(),
        ["a"]
    );
    let of_b = controller.get("/v1/rules/routes/b").await.expect(200);
    assert!(
        of_b.text.contains("\"r2\"") && !of_b.text.contains("\"r1\""),
        "{}",
        of_b.text
    );
    controller.get("/v1/rules/actions/a").await.expect(200);
    controller.delete("/v1/rules/actions/a").await.expect(200);
    assert_eq!(listed(&controller, "").await, ["r1", "r2"]);
    controller.delete("/v1/rules/routes/a").await.expect(200);
    assert_eq!(listed(&controller, "").await, ["r2"]);
}

async fn lists_have_an_etag_and_answer_304(database: Database) {
    let controller = seeded(database).await;
    let tag = controller
        .get("/v1/rules")
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    let known = |path: &str| {
        controller
            .call(Method::GET, path)
            .header("if-none-match", &tag)
            .send()
    };
    assert!(known("/v1/rules").await.expect(304).text.is_empty());
    controller.delete("/v1/rules?id=r1").await.expect(200);
    known("/v1/rules").await.expect(200);
}

async fn a_parameter_that_means_nothing_is_refused_by_name(database: Database) {
    let controller = seeded(database).await;
    for (method, path, named) in [
        (Method::GET, "/v1/rules?dry_run=true", "dry_run"),
        (Method::GET, "/v1/rules?watch=perhaps", "watch"),
        (Method::GET, "/v1/rules?revision=x", "revision"),
        (Method::GET, "/v1/rules?watch=true&colour=red", "colour"),
        (Method::GET, "/v1/rules/routes?watch=true", "watch"),
        (Method::GET, "/v1/rules/actions?colour=red", "colour"),
        (Method::GET, "/v1/rules/routes/a?id=r1", "id"),
        (Method::GET, "/v1/rules/actions/a?tag=x", "tag"),
        (Method::POST, "/v1/rules?destination=s", "destination"),
        (Method::PUT, "/v1/rules?dry_run=maybe", "dry_run"),
        (Method::DELETE, "/v1/rules?destinations=a", "destinations"),
        (
            Method::DELETE,
            "/v1/rules/routes/a?dry_run=maybe",
            "dry_run",
        ),
        (Method::DELETE, "/v1/rules/actions/a?id=f1", "id"),
    ] {
        let call = controller
            .call(method, path)
            .json(&rules(&[route("x", "y")]));
        call.send().await.refused(400, named);
    }
    assert_eq!(listed(&controller, "").await, ["f1", "r1", "r2"]);
}

async fn groups_know_their_filters_and_what_the_caller_has(database: Database) {
    let controller = seeded(database).await;
    for (path, shown) in [
        ("/v1/rules/routes?tag=r2", json!(["b"])),
        ("/v1/rules/routes?destination=a&destination=c", json!(["a"])),
        ("/v1/rules/routes?id=r1&id=r2", json!(["a", "b"])),
        ("/v1/rules/actions?destination=b", json!([])),
    ] {
        let services = controller.get(path).await.expect(200).json()["services"].clone();
        let names: Vec<&String> = services.as_object().unwrap().keys().collect();
        assert_eq!(json!(names), shown, "{path}");
    }
    for kind in ["routes", "actions"] {
        let unknown = format!("/v1/rules/{kind}?id=gone");
        controller.get(&unknown).await.refused(404, "gone");
        for path in [format!("/v1/rules/{kind}"), format!("/v1/rules/{kind}/a")] {
            let tag = controller
                .get(&path)
                .await
                .expect(200)
                .header("etag")
                .to_owned();
            let call = controller
                .call(Method::GET, &path)
                .header("if-none-match", &tag);
            assert_eq!(call.send().await.expect(304).text, "");
        }
    }
    let none = controller.get("/v1/rules/routes/nobody").await.expect(200);
    assert_eq!(none.json()["rules"], json!([]));
}
