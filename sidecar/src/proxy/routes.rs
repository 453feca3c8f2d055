//! What a request is decided by: one immutable value, replaced as a whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use a8_common::model::{Identity, ServiceName};
use a8_common::rule::{Decision, Draw, Refused, Request, ReturnCode, RuleTable, Trace};
use http::HeaderValue;
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};

use super::Shared;
use super::backend::Backend;
use super::metrics::Metrics;

/// Everything that routing needs. Built by the state owner, read by every worker.
#[derive(Debug, Default)]
pub struct Routes {
    /// Whether there has been a state to route by.
    pub loaded: bool,
    /// The rules.
    pub table: Arc<RuleTable<Arc<Backend>>>,
    /// Every known service with its default route.
    pub services: Arc<HashMap<ServiceName, Arc<Backend>>>,
}

/// How one request is to be served.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) backend: Arc<Backend>,
    /// Path and query to send.
    pub(super) target: PathAndQuery,
    /// Whether the caller named the service as the host, which is then passed on.
    pub(super) by_host: bool,
    pub(super) timeout: Duration,
    pub(super) retries: u32,
    pub(super) delay: Option<Duration>,
    pub(super) abort: Option<ReturnCode>,
    /// By which the caller is told to stay with the backend.
    pub(super) cookie: Option<HeaderValue>,
}

impl Plan {
    /// Counts the faults that are to be injected; returns them in words, if there are any.
    pub(super) fn note_faults(&self, metrics: &Metrics) -> Option<String> {
        let delay = self.delay.map(|delay| {
            metrics.delays.inc();
            format!("delay={}", delay.as_secs_f64())
        });
        let abort = self.abort.map(|abort| {
            metrics.aborts.inc();
            format!("abort={}", abort.number())
        });
        match (delay, abort) {
            (Some(delay), Some(abort)) => Some(format!("{delay},{abort}")),
            (delay, abort) => delay.or(abort),
        }
    }
}

/// Why there is no plan.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unroutable {
    /// The control plane has not been heard of yet.
    #[error("no routing state yet")]
    NotLoaded,
    /// The address makes no sense.
    #[error("{0}")]
    Malformed(&'static str),
    /// The path is refused.
    #[error("{0}")]
    Refused(#[from] Refused),
    /// Nobody is known by that name.
    #[error("no such service: {0}")]
    NoService(Box<str>),
}

impl Routes {
    /// Decides. `trace` is called for each mark that the access log is to have.
    pub(super) fn plan(
        &self,
        shared: &Shared,
        head: &Parts,
        draw: &mut impl Draw,
        trace: impl FnMut(&str, &str),
    ) -> Result<Plan, Unroutable> {
        if !self.loaded {
            return Err(Unroutable::NotLoaded);
        }
        let me = shared.caller.load();
        let service = self.addressed_by_host(shared, &me.identity, head)?;
        let decision = self.table.decide_for(
            &Request {
                caller: &me.identity,
                service: service.as_deref(),
                target: head.uri.path_and_query().map_or("/", PathAndQuery::as_str),
                headers: &head.headers,
            },
            draw,
            &mut |affinity, backends| shared.affinity.held(affinity, backends, &head.headers),
        )?;
        let cookie = decision.routed.as_ref().filter(|r| !r.held).and_then(|r| {
            let affinity = r.rule.route()?.affinity.as_ref()?;
            shared.affinity.cookie(affinity, r.attachment)
        });
        let plan = self.settle(decision, service.is_some(), trace)?;
        Ok(Plan { cookie, ..plan })
    }

    /// Decides a byte stream to `service`.
    pub(super) fn plan_stream(
        &self,
        shared: &Shared,
        service: &ServiceName,
        draw: &mut impl Draw,
        trace: impl FnMut(&str, &str),
    ) -> Result<Plan, Unroutable> {
        if !self.loaded {
            return Err(Unroutable::NotLoaded);
        }
        let me = shared.caller.load();
        let table = &self.table;
        let decision = table.decide_stream(&me.identity, service.as_str(), draw)?;
        self.settle(decision, false, trace)
    }

    fn settle(
        &self,
        decision: Decision<'_, Arc<Backend>>,
        by_host: bool,
        mut trace: impl FnMut(&str, &str),
    ) -> Result<Plan, Unroutable> {
        let backend = match &decision.routed {
            Some(routed) => routed.attachment,
            None => self
                .services
                .get(&*decision.destination)
                .ok_or_else(|| Unroutable::NoService(decision.destination.as_ref().into()))?,
        };
        mark(&decision.traces, &mut trace);
        Ok(Plan {
            backend: backend.clone(),
            target: PathAndQuery::try_from(&*decision.target)
                .map_err(|_| Unroutable::Malformed("the path cannot be sent on"))?,
            by_host,
            timeout: decision.timeout,
            retries: decision.retries,
            delay: decision.delay.map(|delay| delay.what),
            abort: decision.abort.map(|abort| abort.what),
            cookie: None,
        })
    }

    /// The service that the host names, if it does: `<service>.<domain>` always, `<service>`
    /// when there is one of that name. Loopback names and addresses are the proxy itself; so
    /// is the caller's own name, by which a gateway is reached. The host of an absolute URL
    /// is never the proxy.
    fn addressed_by_host<'a>(
        &self,
        shared: &Shared,
        me: &Identity,
        head: &'a Parts,
    ) -> Result<Option<Cow<'a, str>>, Unroutable> {
        // Checked beside an absolute URL, too: it has no say there, but others may think it has.
        let field = host_field(head)?;
        let authority = match head.uri.authority() {
            Some(authority) => named(authority)?,
            None => match field {
                Some(host) => host,
                None => return Ok(None),
            },
        };
        let host = without_port(authority);
        let host = host.strip_suffix('.').unwrap_or(host);
        if is_proxy_itself(host) {
            return Ok(None);
        }
        if let Some(name) = without_domain(host, &shared.domain) {
            return Ok(Some(self.spelt(name)));
        }
        let absolute = head.uri.authority().is_some();
        let name = self.spelt(host);
        let known = self.services.contains_key(&*name) && *name != *me.service.as_str();
        Ok((known || absolute).then_some(name))
    }

    /// Hosts have no case, names of services do: the given spelling counts when there is
    /// such a service, else that in lower case.
    fn spelt<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if self.services.contains_key(name) || !name.bytes().any(|b| b.is_ascii_uppercase()) {
            return Cow::Borrowed(name);
        }
        Cow::Owned(name.to_ascii_lowercase())
    }
}

/// Gives every key once, with all that is said under it.
fn mark(traces: &[&Trace], trace: &mut impl FnMut(&str, &str)) {
    for (at, mark) in traces.iter().enumerate() {
        let key = mark.log_key();
        let same = |other: &&&Trace| other.log_key() == key;
        if traces[..at].iter().any(|t| same(&t)) {
            continue;
        }
        let mut more = traces[at + 1..].iter().filter(same).peekable();
        if more.peek().is_none() {
            trace(key, mark.log_value());
            continue;
        }
        let values = std::iter::once(mark.log_value()).chain(more.map(|t| t.log_value()));
        trace(key, &values.collect::<Vec<_>>().join(","));
    }
}

/// The value of `Host`: at most one, and well-formed, as a second one or a strange one
/// may be read differently further on.
fn host_field(head: &Parts) -> Result<Option<&str>, Unroutable> {
    let mut values = head.headers.get_all(http::header::HOST).iter();
    let Some(value) = values.next() else {
        return match head.version {
            http::Version::HTTP_10 | http::Version::HTTP_09 => Ok(None),
            _ => Err(Unroutable::Malformed("the Host field is missing")),
        };
    };
    if values.next().is_some() {
        return Err(Unroutable::Malformed("there is more than one Host field"));
    }
    match value.to_str() {
        Ok("") => Ok(None),
        Ok(text) if !text.contains('@') && text.parse::<Authority>().is_ok() => Ok(Some(text)),
        _ => Err(Unroutable::Malformed("the Host field is not a host")),
    }
}

/// The authority of an absolute URL, which names no user: an instance would be told, and the
/// name may make somebody take it for the host (RFC 9110, 4.2.4).
fn named(authority: &Authority) -> Result<&str, Unroutable> {
    match authority.as_str() {
        text if text.contains('@') => Err(Unroutable::Malformed("the address names a user")),
        text => Ok(text),
    }
}

fn without_port(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    }
}

fn is_proxy_itself(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || (host.starts_with(|c: char| c.is_ascii_digit()) || host.contains(':'))
            && host.parse::<IpAddr>().is_ok()
}

/// `reviews.amalgam8` → `reviews`.
fn without_domain<'a>(host: &'a str, domain: &str) -> Option<&'a str> {
    let at = host.len().checked_sub(domain.len())?;
    let (name, end) = host.split_at_checked(at)?;
    let name = name.strip_suffix('.')?;
    (!name.is_empty() && end.eq_ignore_ascii_case(domain)).then_some(name)
}
