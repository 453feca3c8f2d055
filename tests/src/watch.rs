//! A reader of a watch stream, written from the API's text alone.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::Value;

use crate::wait::PATIENCE;

/// An open watch, and the state that its events add up to.
pub struct Watch {
    stream: BoxStream<'static, Vec<u8>>,
    buffer: Vec<u8>,
    /// What the events so far add up to.
    pub items: BTreeMap<String, Value>,
    /// The last epoch told.
    pub epoch: String,
    /// The last revision told.
    pub revision: u64,
}

impl Watch {
    pub(crate) async fn open(http: &reqwest::Client, url: &str, token: Option<&str>) -> Self {
        let mut request = http.get(url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        let kind = answer.headers()["content-type"].to_str().unwrap();
        assert!(
            kind.starts_with("application/x-ndjson"),
            "{url} answered {kind}"
        );
        // A cut stream is the end of the stream: what the test makes of that is its affair.
        let stream = answer
            .bytes_stream()
            .take_while(|piece| std::future::ready(piece.is_ok()))
            .filter_map(|piece| async { piece.ok().map(|p| p.to_vec()) })
            .boxed();
        Self {
            stream,
            buffer: Vec::new(),
            items: BTreeMap::new(),
            epoch: String::new(),
            revision: 0,
        }
    }

    /// The next event of any kind; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Value> {
        let line = loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                break line;
            }
            let piece = tokio::time::timeout(PATIENCE, self.stream.next()).await;
            self.buffer
                .extend(piece.unwrap_or_else(|_| panic!("the watch is silent"))?);
        };
        let event: Value = serde_json::from_slice(&line).unwrap();
        self.take(&event);
        Some(event)
    }

    /// The next event that is not a bookmark.
    pub async fn event(&mut self) -> Value {
        loop {
            let event = self
                .next()
                .await
                .unwrap_or_else(|| panic!("the watch ended"));
            if event["type"] != "BOOKMARK" {
                return event;
            }
        }
    }

    /// Whether nothing but bookmarks comes for `time`.
    pub async fn quiet_for(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.event()).await.is_err()
    }

    fn take(&mut self, event: &Value) {
        let revision = event["revision"]
            .as_u64()
            .unwrap_or_else(|| panic!("no revision: {event}"));
        match event["type"].as_str().unwrap() {
            "RESET" => {
                self.items.clear();
                self.epoch = event["epoch"].as_str().unwrap().to_owned();
            }
            kind => assert!(revision >= self.revision, "{kind} goes back: {event}"),
        }
        self.revision = revision;
        for id in event["ids"].as_array().into_iter().flatten() {
            self.items.remove(id.as_str().unwrap());
        }
        for item in event["items"].as_array().into_iter().flatten() {
            self.items
                .insert(item["id"].as_str().unwrap().to_owned(), item.clone());
        }
    }
}
