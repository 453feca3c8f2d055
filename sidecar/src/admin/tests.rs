use std::net::SocketAddr;

use a8_common::http::{Health, Https, Limits, Metrics, Server};
use a8_common::task::Tasks;
use a8_common::{auth, telemetry};
use prometheus::Registry;

use super::*;
use crate::proxy::AccessLog;
use crate::testkit::{Fabric, Origin, instance, raw, request, with};

/// The admin port of a sidecar that routes by `fabric`.
async fn admin(fabric: &Fabric) -> (SocketAddr, Sidecar, Tasks) {
    let proxy = Proxy {
        routes: fabric.routes.clone(),
        affinity: fabric.affinity.clone(),
        certificates: Arc::default(),
    };
    let known = Known {
        status: fabric.status.clone(),
        instances: fabric.feeds.0.clone(),
        rules: Some(fabric.feeds.1.clone()),
    };
    let sidecar = Sidecar {
        me: crate::proxy::Me::shared("web:v1".parse().unwrap()),
        config: Arc::new(json!({"registry": {"token": "***"}})),
        known: Some(known.clone()),
        proxy: Some(proxy.clone()),
        registration: None,
        checks: watch::channel(Report::default()).1,
        commands: watch::channel(Vec::new()).1,
        log: telemetry::init(&telemetry::Config::default()),
        drain: Stop::new(),
    };
    let metrics = Metrics::new(Registry::new()).unwrap();
    let registry = metrics.registry();
    registry
        .register(Box::new(crate::proxy::Export(fabric.metrics.clone())))
        .unwrap();
    registry
        .register(Box::new(Gauges::new(known, Some(proxy)).unwrap()))
        .unwrap();
    let server = Server {
        limits: Limits::default(),
        auth: auth::Authenticator::none(),
        https: Https::default(),
        shape,
        metrics,
        health: Health::new(),
        stop: sidecar.drain.clone(),
    };
    let router = router(sidecar.clone(), server);
    let listener = a8_common::http::listen(SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new(Stop::new());
    let stop = tasks.stop().clone();
    tasks.spawn("admin", async move {
        let grace = std::time::Duration::ZERO;
        a8_common::http::serve(listener, router, &Limits::default(), stop, grace, None).await;
    });
    (address, sidecar, tasks)
}

async fn get(to: SocketAddr, path: &str) -> Value {
    let reply = request(to, &format!("GET {path}"), &[]).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    reply.json()
}

const RULES: &str = "[{id: jason, priority: 2, destination: s, match: {headers: {Cookie: '.*jason.*'}}, \
      route: {backends: [{tags: [v2]}]}}, \
     {id: base, destination: s, route: {backends: [{tags: [v1]}]}}, \
     {id: slow, destination: s, actions: [{action: delay, duration: 0.001, tags: [v2]}]}]";

#[tokio::test]
async fn it_tells_what_is_routed_where() {
    let (v1, v2) = (Origin::echo("v1").await, Origin::echo("v2").await);
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &v1.value())).await;
    fabric.put(instance("s", "v2", &v2.value())).await;
    fabric.rules(RULES).await;
    let proxy = fabric.proxy(AccessLog::Off);
    request(proxy.address(), "GET /s/", &[]).await;
    let (to, _, _tasks) = admin(&fabric).await;

    let routes = get(to, "/routes").await;
    let s = &routes["services"]["s"];
    assert_eq!(s["default_instances"], 2);
    let ids: Vec<_> = s["routing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| &r["id"])
        .collect();
    assert_eq!(ids, ["jason", "base"]);
    assert_eq!(s["actions"][0]["id"], "slow");

    let clusters = get(to, "/clusters").await;
    let list = clusters["clusters"].as_array().unwrap();
    let base = list.iter().find(|c| c["rule"] == "base").unwrap();
    assert_eq!(base["instances"][0]["address"], v1.value());
    assert_eq!(
        (&base["connections"], &base["waiting"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(base["instances"][0]["connections"], 1);
    assert_eq!(base["instances"][0]["in_flight"], 0);
    assert_eq!(list.len(), 3, "the default route and one for each backend");

    let state = get(to, "/state").await;
    let revision = fabric.status.borrow().rules.revision;
    assert_eq!(state["rules"]["revision"], json!(revision));
    assert_eq!(
        (&state["instances"]["items"], &state["routing"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(get(to, "/config").await["registry"]["token"], "***");
    // The index names what there is.
    for entry in get(to, "/").await.as_object().unwrap().keys() {
        let (method, path) = entry.split_once(' ').unwrap();
        let path = path.split('?').next().unwrap();
        let status = request(to, &format!("OPTIONS {path}"), &[]).await.status;
        assert_eq!(status, 405, "{method} {path} is there");
    }

    let metrics = request(to, "GET /metrics", &[]).await.body;
    for line in [
        r#"a8_requests_total{source="web",destination="s",backend="s:v1",code_class="2xx",rule="base"} 1"#,
        r#"a8_upstream_connections{destination="s"} 1"#,
        r#"a8_ejected_instances{destination="s"} 0"#,
        r#"a8_config_revision{kind="rules"}"#,
        r#"a8_control_plane_connected{kind="instances"} 0"#,
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn an_ejected_instance_is_shown_and_counted() {
    let good = Origin::echo("good").await;
    let refused = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &good.value())).await;
    fabric.put(instance("s", "v1", &refused)).await;
    fabric
        .rules(
            "[{id: r, destination: s, route: {backends: [{tags: [v1], \
             resilience: {consecutive_errors: 1}}]}}]",
        )
        .await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (to, _, _tasks) = admin(&fabric).await;
    for _ in 0..2 {
        request(proxy.address(), "GET /s/", &[]).await;
    }
    let clusters = get(to, "/clusters").await;
    let list = clusters["clusters"].as_array().unwrap();
    for cluster in list {
        for instance in cluster["instances"].as_array().unwrap() {
            let expected = cluster["rule"] == "r" && instance["address"] == *refused;
            let until = instance["ejected_until"].as_str();
            assert_eq!(until.is_some(), expected, "{cluster}");
            assert!(until.is_none_or(|t| t.parse::<jiff::Timestamp>().is_ok()));
        }
    }
    let metrics = request(to, "GET /metrics", &[]).await.body;
    let line = r#"a8_ejected_instances{destination="s"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
}

#[tokio::test]
async fn what_it_explains_is_what_the_proxy_does() {
    let (v1, v2) = (Origin::echo("v1").await, Origin::echo("v2").await);
    let mut fabric = Fabric::new().await;
    fabric.put(instance("s", "v1", &v1.value())).await;
    fabric.put(instance("s", "v2", &v2.value())).await;
    fabric.put(instance("t", "", &v1.value())).await;
    fabric.rules(RULES).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let (to, _, _tasks) = admin(&fabric).await;
    for (cookie, path, rule, actions) in [
        ("user=jason", "/s/a", json!("jason"), true),
        ("user=shriram", "/s/a", json!("base"), false),
        ("", "/t/b?c=d", Value::Null, false),
    ] {
        let question = format!(
            "/explain?path={}&header=Cookie:{cookie}",
            path.replace('?', "%3F")
        );
        let told = get(to, &question).await;
        assert_eq!(
            told.get("rule").cloned().unwrap_or_default(),
            rule,
            "{told}"
        );
        let reply = request(
            proxy.address(),
            &format!("GET {path}"),
            &[("Cookie", cookie)],
        )
        .await;
        let target = told["target"].as_str().unwrap();
        assert!(
            reply.body.contains(&format!("GET {target}\n")),
            "{target}: {}",
            reply.body
        );
        let went_to = if reply.body.starts_with("v1") {
            &v1
        } else {
            &v2
        };
        assert_eq!(told["instances"], json!([went_to.value()]));
        let done = told["actions"][0]["actions"][0]["done"]
            .as_bool()
            .unwrap_or_default();
        assert_eq!(done, actions, "{told}");
    }
    let elsewhere = get(to, "/explain?to=nobody&from=other:v9&path=/x").await;
    assert_eq!(
        (&elsewhere["known"], &elsewhere["from"]),
        (&json!(false), &json!("other:v9"))
    );
    for wrong in [
        "/explain?to=s&path=/..",
        "/explain?form=a",
        "/explain?from=",
        "/explain?header=a%20b:c",
        "/explain?to=s&header=a",
        "/explain?to=s&to=t",
    ] {
        let reply = request(to, &format!("GET {wrong}"), &[]).await;
        assert_eq!(reply.status, 400, "{wrong}: {}", reply.body);
        assert!(reply.json()["description"].is_string());
    }
}

#[tokio::test]
async fn draining_fails_readiness_and_the_level_can_be_changed() {
    let fabric = Fabric::new().await;
    let (to, sidecar, _tasks) = admin(&fabric).await;
    assert_eq!(request(to, "GET /ready", &[]).await.status, 200);
    assert_eq!(
        request(to, "POST /drain", &[("Content-Length", "0")])
            .await
            .status,
        202
    );
    assert!(sidecar.drain.fired());
    assert_eq!(request(to, "GET /ready", &[]).await.status, 503);
    assert_eq!(request(to, "GET /health", &[]).await.status, 200);
    let put = async |body: &str| {
        let text = format!(
            "PUT /loglevel HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        raw(to, &text).await.unwrap().status
    };
    assert_eq!(put("loud").await, 400);
    assert_eq!(put("{\"level\": 1}").await, 400);
    assert_eq!(put("").await, 400);
}

#[tokio::test]
async fn it_tells_where_names_lead_to() {
    let mut answers = [
        Ok(vec![SocketAddr::from(([10, 0, 0, 7], 0))]),
        Err("no answer"),
    ]
    .into_iter();
    let answers = std::sync::Mutex::new(move || answers.next().unwrap_or(Err("no answer")));
    let lookup: crate::state::Lookup = Arc::new(move |_| {
        let answer = answers.lock().unwrap()();
        Box::pin(async move { answer.map_err(std::io::Error::other) })
    });
    let mut fabric = Fabric::resolving(lookup).await;
    fabric.put(instance("s", "v1", "shop.example:80")).await;
    fabric.put(instance("s", "v2", "10.0.0.8:80")).await;
    let (to, _, _tasks) = admin(&fabric).await;
    let routes = fabric.routes.load_full();
    let reached = async {
        loop {
            // Brings the next look-up forward.
            for upstream in &routes.services["s"].members().usable {
                upstream.addresses.doubt();
            }
            let clusters = get(to, "/clusters").await;
            let list = clusters["clusters"][0]["instances"].as_array().unwrap();
            let at = |label: &str| list.iter().find(|i| i["address"] == label).unwrap().clone();
            assert_eq!(at("10.0.0.8:80").get("resolved"), None);
            let resolved = at("shop.example:80")["resolved"].clone();
            if resolved == json!({"addresses": ["10.0.0.7:80"], "error": "no answer"}) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::testkit::DEADLINE, reached)
        .await
        .unwrap();
}

#[tokio::test]
async fn byte_streams_are_explained_by_what_decides_them() {
    let origin = Origin::echo("v1").await;
    let mut fabric = Fabric::new().await;
    fabric
        .put(with("s", "v1", &origin.value(), "UP", "tcp"))
        .await;
    fabric
        .rules(
            "[{id: path, priority: 4, destination: s, route: {uri: {path: /a}, backends: [{tags: [v2]}]}}, \
              {id: jason, priority: 3, destination: s, match: {headers: {Cookie: jason}}, \
                route: {backends: [{tags: [v2]}]}}, \
              {id: web, priority: 2, destination: s, match: {source: {name: web}}, \
                route: {backends: [{tags: [v1]}]}}, \
              {id: closed, destination: s, actions: [{action: abort, return_code: 503, tags: [v1]}]}]",
        )
        .await;
    let (to, _, _tasks) = admin(&fabric).await;
    let told = get(to, "/explain?tcp=s").await;
    assert_eq!(
        (&told["rule"], &told["known"]),
        (&json!("web"), &json!(true))
    );
    assert_eq!(told["instances"], json!([origin.value()]));
    let why = |told: &Value, rule: &str| {
        let mut all = told["routing"].as_array().unwrap().iter();
        let of = all.find(|r| r["rule"] == rule).unwrap();
        (
            of["outcome"].clone(),
            of["why"].as_str().unwrap().to_owned(),
        )
    };
    let (outcome, reason) = why(&told, "path");
    assert_eq!(
        (outcome, &*reason),
        (json!("not_held"), "a byte stream has no path")
    );
    assert_eq!(why(&told, "jason").0, "not_held");
    assert_eq!(told["actions"][0]["actions"][0]["done"], true);
    // For another caller it is the default route, and requests do not go to such an instance.
    let told = get(to, "/explain?tcp=s&from=other:v9").await;
    assert_eq!(
        (&told["rule"], &told["instances"]),
        (&Value::Null, &json!([origin.value()]))
    );
    assert_eq!(get(to, "/explain?to=s").await["instances"], json!([]));
    assert_eq!(get(to, "/explain?tcp=nobody").await["known"], false);
    for query in [
        "tcp=s&path=/",
        "tcp=s&to=s",
        "tcp=s&header=a:b",
        "tcp=s&tcp=s",
        "tcp=",
    ] {
        let reply = request(to, &format!("GET /explain?{query}"), &[]).await;
        assert_eq!(reply.status, 400, "{query}: {}", reply.body);
    }
}
