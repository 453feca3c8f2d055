//! The walk through the bookinfo demo, as its documentation tells it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step is a failed test"
)]

mod browser;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use a8_tests::fabric::{Fabric, Service, Sidecar};
use a8_tests::process::{self, Process};
use a8_tests::server::Server;
use serde_json::Value;

const PAGE: &str = "/productpage/productpage";
const JASON: Option<&str> = Some("session=1; user=jason; theme=dark");
const FRANK: Option<&str> = Some("user=frank");
const SORRY: &str = "reviews are currently unavailable";

struct Bookinfo {
    fabric: Fabric,
    services: Vec<Service>,
    gateway: Sidecar,
}

impl Bookinfo {
    async fn start() -> Self {
        let fabric = Fabric::start().await;
        let mut services = Vec::new();
        for (name, version, calls) in [
            ("ratings", "v1", false),
            ("details", "v1", false),
            ("reviews", "v1", true),
            ("reviews", "v2", true),
            ("reviews", "v3", true),
            ("productpage", "v1", true),
        ] {
            let flag = format!("--service-version={version}");
            let flags = if name == "ratings" {
                vec![]
            } else {
                vec![flag.as_str()]
            };
            services.push(fabric.service(name, version, &flags, calls).await);
        }
        let gateway = fabric.gateway().await;
        let bookinfo = Self {
            fabric,
            services,
            gateway,
        };
        for service in ["details", "productpage", "ratings", "reviews"] {
            let file = format!("bookinfo-default-route-{service}.yaml");
            bookinfo.fabric.create_rules(&file).await;
        }
        bookinfo.settled().await;
        bookinfo
    }

    async fn settled(&self) {
        let mut sidecars: Vec<&Sidecar> = self.services.iter().map(|s| &s.sidecar).collect();
        sidecars.push(&self.gateway);
        self.fabric.settled(&sidecars, self.services.len()).await;
    }

    async fn add(&self, file: &str) {
        self.fabric.create_rules(file).await;
        self.settled().await;
    }

    /// The page, and which version of reviews is on it.
    async fn page(&self, cookie: Option<&str>) -> (String, Option<&'static str>) {
        let page = self.gateway.get(PAGE, cookie).await.unwrap();
        assert!(page.contains("The Comedy of Errors"), "{page}");
        let version = ["v1", "v2", "v3"]
            .into_iter()
            .find(|version| page.contains(&format!("reviews {version}")));
        let stars = match version {
            Some("v2") => page.contains("stars, black"),
            Some("v3") => page.contains("stars, red"),
            _ => !page.contains(" stars, "),
        };
        assert!(stars, "not the stars of {version:?}: {page}");
        (page, version)
    }
}

#[tokio::test]
async fn the_walk_goes_as_documented() {
    let bookinfo = Bookinfo::start().await;
    // All see reviews v1.
    for cookie in [None, JASON, FRANK] {
        assert_eq!(bookinfo.page(cookie).await.1, Some("v1"));
    }
    // jason alone sees v2.
    bookinfo
        .add("bookinfo-jason-reviews-v2-route-rules.yaml")
        .await;
    assert_eq!(bookinfo.page(JASON).await.1, Some("v2"));
    for cookie in [None, FRANK, Some("user=jasonx"), Some("otheruser=jason")] {
        assert_eq!(bookinfo.page(cookie).await.1, Some("v1"), "{cookie:?}");
    }
    // With ratings seven seconds late, the product page gives reviews three seconds, twice.
    bookinfo.add("bookinfo-jason-7s-delay.yaml").await;
    let begin = Instant::now();
    let late = async {
        let page = bookinfo.page(JASON).await;
        (page, begin.elapsed())
    };
    let others = async {
        for _ in 0..10 {
            assert_eq!(bookinfo.page(FRANK).await.1, Some("v1"));
        }
        begin.elapsed()
    };
    let (((page, version), took), others_took) = tokio::join!(late, others);
    assert_eq!(version, None);
    assert!(page.contains(SORRY), "{page}");
    assert!(took >= Duration::from_secs(6), "{took:?}");
    assert!(
        others_took < took,
        "the others waited, too: {others_took:?}"
    );
    // Without the delay all is well again.
    let path = "/v1/rules?id=bookinfo-jason-7s-delay";
    bookinfo.fabric.controller.delete(path).await.expect(200);
    bookinfo.settled().await;
    assert_eq!(bookinfo.page(JASON).await.1, Some("v2"));
}

#[tokio::test]
async fn a_quarter_keeps_v1_and_the_others_get_v3() {
    let bookinfo = Bookinfo::start().await;
    // The split takes the place of the default route, which is tried first.
    bookinfo
        .fabric
        .controller
        .delete("/v1/rules")
        .await
        .expect(200);
    bookinfo.add("bookinfo-reviews-routing.yaml").await;
    let mut v3 = 0;
    for _ in 0..200 {
        match bookinfo.page(None).await.1 {
            Some("v3") => v3 += 1,
            other => assert_eq!(other, Some("v1")),
        }
    }
    // 150 are expected; five standard deviations are 31.
    assert!((119..=181).contains(&v3), "{v3} of 200");
}

/// The script for whoever has bookinfo running somewhere: the same walk, and nothing left of it.
#[tokio::test]
async fn the_script_walks_and_puts_the_rules_back() {
    let bookinfo = Bookinfo::start().await;
    bookinfo.add("bookinfo-jason-7s-delay.yaml").await;
    let before = rules(&bookinfo.fabric.controller).await;
    let mut walk = script(&bookinfo.fabric.controller.url, &bookinfo.gateway.proxy);
    walk.exit_in_its_time().await;
    let told = format!("{}\n{}", walk.stdout(), walk.stderr());
    assert!(told.contains("7 of 7 steps as documented"), "{told}");
    assert_eq!(rules(&bookinfo.fabric.controller).await, before);
}

#[tokio::test]
async fn the_script_says_what_is_missing() {
    let fabric = Fabric::start().await;
    let nobody = format!("http://127.0.0.1:{}", a8_tests::ports::free());
    for (controller, gateway, named) in [
        (&nobody, &nobody, "A8_CONTROLLER_URL"),
        (&fabric.controller.url, &nobody, "GATEWAY_URL"),
    ] {
        let mut walk = script(controller, gateway);
        assert_eq!(walk.exit().await.code(), Some(64));
        assert!(walk.stderr().contains(named), "{}", walk.stderr());
    }
}

/// All rules, without the revision.
async fn rules(controller: &Server) -> Value {
    let all = controller.get("/v1/rules").await.expect(200);
    all.json()["rules"].clone()
}

fn script(controller: &str, gateway: &str) -> Process {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut walk = Command::new(examples.join("walk.sh"));
    walk.env("A8CTL", process::binary("a8ctl"))
        .env("A8_CONTROLLER_URL", controller)
        .env("GATEWAY_URL", gateway)
        // A busy machine fails nothing.
        .env("WALK_SLACK", "30");
    Process::spawn("walk.sh", walk)
}
