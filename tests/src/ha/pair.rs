//! Two equal servers, as a client knows them: it keeps to one until that one fails.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::server::{Server, client};

/// Longer than a server waits for its store.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Two equal servers.
pub struct Pair {
    urls: [String; 2],
    http: reqwest::Client,
    turn: AtomicUsize,
}

/// What was said to a request.
pub enum Said {
    /// It was done, with this answer.
    Done(Value),
    /// It was not, and why.
    Refused(StatusCode, String),
    /// It may or may not have been done.
    Unsure,
}

impl Pair {
    /// Of two servers.
    pub fn new(servers: &[Server; 2]) -> Self {
        Self {
            urls: servers.each_ref().map(|server| server.url.clone()),
            http: client(),
            turn: AtomicUsize::new(0),
        }
    }

    /// One of the servers; each who asks first gets the other.
    pub fn first(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    /// The URL of a path at the server at `at`, whatever number that is.
    pub fn url(&self, at: usize, path: &str) -> String {
        format!("{}{path}", self.urls[at % 2])
    }

    /// The HTTP client.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Asks the server at `at`.
    pub async fn ask(&self, at: usize, method: Method, path: &str, body: Option<&Value>) -> Said {
        let mut request = self
            .http
            .request(method, self.url(at, path))
            .timeout(TIMEOUT);
        if let Some(body) = body {
            request = request.json(body);
        }
        let Ok(answer) = request.send().await else {
            return Said::Unsure;
        };
        let status = answer.status();
        let Ok(text) = answer.text().await else {
            return Said::Unsure;
        };
        match status {
            _ if status.is_success() => Said::Done(serde_json::from_str(&text).unwrap_or_default()),
            // The store may have been away before or after it was told.
            StatusCode::SERVICE_UNAVAILABLE => Said::Unsure,
            _ => Said::Refused(status, text),
        }
    }
}
