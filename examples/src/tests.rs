//! The bookinfo services together, without Amalgam8: one router with a prefix per service
//! stands where each service has its sidecar.

use std::collections::BTreeSet;
use std::future::pending;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::peers::{Peers, Sidecar, http_client};
use crate::reviews::Version;
use crate::{details, productpage, ratings, reviews, rules, service};
use a8_common::task::{Stop, Tasks};
use axum::Router;
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;

struct App {
    address: String,
    _tasks: Tasks,
}

impl App {
    /// Serves what `services` makes, given its own peers.
    async fn start(services: impl FnOnce(Peers) -> Router) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let peers = Peers::new(&Sidecar {
            proxy_url: address.clone(),
        });
        let router = services(peers);
        let tasks = Tasks::new(Stop::new());
        let stop = tasks.stop().clone();
        tasks.spawn("app", async move {
            service::serve(listener, router, stop).await.unwrap();
        });
        Self {
            address,
            _tasks: tasks,
        }
    }

    async fn with_reviews(version: Version, ratings: Router) -> Self {
        Self::start(|peers| {
            Router::new()
                .nest("/productpage", productpage::router("v1", peers.clone()))
                .nest("/details", details::router("v1"))
                .nest("/reviews", reviews::router(version, peers))
                .nest("/ratings", ratings)
        })
        .await
    }

    async fn page(&self, accept: &str) -> String {
        http_client()
            .get(format!("{}/productpage/productpage", self.address))
            .header("accept", accept)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    async fn contents(&self) -> Value {
        serde_json::from_str(&self.page("application/json").await).unwrap()
    }
}

#[tokio::test]
async fn each_version_shows_ratings_its_own_way() {
    for (version, rating) in [
        (Version::V1, Value::Null),
        (
            Version::V2,
            serde_json::json!({"stars": 4, "color": "black"}),
        ),
        (Version::V3, serde_json::json!({"stars": 4, "color": "red"})),
    ] {
        let app = App::with_reviews(version, ratings::router()).await;
        let contents = app.contents().await;
        assert_eq!(contents["reviews"]["version"], version.label());
        assert_eq!(contents["reviews"]["reviews"][1]["rating"], rating);
        assert_eq!(contents["details"]["isbn_10"], "1234567890");
        assert!(app.page("text/html").await.contains("1234567890"));
    }
}

#[tokio::test]
async fn v3_sends_reviews_in_time_when_ratings_are_late() {
    let late = Router::new().route("/ratings", get(pending::<()>));
    let app = App::with_reviews(Version::V3, late).await;
    let contents = app.contents().await;
    assert_eq!(contents["reviews"]["ratings_unavailable"], true);
    assert_eq!(contents["reviews"]["reviews"][0]["rating"], Value::Null);
    let page = app.page("text/html").await;
    assert!(page.contains("Ratings are currently unavailable"), "{page}");
}

#[tokio::test]
async fn the_page_asks_twice_for_reviews_that_are_late() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let never = Router::new().route(
        "/reviews",
        get(async move || {
            count.fetch_add(1, Ordering::SeqCst);
            pending::<()>().await;
        }),
    );
    let app = App::start(|peers| {
        Router::new()
            .nest("/productpage", productpage::router("v1", peers))
            .nest("/details", details::router("v1"))
            .nest("/reviews", never)
    })
    .await;
    let page = app.page("text/html").await;
    assert!(page.contains("Sorry, product reviews are currently unavailable"));
    assert!(page.contains("1234567890"), "the rest of the page is there");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[test]
fn the_rules_for_kubernetes_are_those_of_the_rule_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("kubernetes");
    let mut files: BTreeSet<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    for (name, _) in rules::FILES {
        let file = rules::object_file(name);
        let written = std::fs::read_to_string(folder.join(&file)).unwrap();
        assert_eq!(
            written,
            rules::as_objects(name).unwrap(),
            "run: make generate"
        );
        assert!(files.remove(&file));
    }
    assert!(files.is_empty(), "made from nothing: {files:?}");
}
