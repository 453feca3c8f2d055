//! Many at a time: nobody gets nothing, and nobody gets what is another's.

use std::fmt::Write as _;

use tokio::process::Command;

use crate::callers::{Both, Version};
use crate::instances;
use crate::setup::Setup;
use crate::tools;

#[tokio::test]
async fn all_of_many_streams_are_answered() {
    let mut setup = Setup::new();
    let instances = instances::start(&mut setup).await;
    let both = Both::start(&setup).await;
    let before = [both.plain.open_files(), both.tls.open_files()];
    for (sidecar, service, more) in [
        (&both.plain, "nghttpd", &["-n", "20000", "-m", "20"][..]),
        (&both.tls, "nghttpd-tls", &["-n", "5000", "-m", "20"]),
        (&both.plain, "nginx", &["-n", "5000", "-m", "4"]),
        (&both.plain, "nginx-tls", &["-n", "5000", "--h1"]),
    ] {
        let scheme = if sidecar.tls { "https" } else { "http" };
        let url = format!("{scheme}://127.0.0.1:{}/{service}/small", sidecar.port);
        let mut h2load = Command::from(tools::program("h2load"));
        h2load.args(["-c", "50"]).args(more).arg(&url);
        let done = h2load.kill_on_drop(true).output().await.unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        let count = more[1];
        let good = format!("{count} succeeded, 0 failed, 0 errored, 0 timeout");
        assert!(said.contains(&good), "{url}: {said}");
        assert!(
            said.contains(&format!("status codes: {count} 2xx")),
            "{said}"
        );
    }
    drop(instances);
    both.plain.no_more_than(before[0]).await;
    both.tls.no_more_than(before[1]).await;
}

#[tokio::test]
async fn each_of_many_streams_gets_its_own() {
    const COUNT: usize = 200;
    let mut setup = Setup::new();
    let _instances = instances::start(&mut setup).await;
    for number in 0..COUNT {
        let file = setup.folder().join(format!("www/{number}"));
        std::fs::write(file, number.to_string().repeat(number * 50)).unwrap();
    }
    let both = Both::start(&setup).await;
    for way in both.ways() {
        // curl 7.88 cannot do this, with any server.
        if way.version == Version::Two && !way.sidecar.tls {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let services = ["nginx", "nginx-tls", "nghttpd", "nghttpd-tls"];
        let service = |number: usize| services[number % services.len()];
        let mut list = String::new();
        for number in 0..COUNT {
            let url = way.url(&format!("/{}/{number}", service(number)));
            let file = folder.path().join(number.to_string());
            writeln!(list, "url = {url}\noutput = {}", file.display()).unwrap();
        }
        let config = folder.path().join("list");
        std::fs::write(&config, list).unwrap();
        let mut curl = way.command();
        curl.args(["--parallel", "--parallel-max", "50", "--fail", "-K"]);
        let done = curl.arg(&config).output().await.unwrap();
        assert!(done.status.success(), "{}: {done:?}", way.name());
        for number in 0..COUNT {
            let got = std::fs::read_to_string(folder.path().join(number.to_string()));
            // curl writes no file where there is nothing to write.
            let wanted = number.to_string().repeat(number * 50);
            assert!(
                got.unwrap_or_default() == wanted,
                "{number} by {}",
                way.name()
            );
        }
    }
}
