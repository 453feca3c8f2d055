//! Where an attempt is going. It may change until the request has been sent: whoever waits
//! for a connection takes the one that comes free.

use std::sync::Arc;
use std::time::Instant;

use http::header::{HOST, HeaderValue};
use http::{Request, header};

use super::attempt::{Failed, Failure, Sending};
use super::body::Outbound;
use super::record::Record;
use super::roster::Member;
use super::upstream::{InFlight, Upstream};

/// The instance that an attempt goes to.
pub(super) struct Aim<'a> {
    pub(super) send: &'a Sending<'a>,
    record: &'a mut Record,
    tried: &'a [u64],
    in_flight: Option<InFlight>,
    /// What the field `Host` was before an instance's own name was put there.
    host: Option<HeaderValue>,
}

impl<'a> Aim<'a> {
    pub(super) fn new(send: &'a Sending<'a>, record: &'a mut Record, tried: &'a [u64]) -> Self {
        Self {
            send,
            record,
            tried,
            in_flight: None,
            host: None,
        }
    }

    /// It goes to `member` now.
    pub(super) fn at(&mut self, member: Arc<Member>, now: Instant) {
        let upstream = &member.upstream;
        self.in_flight = Some(InFlight::new(upstream.clone()));
        self.record.upstream = Some(upstream.clone());
        self.send.trial.begin(member, now);
    }

    /// It waits, and no instance has anything to do with that.
    pub(super) fn wait(&mut self) {
        self.in_flight = None;
        self.record.upstream = None;
        self.send.trial.pause();
    }

    /// Where it goes. Picks anew when it goes nowhere.
    pub(super) fn upstream(&mut self) -> Result<Arc<Upstream>, Failed> {
        if let Some(in_flight) = &self.in_flight {
            return Ok(in_flight.0.clone());
        }
        let member = self.send.plan.backend.pick(self.tried).ok_or(Failed {
            why: Failure::NoInstance,
            sent: false,
        })?;
        let upstream = member.upstream.clone();
        self.at(member, Instant::now());
        Ok(upstream)
    }

    /// Makes the request one to the instance: one that is given by name is called by it.
    pub(super) fn address(&mut self, request: &mut Request<Outbound>) {
        let own = self.in_flight.as_ref().and_then(|i| i.0.host.clone());
        let named = own.is_some();
        let Some(host) = own.or_else(|| self.host.take()) else {
            return;
        };
        if let header::Entry::Occupied(mut entry) = request.headers_mut().entry(HOST) {
            let before = entry.insert(host);
            if named {
                self.host.get_or_insert(before);
            }
        } else {
            request.headers_mut().insert(HOST, host);
        }
    }

    /// What counts it for the instance.
    pub(super) fn in_flight(&mut self) -> Option<InFlight> {
        self.in_flight.take()
    }
}
