//! One instance, and how it is asked for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use a8_common::model::{EndpointType, Instance};
use hickory_proto::rr::Name;

use super::name::{Domain, Key, below, key_of};
use crate::proxy::Addresses;
use crate::state::Named;

/// The longest name, in bytes.
const MAX_NAME: usize = 255;

/// Where an instance is.
pub(super) enum Place {
    /// At an address.
    Address(IpAddr),
    /// At those of a host name, looked up ahead of time.
    Host(Arc<Host>),
}

/// A host name, for as long as an instance has it.
pub(super) struct Host {
    name: Arc<str>,
    port: u16,
    pub(super) addresses: Addresses,
    gone: AtomicBool,
}

impl Host {
    /// Nobody wants to know its addresses any more.
    pub(super) fn retire(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }
}

impl Named for Host {
    fn name(&self) -> Option<(&Arc<str>, u16)> {
        Some((&self.name, self.port))
    }

    fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// An instance that takes requests.
pub(super) struct Entry {
    /// Where it is.
    pub(super) place: Place,
    /// Its port, if it has one.
    pub(super) port: Option<u16>,
    /// A name of this server that stands for it alone. `None` when its id cannot stand in one.
    pub(super) target: Option<Name>,
    kind: EndpointType,
    /// Its id, as the key of a name.
    pub(super) id: Option<Key>,
    words: Box<[Key]>,
}

impl Entry {
    /// How `instance` is asked for; `None` when it has no address.
    pub(super) fn new(instance: &Instance, domain: &Domain) -> Option<Self> {
        let authority = instance.endpoint.authority().ok()?;
        let kind = instance.endpoint.kind();
        let port = authority.port.or(match kind {
            EndpointType::Http => Some(80),
            EndpointType::Https => Some(443),
            EndpointType::Tcp | EndpointType::Udp | EndpointType::User => None,
        });
        let place = match authority.host.parse::<IpAddr>() {
            Ok(ip) => Place::Address(ip.to_canonical()),
            Err(_) => Place::Host(Arc::new(Host {
                name: authority.host,
                port: port.unwrap_or_default(),
                addresses: Addresses::unknown(),
                gone: AtomicBool::new(false),
            })),
        };
        let id = key_of(instance.id.as_str());
        let mut words: Vec<Key> = id.iter().cloned().collect();
        words.extend(key_of(kind.as_str()));
        for tag in &instance.tags {
            words.extend(key_of(tag.as_str()));
            if let Some((key, value)) = tag.as_str().split_once('=') {
                words.extend(key_of(&format!("{value}.{key}")));
            }
        }
        let target = domain.below(&[instance.id.as_str(), instance.service_name.as_str()]);
        Some(Self {
            place,
            port,
            target: target.filter(|_| id.is_some()),
            kind,
            id,
            words: words.into(),
        })
    }

    /// How `rest`, which stands before the service, fits this instance.
    pub(super) fn fit(&self, rest: &[u8]) -> Fit {
        if rest.is_empty() {
            return Fit::Whole;
        }
        let mut tried = [false; MAX_NAME];
        let mut open = vec![0];
        let mut fit = Fit::No;
        while let Some(at) = open.pop() {
            let left = &rest[at..];
            for word in &self.words {
                match below(left, word) {
                    Some([]) => return Fit::Whole,
                    Some(more) => {
                        let next = rest.len() - more.len();
                        if let Some(tried @ false) = tried.get_mut(next) {
                            *tried = true;
                            open.push(next);
                        }
                    }
                    None if below(word, left).is_some() => fit = Fit::OnTheWay,
                    None => {}
                }
            }
        }
        fit
    }

    /// Whether it is asked for by `word`.
    pub(super) fn has_word(&self, word: &[u8]) -> bool {
        self.words.iter().any(|own| **own == *word)
    }

    /// Whether what it speaks runs over TCP.
    pub(super) fn runs_over_tcp(&self) -> bool {
        matches!(self.kind, EndpointType::Http | EndpointType::Https)
    }

    /// The addresses that it has now, and whether that is all there is to know: `false` when
    /// its name has not been resolved.
    pub(super) fn addresses(&self, mut each: impl FnMut(IpAddr)) -> bool {
        match &self.place {
            Place::Address(ip) => each(*ip),
            Place::Host(host) => {
                let known = host.addresses.known();
                let ips = known.list.iter().map(SocketAddr::ip);
                ips.for_each(|ip| each(ip.to_canonical()));
                return !known.list.is_empty();
            }
        }
        true
    }
}

/// How well a name fits an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does not.
    No,
    /// A longer name would fit.
    OnTheWay,
    /// It does.
    Whole,
}
