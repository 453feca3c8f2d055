//! Whether the double answers as a real API server does: all requests of the tables beside this
//! file, with the recorded answers. See `tests/apiserver/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests, and what they share"
)]

mod replay;

use std::collections::BTreeSet;

use a8_apiserver::{ApiServer, Options};

#[tokio::test]

async fn the_double_answers_as_a_real_server() {
    let tables = replay::table::read().unwrap();
    let options = Options {
        // As the real server has it.
        anonymous: true,
        ..Options::default()
    };
    let api = ApiServer::start(options).await;
    let answers = replay::ask(&api.admin_kubeconfig(), &tables).await.unwrap();
    let found = replay::differences(&tables, &answers, true);
    assert!(
        found.is_empty(),
        "{} answers differ:\n\n{}\n",
        found.len(),
        found.join("\n\n")
    );
}

#[test]
fn names_of_requests_are_unique() {
    let mut seen = BTreeSet::new();
    for table in replay::table::read().unwrap() {
        for request in table.requests {
            assert!(!request.name.contains('.'), "{}", request.name);
            assert!(seen.insert(request.name.clone()), "{}", request.name);
        }
    }
}
