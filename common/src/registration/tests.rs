use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{post, put};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::*;
use crate::config::Secret;
use crate::model::EndpointType;
use crate::peer::{Config, Peer, bearer, parse_urls};

/// A registry that answers every request with what it is told to, and notes what it was asked.
#[derive(Clone)]
struct Fake {
    answer: (StatusCode, Value),
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn new(status: StatusCode, body: Value) -> Self {
        Self {
            answer: (status, body),
            asked: Arc::default(),
        }
    }

    async fn reply(&self, asked: String) -> (StatusCode, axum::Json<Value>) {
        self.asked.lock().await.push(asked);
        (self.answer.0, axum::Json(self.answer.1.clone()))
    }

    /// Serves until the runtime of the test ends.
    async fn serve(&self, tasks: &crate::task::Tasks) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let register = async |State(fake): State<Fake>, headers: HeaderMap, body: String| {
            let token = headers["authorization"].to_str().unwrap().to_owned();
            fake.reply(format!("{token} {body}")).await
        };
        let renew = async |State(fake): State<Fake>, Path(id): Path<String>| {
            fake.reply(format!("renew {id}")).await
        };
        let deregister = async |State(fake): State<Fake>, Path(id): Path<String>| {
            fake.reply(format!("deregister {id}")).await
        };
        let app = Router::new()
            .route("/api/v1/instances", post(register))
            .route("/api/v1/instances/{id}/heartbeat", put(renew))
            .route("/api/v1/instances/{id}", axum::routing::delete(deregister))
            .with_state(self.clone());
        tasks.spawn("fake registry", async move {
            axum::serve(listener, app).await.unwrap();
        });
        url
    }
}

fn client(urls: &str) -> amalgam8::Client {
    amalgam8::Client::new(
        Peer::open(&Config {
            urls: parse_urls(urls).unwrap(),
            authorization: Some(bearer(&Secret::new("t")).unwrap()),
            ca_cert_file: None,
        })
        .unwrap(),
    )
}

fn me() -> Announcement {
    Announcement {
        service_name: ServiceName::new("reviews").unwrap(),
        endpoint: Endpoint::new(EndpointType::Http, "h:1").unwrap(),
        ttl: Some(Duration::from_secs(45)),
        status: Status::Up,
        tags: Tags::parse_list("v1,blue").unwrap(),
        metadata: None,
    }
}

fn id(text: &str) -> InstanceId {
    InstanceId::new(text).unwrap()
}

#[tokio::test]
async fn registering_sends_what_the_api_asks_for_and_reads_the_lease() {
    let tasks = crate::task::Tasks::default();
    let fake = Fake::new(
        StatusCode::CREATED,
        json!({"id": "a1", "ttl": 60, "links": {}}),
    );
    let client = client(&fake.serve(&tasks).await);
    let lease = client.register(&me()).await.unwrap();
    assert_eq!(
        lease,
        Lease {
            id: id("a1"),
            ttl: Duration::from_secs(60)
        }
    );
    assert_eq!(
        *fake.asked.lock().await,
        [
            r#"Bearer t {"service_name":"reviews","endpoint":{"type":"http","value":"h:1"},"ttl":45,"status":"UP","tags":["v1","blue"]}"#
        ]
    );
}

#[tokio::test]
async fn an_id_is_sent_as_one_segment_of_the_path() {
    let tasks = crate::task::Tasks::default();
    let fake = Fake::new(StatusCode::OK, json!({}));
    let client = client(&fake.serve(&tasks).await);
    client.renew(&id("a b?c%2f")).await.unwrap();
    client.deregister(&id("x")).await.unwrap();
    assert_eq!(*fake.asked.lock().await, ["renew a b?c%2f", "deregister x"]);
}

#[tokio::test]
async fn an_ended_lease_is_told_apart_and_deregistering_it_is_no_error() {
    let tasks = crate::task::Tasks::default();
    let fake = Fake::new(StatusCode::GONE, json!({"Error": "gone"}));
    let client = client(&fake.serve(&tasks).await);
    let error = client.renew(&id("x")).await.unwrap_err();
    assert!(matches!(error, Error::Unknown(_)) && !error.retryable());
    client.deregister(&id("x")).await.unwrap();
}

#[tokio::test]
async fn a_refusal_says_why_and_whether_to_try_again() {
    for (status, retryable) in [
        (StatusCode::UNAUTHORIZED, false),
        (StatusCode::FORBIDDEN, false),
        (StatusCode::BAD_REQUEST, false),
        (StatusCode::TOO_MANY_REQUESTS, true),
        (StatusCode::SERVICE_UNAVAILABLE, true),
    ] {
        let tasks = crate::task::Tasks::default();
        let fake = Fake::new(status, json!({"error": "because"}));
        let client = client(&fake.serve(&tasks).await);
        let error = client.register(&me()).await.unwrap_err();
        assert_eq!(error.retryable(), retryable, "{error}");
        assert!(error.to_string().ends_with(": because"), "{error}");
    }
    let tasks = crate::task::Tasks::default();
    let fake = Fake::new(StatusCode::CREATED, json!({"id": 7}));
    let client = client(&fake.serve(&tasks).await);
    let error = client.register(&me()).await.unwrap_err();
    assert!(matches!(error, Error::Answer(_)), "{error}");
}

#[tokio::test]
async fn the_next_server_is_asked_after_one_that_is_dead() {
    let tasks = crate::task::Tasks::default();
    let fake = Fake::new(StatusCode::OK, json!({}));
    let alive = fake.serve(&tasks).await;
    let dead = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{},{alive}", dead.local_addr().unwrap()));
    drop(dead);
    let error = client.renew(&id("x")).await.unwrap_err();
    assert!(error.retryable(), "{error}");
    client.renew(&id("x")).await.unwrap();
    client.renew(&id("x")).await.unwrap();
}

#[tokio::test]
async fn the_twin_in_memory_keeps_leases_until_it_forgets() {
    let registry = memory::Memory::default();
    let lease = registry.register(&me()).await.unwrap();
    registry.renew(&lease.id).await.unwrap();
    assert_eq!(registry.known()[&lease.id].renewals, 1);
    registry.forget();
    assert!(matches!(
        registry.renew(&lease.id).await,
        Err(Error::Unknown(_))
    ));
    registry.deregister(&lease.id).await.unwrap();
}
