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

#[test]
fn a_value_after_a_bare_switch_is_no_command() {
    for (args, hint) in [
        (&["--proxy", "false"][..], "--proxy=false"),
        (&["--dns_port=1", "--proxy", "true", "x"], "--proxy=true"),
    ] {
        let said = fail(&Input::from_args(args.to_vec()));
        let told = said.contains("--proxy (command line)") && said.contains(hint);
        assert!(told, "{args:?}: {said}");
    }
    for args in [
        &["--proxy", "--", "false"][..],
        &["--proxy=true", "false"],
        &["--proxy", "--service", "a", "false"],
    ] {
        let trailing = load(&Input::from_args(args.to_vec()), |s| s.trailing().to_vec());
        assert_eq!(trailing, ["false"], "{args:?}");
    }
}
