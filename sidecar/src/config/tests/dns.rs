use super::*;
use crate::dns::Listen;

#[test]
fn the_dns_server_stands_alone_and_on_the_loopback() {
    let alone = load(&["--dns", "--registry_url=http://r:1"]).unwrap();
    assert!(alone.remarks.is_empty(), "{:?}", alone.remarks);
    assert!(alone.proxy.is_none() && alone.register.is_none());
    assert!(matches!(alone.instances, Some(Source::Amalgam8 { .. })));
    let dns = alone.dns.unwrap();
    assert_eq!(dns.listen, Listen::Loopback(8053));
    assert_eq!(dns.domain.to_string(), "amalgam8.");
    assert!(dns.upstreams.is_empty());
    let text = "proxy: true\ndns: true\ndnsconfig:\n  port: 53\n  domain: Svc.Example.\n  \
        host: [10.0.0.1, '::1']\n  upstream: ['10.0.0.2', '[fd00::1]:5353', 'fd00::2']\n";
    let dns = with_file(text).unwrap().dns.unwrap();
    let at = ["10.0.0.1:53", "[::1]:53"].map(|at| at.parse().unwrap());
    assert_eq!(dns.listen, Listen::At(at.to_vec()));
    let twice = ["--dns", "--dns_host=127.0.0.1,127.0.0.1,[::1],::1"];
    let at = ["127.0.0.1:8053", "[::1]:8053"].map(|at| at.parse().unwrap());
    let listen = with_servers(&twice).unwrap().dns.unwrap().listen;
    assert_eq!(listen, Listen::At(at.to_vec()));
    let upstreams = ["10.0.0.2:53", "[fd00::1]:5353", "[fd00::2]:53"];
    assert_eq!(dns.upstreams, upstreams.map(|at| at.parse().unwrap()));
}

#[test]
fn what_the_dns_server_cannot_do_is_refused_by_name() {
    for (args, name, told) in [
        (
            &["--dns_host=localhost"][..],
            "dns_host",
            "not an IP address",
        ),
        (&["--dns_upstream=dns.example"], "dns_upstream", "neither"),
        (&["--dns_upstream=10.0.0.1:0"], "dns_upstream", "no address"),
        (
            &["--dns_upstream=127.0.0.1:8053"],
            "dns_upstream",
            "ask itself",
        ),
        (
            &[
                "--dns_host=0.0.0.0",
                "--dns_port=53",
                "--dns_upstream=127.0.0.1",
            ],
            "dns_upstream",
            "ask itself",
        ),
        (
            &[
                "--dns_upstream=1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5,1.1.1.6,1.1.1.7,1.1.1.8,1.1.1.9",
            ],
            "dns_upstream",
            "at most 8",
        ),
        (&["--dns_domain=a..b"], "dns_domain", "no domain name"),
        (&["--dns_domain=."], "dns_domain", "no domain name"),
        (&["--dns_port=8001"], "dns_port", "admin_port"),
        (
            &["--proxy", "--dns_port=6379"],
            "dns_port",
            "http_listener_port",
        ),
    ] {
        let exit = with_servers(&[&["--dns"], args].concat()).unwrap_err();
        assert_eq!(exit.code(), 64, "{args:?}");
        let exit = exit.to_string();
        assert!(
            exit.contains(name) && exit.contains(told),
            "{args:?}: {exit}"
        );
    }
    let off = with_servers(&["--proxy", "--service=a", "--dns_port=53", "--dns_host=::1"]);
    let remarks = off.unwrap().remarks;
    assert_eq!(remarks.len(), 2, "{remarks:?}");
    let need = load(&["--dns"]).unwrap_err().to_string();
    assert!(need.contains("registry_url"), "{need}");
}
