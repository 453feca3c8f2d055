//! The documentation, compared with the code.
#![allow(clippy::panic, reason = "a page that cannot be read is a failed test")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use a8_common::config::{Component, markdown};
use a8_tests::fabric::Fabric;
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

#[test]
fn links_lead_to_files() {
    let mut links = 0;
    for page in [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/api.md",
        "docs/architecture.md",
        "docs/configuration.md",
        "docs/dns.md",
        "docs/docker.md",
        "docs/kubernetes.md",
        "docs/operating.md",
        "docs/rules.md",
        "docs/tcp.md",
    ] {
        let text = file(page);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(page);
        let folder = folder.parent().expect("a page is in a folder");
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            assert!(folder.join(target).exists(), "{page}: {target}");
        }
    }
    assert!(links > 10, "only {links} links were found");
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
