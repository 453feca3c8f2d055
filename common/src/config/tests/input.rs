//! What comes from outside as nobody means it: variables, files and flags.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::*;

#[test]
fn a_variable_that_is_not_utf8_is_refused_by_name() {
    for name in ["A8_PROXY", "A8_REGISTRY_TOKEN", "A8_CONFIG"] {
        let value = OsString::from_vec(b"\xff".to_vec());
        let said = fail(&Input::default().with_variable(name, value.clone()));
        let line = format!("{name} (environment): is not UTF-8");
        assert!(said.contains(&line), "{said}");
        // Those of others are none of our business.
        let others = Input::default().with_variable("A8_NOBODYS", value);
        assert!(!load(&others, |s| s.flag("proxy")));
    }
}

#[test]
fn a_list_of_urls_names_at_least_one() {
    for text in [",", " , ", ""] {
        let said = fail(&Input::from_args([format!("--registry_url={text}")]));
        let line = "--registry_url (command line): names no URL";
        assert!(said.contains(line), "{text:?}: {said}");
    }
    let said = fail(&Input::default().with_variable("A8_REGISTRY_URL", ","));
    assert!(said.contains("A8_REGISTRY_URL"), "{said}");
    // An empty variable is none.
    let unset = Input::default().with_variable("A8_REGISTRY_URL", "");
    assert!(load(&unset, |s| s.urls("registry_url")).is_empty());
}

#[test]
fn a_file_may_say_nothing_and_begin_with_a_byte_order_mark() {
    for text in [
        "",
        "\n# nothing\n",
        "---",
        "---\n...\n",
        "null",
        "~",
        "\u{feff}",
    ] {
        let file = file(text);
        assert!(
            !load(&with_file(&file, &[]), |s| s.flag("proxy")),
            "{text:?}"
        );
    }
    let marked = file("\u{feff}proxy: true\n");
    assert!(load(&with_file(&marked, &[]), |s| s.flag("proxy")));
}

#[test]
fn aliases_are_followed_as_long_as_they_stand_for_little() {
    let text = "service: &who {name: a}\nhealthchecks: [*who, *who]\n";
    let file_of_few = file(text);
    let read = load(&with_file(&file_of_few, &[]), |s| {
        s.section::<serde_json::Value>("healthchecks")
    });
    assert_eq!(
        read,
        Some(serde_json::json!([{"name": "a"}, {"name": "a"}]))
    );
    let levels = (1..8).map(|level| {
        let before = format!("*a{},", level - 1).repeat(9);
        format!("- &a{level} [{before}]\n")
    });
    let bomb = format!("commands:\n- &a0 [x]\n{}", levels.collect::<String>());
    let said = fail(&with_file(&file(&bomb), &[]));
    assert!(said.contains("alias"), "{said}");
}
