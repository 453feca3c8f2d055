//! As much of the controller's API and of a sidecar's admin API as the demos need.

use std::time::Duration;

use a8_common::rule::Rule;
use http::Method;
use http::header::ETAG;
use serde_json::{Value, json};

use super::Error;

/// How long an answer may take before the demo gives up on it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The controller.
#[derive(Debug, Clone)]
pub(super) struct Controller {
    http: reqwest::Client,
    rules: String,
}

impl Controller {
    pub(super) fn new(http: reqwest::Client, url: &str) -> Self {
        Self {
            http,
            rules: format!("{url}/v1/rules"),
        }
    }

    /// Adds rules.
    pub(super) async fn create(&self, rules: &[Rule]) -> Result<(), Error> {
        self.call(Method::POST, &self.rules, Some(json!({ "rules": rules })))
            .await?;
        Ok(())
    }

    /// Replaces rules by those with the same ids.
    pub(super) async fn update(&self, rules: &[Rule]) -> Result<(), Error> {
        self.call(Method::PUT, &self.rules, Some(json!({ "rules": rules })))
            .await?;
        Ok(())
    }

    /// Takes one rule away.
    pub(super) async fn delete(&self, id: &str) -> Result<(), Error> {
        let url = format!("{}?id={id}", self.rules);
        self.call(Method::DELETE, &url, None).await?;
        Ok(())
    }

    /// Takes all rules away.
    pub(super) async fn delete_all(&self) -> Result<(), Error> {
        self.call(Method::DELETE, &self.rules, None).await?;
        Ok(())
    }

    /// The revision of the rules as they are now.
    pub(super) async fn revision(&self) -> Result<u64, Error> {
        let answer = self.call(Method::GET, &self.rules, None).await?;
        revision_in(&answer, "/revision").ok_or_else(|| Error::Control {
            what: format!("GET {}", self.rules),
            why: "there is no revision in the answer".to_owned(),
        })
    }

    async fn call(&self, method: Method, url: &str, body: Option<Value>) -> Result<Vec<u8>, Error> {
        let failed = |why: String| Error::Control {
            what: format!("{method} {url}"),
            why,
        };
        let mut call = self.http.request(method.clone(), url).timeout(PATIENCE);
        if let Some(body) = body {
            call = call.json(&body);
        }
        let answer = call.send().await.map_err(|e| failed(e.to_string()))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|e| failed(e.to_string()))?;
        if status.is_success() {
            Ok(body.to_vec())
        } else {
            Err(failed(format!(
                "{status} {}",
                String::from_utf8_lossy(&body)
            )))
        }
    }
}

/// The registry.
#[derive(Debug, Clone)]
pub(super) struct Registry {
    http: reqwest::Client,
    instances: String,
}

impl Registry {
    pub(super) fn new(http: reqwest::Client, url: &str) -> Self {
        Self {
            http,
            instances: format!("{url}/api/v1/instances"),
        }
    }

    /// How many instances are registered, and at which revision; `None` when it does not say.
    pub(super) async fn instances(&self) -> Option<(usize, u64)> {
        let call = self.http.get(&self.instances).timeout(PATIENCE);
        let answer = call.send().await.ok()?;
        let tag = answer.headers().get(ETAG)?.to_str().ok()?;
        let revision = tag.trim_matches('"').rsplit('-').next()?.parse().ok()?;
        let listed: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        Some((listed.get("instances")?.as_array()?.len(), revision))
    }
}

/// The admin API of one sidecar.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    http: reqwest::Client,
    url: String,
}

impl Admin {
    pub(super) fn new(http: reqwest::Client, port: u16) -> Self {
        Self {
            http,
            url: format!("http://127.0.0.1:{port}"),
        }
    }

    /// Where it is.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The revision of the rules that this sidecar goes by; `None` when it does not say.
    pub(super) async fn rules_revision(&self) -> Option<u64> {
        self.state("/rules/revision").await
    }

    /// The revision of the instances that this sidecar knows; `None` when it does not say.
    pub(super) async fn instances_revision(&self) -> Option<u64> {
        self.state("/instances/revision").await
    }

    async fn state(&self, pointer: &str) -> Option<u64> {
        let call = self
            .http
            .get(format!("{}/state", self.url))
            .timeout(PATIENCE);
        let answer = call.send().await.ok()?.bytes().await.ok()?;
        revision_in(&answer, pointer)
    }
}

fn revision_in(answer: &[u8], pointer: &str) -> Option<u64> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    answer.pointer(pointer)?.as_u64()
}
