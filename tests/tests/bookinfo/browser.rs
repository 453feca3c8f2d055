//! The page as a person sees it, in a real browser.

use a8_tests::tools;
use serde_json::{Value, json};

use super::{Bookinfo, PAGE};

#[tokio::test]
async fn a_visitor_signs_in_as_jason_and_sees_version_2() {
    let (Some(chromium), Some(driver)) = (tools::find("chromium"), tools::find("chromedriver"))
    else {
        eprintln!("there is no chromium here: the page is not looked at");
        return;
    };
    let bookinfo = Bookinfo::start().await;
    bookinfo
        .add("bookinfo-jason-reviews-v2-route-rules.yaml")
        .await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("{}{PAGE}", bookinfo.gateway.proxy);
    let mut visit = tools::python("browser.py");
    visit
        .args([&chromium, &driver])
        .arg(&url)
        .arg(folder.path());
    // Where it keeps what it keeps.
    visit
        .env("HOME", folder.path())
        .env("PATH", "/usr/bin:/bin");
    let visit = tokio::task::spawn_blocking(move || visit.output().unwrap());
    let visit = visit.await.unwrap();
    let errors = String::from_utf8_lossy(&visit.stderr);
    assert!(visit.status.success(), "{errors}");
    let said = String::from_utf8(visit.stdout).unwrap();
    let looks: Vec<Value> = said
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [guest, jason, again, narrow] = &looks[..] else {
        panic!("{said}");
    };
    for look in [guest, again, narrow] {
        assert_eq!(look["reviews"], "Reviews reviews v1", "{look}");
        assert_eq!(look["stars"], json!([]), "{look}");
        assert!(
            look["visitor"].as_str().unwrap().contains("Sign in as"),
            "{look}"
        );
    }
    assert_eq!(jason["reviews"], "Reviews reviews v2", "{jason}");
    assert_eq!(
        jason["stars"],
        json!(["5 of 5 stars, black", "4 of 5 stars, black"])
    );
    assert_eq!(jason["visible"], true, "{jason}");
    assert!(
        jason["visitor"]
            .as_str()
            .unwrap()
            .contains("Signed in as jason"),
        "{jason}"
    );
    // Nothing is cut off at the side, on a telephone either.
    assert!(
        looks
            .iter()
            .all(|look| look["quotes"] == 2 && look["wide"] == false),
        "{said}"
    );
    for look in ["guest", "jason", "narrow"] {
        let picture = std::fs::metadata(folder.path().join(format!("{look}.png"))).unwrap();
        assert!(picture.len() > 10_000, "{look}");
    }
}
