//! `check`: whether a cluster has what routing needs, and how to mend what it lacks.

mod access;
mod definition;
mod parts;
mod rules;

use a8_common::kubernetes::Cluster;
use serde::Serialize;

use crate::args::{Format, Listing, Servers};
use crate::cluster::{self, bounded};
use crate::console::Console;
use crate::error::Error;
use crate::output;

/// The first version with containers that start before the others and end after them, and with
/// pods that serve on for a moment when they are to end.
const OLDEST: (u32, u32) = (1, 30);

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

impl Grade {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
        }
    }
}

/// What a check found.
#[derive(Debug, PartialEq, Serialize)]
struct Finding {
    check: &'static str,
    result: Grade,
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    mend: String,
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(check, Grade::Ok, found, "")
    }

    fn new(
        check: &'static str,
        result: Grade,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            check,
            result,
            found: found.into(),
            mend: mend.into(),
        }
    }
}

pub(super) async fn run(
    servers: &Servers,
    listing: &Listing,
    console: &mut Console,
) -> Result<(), Error> {
    let findings = match cluster::open(servers).await {
        Ok(cluster) => look(&cluster).await,
        Err(e) if listing.output == Format::Table => return Err(e),
        // Machines read one form, whatever is found.
        Err(e) => vec![Finding::new("cluster", Grade::Fail, e.to_string(), "")],
    };
    output::listing(&mut console.output, listing.output, &findings, |out| {
        let cells = findings.iter().map(|finding| {
            vec![
                finding.check.to_owned(),
                finding.result.as_str().to_owned(),
                finding.found.clone(),
                finding.mend.clone(),
            ]
        });
        output::table(out, &["Check", "Result", "Found", "What to do"], cells)
    })?;
    let failed = findings.iter().filter(|one| one.result == Grade::Fail);
    match failed.count() {
        0 => Ok(()),
        failed => Err(Error::CheckFailed(failed)),
    }
}

async fn look(cluster: &Cluster) -> Vec<Finding> {
    let mut findings = Vec::new();
    match version(cluster).await {
        Err(e) => {
            let mend = "see whether kubectl reaches it with the same kubeconfig";
            findings.push(Finding::new("cluster", Grade::Fail, e.to_string(), mend));
        }
        Ok(finding) => {
            findings.push(finding);
            let known = definition::check(cluster).await;
            let is_there = known.result != Grade::Fail;
            findings.push(known);
            findings.extend(access::own(cluster).await);
            findings.extend(access::accounts(cluster).await);
            findings.extend(access::of_pods(cluster).await);
            findings.extend(parts::check(cluster).await);
            if is_there {
                findings.extend(rules::check(cluster).await);
            }
        }
    }
    findings
}

async fn version(cluster: &Cluster) -> Result<Finding, Error> {
    let info = bounded(cluster.client.apiserver_version()).await?;
    let number = |text: &str| -> Option<u32> {
        let end = text.find(|c: char| !c.is_ascii_digit());
        text[..end.unwrap_or(text.len())].parse().ok()
    };
    let found = format!(
        "Kubernetes {}, namespace {}",
        info.git_version, cluster.namespace
    );
    let version = (number(&info.major), number(&info.minor));
    Ok(match version {
        (Some(major), Some(minor)) if (major, minor) < OLDEST => {
            let mend = "upgrade to 1.30 or later: sidecars must start before the application";
            Finding::new("cluster", Grade::Fail, found, mend)
        }
        _ => Finding::ok("cluster", found),
    })
}

/// Several texts as one, the first of them at least.
fn some(texts: &[String]) -> String {
    const NAMED: usize = 5;
    let named = &texts[..texts.len().min(NAMED)];
    let mut text = named.join("; ");
    if texts.len() > NAMED {
        text.push_str(&format!("; and {} more", texts.len() - NAMED));
    }
    text
}
