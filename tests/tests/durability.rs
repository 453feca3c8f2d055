//! kill -9 at any moment loses nothing that was acknowledged, keeps transactions whole, and
//! neither the epoch nor the revision goes back.
#![allow(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use a8_tests::server::{Reply, Server};
use futures_util::future::join_all;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

const ROUNDS: u64 = 12;
const WRITERS: usize = 4;

/// What the server has acknowledged so far, and what it was asked without an answer.
#[derive(Default)]
struct Ledger {
    kept: BTreeSet<String>,
    gone: BTreeSet<String>,
    unsure: BTreeSet<String>,
}

/// Epoch and revision of a list.
fn place(list: &Reply) -> (String, u64) {
    let tag = list.header("etag").trim_matches('"');
    let (epoch, revision) = tag.rsplit_once('-').unwrap();
    (epoch.to_owned(), revision.parse().unwrap())
}

/// Kills the server in the middle of what `writer` does, again and again, and has `check` look
/// at the list each time it is back.
async fn survives(
    mut server: Server,
    path: &str,
    mut writer: impl AsyncFnMut(&Server, &Mutex<Ledger>, String),
    check: impl Fn(&Value, &Ledger),
) {
    let ledger = Mutex::new(Ledger::default());
    let mut last = place(&server.get(path).await.expect(200));
    for round in 0..ROUNDS {
        // Some are killed in the first moment, some in the thick of it.
        let pause = Duration::from_millis(5 + round * 37 % 180);
        {
            let kill = async {
                tokio::time::sleep(pause).await;
                server.process.signal(Signal::KILL);
            };
            let work = writer(&server, &ledger, format!("r{round}"));
            tokio::join!(kill, work);
        }
        server.restart().await;
        let list = server.get(path).await.expect(200);
        let now = place(&list);
        assert_eq!(now.0, last.0, "the data is the same, so is its epoch");
        assert!(now.1 >= last.1, "revision {} after {}", now.1, last.1);
        last = now;
        check(&list.json(), &ledger.lock().unwrap());
    }
    let ledger = ledger.into_inner().unwrap();
    assert!(
        !ledger.kept.is_empty() && !ledger.gone.is_empty(),
        "the test did nothing"
    );
}

fn ids(list: &Value, member: &str) -> BTreeSet<String> {
    let items = list[member].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap().to_owned())
        .collect()
}

fn nothing_lost(found: &BTreeSet<String>, ledger: &Ledger) {
    let lost: Vec<_> = ledger.kept.difference(found).collect();
    assert!(lost.is_empty(), "acknowledged, and lost: {lost:?}");
    let back: Vec<_> = ledger.gone.intersection(found).collect();
    assert!(back.is_empty(), "acknowledged as gone, and back: {back:?}");
    let strangers: Vec<_> = found
        .iter()
        .filter(|id| !ledger.kept.contains(*id) && !ledger.unsure.contains(*id))
        .collect();
    assert!(strangers.is_empty(), "never asked for: {strangers:?}");
}

async fn storm_of_rules(controller: &Server, ledger: &Mutex<Ledger>, round: String) {
    let rule =
        |id: &str| json!({"id": id, "destination": "s", "route": {"backends": [{"tags": ["v1"]}]}});
    let one = async |writer: usize| {
        for n in 0.. {
            let pair = [
                format!("{round}-{writer}-{n}-a"),
                format!("{round}-{writer}-{n}-b"),
            ];
            let body = json!({"rules": pair.each_ref().map(|id| rule(id))});
            let create = controller.call(Method::POST, "/v1/rules").json(&body);
            match create.try_send().await {
                Some(reply) => reply.expect(201),
                None => return ledger.lock().unwrap().unsure.extend(pair),
            };
            ledger.lock().unwrap().kept.extend(pair.clone());
            if n % 3 != 0 {
                continue;
            }
            for id in &pair {
                ledger.lock().unwrap().kept.remove(id);
            }
            let path = format!("/v1/rules?id={}&id={}", pair[0], pair[1]);
            let mut known = match controller.call(Method::DELETE, &path).try_send().await {
                Some(reply) => {
                    reply.expect(200);
                    ledger.lock().unwrap()
                }
                None => return ledger.lock().unwrap().unsure.extend(pair),
            };
            known.gone.extend(pair);
        }
    };
    join_all((0..WRITERS).map(one)).await;
}

#[tokio::test]
async fn a_controller_loses_no_acknowledged_rule() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("--data_dir={}", folder.path().display());
    let controller = Server::controller(&["--database_type=embedded", &data]).await;
    survives(controller, "/v1/rules", storm_of_rules, |list, ledger| {
        let found = ids(list, "rules");
        nothing_lost(&found, ledger);
        for id in &found {
            let (pair, _) = id.rsplit_once('-').unwrap();
            let whole = ["a", "b"]
                .iter()
                .all(|half| found.contains(&format!("{pair}-{half}")));
            assert!(whole, "half a transaction: {id}");
        }
    })
    .await;
}

async fn storm_of_instances(registry: &Server, ledger: &Mutex<Ledger>, round: String) {
    let one = async |writer: usize| {
        for n in 0.. {
            let service = format!("{round}-{writer}");
            let address = format!("10.0.{writer}.1:{}", n + 1);
            let body = json!({"service_name": service, "endpoint": {"type": "http", "value": address}, "ttl": 600});
            let derived = derived_id(&format!("{service}/http/{address}"));
            let call = registry.call(Method::POST, "/api/v1/instances").json(&body);
            match call.try_send().await {
                Some(reply) => assert_eq!(reply.expect(201).json()["id"], *derived),
                None => {
                    ledger.lock().unwrap().unsure.insert(derived);
                    return;
                }
            }
            if n % 3 != 0 {
                ledger.lock().unwrap().kept.insert(derived);
                continue;
            }
            let path = format!("/api/v1/instances/{derived}");
            match registry.call(Method::DELETE, &path).try_send().await {
                Some(reply) => reply.expect(200),
                None => {
                    ledger.lock().unwrap().unsure.insert(derived);
                    return;
                }
            };
            ledger.lock().unwrap().gone.insert(derived);
        }
    };
    join_all((0..WRITERS).map(one)).await;
}

fn derived_id(text: &str) -> String {
    use sha2::Digest;
    let hash = sha2::Sha256::digest(text);
    hash[..8].iter().map(|b| format!("{b:02x}")).collect()
}

#[tokio::test]
async fn a_registry_loses_no_acknowledged_instance() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("--data_dir={}", folder.path().display());
    let registry = Server::registry(&["--store=embedded", &data]).await;
    survives(
        registry,
        "/api/v1/instances",
        storm_of_instances,
        |list, ledger| {
            nothing_lost(&ids(list, "instances"), ledger);
        },
    )
    .await;
}

#[tokio::test]
async fn a_watcher_goes_on_after_the_server_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("--data_dir={}", folder.path().display());
    let mut controller = Server::controller(&["--database_type=embedded", &data]).await;
    let rule = |id: &str| json!({"rules": [{"id": id, "destination": "s", "route": {"backends": [{"tags": ["v1"]}]}}]});
    controller.post("/v1/rules", &rule("a")).await.expect(201);
    let mut watch = controller.watch("/v1/rules?watch=true").await;
    assert_eq!(watch.event().await["type"], "RESET");
    let (epoch, revision) = (watch.epoch.clone(), watch.revision);
    controller.restart().await;
    assert_eq!(watch.next().await, None, "the stream ends with the server");
    controller.post("/v1/rules", &rule("b")).await.expect(201);

    let path = format!("/v1/rules?watch=true&epoch={epoch}&revision={revision}");
    let mut watch = controller.watch(&path).await;
    let event = watch.event().await;
    assert!(event["revision"].as_u64().unwrap() > revision, "{event}");
    // Either way the reader ends up with all there is, under the epoch it knows.
    match event["type"].as_str().unwrap() {
        "UPSERT" => assert_eq!(event["items"][0]["id"], "b"),
        _ => assert_eq!((watch.items.len(), &watch.epoch), (2, &epoch)),
    }
}
