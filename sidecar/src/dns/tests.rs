//! The server over real sockets.

mod forwarding;
mod fuzz;
mod questions;
mod transports;

use std::net::SocketAddr;
use std::sync::Arc;

use a8_common::http::Health;
use a8_common::model::{Epoch, Instance, Revision};
use a8_common::source::{Feed, Link};
use a8_common::task::{Stop, Tasks};
use a8_common::view::{self, Publisher};
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use prometheus::Registry;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::timeout;

use super::*;
use crate::testkit::{DEADLINE, eventually, instance, with};

/// A server and the instances that it knows.
struct Kit {
    instances: Publisher<Instance>,
    epoch: Epoch,
    revision: u64,
    at: SocketAddr,
    health: Health,
    registry: Registry,
    tasks: Tasks,
}

impl Kit {
    /// One that has heard of nothing yet.
    fn silent(upstreams: &[SocketAddr]) -> Self {
        let (instances, view) = view::channel();
        let feed = Feed {
            view,
            link: watch::channel(Link::default()).1,
        };
        let tasks = Tasks::new(Stop::new());
        let lookup: crate::state::Lookup = Arc::new(|host| {
            let answer = match &*host {
                "both.test" => Ok(vec![
                    "10.9.0.1:0".parse().unwrap(),
                    "[fd00::9]:0".parse().unwrap(),
                ]),
                _ => Err(std::io::Error::other("no such name")),
            };
            Box::pin(std::future::ready(answer))
        });
        let names = Names::start(lookup, &tasks);
        let config = Config {
            listen: Listen::At(vec![SocketAddr::from(([127, 0, 0, 1], 0))]),
            domain: "amalgam8".parse().unwrap(),
            upstreams: upstreams.to_vec(),
            grace: DEADLINE,
        };
        let (health, registry) = (Health::new(), Registry::new());
        let (at, _) = start(&config, &feed, names, (&health, &registry), &tasks).unwrap();
        Self {
            instances,
            epoch: Epoch::fresh(),
            revision: 0,
            at: at[0],
            health,
            registry,
            tasks,
        }
    }

    /// One that knows `instances` and nothing else.
    async fn new(instances: Vec<Instance>, upstreams: &[SocketAddr]) -> Self {
        let mut kit = Self::silent(upstreams);
        kit.load(instances);
        eventually(async || kit.health.is_ready()).await;
        kit
    }

    fn load(&mut self, instances: Vec<Instance>) {
        self.revision += 1;
        let instances = instances.into_iter().map(Arc::new).collect();
        let revision = Revision(self.revision);
        self.instances.replace(&self.epoch, revision, instances);
    }

    /// Sends `bytes` in a datagram; what comes back.
    async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        exchange(self.at, bytes).await
    }

    /// Asks in a datagram.
    async fn ask(&self, message: &Message) -> Message {
        let reply = self.send(&message.to_vec().unwrap()).await;
        Message::from_vec(&reply).unwrap()
    }

    /// Asks for `kind` records of `name`.
    async fn query(&self, name: &str, kind: RecordType) -> Message {
        self.ask(&question(name, kind)).await
    }
}

async fn exchange(at: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(at).await.unwrap();
    socket.send(bytes).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let received = timeout(DEADLINE, socket.recv(&mut buffer)).await;
    buffer.truncate(received.expect("a reply").unwrap());
    buffer
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(fastrand::u16(..), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name.parse::<Wire>().unwrap().0, kind));
    message
}

/// A name, whatever its labels hold.
struct Wire(Name);

impl std::str::FromStr for Wire {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let labels = text.split('.').filter(|l| !l.is_empty());
        Ok(Self(Name::from_labels(labels.map(str::as_bytes)).unwrap()))
    }
}

/// What the answers say, sorted.
fn told(message: &Message) -> Vec<String> {
    let data = message.answers.iter().map(|record| match &record.data {
        RData::A(a) => a.0.to_string(),
        RData::AAAA(a) => a.0.to_string(),
        RData::SRV(srv) => format!("{}:{}", srv.target, srv.port).replace('\\', ""),
        RData::NS(ns) => ns.0.to_string(),
        RData::SOA(soa) => soa.mname.to_string(),
        RData::HINFO(info) => String::from_utf8_lossy(&info.cpu).into_owned(),
        other => format!("{other:?}"),
    });
    let mut data: Vec<_> = data.collect();
    data.sort();
    data
}
