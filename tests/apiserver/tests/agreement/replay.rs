//! Asks the requests of the tables, in their order, and gives back what was answered.
//!
//! The test asks the double, the recorder a real server. Both get the answers in one form, with
//! what differs from run to run taken out, so that they can be compared.

#[path = "replay/answer.rs"]
pub(crate) mod answer;
#[path = "replay/asker.rs"]
mod asker;
#[path = "replay/compare.rs"]
mod compare;
#[path = "replay/table.rs"]
pub(crate) mod table;
#[path = "replay/variables.rs"]
mod variables;

use std::error::Error;

use answer::Answer;
use asker::Asker;
use table::Table;

/// What may go wrong besides the answers.
pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// The namespace that the requests work in.
pub(crate) const NAMESPACE: &str = "agreement";

/// Asks all requests of the tables. Returns the answers, in the same order.
pub(crate) async fn ask(kubeconfig: &str, tables: &[Table]) -> Result<Vec<Vec<Answer>>, Failed> {
    let mut asker = Asker::new(kubeconfig).await?;
    let mut all = Vec::new();
    for table in tables {
        let mut answers = Vec::new();
        for request in &table.requests {
            let answer = asker.ask(request).await;
            answers.push(answer.map_err(|why| format!("{}: {why}", request.name))?);
        }
        all.push(answers);
    }
    Ok(all)
}

/// Tells where answers are not the recorded ones; nothing where all are. Entries may say that
/// they differ when the `double` answers.
pub(crate) fn differences(tables: &[Table], answers: &[Vec<Answer>], double: bool) -> Vec<String> {
    let mut all = Vec::new();
    for (table, answers) in tables.iter().zip(answers) {
        for (request, answer) in table.requests.iter().zip(answers) {
            let found = match &request.answer {
                Some(recorded) if !double => compare::differences(recorded, answer),
                _ => compare::faults(request, answer),
            };
            if !found.is_empty() {
                let said = found.join("\n");
                all.push(format!("{}: {}\n{said}", table.file, request.name));
            }
        }
    }
    all
}

/// Takes away what earlier requests have left on a real server, and waits until it is gone.
///
/// It refuses to touch a cluster with rules in other namespaces: the definition goes too.
#[allow(dead_code, reason = "the double is new each time")]
pub(crate) async fn clean(kubeconfig: &str) -> Result<(), Failed> {
    let mut asker = Asker::new(kubeconfig).await?;
    let rules = asker.get("/apis/amalgam8.io/v1/routingrules").await?;
    let rules = rules["items"].as_array().into_iter().flatten();
    if let Some(other) = rules
        .filter_map(|rule| rule["metadata"]["namespace"].as_str())
        .find(|namespace| *namespace != NAMESPACE)
    {
        return Err(format!("there are RoutingRules in the namespace {other:?}").into());
    }
    asker.remove(&table::LEFT).await
}

/// The version of the server.
#[allow(dead_code, reason = "only the recorder writes it down")]
pub(crate) async fn version(kubeconfig: &str) -> Result<String, Failed> {
    let mut asker = Asker::new(kubeconfig).await?;
    let version = asker.get("/version").await?;
    let version = version["gitVersion"].as_str();
    Ok(version.ok_or("no version")?.to_owned())
}
