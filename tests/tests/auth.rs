//! Who may see and change what: both servers, every mode, with every wrong token.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use a8_tests::jwt::{self, SECRET, base64, good, in_seconds, token, token_with};
use a8_tests::server::{Call, Reply, Server};
use reqwest::Method;
use serde_json::{Value, json};

fn rule(id: &str) -> Value {
    json!({"rules": [{"id": id, "destination": "s", "route": {"backends": [{"tags": ["v1"]}]}}]})
}

fn instance(address: &str) -> Value {
    json!({"service_name": "s", "endpoint": {"type": "http", "value": address}, "ttl": 60})
}

async fn get_as(server: &Server, path: &str, token: &str) -> Reply {
    server.call(Method::GET, path).token(token).send().await
}

#[tokio::test]
async fn a_namespace_sees_only_its_own_rules() {
    let controller = Server::controller(&["--auth_mode=trusted"]).await;
    let post = controller
        .call(Method::POST, "/v1/rules")
        .token("red")
        .json(&rule("r"));
    post.send().await.expect(201);
    assert_eq!(
        get_as(&controller, "/v1/rules", "red").await.json()["rules"][0]["id"],
        "r"
    );
    assert_eq!(
        get_as(&controller, "/v1/rules", "blue").await.json()["rules"],
        json!([])
    );
    get_as(&controller, "/v1/rules?id=r", "blue")
        .await
        .refused(404, "r");
    let mut blue = controller.watch_as("/v1/rules?watch=true", "blue").await;
    assert_eq!(blue.event().await["items"], json!([]));
    controller
        .call(Method::PUT, "/v1/rules")
        .token("blue")
        .json(&rule("r"))
        .send()
        .await
        .refused(404, "r");
    for path in ["/v1/rules/routes", "/v1/rules/routes/s"] {
        let seen = get_as(&controller, path, "blue").await.expect(200);
        assert!(!seen.text.contains("\"r\""), "{path}: {}", seen.text);
    }
    for path in ["/v1/rules", "/v1/rules/routes/s", "/v1/rules?destination=s"] {
        let delete = controller.call(Method::DELETE, path).token("blue");
        delete.send().await.expect(200);
    }
    let by_id = controller
        .call(Method::DELETE, "/v1/rules?id=r")
        .token("blue");
    by_id.send().await.refused(404, "r");
    assert_eq!(
        get_as(&controller, "/v1/rules", "red").await.json()["rules"][0]["id"],
        "r"
    );
    controller
        .call(Method::POST, "/v1/rules")
        .token("blue")
        .json(&rule("r"))
        .send()
        .await
        .expect(201);
    assert_eq!(blue.event().await["items"][0]["id"], "r");
    controller.get("/v1/rules").await.refused(401, "");
}

#[tokio::test]
async fn a_namespace_sees_only_its_own_instances() {
    let registry = Server::registry(&["--auth_mode=trusted"]).await;
    let post = registry
        .call(Method::POST, "/api/v1/instances")
        .token("red")
        .json(&instance("h:1"));
    let id = post.send().await.expect(201).json()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let own = format!("/api/v1/instances/{id}");
    get_as(&registry, &own, "red").await.expect(200);
    get_as(&registry, &own, "blue").await.refused(404, &id);
    get_as(&registry, "/api/v1/services/s", "blue")
        .await
        .refused(404, "s");
    assert_eq!(
        get_as(&registry, "/api/v1/services", "blue").await.json()["services"],
        json!([])
    );
    let mut blue = registry
        .watch_as("/api/v1/instances?watch=true", "blue")
        .await;
    assert_eq!(blue.event().await["items"], json!([]));
    registry
        .call(Method::DELETE, &own)
        .token("blue")
        .send()
        .await
        .refused(410, &id);
    registry
        .call(Method::PUT, &format!("{own}/heartbeat"))
        .token("blue")
        .send()
        .await
        .refused(410, &id);
    // The same endpoint, registered by another, is another's instance under the same id.
    let again = registry
        .call(Method::POST, "/api/v1/instances")
        .token("blue")
        .json(&json!({"service_name": "s", "endpoint": {"type": "http", "value": "h:1"}, "tags": ["blue"]}));
    again.send().await.expect(201);
    registry
        .call(Method::DELETE, &own)
        .token("blue")
        .send()
        .await
        .expect(200);
    let kept = get_as(&registry, &own, "red").await.expect(200);
    assert!(!kept.text.contains("blue"), "{}", kept.text);
    registry.get("/api/v1/instances").await.refused(401, "");
}

#[tokio::test]
async fn wrong_tokens_are_refused() {
    let registry = Server::registry(&jwt::FLAGS).await;
    let controller = Server::controller(&jwt::FLAGS).await;
    let claims = json!({"namespace": "red", "exp": in_seconds(600)});
    let header = |alg: &str| json!({"alg": alg, "typ": "JWT"});
    let unsigned = format!(
        "{}.{}.",
        base64(header("none").to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    );
    let mut forged = good("red");
    forged.truncate(forged.len() - 4);
    let wrong = [
        ("not a token", "nonsense".to_owned()),
        (
            "another secret",
            token_with(&header("HS256"), &claims, "guess"),
        ),
        ("alg none", unsigned),
        (
            "alg none but signed",
            token_with(&header("none"), &claims, SECRET),
        ),
        (
            "another algorithm",
            token_with(&header("HS512"), &claims, SECRET),
        ),
        ("a cut signature", forged),
        (
            "expired",
            token(&json!({"namespace": "red", "exp": in_seconds(-600)})),
        ),
        ("no exp", token(&json!({"namespace": "red"}))),
        ("no namespace", token(&json!({"exp": in_seconds(600)}))),
        (
            "an empty namespace",
            token(&json!({"namespace": "", "exp": in_seconds(600)})),
        ),
        (
            "a namespace of the wrong type",
            token(&json!({"namespace": 7, "exp": in_seconds(600)})),
        ),
        (
            "exp of the wrong type",
            token(&json!({"namespace": "red", "exp": "later"})),
        ),
        ("far too long", "x".repeat(20_000)),
    ];
    for (server, path) in [(&registry, "/api/v1/instances"), (&controller, "/v1/rules")] {
        for (what, token) in &wrong {
            let status = get_as(server, path, token).await.status;
            assert!(
                status == 401 || (status == 431 && token.len() > 10_000),
                "{what}: {status}"
            );
            let watch = get_as(server, &format!("{path}?watch=true"), token)
                .await
                .status;
            assert!(
                watch == 401 || (watch == 431 && token.len() > 10_000),
                "{what}: watch {watch}"
            );
        }
        get_as(server, path, &good("red")).await.expect(200);
        server.get(path).await.refused(401, "");
        let basic = server
            .call(Method::GET, path)
            .header("authorization", "Basic cmVkOnJlZA==");
        basic.send().await.refused(401, "");
        // What an operator's probes need is open.
        for open in ["/health", "/ready", "/metrics"] {
            server.get(open).await.expect(200);
        }
    }
    controller
        .call(Method::POST, "/v1/rules")
        .token("nonsense")
        .json(&rule("r"))
        .send()
        .await
        .refused(401, "");
    assert_eq!(
        get_as(&controller, "/v1/rules", &good("red")).await.json()["rules"],
        json!([])
    );
}

#[tokio::test]
async fn only_admin_may_act_for_another() {
    let controller = Server::controller(&jwt::FLAGS).await;
    let post = |token: String, acting: &'static str| {
        let call = controller
            .call(Method::POST, "/v1/rules")
            .token(&token)
            .header("A8-Namespace", acting);
        async move { call.json(&rule("by-admin")).send().await }
    };
    post(good("admin"), "red").await.expect(201);
    assert_eq!(
        get_as(&controller, "/v1/rules", &good("red")).await.json()["rules"][0]["id"],
        "by-admin"
    );
    assert_eq!(
        get_as(&controller, "/v1/rules", &good("admin"))
            .await
            .json()["rules"],
        json!([])
    );
    post(good("blue"), "red").await.refused(403, "admin");
    post(good("red"), "red").await.refused(403, "admin");
    post(good("admin"), "").await.refused(400, "a8-namespace");
    post(good("admin"), "a/b")
        .await
        .refused(400, "a8-namespace");
    post("nonsense".to_owned(), "red").await.refused(401, "");
    assert_eq!(
        get_as(&controller, "/v1/rules", &good("blue")).await.json()["rules"],
        json!([])
    );
}

#[tokio::test]
async fn admin_sees_and_watches_the_namespace_that_it_names_and_only_one() {
    let registry = Server::registry(&jwt::FLAGS).await;
    let post = registry
        .call(Method::POST, "/api/v1/instances")
        .token(&good("red"))
        .json(&instance("h:1"));
    post.send().await.expect(201);
    let services = |names: &[&str]| {
        let call = registry
            .call(Method::GET, "/api/v1/services")
            .token(&good("admin"));
        let header = |call: Call, name: &&str| call.header("A8-Namespace", name);
        names.iter().fold(call, header).send()
    };
    assert_eq!(services(&["red"]).await.json()["services"], json!(["s"]));
    assert_eq!(services(&[]).await.json()["services"], json!([]));
    services(&["red", "blue"])
        .await
        .refused(400, "a8-namespace");
    // In other modes there is no admin.
    let trusted = Server::registry(&["--auth_mode=trusted"]).await;
    let by_name = trusted
        .call(Method::GET, "/api/v1/services")
        .token("admin")
        .header("A8-Namespace", "red");
    by_name.send().await.refused(403, "admin");
}

#[tokio::test]
async fn a_watch_ends_when_the_token_that_opened_it_expires() {
    let registry = Server::registry(&jwt::FLAGS).await;
    let controller = Server::controller(&jwt::FLAGS).await;
    let ends = async |server: &Server, path: &str| {
        let soon = token(&json!({"namespace": "red", "exp": in_seconds(1)}));
        let mut watch = server.watch_as(path, &soon).await;
        while watch.next().await.is_some() {}
        get_as(server, path, &soon).await.refused(401, "");
    };
    tokio::join!(
        ends(&registry, "/api/v1/instances?watch=true"),
        ends(&controller, "/v1/rules?watch=true")
    );
}

#[tokio::test]
async fn of_several_modes_the_first_that_accepts_decides() {
    let registry = Server::registry(&["--auth_mode=jwt,trusted", jwt::FLAGS[1]]).await;
    let post = registry
        .call(Method::POST, "/api/v1/instances")
        .token(&good("red"))
        .json(&instance("h:1"));
    post.send().await.expect(201);
    let by_name = get_as(&registry, "/api/v1/services", "red")
        .await
        .expect(200)
        .json();
    assert_eq!(by_name["services"], json!(["s"]));
    // A JWT that is past its time is no name.
    let late = token(&json!({"namespace": "red", "exp": in_seconds(-600)}));
    get_as(&registry, "/api/v1/services", &late)
        .await
        .refused(401, "expired");
}

#[tokio::test]
async fn https_is_required_and_believed_only_from_a_known_proxy() {
    let strict = ["--require_https"];
    let behind = ["--require_https", "--trusted_proxies=127.0.0.1"];
    for (strict, behind, path) in [
        (
            Server::registry(&strict).await,
            Server::registry(&behind).await,
            "/api/v1/instances",
        ),
        (
            Server::controller(&strict).await,
            Server::controller(&behind).await,
            "/v1/rules",
        ),
    ] {
        let said = |server: &Server, scheme: &str| {
            let call = server.call(Method::GET, path);
            call.header("x-forwarded-proto", scheme).send()
        };
        strict.get(path).await.refused(403, "HTTPS");
        said(&strict, "https").await.refused(403, "HTTPS");
        behind.get(path).await.refused(403, "HTTPS");
        said(&behind, "http").await.refused(403, "HTTPS");
        said(&behind, "https").await.expect(200);
        for open in ["/health", "/ready", "/metrics"] {
            strict.get(open).await.expect(200);
        }
    }
}

#[tokio::test]
async fn links_have_the_scheme_that_the_caller_used() {
    let registry = Server::registry(&["--trusted_proxies=10.0.0.0/8,127.0.0.0/8"]).await;
    let post = registry
        .call(Method::POST, "/api/v1/instances")
        .header("x-forwarded-proto", "https")
        .json(&instance("h:1"));
    let reply = post.send().await.expect(201);
    let own = reply.header("location").to_owned();
    let secure = registry.url.replace("http:", "https:");
    assert!(own.starts_with(&secure), "{own}");
    assert_eq!(reply.json()["links"]["self"], own);
    assert_eq!(
        reply.json()["links"]["heartbeat"],
        format!("{own}/heartbeat")
    );
}

#[tokio::test]
async fn a_wrong_configuration_is_told_whole_and_ends_with_64() {
    for binary in ["a8registry", "a8controller"] {
        let args = ["--auth_mode=jwt", "--api_port=99999", "--log_level=loud"].map(String::from);
        let mut process =
            a8_tests::process::Process::start(binary, &args, &[("A8_REQUIRE_HTTPS", "perhaps")]);
        assert_eq!(process.exit().await.code(), Some(64), "{binary}");
        a8_tests::wait::until("the text", || async {
            let text = process.stderr();
            let told = ["jwt_secret", "api_port", "log_level", "A8_REQUIRE_HTTPS"]
                .iter()
                .all(|name| text.contains(name));
            if told { Ok(()) } else { Err(text) }
        })
        .await;
    }
}
