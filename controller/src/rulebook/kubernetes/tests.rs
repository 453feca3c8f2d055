mod follow;
mod revisions;
mod trouble;
mod writes;

use std::collections::BTreeMap;
use std::time::Duration;

use a8_apiserver::{ApiServer, Options};
use a8_common::config::Secret;
use a8_common::http::Health;
use a8_common::kubernetes::Config;
use a8_common::rule::parse_value;
use a8_common::task::Stop;
use prometheus::Registry;
use serde_json::{Value, json};

use super::*;

const NAMESPACE: &str = "shop";
const RULES: &str = "routingrules.amalgam8.io";
const DEFINITION: &str = include_str!("../../../../kubernetes/crd.yaml");

/// An API server with the definition of rules.
pub(crate) struct Cluster {
    pub(crate) api: ApiServer,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let cluster = Self::without_definition().await;
        cluster.api.apply_yaml(DEFINITION).await;
        cluster
    }

    pub(crate) async fn without_definition() -> Self {
        let plain = Options {
            tls: false,
            ..Options::default()
        };
        let api = ApiServer::start(plain).await;
        let namespace = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}";
        api.apply_yaml(namespace).await;
        Self { api }
    }

    /// The way to it.
    pub(crate) async fn open(&self) -> a8_common::kubernetes::Cluster {
        self.open_as(self.api.admin_token()).await
    }

    /// The way to it with a token.
    pub(crate) async fn open_as(&self, token: String) -> a8_common::kubernetes::Cluster {
        let config = Config {
            url: Some(self.api.url().parse().unwrap()),
            token: Some(Secret::new(token)),
            ca_cert_file: None,
            namespace: Some(NAMESPACE.to_owned()),
        };
        a8_common::kubernetes::Cluster::open(&config).await.unwrap()
    }

    /// Makes or replaces an object, as kubectl would.
    pub(crate) fn put(&self, name: &str, spec: &Value) -> Value {
        self.api.put(json!({
            "apiVersion": "amalgam8.io/v1", "kind": "RoutingRule",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
        }))
    }

    pub(crate) fn get(&self, name: &str) -> Option<Value> {
        self.api.get(RULES, NAMESPACE, name)
    }

    /// Where each rule leads.
    fn destinations(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let objects = self.api.list(RULES, NAMESPACE);
        let all = objects.iter();
        all.map(|o| {
            (
                text(&o["metadata"]["name"]),
                text(&o["spec"]["destination"]),
            )
        })
        .collect()
    }
}

struct Opened {
    book: Book,
    shelf: Arc<Shelf>,
    health: Health,
    /// Ends the following when it goes.
    _tasks: Tasks,
}

async fn opened(cluster: &Cluster) -> Opened {
    opened_by(&cluster.open().await).await
}

async fn opened_by(cluster: &a8_common::kubernetes::Cluster) -> Opened {
    let (tasks, health) = (Tasks::new(Stop::new()), Health::new());
    let site = Site {
        tasks: &tasks,
        health: &health,
        metrics: &Registry::new(),
    };
    let book = Book::start(cluster, &site, true).unwrap();
    let shelf = book.desk.shelf().clone();
    eventually("the book to be ready", || health.is_ready()).await;
    Opened {
        book,
        shelf,
        health,
        _tasks: tasks,
    }
}

impl Opened {
    async fn add(&self, rules: &[(&str, &str)]) -> Result<Revision, WriteError> {
        self.book
            .add(&self::rules(rules), &IfMatch::Any, Mode::Commit)
            .await
    }

    async fn update(&self, rules: &[(&str, &str)]) -> Result<Revision, WriteError> {
        self.book
            .update(&self::rules(rules), &IfMatch::Any, Mode::Commit)
            .await
    }

    async fn remove(&self, selection: Selection) -> Result<Removed, WriteError> {
        self.book
            .remove(&selection, &IfMatch::Any, Mode::Commit)
            .await
    }

    /// What the view has, as [`Cluster::destinations`].
    fn shown(&self) -> BTreeMap<String, String> {
        let now = self.shelf.snapshot();
        let rules = now.items.values();
        rules
            .map(|rule| (rule.id().to_string(), rule.destination().to_string()))
            .collect()
    }

    fn revision(&self) -> Revision {
        self.shelf.snapshot().revision
    }
}

pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for {what}");
}

pub(crate) fn spec(to: &str) -> Value {
    json!({"destination": to, "route": {"backends": [{"tags": ["t"]}]}})
}

fn rules(rules: &[(&str, &str)]) -> Vec<Rule> {
    let rule = |(id, to): &(&str, &str)| {
        let mut rule = spec(to);
        rule["id"] = json!(id);
        rule
    };
    parse_value(rules.iter().map(rule).collect()).unwrap()
}

fn names(rules: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(id, to): &(&str, &str)| ((*id).to_owned(), (*to).to_owned());
    rules.iter().map(owned).collect()
}

fn by_id(ids: &[&str]) -> Selection {
    Selection {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        ..Selection::default()
    }
}

fn to(destination: &str) -> Selection {
    Selection {
        destinations: vec![destination.to_owned()],
        ..Selection::default()
    }
}
