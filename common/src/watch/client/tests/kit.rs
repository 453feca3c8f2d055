//! Servers that do as they are told, and a client that does not wait long.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::model::{Epoch, RuleId};
use crate::peer::{Config, Peer, parse_urls};
use crate::source::{self, Feed};
use crate::task::{Stop, Tasks};
use crate::view::{Item, Subscription, Update};
use crate::watch::client::Client;
use crate::watch::server::{Outlet, Place};
use crate::watch::{NDJSON, Wire};

/// An item as simple as can be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) id: RuleId,
    pub(super) text: String,
}

impl Item for Note {
    type Id = RuleId;
    fn id(&self) -> &RuleId {
        &self.id
    }
    fn bytes(&self) -> usize {
        self.text.len()
    }
}

impl Wire for Note {
    const LIST: &'static str = "rules";
    const LIST_HAS_REVISION: bool = true;
}

pub(super) fn note(id: &str, text: &str) -> Arc<Note> {
    Arc::new(Note {
        id: RuleId::new(id).unwrap(),
        text: text.to_owned(),
    })
}

/// A server of one answer after the other; the last one stays.
#[derive(Clone, Default)]
pub(super) struct Script {
    answers: Arc<Mutex<Vec<Answer>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answer = Arc<dyn Fn() -> Response + Send + Sync>;

impl Script {
    pub(super) fn then(self, answer: impl Fn() -> Response + Send + Sync + 'static) -> Self {
        self.answers.lock().unwrap().push(Arc::new(answer));
        self
    }

    /// The queries so far; a `#` and the tag stand behind one that was conditional.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) async fn serve(&self, tasks: &Tasks) -> String {
        let app = Router::new().fallback(answer).with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tasks.spawn("script", async move {
            axum::serve(listener, app).await.unwrap()
        });
        url
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let mut asked = request.uri().query().unwrap_or_default().to_owned();
    if let Some(tag) = request.headers().get("if-none-match") {
        asked = format!("{asked}#{}", tag.to_str().unwrap());
    }
    script.asked.lock().unwrap().push(asked);
    let answer = {
        let mut answers = script.answers.lock().unwrap();
        match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        }
    };
    answer()
}

/// How a scripted stream goes on after its lines.
#[derive(Clone, Copy)]
pub(super) enum Then {
    Silence,
    Break,
    End,
}

pub(super) fn lines(text: &'static str, then: Then) -> impl Fn() -> Response {
    move || {
        let text = stream::iter([Ok(Bytes::from_static(text.as_bytes()))]);
        let body = match then {
            Then::Silence => Body::from_stream(text.chain(stream::pending())),
            Then::Break => Body::from_stream(text.chain(stream::once(async {
                // Gives the text time to leave before the connection is torn down.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(std::io::Error::other("torn"))
            }))),
            Then::End => Body::from_stream(text),
        };
        ([("content-type", NDJSON)], body).into_response()
    }
}

pub(super) fn list(text: &'static str) -> impl Fn() -> Response {
    move || ([("content-type", "application/json")], text).into_response()
}

pub(super) fn refusal(status: u16, body: &'static str) -> impl Fn() -> Response {
    move || (StatusCode::from_u16(status).unwrap(), body).into_response()
}

/// One of our own servers, which can be killed and started again at the same address.
pub(super) struct Ours {
    pub(super) address: SocketAddr,
    tasks: Option<Tasks>,
}

impl Ours {
    pub(super) async fn start(outlet: Outlet<Note>) -> Self {
        let mut ours = Self {
            address: "127.0.0.1:0".parse().unwrap(),
            tasks: None,
        };
        ours.restart(outlet).await;
        ours
    }

    pub(super) async fn kill(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            tasks.finish(Duration::from_secs(5)).await;
        }
    }

    pub(super) async fn restart(&mut self, outlet: Outlet<Note>) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let tasks = Tasks::new(Stop::new());
        let stop = tasks.stop().clone();
        let app = Router::new()
            .fallback(tell)
            .with_state((outlet, stop.clone()));
        tasks.spawn("ours", async move {
            let serve = axum::serve(listener, app);
            serve
                .with_graceful_shutdown(async move { stop.wait().await })
                .await
                .unwrap();
        });
        self.tasks = Some(tasks);
    }
}

async fn tell(State((outlet, stop)): State<(Outlet<Note>, Stop)>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let member = |name: &str| query.split('&').find_map(|m| m.strip_prefix(name));
    if member("watch=").is_none() {
        return outlet.list(request.headers()).unwrap();
    }
    let place = Place::parse(member("epoch="), member("revision=")).unwrap();
    outlet.watch(place.as_ref(), stop).unwrap()
}

/// A running client.
pub(super) struct Watching<T: Wire> {
    pub(super) feed: Feed<T>,
    pub(super) updates: Subscription<T>,
    pub(super) tasks: Tasks,
}

/// Starts a client with limits that are good for a test.
pub(super) fn watching<T: Wire>(urls: &str, silence: Duration) -> Watching<T> {
    let config = Config {
        urls: parse_urls(urls).unwrap(),
        authorization: None,
        ca_cert_file: None,
    };
    let poll = Duration::from_millis(20);
    let mut client = Client::<T>::new(Peer::open(&config).unwrap(), "/v1/rules", poll);
    client.limits.pauses = (Duration::from_millis(5), Duration::from_millis(20));
    client.limits.silence = silence;
    client.limits.bytes = 4096;
    let tasks = Tasks::new(Stop::new());
    let feed = source::start("client", Box::new(client), &tasks);
    let updates = feed.view.subscribe();
    Watching {
        feed,
        updates,
        tasks,
    }
}

/// Longer than any test takes.
pub(super) const PATIENT: Duration = Duration::from_secs(60);

impl<T: Wire> Watching<T> {
    /// The next update, as text.
    pub(super) async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(30), self.updates.next());
        match next.await.expect("an update should have come").unwrap() {
            Update::Reset(now) => {
                format!(
                    "reset {} {:?}",
                    now.revision,
                    now.items.keys().collect::<Vec<_>>()
                )
            }
            Update::Change(change) => format!(
                "change {} +{:?} -{:?}",
                change.revision,
                change
                    .upserts
                    .iter()
                    .map(|u| u.item.id())
                    .collect::<Vec<_>>(),
                change.removes.iter().map(|r| r.id()).collect::<Vec<_>>()
            ),
        }
    }

    /// Waits until the link's problem contains `text`.
    pub(super) async fn problem(&mut self, text: &str) {
        let wanted = |link: &source::Link| link.problem.as_ref().is_some_and(|p| p.contains(text));
        let wait = self.feed.link.wait_for(wanted);
        if tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .is_err()
        {
            panic!("no {text:?} in {:?}", self.feed.link.borrow());
        }
    }

    /// Waits until the link is well.
    pub(super) async fn well(&mut self) {
        let wait = self
            .feed
            .link
            .wait_for(|link| link.connected && link.problem.is_none());
        if tokio::time::timeout(Duration::from_secs(30), wait)
            .await
            .is_err()
        {
            panic!("not well: {:?}", self.feed.link.borrow());
        }
    }

    pub(super) fn epoch(&self) -> Option<Epoch> {
        self.feed.view.snapshot().epoch.clone()
    }
}

/// Waits until `done`, asking again and again.
pub(super) async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait)
        .await
        .expect("should have come true");
}
