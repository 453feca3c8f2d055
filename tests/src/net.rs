//! Hosts of the tests' own: network namespaces on one bridge, which can be cut off.

use std::process::{Command, Stdio};

const BRIDGE: &str = "bridge";

/// Namespaces with an address each, and this process's own place among them. Taken down when
/// dropped.
pub struct Network {
    tag: u32,
    hosts: usize,
}

impl Network {
    /// So many hosts; `None` where the machine allows none.
    pub fn new(hosts: usize) -> Option<Self> {
        let tag = std::process::id() % 10_000;
        let network = Self { tag, hosts };
        let made = network.make();
        if !made {
            eprintln!("no network namespaces here: nobody can be cut off");
        }
        // What was made of it goes when it is dropped.
        made.then_some(network)
    }

    /// The bridge lies in a namespace too: on the machine itself, packets between its ports
    /// would pass the machine's own firewall.
    fn make(&self) -> bool {
        let (hub, own, far) = (self.hub(), self.own(), self.link(self.hosts));
        let address = format!("{}/24", self.near());
        let begun = ip(&["netns", "add", &hub])
            && ip(&["-n", &hub, "link", "add", BRIDGE, "type", "bridge"])
            && ip(&["-n", &hub, "link", "set", BRIDGE, "up"])
            && ip(&["link", "add", &own, "type", "veth", "peer", "name", &far])
            && self.plug(&far)
            && ip(&["addr", "add", &address, "dev", &own])
            && ip(&["link", "set", &own, "up"]);
        begun && (0..self.hosts).all(|n| self.host(n))
    }

    fn host(&self, n: usize) -> bool {
        let (space, near, far) = (self.space(n), self.link(n), self.far(n));
        let address = format!("{}/24", self.address(n));
        ip(&["netns", "add", &space])
            && ip(&["link", "add", &near, "type", "veth", "peer", "name", &far])
            && self.plug(&near)
            && ip(&["link", "set", &far, "netns", &space])
            && ip(&["-n", &space, "addr", "add", &address, "dev", &far])
            && ip(&["-n", &space, "link", "set", &far, "up"])
            && ip(&["-n", &space, "link", "set", "lo", "up"])
    }

    /// Makes one end of a link a port of the bridge.
    fn plug(&self, link: &str) -> bool {
        let hub = self.hub();
        ip(&["link", "set", link, "netns", &hub])
            && ip(&["-n", &hub, "link", "set", link, "master", BRIDGE])
            && ip(&["-n", &hub, "link", "set", link, "up"])
    }

    /// The address of a host.
    pub fn address(&self, n: usize) -> String {
        self.at(10 + n)
    }

    /// This process's own address among them.
    pub fn near(&self) -> String {
        self.at(1)
    }

    /// Takes a host's addresses away, and gives it another one, if there is one.
    pub fn readdress(&self, n: usize, address: Option<&str>) {
        let (space, far) = (self.space(n), self.far(n));
        assert!(ip(&["-n", &space, "addr", "flush", "dev", &far]));
        if let Some(address) = address {
            let address = format!("{address}/24");
            assert!(ip(&["-n", &space, "addr", "add", &address, "dev", &far]));
        }
    }

    /// What starts a program on a host, before the program.
    pub fn inside(&self, n: usize) -> Vec<String> {
        let words = ["ip", "netns", "exec", &self.space(n)];
        words.map(str::to_owned).to_vec()
    }

    /// Cuts a host off from everybody.
    pub fn cut(&self, n: usize) {
        assert!(ip(&[
            "-n",
            &self.hub(),
            "link",
            "set",
            &self.link(n),
            "down"
        ]));
    }

    /// Cuts a host off from the other hosts, and from nobody else.
    pub fn part(&self, n: usize) {
        for other in (0..self.hosts).filter(|other| *other != n) {
            let to = self.address(other);
            assert!(ip(&[
                "-n",
                &self.space(n),
                "route",
                "add",
                "blackhole",
                &to
            ]));
        }
    }

    /// Ends every cut of a host.
    pub fn heal(&self, n: usize) {
        assert!(ip(&["-n", &self.hub(), "link", "set", &self.link(n), "up"]));
        for other in (0..self.hosts).filter(|other| *other != n) {
            // There is none where it was not parted.
            ip(&[
                "-n",
                &self.space(n),
                "route",
                "del",
                "blackhole",
                &self.address(other),
            ]);
        }
    }

    fn at(&self, host: usize) -> String {
        // Of the range for measurements between networks (RFC 2544), which nobody routes.
        format!("198.18.{}.{host}", self.tag % 256)
    }

    fn space(&self, n: usize) -> String {
        format!("a8t{}-{n}", self.tag)
    }

    fn link(&self, n: usize) -> String {
        format!("a8n{}-{n}", self.tag)
    }

    /// The host's end of its link.
    fn far(&self, n: usize) -> String {
        format!("a8f{}-{n}", self.tag)
    }

    fn hub(&self) -> String {
        format!("a8h{}", self.tag)
    }

    /// This process's own end.
    fn own(&self) -> String {
        format!("a8o{}", self.tag)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for n in 0..self.hosts {
            ip(&["netns", "del", &self.space(n)]);
        }
        ip(&["netns", "del", &self.hub()]);
        // Its other end went with the namespace, unless it did not get that far.
        ip(&["link", "del", &self.own()]);
    }
}

fn ip(args: &[&str]) -> bool {
    let mut command = Command::new("ip");
    let quiet = command
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}
