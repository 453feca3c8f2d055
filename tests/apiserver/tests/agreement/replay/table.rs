//! The tables: files of requests, with what a real server answered.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::Failed;
use super::answer::Answer;

/// The files, in the order in which they are asked. Later ones use what earlier ones have made.
const FILES: [&str; 13] = [
    "cluster",
    "definitions",
    "rules",
    "writes",
    "patches",
    "apply",
    "reads",
    "deletes",
    "network",
    "workloads",
    "manifests",
    "roles",
    "permissions",
];

/// What the requests leave behind outside of their namespace, and the namespace.
#[allow(dead_code, reason = "the double is new each time")]
pub(crate) const LEFT: [&str; 6] = [
    "/api/v1/namespaces/agreement",
    "/api/v1/namespaces/agreement-other",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/routingrules.amalgam8.io",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/things.agreement.example.com",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/agreement",
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/agreement",
];

/// One file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    /// Its name, which is not in it.
    #[serde(skip)]
    pub(crate) file: String,
    /// The version of the server that answered.
    #[allow(dead_code, reason = "for those who read the file")]
    pub(crate) server: String,
    pub(crate) requests: Vec<Request>,
}

/// One request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// What it is about. Others refer to its answer by this.
    pub(crate) name: String,
    /// Method and path, with the query.
    pub(crate) ask: String,
    /// `admin`; `nobody`, without credentials; `stranger`, with a wrong token; otherwise a
    /// service account of the namespace.
    #[serde(default = "admin")]
    pub(crate) who: String,
    #[serde(default = "json")]
    pub(crate) accept: String,
    /// The content type of the body.
    #[serde(rename = "type", default = "json")]
    pub(crate) content_type: String,
    /// The body, which is sent as JSON.
    pub(crate) body: Option<Value>,
    /// The body as it is.
    pub(crate) text: Option<String>,
    /// The body as it stands in a file, by its path in the repository; a number behind `#` is
    /// that of the document, from zero.
    pub(crate) file: Option<String>,
    /// Asked again until it is answered with this status: some changes take a moment.
    pub(crate) until: Option<u16>,
    /// The members of the answer that are compared, as JSON pointers. Those of a failure are
    /// compared anyway.
    #[serde(default)]
    pub(crate) show: Vec<String>,
    /// Why the double need not answer the same. It must refuse what the real server refuses.
    pub(crate) differs: Option<String>,
    /// What the real server answered.
    pub(crate) answer: Option<Answer>,
}

fn admin() -> String {
    "admin".into()
}

fn json() -> String {
    "application/json".into()
}

/// Reads all tables.
pub(crate) fn read() -> Result<Vec<Table>, Failed> {
    let read = |name: &&str| {
        let text = fs::read_to_string(path(name))?;
        let table: Result<Table, _> = serde_saphyr::from_str(&text);
        let mut table = table.map_err(|why| format!("{name}: {why}"))?;
        table.file = (*name).to_owned();
        Ok(table)
    };
    FILES.iter().map(read).collect()
}

fn path(name: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agreement");
    PathBuf::from(folder).join(format!("{name}.yaml"))
}

/// Writes answers into a file. All else in it stays as it is.
#[allow(dead_code, reason = "only the recorder writes")]
pub(crate) fn write(table: &Table, server: &str, answers: &[Answer]) -> Result<(), Failed> {
    let path = path(&table.file);
    let old = fs::read_to_string(&path)?;
    let mut answers = answers.iter();
    let mut new: Vec<String> = Vec::new();
    let mut skipping = false;
    let mut pending = None;
    for line in old.lines() {
        let starts = line.starts_with("- name: ");
        if starts {
            end(&mut new, &mut pending)?;
            pending = answers.next();
        }
        // An answer ends where something begins that is not deeper than itself.
        skipping = match line.strip_prefix("  ") {
            Some(rest) if rest.starts_with("answer:") => true,
            Some(rest) if !rest.starts_with([' ', '-']) => false,
            Some(_) => skipping,
            None => skipping && line.is_empty(),
        };
        if skipping {
            continue;
        }
        if line.starts_with("server: ") {
            new.push(format!("server: {server}"));
        } else {
            new.push(line.to_owned());
        }
    }
    end(&mut new, &mut pending)?;
    Ok(fs::write(&path, new.join("\n"))?)
}

/// Puts an answer where its entry ends: before comments and empty lines that follow.
fn end(lines: &mut Vec<String>, answer: &mut Option<&Answer>) -> Result<(), Failed> {
    let Some(answer) = answer.take() else {
        return Ok(());
    };
    let mut after = Vec::new();
    while let Some(line) = lines.pop_if(|line| line.is_empty() || line.starts_with('#')) {
        if !line.is_empty() {
            after.push(line);
        }
    }
    lines.push("  answer:".into());
    let text = serde_saphyr::to_string(answer)?;
    lines.extend(
        text.lines()
            .map(|line| format!("    {line}").trim_end().to_owned()),
    );
    lines.push(String::new());
    lines.extend(after.into_iter().rev());
    Ok(())
}
