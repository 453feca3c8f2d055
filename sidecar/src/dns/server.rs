//! From a message to its reply.

use hickory_proto::op::{Query, ResponseCode};

use super::forward::Forwarder;
use super::message::{self, Asked, Incoming, Transport};
use super::metrics::{Kind, Metrics};
use super::zone::{Answer, Zone};

/// What all sockets share.
pub(super) struct Server {
    pub(super) zone: Zone,
    /// Who knows the rest, if anybody is to be asked.
    pub(super) forwarder: Option<Forwarder>,
    pub(super) metrics: Metrics,
}

/// What a message leads to.
pub(super) enum Step {
    /// It is not replied to.
    Nothing,
    /// This is its reply.
    Reply(Vec<u8>),
    /// Another server knows.
    Forward(Box<(Asked, Query)>),
}

impl Server {
    /// What `packet` leads to. Waits for nothing.
    pub(super) fn step(&self, packet: &[u8], over: Transport) -> Step {
        let (asked, kind, answer) = match message::read(packet) {
            Incoming::Nothing => return Step::Nothing,
            Incoming::Wrong(asked, code) => (asked, Kind::Unreadable, Answer::bare(code)),
            Incoming::Question(asked, query) => {
                let kind = Kind::Asked(query.query_type());
                match self.zone.answer(&query) {
                    Some(answer) => (asked, kind, answer),
                    None if self.forwarder.is_some() => {
                        return Step::Forward(Box::new((asked, query)));
                    }
                    None => (asked, kind, Answer::bare(ResponseCode::Refused)),
                }
            }
        };
        match self.reply(&asked, &answer, over) {
            Some(reply) => {
                self.metrics.count(kind, answer.code);
                Step::Reply(reply)
            }
            None => Step::Nothing,
        }
    }

    /// Asks another server. Always has a reply: that it failed, where nobody answers.
    ///
    /// Cancel-safe: the other server's reply is lost.
    pub(super) async fn forward(
        &self,
        asked: &Asked,
        query: &Query,
        over: Transport,
    ) -> Option<Vec<u8>> {
        let told = match &self.forwarder {
            Some(forwarder) => forwarder.ask(asked, query, over).await,
            None => None,
        };
        let reply = match told {
            Some(told) => asked.passed_on(told, over),
            None => self.reply(asked, &Answer::bare(ResponseCode::ServFail), over)?,
        };
        let code = reply.get(3).map_or(0, |flags| flags & 0x0f);
        self.metrics
            .count(Kind::Forwarded, ResponseCode::from_low(code));
        Some(reply)
    }

    fn reply(&self, asked: &Asked, answer: &Answer, over: Transport) -> Option<Vec<u8>> {
        asked.reply(answer, self.forwarder.is_some(), over)
    }
}
