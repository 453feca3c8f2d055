//! Who may see and change what: both servers, every mode, with every wrong token.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::{SystemTime, UNIX_EPOCH};

use a8_tests::server::{Reply, Server};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "a secret of the test";

fn rule(id: &str) -> Value {
    json!({"rules": [{"id": id, "destination": "s", "route": {"backends": [{"tags": ["v1"]}]}}]})
}

fn instance(address: &str) -> Value {
    json!({"service_name": "s", "endpoint": {"type": "http", "value": address}, "ttl": 60})
}

/// Base64 for URLs without padding: RFC 4648 section 5, as RFC 7515 wants it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digit = |bits: u32| char::from(DIGITS[(bits & 63) as usize]);
    let three = |c: &[u8]| {
        let bits = c.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - c.len()));
        (0..=c.len())
            .map(|i| digit(bits >> (18 - 6 * i)))
            .collect::<String>()
    };
    bytes.chunks(3).map(three).collect()
}

fn token_with(header: &Value, claims: &Value, secret: &str) -> String {
    let signed = format!(
        "{}.{}",
        base64(header.to_string().as_bytes()),
        base64(claims.to_string().as_bytes())
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", base64(&mac.finalize().into_bytes()))
}

fn token(claims: &Value) -> String {
    token_with(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

fn in_seconds(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    i64::try_from(now).unwrap() + seconds
}

fn good(namespace: &str) -> String {
    token(&json!({"namespace": namespace, "exp": in_seconds(600)}))
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
    controller
        .call(Method::DELETE, "/v1/rules")
        .token("blue")
        .send()
        .await
        .expect(200);
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
    get_as(&registry, &own, "red").await.expect(200);
    registry.get("/api/v1/instances").await.refused(401, "");
}

#[tokio::test]
async fn wrong_tokens_are_refused() {
    let jwt = ["--auth_mode=jwt", "--jwt_secret=a secret of the test"];
    let registry = Server::registry(&jwt).await;
    let controller = Server::controller(&jwt).await;
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
    let controller =
        Server::controller(&["--auth_mode=jwt", "--jwt_secret=a secret of the test"]).await;
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
    let refused = post(good("blue"), "red").await;
    assert!(
        refused.status == 401 || refused.status == 403,
        "{refused:?}"
    );
    assert_eq!(
        get_as(&controller, "/v1/rules", &good("blue")).await.json()["rules"],
        json!([])
    );
}

#[tokio::test]
async fn of_several_modes_the_first_that_accepts_decides() {
    let registry = Server::registry(&[
        "--auth_mode=jwt,trusted",
        "--jwt_secret=a secret of the test",
    ])
    .await;
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
}

#[tokio::test]
async fn https_is_required_and_believed_only_from_a_known_proxy() {
    let path = "/api/v1/instances";
    let registry = Server::registry(&["--require_https"]).await;
    registry.get(path).await.refused(403, "");
    let claimed = registry
        .call(Method::GET, path)
        .header("x-forwarded-proto", "https");
    claimed.send().await.refused(403, "");
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
