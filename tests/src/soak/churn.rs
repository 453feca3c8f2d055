//! Instances that come, leave and die.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::ground::Ground;
use crate::epochs::Epochs;
use crate::fabric::{Fabric, Sidecar};
use crate::instance::{Instance, Speaks};

/// The pause between two changes of a service.
const PACE: Duration = Duration::from_millis(100);
/// Every so many changes an instance is replaced; at the others one says something new of
/// itself.
const REPLACED: u64 = 4;

/// The instances of one service.
pub(super) struct Troop {
    service: &'static str,
    speaks: Speaks,
    members: Vec<Member>,
    changes: u64,
}

struct Member {
    instance: Instance,
    version: &'static str,
    id: String,
}

/// Starts those of all services.
pub(super) async fn troops(fabric: &Fabric) -> Vec<Troop> {
    let mut troops = Vec::new();
    for (service, speaks, versions) in [
        ("steady", Speaks::One, &["v1", "v2", "v1", "v2"][..]),
        ("mortal", Speaks::One, &["v1", "v1", "v1", "v1"]),
        ("calls", Speaks::Two, &["v1", "v1"]),
        ("wire", Speaks::Bytes, &["v1", "v1", "v1"]),
    ] {
        let mut troop = Troop {
            service,
            speaks,
            members: Vec::new(),
            changes: 0,
        };
        for version in versions {
            troop.add(fabric, version).await;
        }
        troops.push(troop);
    }
    troops
}

/// How many instances they are.
pub(super) fn size(troops: &[Troop]) -> usize {
    troops.iter().map(|troop| troop.members.len()).sum()
}

/// The time from one heartbeat to the next.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Registers an instance, and returns its id.
pub(super) async fn register(fabric: &Fabric, instance: &Value) -> String {
    let reply = fabric.registry.post("/api/v1/instances", instance).await;
    reply.expect(201).json()["id"].as_str().unwrap().to_owned()
}

/// Sends heartbeats for all that are registered, well within their time to live, as long as
/// `going`.
pub(super) async fn renew(fabric: &Fabric, going: &AtomicBool) {
    let mut due = Instant::now() + HEARTBEAT;
    while going.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if Instant::now() < due {
            continue;
        }
        due = Instant::now() + HEARTBEAT;
        let list = fabric.registry.get("/api/v1/instances?fields=id").await;
        for instance in list.expect(200).json()["instances"].as_array().unwrap() {
            let id = instance["id"].as_str().unwrap();
            let path = format!("/api/v1/instances/{id}/heartbeat");
            // One may have left meanwhile.
            let renewed = fabric.registry.put(&path, &json!({})).await;
            assert!([200, 410].contains(&renewed.status.as_u16()), "{renewed:?}");
        }
    }
}

/// Takes an instance out of the registry.
pub(super) async fn deregister(fabric: &Fabric, id: &str) {
    let path = format!("/api/v1/instances/{id}");
    fabric.registry.delete(&path).await.expect(200);
}

/// Makes so many changes to an instance that nobody asks for.
pub(super) async fn fill(fabric: &Fabric, changes: u32) {
    let mut id = String::new();
    for change in 0..changes {
        let instance = json!({
            "service_name": "nobody", "tags": ["v1"], "metadata": {"change": change},
            "endpoint": {"type": "http", "value": "127.0.0.1:1"},
        });
        id = register(fabric, &instance).await;
    }
    deregister(fabric, &id).await;
}

impl Troop {
    /// Changes it until there is to be no more load.
    pub(super) async fn churn(&mut self, fabric: &Fabric, gateway: &Sidecar, ground: &Ground) {
        while ground.going.load(Ordering::Relaxed) {
            self.changes += 1;
            let deaths = match self.service {
                "mortal" => Some(&ground.mortal),
                "wire" => Some(&ground.cut),
                _ => None,
            };
            match self.changes % REPLACED {
                0 => self.replace(fabric, gateway, deaths).await,
                _ => self.renew(fabric).await,
            }
            tokio::time::sleep(PACE).await;
        }
    }

    /// Ends it: all leave in good order.
    pub(super) async fn leave(self, fabric: &Fabric, gateway: &Sidecar) {
        for member in &self.members {
            deregister(fabric, &member.id).await;
        }
        fabric.in_effect(&[gateway], "instances").await;
        for member in self.members {
            member.instance.stop().await;
        }
    }

    async fn add(&mut self, fabric: &Fabric, version: &'static str) {
        let instance = Instance::start(self.speaks, self.service, version).await;
        let id = register(fabric, &self.told_of(&instance, version)).await;
        self.members.push(Member {
            instance,
            version,
            id,
        });
    }

    /// What the registry is told of an instance, each time something else.
    fn told_of(&self, instance: &Instance, version: &str) -> Value {
        let mut metadata = json!({"change": self.changes});
        if instance.speaks == Speaks::Two {
            metadata["protocol"] = json!("h2");
        }
        let kind = match instance.speaks {
            Speaks::Bytes => "tcp",
            _ => "http",
        };
        json!({
            "service_name": self.service, "tags": [version], "ttl": 600, "metadata": metadata,
            "endpoint": {"type": kind, "value": instance.address.to_string()},
        })
    }

    async fn renew(&mut self, fabric: &Fabric) {
        self.members.rotate_left(1);
        let member = &self.members[0];
        register(fabric, &self.told_of(&member.instance, member.version)).await;
    }

    /// Adds one and takes the oldest of the same version away: in good order or, if the
    /// service is one that knows `deaths`, every other time by death.
    async fn replace(&mut self, fabric: &Fabric, gateway: &Sidecar, deaths: Option<&Epochs<bool>>) {
        let member = self.members.remove(0);
        self.add(fabric, member.version).await;
        fabric.in_effect(&[gateway], "instances").await;
        match deaths {
            Some(deaths) if self.changes.is_multiple_of(2 * REPLACED) => {
                deaths.begin(true);
                member.instance.kill();
                let unnoticed = Duration::from_millis(fastrand::u64(0..500));
                tokio::time::sleep(unnoticed).await;
                deregister(fabric, &member.id).await;
                fabric.in_effect(&[gateway], "instances").await;
                deaths.begin(false);
                deaths.settled();
            }
            _ => {
                deregister(fabric, &member.id).await;
                fabric.in_effect(&[gateway], "instances").await;
                member.instance.quiet().await;
                member.instance.stop().await;
            }
        }
    }
}
