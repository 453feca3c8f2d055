//! The commands against a server in this process: what they print and when they fail.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::get;
use clap::Parser;

use super::*;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// The outcome of one command line.
struct Ran {
    result: Result<(), Error>,
    output: String,
    notes: String,
}

async fn a8ctl_with(line: &str, input: &'static str, interactive: bool) -> Ran {
    let (output, notes) = (Captured::default(), Captured::default());
    let mut console = Console {
        input: Box::new(input.as_bytes()),
        output: Box::new(output.clone()),
        notes: Box::new(notes.clone()),
        interactive,
    };
    let args = Args::try_parse_from(std::iter::once("a8ctl").chain(line.split(' '))).unwrap();
    let result = run(args, &mut console).await;
    Ran {
        result,
        output: output.text(),
        notes: notes.text(),
    }
}

async fn a8ctl(line: &str) -> Ran {
    a8ctl_with(line, "", false).await
}

/// The rules of the recorded session, as the controller lists them.
const ROUTES: &str = r#"{"services": {
  "reviews": [
    {"id":"j","priority":2,"destination":"reviews","match":{"headers":{"Cookie":"^(.*?;)?(user=jason)(;.*)?$"}},"route":{"backends":[{"tags":["version=v2"]}]}},
    {"id":"d","priority":1,"destination":"reviews","route":{"backends":[{"tags":["version=v1"]}]}}],
  "hello": [
    {"id":"h","priority":1,"destination":"hello","route":{"backends":[{"tags":["version=v2"],"weight":0.25},{"tags":["version=v1"]}]}}]}}"#;
const ACTIONS: &str = r#"{"services": {"ratings": [
    {"id":"f","priority":10,"destination":"ratings","match":{"source":{"name":"reviews","tags":["version=v2"]},"headers":{"Cookie":"user=jason"}},
     "actions":[{"action":"delay","duration":7,"probability":1,"tags":["version=v1"]},{"action":"abort","return_code":503,"probability":0.5}]}]}}"#;
const INSTANCES: &str = r#"{"instances": [
    {"id":"1","service_name":"hello","tags":["version=v1"]},
    {"id":"2","service_name":"hello","tags":["version=v2"]},
    {"id":"3","service_name":"hello","tags":["version=v1"]}]}"#;

/// A server with fixed answers; `?id=gone` is unknown to it, and a wrong token is refused.
async fn server() -> String {
    let rules = |uri: Uri, headers: HeaderMap| async move {
        if headers
            .get("authorization")
            .is_some_and(|v| v != "Bearer good")
        {
            return (
                StatusCode::UNAUTHORIZED,
                r#"{"error":"unauthorized"}"#.to_owned(),
            );
        }
        if uri.query() == Some("id=gone") {
            return (
                StatusCode::NOT_FOUND,
                r#"{"error":"unknown_rule","description":"no rule has the id gone"}"#.to_owned(),
            );
        }
        (
            StatusCode::OK,
            format!(
                r#"{{"rules":[{{"id":"h","destination":"hello"}}],"revision":3,"asked":"{}"}}"#,
                uri.query().unwrap_or("")
            ),
        )
    };
    let create = |body: String| async move {
        if body.contains("wieght") {
            return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_rule","description":"1 fault","details":[{"rule":0,"path":"wieght","reason":"is not a member"}]}"#.to_owned());
        }
        (StatusCode::CREATED, r#"{"ids":["d","j"]}"#.to_owned())
    };
    let done = || async { (StatusCode::OK, "") };
    let explain = |uri: Uri| async move {
        let asked = uri.query().unwrap_or_default().to_owned();
        axum::Json(serde_json::json!({"destination": "reviews", "asked": asked}))
    };
    let app = Router::new()
        .route("/v1/rules", get(rules).post(create).put(done).delete(done))
        .route("/v1/rules/routes", get(|| async { ROUTES }))
        .route("/explain", get(explain))
        .route("/v1/rules/actions", get(|| async { ACTIONS }))
        .route("/api/v1/instances", get(|| async { INSTANCES }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    #[allow(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

#[tokio::test]
async fn the_tables_look_as_recorded() {
    let url = server().await;
    let routes = a8ctl(&format!("route-list --controller_url={url}")).await;
    assert_eq!(
        routes.output,
        r#"+---------+-----------------+---------------------------------------------------------+
| Service | Default Version | Version Selectors                                       |
+---------+-----------------+---------------------------------------------------------+
| hello   | version=v1      | version=v2(weight=0.25)                                 |
| reviews | version=v1      | version=v2(header="Cookie:^(.*?;)?(user=jason)(;.*)?$") |
+---------+-----------------+---------------------------------------------------------+
"#
    );
    let actions = a8ctl(&format!("action-list --controller-url {url}")).await;
    assert_eq!(
        actions.output,
        r#"+-------------+--------------------+-------------------+----------+------------------------------------------+---------+
| Destination | Source             | Headers           | Priority | Actions                                  | Rule ID |
+-------------+--------------------+-------------------+----------+------------------------------------------+---------+
| ratings     | reviews:version=v2 | Cookie:user=jason | 10       | version=v1(1->delay=7), (0.5->abort=503) | f       |
+-------------+--------------------+-------------------+----------+------------------------------------------+---------+
"#
    );
    let services = a8ctl(&format!("service-list --registry_url {url}")).await;
    assert_eq!(
        services.output,
        r#"+---------+------------------------------+
| Service | Instances                    |
+---------+------------------------------+
| hello   | version=v1(2), version=v2(1) |
+---------+------------------------------+
"#
    );
}

#[tokio::test]
async fn machines_get_json_or_yaml() {
    let url = server().await;
    let json = a8ctl(&format!("--controller_url {url} route-list -o json"))
        .await
        .output;
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        rows[0],
        serde_json::json!({"service": "hello", "default": "version=v1", "selectors": ["version=v2(weight=0.25)"]})
    );
    let yaml = a8ctl(&format!("--controller_url {url} action-list -o yaml"))
        .await
        .output;
    let rows: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(rows[0]["match"], "reviews:version=v2");
    assert_eq!(rows[0]["headers"], serde_json::json!(["Cookie:user=jason"]));
}

#[tokio::test]
async fn rules_are_shown_in_the_order_of_the_server() {
    let url = server().await;
    let yaml = a8ctl(&format!(
        "--controller_url {url} rule-get -i h -t x -d hello"
    ))
    .await
    .output;
    assert!(yaml.starts_with("rules:"), "{yaml}");
    assert!(yaml.contains("id=h&tag=x&destination=hello"), "{yaml}");
}

#[tokio::test]
async fn creating_prints_the_ids_and_updating_says_so() {
    let url = server().await;
    let rules = "rules:\n- destination: a\n";
    let created = a8ctl_with(&format!("--controller_url {url} rule-create"), rules, false).await;
    assert_eq!(
        created.output,
        "{\n  \"ids\": [\n    \"d\",\n    \"j\"\n  ]\n}\n"
    );
    let updated = a8ctl_with(
        &format!("--controller_url {url} rule-update -r"),
        rules,
        false,
    )
    .await;
    assert_eq!(updated.output, "Request Completed\n");
}

#[tokio::test]
async fn a_refusal_shows_the_servers_details() {
    let url = server().await;
    let line = format!("--controller_url {url} rule-create -f -");
    // YAML's flow style looks like JSON and is taken all the same; what is neither is not.
    let flow = a8ctl_with(&line, "{destination: a}", false).await;
    assert!(flow.result.is_ok());
    let refused = a8ctl_with(&line, "{destination: [}", false).await;
    assert!(
        refused
            .result
            .unwrap_err()
            .to_string()
            .contains("is not JSON")
    );
    let refused = a8ctl_with(&line, "destination: a\nwieght: 1", false).await;
    let text = refused.result.unwrap_err().to_string();
    assert!(
        text.ends_with("400 Bad Request: invalid rule\n  rules[0].wieght: is not a member"),
        "{text}"
    );
}

#[tokio::test]
async fn failures_say_what_to_do_next() {
    let url = server().await;
    let error = |ran: Ran| ran.result.unwrap_err().to_string();
    let gone = error(a8ctl(&format!("--controller_url {url} rule-get -i gone")).await);
    assert!(gone.ends_with("no rule has the id gone"), "{gone}");
    let swapped = error(a8ctl(&format!("--registry_url {url}/x service-list")).await);
    assert!(swapped.contains("A8_REGISTRY_URL"), "{swapped}");
    let token = error(
        a8ctl(&format!(
            "--controller_url {url} --controller_token bad rule-get -a"
        ))
        .await,
    );
    assert!(token.contains("A8_CONTROLLER_TOKEN"), "{token}");
    let unset = error(a8ctl("--controller_url= rule-get -a").await);
    assert!(unset.contains("A8_CONTROLLER_URL"), "{unset}");
    let wrong = error(a8ctl("--controller_url 123 rule-get -a").await);
    assert!(wrong.contains("not usable"), "{wrong}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let away = error(a8ctl(&format!("--controller_url http://{closed} rule-get -a")).await);
    assert!(
        away.contains("Is it running") && away.contains("refused"),
        "{away}"
    );
}

#[tokio::test]
async fn deleting_asks_a_person_and_wants_force_from_a_script() {
    let url = server().await;
    let line = format!("--controller_url {url} rule-delete -a");
    let no = a8ctl_with(&line, "n\n", true).await;
    assert!(no.result.is_ok() && no.output.is_empty() && no.notes.contains("Nothing deleted"));
    let by_id_and_tag = format!("--controller_url {url} rule-delete -i h -t x");
    let asked = a8ctl_with(&by_id_and_tag, "n\n", true).await.notes;
    assert!(asked.starts_with("Delete rules by id h, tag x?"), "{asked}");
    assert_eq!(
        a8ctl_with(&line, "y\n", true).await.output,
        "Request Completed\n"
    );
    assert!(
        a8ctl(&line)
            .await
            .result
            .unwrap_err()
            .to_string()
            .contains("--force")
    );
    assert_eq!(
        a8ctl(&format!("{line} -f")).await.output,
        "Request Completed\n"
    );
    let by_id = format!("--controller_url {url} rule-delete -i h");
    assert_eq!(a8ctl(&by_id).await.output, "Request Completed\n");
}

#[tokio::test]
async fn info_masks_tokens_and_debug_shows_the_talk() {
    let url = server().await;
    let info = a8ctl(&format!(
        "--controller_url {url} --controller_token s3cret info"
    ))
    .await;
    assert!(
        info.output.contains("***") && !info.output.contains("s3cret"),
        "{}",
        info.output
    );
    let names = info
        .output
        .lines()
        .filter_map(|line| line.split(' ').nth(1));
    let wanted = [
        "Env.",
        "A8_CONTROLLER_URL",
        "A8_CONTROLLER_TOKEN",
        "A8_REGISTRY_URL",
    ];
    assert_eq!(names.take(4).collect::<Vec<_>>(), wanted);
    let line = format!("--debug --controller_url {url} --controller_token good rule-get -a");
    let debug = a8ctl(&line).await;
    assert!(
        debug.notes.contains("> GET http") && debug.notes.contains("< 200"),
        "{}",
        debug.notes
    );
    assert!(!debug.notes.contains("Bearer"), "{}", debug.notes);
}

#[tokio::test]
async fn explain_asks_the_sidecar() {
    let url = server().await;
    let line = format!(
        "explain reviews --sidecar-url {url} -p /x?a=b -H Cookie:user=jason -H B:c --from web:v1"
    );
    let text = a8ctl(&line).await.output;
    assert!(text.starts_with("From:"), "{text}");
    // Machines get the answer whole.
    let json = a8ctl(&format!("{line} -o json")).await.output;
    let asked = "from=web%3Av1&to=reviews&path=%2Fx%3Fa%3Db\
                 &header=Cookie%3Auser%3Djason&header=B%3Ac";
    assert!(json.contains(&format!("\"asked\": \"{asked}\"")), "{json}");
    let line = format!("explain db --tcp --from web:v1 --sidecar-url {url} -o json");
    let json = a8ctl(&line).await.output;
    let asked = "from=web%3Av1&tcp=db";
    assert!(json.contains(&format!("\"asked\": \"{asked}\"")), "{json}");
}

#[tokio::test]
async fn completion_scripts_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = a8ctl(&format!("completion {shell}")).await.output;
        assert!(script.contains("rule-create"), "{shell}");
    }
}

#[test]
fn wrong_usage_is_refused() {
    for line in [
        "rule-get",
        "rule-delete",
        "rule-create -x",
        "route-list -o xml",
        "explain",
        "explain --tcp",
        "explain db --tcp -p /x",
        "nothing",
    ] {
        let words = std::iter::once("a8ctl").chain(line.split(' '));
        assert!(Args::try_parse_from(words).is_err(), "{line}");
    }
}

#[cfg(feature = "kubernetes")]
mod kubernetes;
