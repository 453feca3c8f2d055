use std::collections::HashMap;
use std::sync::Arc;

use a8_common::config::Secret;

use crate::proxy::{AccessLog, AffinityKey, Proxy};
use crate::testkit::{Fabric, Origin, instance, request};

/// Two versions, drawn by these weights; those who come again stay.
fn rule(id: &str, weights: [f64; 2]) -> String {
    let [one, two] = weights;
    format!(
        "[{{id: {id}, destination: s, route: {{affinity: {{cookie: stay}}, \
         backends: [{{tags: [v1], weight: {one}}}, {{tags: [v2], weight: {two}}}]}}}}]"
    )
}

struct Rig {
    fabric: Fabric,
    proxy: Proxy,
    _origins: [Origin; 2],
}

impl Rig {
    async fn new(key: Option<&str>, rules: &str) -> Self {
        let origins = [Origin::echo("v1").await, Origin::echo("v2").await];
        let mut fabric = Fabric::new().await;
        if let Some(key) = key {
            fabric.affinity = Arc::new(AffinityKey::new(Some(&Secret::new(key))).unwrap());
        }
        for (origin, tags) in origins.iter().zip(["v1", "v2"]) {
            fabric.put(instance("s", tags, &origin.value())).await;
        }
        fabric.rules(rules).await;
        let proxy = fabric.proxy(AccessLog::Off);
        Self {
            fabric,
            proxy,
            _origins: origins,
        }
    }

    /// The version that answered, and the cookie that was set, as it is presented.
    async fn ask(&self, cookie: &str) -> (String, Option<String>) {
        let reply = request(self.proxy.address(), "GET /s/", &[("Cookie", cookie)]).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let set = reply.field("set-cookie").map(|field| {
            let (pair, attributes) = field.split_once(';').unwrap();
            assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
            assert!(pair.len() <= "stay=".len() + 22, "{pair}");
            pair.to_owned()
        });
        let version = reply.body.lines().next().unwrap_or_default().to_owned();
        (version, set)
    }

    /// A cookie for each version.
    async fn cookies(&self) -> HashMap<String, String> {
        let mut cookies = HashMap::new();
        while cookies.len() < 2 {
            let (version, set) = self.ask("").await;
            cookies.insert(version, set.expect("a new caller gets a cookie"));
        }
        cookies
    }

    async fn stays(&self, cookie: &str, version: &str) -> bool {
        for _ in 0..20 {
            let (answered, set) = self.ask(cookie).await;
            if answered != version || set.is_some() {
                return false;
            }
        }
        true
    }
}

#[tokio::test]
async fn a_caller_stays_on_its_version_and_new_ones_are_drawn_for() {
    let rig = Rig::new(None, &rule("r", [0.5, 0.5])).await;
    let cookies = rig.cookies().await;
    assert_ne!(cookies["v1"], cookies["v2"]);
    for (version, cookie) in &cookies {
        assert!(rig.stays(cookie, version).await);
        assert!(rig.stays(&format!("a=1; {cookie}; b=2"), version).await);
    }
    let mut first = 0;
    for _ in 0..200 {
        first += usize::from(rig.ask("a=1").await.0 == "v1");
    }
    // Off by 50 of 200 once in a trillion.
    assert!((50..150).contains(&first), "{first}");
}

#[tokio::test]
async fn a_cookie_that_is_not_ours_chooses_nothing() {
    // All new callers go to v1.
    let mut rig = Rig::new(None, &rule("r", [0.5, 0.5])).await;
    let cookies = rig.cookies().await;
    let stranger = Rig::new(None, &rule("r", [0.5, 0.5])).await;
    let strange = stranger.cookies().await;
    rig.fabric
        .rules(&rule("r", [0.999_999_999, 0.000_000_001]))
        .await;
    assert!(rig.stays(&cookies["v2"], "v2").await, "ours does");
    let mut altered = cookies["v2"].clone();
    let last = altered.pop().unwrap();
    altered.push(if last == 'A' { 'Q' } else { 'A' });
    for cookie in [&altered, &strange["v2"], "stay=v2", "stay=", "stay=ä"] {
        let (version, set) = rig.ask(cookie).await;
        assert_eq!(
            (version.as_str(), set.as_ref()),
            ("v1", Some(&cookies["v1"]))
        );
    }
    // It says one version of one rule.
    let other = rule("q", [0.999_999_999, 0.000_000_001]);
    rig.fabric.rules(&other).await;
    assert!(!rig.stays(&cookies["v2"], "v2").await);
}

#[tokio::test]
async fn a_version_that_is_no_longer_offered_lets_its_callers_go() {
    let mut rig = Rig::new(None, &rule("r", [0.5, 0.5])).await;
    let cookies = rig.cookies().await;
    rig.fabric.rules(&rule("r", [0.0, 1.0])).await;
    let (version, set) = rig.ask(&cookies["v1"]).await;
    assert_eq!(
        (version.as_str(), set.as_ref()),
        ("v2", Some(&cookies["v2"]))
    );
    // Other positions, other weights, another order of things: the same version.
    let turned = "[{id: r, priority: 3, destination: s, route: {affinity: {cookie: stay}, \
                    http_req_timeout: 3, backends: [{tags: [v2]}, {tags: [v1], weight: 0.1}]}}]";
    rig.fabric.rules(turned).await;
    assert!(rig.stays(&cookies["v1"], "v1").await);
    assert!(rig.stays(&cookies["v2"], "v2").await);
    let only =
        "[{id: r, destination: s, route: {affinity: {cookie: stay}, backends: [{tags: [v2]}]}}]";
    rig.fabric.rules(only).await;
    assert_eq!(rig.ask(&cookies["v1"]).await.0, "v2");
}

#[tokio::test]
async fn a_shared_key_is_good_for_all_sidecars_and_over_restarts() {
    let rules = rule("r", [0.5, 0.5]);
    let one = Rig::new(Some("a secret of many words"), &rules).await;
    let cookies = one.cookies().await;
    let other = Rig::new(Some("a secret of many words"), &rules).await;
    for (version, cookie) in &cookies {
        assert!(other.stays(cookie, version).await);
    }
}

#[tokio::test]
async fn a_caller_that_got_no_answer_is_not_held_to_it() {
    let mut fabric = Fabric::new().await;
    fabric.rules(&rule("r", [0.5, 0.5])).await;
    let proxy = fabric.proxy(AccessLog::Off);
    let reply = request(proxy.address(), "GET /s/", &[]).await;
    assert_eq!((reply.status, reply.field("set-cookie")), (503, None));
}
