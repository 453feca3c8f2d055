//! The documentation, compared with the code.
#![allow(clippy::panic, reason = "a page that cannot be read is a failed test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use a8_common::config::{Component, markdown};
use a8_tests::fabric::Fabric;
use a8_tests::process::binary;
use a8_tests::server::client;

const COMPONENTS: [&Component; 3] = [
    &a8_registry::config::COMPONENT,
    &a8_controller::config::COMPONENT,
    &a8_sidecar::config::COMPONENT,
];

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_settings_are_documented_as_they_are() {
    let documented = file("docs/configuration.md");
    let heading = format!("\n## {}\n", COMPONENTS[0].name);
    let (words, _) = documented.split_once(&heading).expect("the tables");
    let mut wanted = words.to_owned();
    for component in COMPONENTS {
        let (name, tables) = (component.name, markdown(component));
        // Writing to a String does not fail.
        let _ = write!(wanted, "\n## {name}\n\n{tables}");
    }
    let wanted = format!("{}\n", wanted.trim_end());
    if wanted != documented {
        let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("configuration.md");
        std::fs::write(&made, wanted).expect("a file in the target folder");
        panic!(
            "docs/configuration.md is behind the code; take what it should be: cp {} docs/",
            made.display()
        );
    }
}

/// All pages, with their paths from the root.
fn pages() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for folder in ["", "docs", "bench"] {
        let entries = std::fs::read_dir(root.join(folder));
        for entry in entries
            .unwrap_or_else(|e| panic!("{folder}: {e}"))
            .flatten()
        {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".md") {
                let page = Path::new(folder).join(name).display().to_string();
                found.push((page.clone(), file(&page)));
            }
        }
    }
    found
}

/// The name that a heading is linked to by.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let lines = page.lines().filter(|line| line.starts_with('#'));
    lines
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut links = 0;
    for (page, text) in pages() {
        let at = root.join(&page);
        let folder = at.parent().unwrap_or(&root);
        for rest in text.split("](").skip(1) {
            let whole = rest.split(')').next().unwrap_or_default();
            if whole.contains("://") {
                continue;
            }
            links += 1;
            let (target, heading) = whole.split_once('#').unwrap_or((whole, ""));
            let target = match target {
                "" => at.clone(),
                path => folder.join(path),
            };
            assert!(target.exists(), "{page}: {whole}");
            if !heading.is_empty() {
                let there = std::fs::read_to_string(&target).unwrap_or_default();
                assert!(anchors(&there).contains(heading), "{page}: {whole}");
            }
        }
    }
    assert!(links > 50, "only {links} links were found");
}

/// Flags of others' programs that the pages name: of curl, docker, etcd, kubectl, a check of the
/// reader's own.
const FOREIGN: [&str; 14] = [
    "--auto-compaction-mode",
    "--auto-compaction-retention",
    "--build-arg",
    "--cap-drop",
    "--dns-search",
    "--for",
    "--http2-prior-knowledge",
    "--max-request-bytes",
    "--quick",
    "--read-only",
    "--scale",
    "--security-opt",
    "--server-side",
    "--tail",
];

/// The words in a text that begin with `start` and go on with letters of names.
fn words<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    let begins = text.match_indices(start).filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || "-_/.".contains(c))
    });
    begins.map(|(at, _)| {
        let rest = &text[at..];
        let name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        rest.split(|c| !name(c)).next().unwrap_or_default()
    })
}

/// What a program says of itself, with all its subcommands.
fn help(program: &str, commands: &[&str]) -> String {
    let run = |args: &[&str]| {
        let said = Command::new(binary(program))
            .args(args)
            .env_clear()
            .output();
        let said = said.unwrap_or_else(|e| panic!("{program}: {e}"));
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    let whole = run(&["--help"]);
    let listed = whole.split("Commands:\n").nth(1).unwrap_or_default();
    let listed = listed.lines().take_while(|line| line.starts_with("  "));
    let mut text = String::new();
    for line in listed.filter(|line| !line.starts_with("   ")) {
        let name = line.split_whitespace().next().unwrap_or_default();
        if !commands.contains(&name) {
            text += &run(&[name, "--help"]);
        }
    }
    text + &whole
}

#[test]
fn flags_and_variables_in_the_pages_exist() {
    let programs = ["a8registry", "a8controller", "a8sidecar", "a8ctl"];
    let examples = [
        "demo",
        "helloworld",
        "productpage",
        "details",
        "reviews",
        "ratings",
    ];
    let all = programs.into_iter().chain(examples);
    let said: String = all.map(|program| help(program, &["help"])).collect();
    let plain = |word: &str| word.replace('_', "-");
    let flags: BTreeSet<_> = words(&said, "--").map(plain).collect();
    // Compose fills in some of its own.
    let compose =
        ["common", "controlplane"].map(|name| file(&format!("examples/docker-{name}.yaml")));
    let compose = compose.concat().replace("${", " ");
    let variables: BTreeSet<_> = words(&said, "A8_").chain(words(&compose, "A8_")).collect();
    let mut unknown = BTreeSet::new();
    // What is measured with has flags of its own.
    for (page, text) in pages()
        .into_iter()
        .filter(|(page, _)| !page.starts_with("bench"))
    {
        let letter = |word: &&str| word[2..].starts_with(|c: char| c.is_ascii_lowercase());
        let named = words(&text, "--").filter(letter);
        for flag in named.filter(|word| !FOREIGN.contains(word)) {
            if !flags.contains(plain(flag).trim_end_matches('-')) {
                unknown.insert(format!("{page}: {flag}"));
            }
        }
        for name in words(&text, "A8_").filter(|name| !name.ends_with('_')) {
            if !variables.contains(name) {
                unknown.insert(format!("{page}: {name}"));
            }
        }
    }
    assert!(unknown.is_empty(), "nobody knows {unknown:#?}");
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_are_documented() {
    let page = file("docs/operating.md");
    for name in ["grafana-dashboard.json", "alerts.yaml"] {
        let text = file(&format!("docs/monitoring/{name}"));
        let metrics: BTreeSet<_> = words(&text, "a8_").collect();
        assert!(metrics.len() > 7, "{name}: {metrics:?}");
        for metric in metrics {
            let base = metric.trim_end_matches("_bucket");
            assert!(page.contains(&format!("`{base}`")), "{name}: {metric}");
        }
    }
    let dashboard = file("docs/monitoring/grafana-dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    assert!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|all| all.len() > 10)
    );
}

/// The families that a page of figures tells of, without those of the process.
async fn families(url: &str) -> BTreeSet<String> {
    let url = format!("{url}/metrics");
    let answer = client().get(&url).send().await.expect("an answer");
    let text = answer.text().await.expect("a page");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.starts_with("a8_"))
        .map(str::to_owned)
        .collect()
}

#[tokio::test]
async fn every_metric_is_documented() {
    let fabric = Fabric::start().await;
    let gateway = fabric.gateway().await;
    // One request, so that what is counted by destination is there; nobody answers it.
    let _ = gateway.get("/nobody/", None).await;
    let mut told = families(&fabric.registry.url).await;
    told.extend(families(&fabric.controller.url).await);
    told.extend(families(&gateway.admin).await);
    assert!(told.len() > 10, "only {told:?}");
    let page = file("docs/operating.md");
    let missing: Vec<_> = told
        .iter()
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/operating.md lacks {missing:?}");
}
