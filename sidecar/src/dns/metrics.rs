//! What was asked, and how it was answered.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use prometheus::{IntCounterVec, Opts, Registry};

/// What a message was about, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A question that was answered here.
    Asked(RecordType),
    /// One that another server was asked.
    Forwarded,
    /// Something that is no question.
    Unreadable,
}

impl Kind {
    const fn label(self) -> &'static str {
        match self {
            Self::Asked(RecordType::A) => "a",
            Self::Asked(RecordType::AAAA) => "aaaa",
            Self::Asked(RecordType::SRV) => "srv",
            Self::Asked(_) => "other",
            Self::Forwarded => "forwarded",
            Self::Unreadable => "unreadable",
        }
    }
}

/// The server's counters.
pub(super) struct Metrics {
    queries: IntCounterVec,
}

impl Metrics {
    /// Counters that `registry` collects.
    pub(super) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let name = "a8_dns_queries_total";
        let opts = Opts::new(name, "Questions to the DNS server that were replied to.");
        let queries = IntCounterVec::new(opts, &["kind", "code"])?;
        registry.register(Box::new(queries.clone()))?;
        Ok(Self { queries })
    }

    /// Counts a reply.
    pub(super) fn count(&self, kind: Kind, code: ResponseCode) {
        let labels = [kind.label(), label(code)];
        self.queries.with_label_values(&labels).inc();
    }
}

const fn label(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::NoError => "noerror",
        ResponseCode::FormErr => "formerr",
        ResponseCode::ServFail => "servfail",
        ResponseCode::NXDomain => "nxdomain",
        ResponseCode::NotImp => "notimp",
        ResponseCode::Refused => "refused",
        ResponseCode::BADVERS => "badvers",
        _ => "other",
    }
}
