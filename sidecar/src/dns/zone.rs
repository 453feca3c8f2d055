//! The records that answer a question.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::{Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, HINFO, NS, SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::entry::Entry;
use super::index::{Found, Index};
use super::name::{Domain, Inside};

/// How long anything may be kept, in seconds: not at all, an instance may be gone by then.
const TTL: u32 = 0;
/// The most records of an answer, so that none takes long. A message has no room for many more.
const MAX_RECORDS: usize = 2000;

/// What is said to a question.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) code: ResponseCode,
    /// Whether it comes from the one who must know.
    pub(super) authoritative: bool,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    /// What may be left out where room is short.
    pub(super) additionals: Vec<Record>,
}

impl Answer {
    /// One without records.
    pub(super) fn bare(code: ResponseCode) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }
}

/// The domain, and what is known below it.
pub(super) struct Zone {
    domain: Domain,
    index: Arc<ArcSwap<Index>>,
}

impl Zone {
    pub(super) fn new(domain: Domain, index: Arc<ArcSwap<Index>>) -> Self {
        Self { domain, index }
    }

    /// What is said to `query`; `None` when it is about another domain.
    ///
    /// A name that exists but has no such record, and one that does not exist, are told apart
    /// as of RFC 2308, with the SOA record in the authority section.
    pub(super) fn answer(&self, query: &Query) -> Option<Answer> {
        if query.query_class() != DNSClass::IN
            || matches!(query.query_type(), RecordType::AXFR | RecordType::IXFR)
        {
            return Some(Answer::bare(ResponseCode::Refused));
        }
        let key = match self.domain.inside(query.name())? {
            Inside::Key(key) => key,
            Inside::Nothing => return Some(self.negative(ResponseCode::NXDomain)),
        };
        Some(match key.is_empty() {
            true => self.apex(query),
            false => self.below(query, &key),
        })
    }

    fn apex(&self, query: &Query) -> Answer {
        let data = match query.query_type() {
            RecordType::SOA => self.soa(),
            RecordType::NS => RData::NS(NS(localhost())),
            RecordType::ANY => minimal(),
            _ => return self.negative(ResponseCode::NoError),
        };
        positive(vec![record(query.name(), data)])
    }

    fn below(&self, query: &Query, key: &[u8]) -> Answer {
        let index = self.index.load();
        if !index.loaded {
            return Answer::bare(ResponseCode::ServFail);
        }
        let service = key.starts_with(b"_");
        let found = match service {
            true => index.find_service(key),
            false => index.find(key),
        };
        let entries = match found {
            Found::Nothing => return self.negative(ResponseCode::NXDomain),
            Found::OnTheWay => return self.negative(ResponseCode::NoError),
            Found::Instances(entries) => entries,
        };
        let name = query.name();
        let (answers, additionals) = match (query.query_type(), service) {
            (RecordType::SRV, true) => services(name, entries),
            (RecordType::A | RecordType::AAAA, false) => {
                match addresses(name, &entries, query.query_type()) {
                    Some(records) => (records, Vec::new()),
                    None => return Answer::bare(ResponseCode::ServFail),
                }
            }
            (RecordType::ANY, _) => (vec![record(name, minimal())], Vec::new()),
            _ => Default::default(),
        };
        match answers.is_empty() {
            true => self.negative(ResponseCode::NoError),
            false => Answer {
                additionals,
                ..positive(answers)
            },
        }
    }

    fn negative(&self, code: ResponseCode) -> Answer {
        Answer {
            code,
            authoritative: true,
            authorities: vec![record(self.domain.name(), self.soa())],
            ..Answer::default()
        }
    }

    /// Nobody transfers the zone, so its times mean nothing, and its serial number only tells
    /// people how far the server has come. The last number is how long "there is no such name"
    /// may be kept.
    fn soa(&self) -> RData {
        let serial = self.index.load().revision.0 as u32;
        let nobody = ["nobody", "invalid"];
        let nobody = Name::from_labels(nobody.map(str::as_bytes)).unwrap_or_default();
        RData::SOA(SOA::new(
            localhost(),
            nobody,
            serial,
            3600,
            1200,
            604_800,
            TTL,
        ))
    }
}

/// The server's own name: wherever it listens, it speaks for its own machine.
fn localhost() -> Name {
    Name::from_labels([&b"localhost"[..]]).unwrap_or_default()
}

/// What is said to those who ask for everything (RFC 8482, 4.2).
fn minimal() -> RData {
    RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()))
}

fn record(name: &Name, data: RData) -> Record {
    Record::from_rdata(name.clone(), TTL, data)
}

fn positive(answers: Vec<Record>) -> Answer {
    Answer {
        authoritative: true,
        answers,
        ..Answer::default()
    }
}

/// The addresses of `entries` of one family, each once, in any order. `None` when there is none
/// because names have not been resolved: that will pass.
fn addresses(name: &Name, entries: &[&Entry], family: RecordType) -> Option<Vec<Record>> {
    let mut ips = Vec::new();
    let mut all_known = true;
    for entry in entries {
        all_known &= entry.addresses(|ip| {
            if ip.is_ipv4() == (family == RecordType::A) {
                ips.push(ip);
            }
        });
    }
    if ips.is_empty() && !all_known {
        return None;
    }
    // A set has no record twice (RFC 2181, 5).
    ips.sort_unstable();
    ips.dedup();
    fastrand::shuffle(&mut ips);
    ips.truncate(MAX_RECORDS);
    let records = ips.into_iter().map(|ip| record(name, address(ip)));
    Some(records.collect())
}

fn address(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}

/// Where `entries` are, as of RFC 2782, all alike and in any order; and their addresses.
fn services(name: &Name, mut entries: Vec<&Entry>) -> (Vec<Record>, Vec<Record>) {
    fastrand::shuffle(&mut entries);
    let reachable = entries
        .iter()
        .filter_map(|entry| Some((entry, entry.target.as_ref()?, entry.port?)));
    let (mut answers, mut additionals) = (Vec::new(), Vec::new());
    for (entry, target, port) in reachable.take(MAX_RECORDS) {
        let srv = SRV::new(0, 0, port, target.clone());
        answers.push(record(name, RData::SRV(srv)));
        entry.addresses(|ip| additionals.push(record(target, address(ip))));
    }
    (answers, additionals)
}
