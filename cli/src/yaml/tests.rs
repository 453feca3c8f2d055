use serde_json::{Value, json};

use super::*;

fn again(text: &str) -> String {
    print(&documents(text).unwrap())
}

#[test]
fn scalars_stay_what_they_were() {
    let text = "a: 0644\nb: yes\nc: \"yes\"\nd: '0644'\ne: ~\nf:\ng: 1e3\nh: \"1e3\"\ni: !!str 7\n\
                j: 12:30:45\nk: '12:30:45'\nl: \"\"\nm: 2001-01-01\nn: '2001-01-01'\no: \"<<\"\n\
                on: \"off\"\np: text with spaces\nq: 'a: b'\nr: \"1_000\"\ns: \"~\"\n";
    let wanted = "a: 0644\nb: yes\nc: \"yes\"\nd: \"0644\"\ne: ~\nf: ~\ng: 1e3\nh: \"1e3\"\n\
                  i: !!str 7\nj: 12:30:45\nk: \"12:30:45\"\nl: \"\"\nm: 2001-01-01\n\
                  n: \"2001-01-01\"\no: \"<<\"\non: \"off\"\np: text with spaces\nq: \"a: b\"\n\
                  r: \"1_000\"\ns: \"~\"\n";
    assert_eq!(again(text), wanted);
    // Once printed, it is always printed so.
    assert_eq!(again(wanted), wanted);
}

#[test]
fn shapes_are_kept() {
    let text = "a:\n- - 1\n  - {x: [], y: {}}\n- b: {c: [1, 2]}\n  d: |\n    one\n\n      two\n\
                e: >-\n  folded\n  text\n---\n---\n[1]\n";
    let wanted = "a:\n-\n  - 1\n  - x: []\n    y: {}\n- b:\n    c:\n    - 1\n    - 2\n  d: |\n    one\n\n      two\n\
                  e: folded text\n---\n~\n---\n- 1\n";
    assert_eq!(again(text), wanted);
    assert_eq!(again(wanted), wanted);
}

#[test]
fn aliases_and_merges_are_written_out() {
    let text = "base: &b {x: 1, y: 2}\none:\n  <<: *b\n  y: 3\nlist: [*b]\n";
    let wanted = "base:\n  x: 1\n  y: 2\none:\n  y: 3\n  x: 1\nlist:\n- x: 1\n  y: 2\n";
    assert_eq!(again(text), wanted);
    let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for n in 1..9 {
        let inner = vec![format!("*a{}", n - 1); 10].join(", ");
        bomb.push_str(&format!("a{n}: &a{n} [{inner}]\n"));
    }
    assert!(documents(&bomb).unwrap_err().contains("nodes"));
    assert!(documents("a: 1\na: 2\n").unwrap_err().contains("twice"));
    assert!(documents("a: [1\n").is_err());
}

#[test]
fn whatever_a_text_is_it_is_read_again() {
    let texts = [
        "",
        " ",
        "a\nb",
        "a\n",
        "\n",
        "a\n\n",
        " a\nb",
        "a\n  \nb",
        "a\r\nb",
        "\t",
        "é\u{85}\u{2028}",
        "\u{1F600}",
        "\"\\",
        "- a",
        "# no",
        "a #b",
        "a: b",
        "*x",
        "&x",
        "!x",
        "%x",
        "@x",
        "`x",
        "|",
        "0x1f",
        "0o17",
        "017",
        "1.",
        ".5",
        "+1",
        "1_0",
        "1:30",
        "NaN",
        ".inf",
        "Yes",
        "N",
        "=",
        "<<",
        "null",
        "~",
        "---",
        "...",
        "?",
        "a\n\tb",
        "\u{0}\u{7f}\u{feff}",
    ];
    for text in texts {
        let value = json!({ "k": text, "l": [text, { text: text }] });
        let printed = print(&[value.clone().into()]);
        let read: Value = serde_saphyr::from_str(&printed).unwrap();
        assert_eq!(read, value, "{printed}");
        assert_eq!(again(&printed), printed);
    }
}
