//! Where the walk is made: on this machine, or in a cluster.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::header::{ACCEPT, COOKIE};

use super::Error;
use super::fabric::Fabric;
use crate::rules;

/// The path of the page, at the gateway.
pub(super) const PAGE: &str = "/productpage/productpage";

/// A fabric with bookinfo on it. What changes rules comes back when they are in effect.
#[async_trait(?Send)]
pub(super) trait Place {
    /// Gets the page as `user`, as JSON or HTML. How long it took, and its text.
    async fn page(&self, user: Option<&str>, accept: &str) -> Result<(Duration, String), String>;

    /// Adds the rules of a file.
    async fn create(&self, file: &str) -> Result<(), Error>;

    /// Takes a rule away.
    async fn delete(&self, rule: &str) -> Result<(), Error>;

    /// Takes all rules away.
    async fn delete_all(&self) -> Result<(), Error>;
}

/// What a request says of `user`.
pub(super) fn cookie(user: &str) -> String {
    format!("theme=light; user={user}")
}

#[async_trait(?Send)]
impl Place for Fabric {
    async fn page(&self, user: Option<&str>, accept: &str) -> Result<(Duration, String), String> {
        let url = format!("{}{PAGE}", self.gateway_url);
        let mut call = self.http.get(url).header(ACCEPT, accept);
        if let Some(user) = user {
            call = call.header(COOKIE, cookie(user));
        }
        let began = Instant::now();
        let answer = call.send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!("{status} {text}"));
        }
        Ok((began.elapsed(), text))
    }

    async fn create(&self, file: &str) -> Result<(), Error> {
        self.controller.create(&rules::load(file)?).await?;
        self.settled().await
    }

    async fn delete(&self, rule: &str) -> Result<(), Error> {
        self.controller.delete(rule).await?;
        self.settled().await
    }

    async fn delete_all(&self) -> Result<(), Error> {
        self.controller.delete_all().await?;
        self.settled().await
    }
}
