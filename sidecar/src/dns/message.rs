//! Messages from and to the wire (RFC 1035, 4; RFC 6891).

use hickory_proto::op::emit_message_parts;
use hickory_proto::op::{Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::serialize::binary::BinEncoder;

use super::zone::Answer;

/// The least that a message has.
pub(super) const HEADER: usize = 12;
/// The most that goes into a datagram for those who say nothing of it.
const PLAIN_PAYLOAD: u16 = 512;
/// The most that goes into a datagram at all: it passes everywhere in one piece.
pub(super) const MAX_PAYLOAD: u16 = 1232;
/// The size of an OPT record without options.
pub(super) const OPT: usize = 11;

/// The flags of a message: those of its third byte that are looked at here.
pub(super) const RESPONSE: u8 = 0x80;
pub(super) const TRUNCATED: u8 = 0x02;

/// Over what a message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// A datagram.
    Udp,
    /// A stream.
    Tcp,
}

/// What a question says of itself.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    id: u16,
    opcode: OpCode,
    /// Whether others are to be asked.
    pub(super) recursion: bool,
    /// Whether the answer is wanted unchecked.
    pub(super) unchecked: bool,
    /// The question, as far as it could be read.
    pub(super) query: Option<Query>,
    /// What it says of the extensions, if it knows any.
    pub(super) edns: Option<Edns>,
}

/// The part of an OPT record that matters here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Edns {
    payload: u16,
    /// Whether the caller understands signatures.
    pub(super) dnssec: bool,
}

/// What was sent.
#[derive(Debug)]
pub(super) enum Incoming {
    /// Nothing that may be replied to.
    Nothing,
    /// Something that cannot be answered, and what is said to it.
    Wrong(Asked, ResponseCode),
    /// One question.
    Question(Asked, Query),
}

/// Reads what was sent. Never fails: anything may come.
pub(super) fn read(packet: &[u8]) -> Incoming {
    let Some((header, _)) = packet.split_first_chunk::<HEADER>() else {
        return Incoming::Nothing;
    };
    // Replies to replies would go to and fro for ever.
    if header[2] & RESPONSE != 0 {
        return Incoming::Nothing;
    }
    let mut asked = Asked {
        id: u16::from_be_bytes([header[0], header[1]]),
        opcode: OpCode::from_u8(header[2] >> 3 & 0x0f),
        recursion: header[2] & 0x01 != 0,
        unchecked: header[3] & 0x10 != 0,
        query: None,
        edns: None,
    };
    // Looked at before anything is made room for: RFC 9619 allows one question.
    let one = header[4..6] == [0, 1];
    let message = one.then(|| Message::from_vec(packet).ok()).flatten();
    if let Some(message) = &message {
        asked.query = message.queries.first().cloned();
        asked.edns = message.edns.as_ref().map(|edns| Edns {
            payload: edns.max_payload(),
            dnssec: edns.flags().dnssec_ok,
        });
    }
    if asked.opcode != OpCode::Query {
        return Incoming::Wrong(asked, ResponseCode::NotImp);
    }
    let (Some(message), Some(query)) = (message, asked.query.clone()) else {
        return Incoming::Wrong(asked, ResponseCode::FormErr);
    };
    if message.edns.is_some_and(|edns| edns.version() > 0) {
        return Incoming::Wrong(asked, ResponseCode::BADVERS);
    }
    Incoming::Question(asked, query)
}

impl Asked {
    /// The most bytes that a reply may have.
    pub(super) fn room(&self, over: Transport) -> u16 {
        match (over, self.edns) {
            (Transport::Tcp, _) => u16::MAX,
            (Transport::Udp, None) => PLAIN_PAYLOAD,
            (Transport::Udp, Some(edns)) => edns.payload.clamp(PLAIN_PAYLOAD, MAX_PAYLOAD),
        }
    }

    /// The reply that says `answer`. What has no room in a datagram is cut off, and the caller
    /// told so, that it may come back with a stream; what has none in a stream is left out.
    /// `None` only if a record of our own could not be written.
    pub(super) fn reply(
        &self,
        answer: &Answer,
        recursive: bool,
        over: Transport,
    ) -> Option<Vec<u8>> {
        let mut metadata = Metadata::new(self.id, MessageType::Response, self.opcode);
        metadata.authoritative = answer.authoritative;
        metadata.recursion_desired = self.recursion;
        metadata.recursion_available = recursive;
        metadata.checking_disabled = self.unchecked;
        metadata.response_code = ResponseCode::from_low(answer.code.low());
        let opt = if self.edns.is_some() { OPT } else { 0 };
        let mut bytes = Vec::new();
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(self.room(over) - opt as u16);
        let written = emit_message_parts(
            &metadata,
            &mut self.query.iter(),
            &mut answer.answers.iter(),
            &mut answer.authorities.iter(),
            &mut answer.additionals.iter(),
            None,
            None,
            &mut encoder,
        );
        let end = encoder.offset();
        let counts = written.ok()?.counts;
        // Of a record that had no room something is left behind.
        bytes.truncate(end);
        let complete = usize::from(counts.answers) == answer.answers.len()
            && usize::from(counts.authorities) == answer.authorities.len();
        // Nobody is missing what was additional (RFC 2181, 9).
        let flags = bytes.get_mut(2)?;
        *flags &= !TRUNCATED;
        if !complete && over == Transport::Udp {
            *flags |= TRUNCATED;
        }
        if let Some(edns) = self.edns {
            let additionals = counts.additionals + 1;
            bytes
                .get_mut(10..HEADER)?
                .copy_from_slice(&additionals.to_be_bytes());
            bytes.extend(self::opt(answer.code, edns.dnssec));
        }
        Some(bytes)
    }

    /// Makes a reply of another server to this question one for the caller.
    pub(super) fn passed_on(&self, mut reply: Vec<u8>, over: Transport) -> Vec<u8> {
        if let Some(id) = reply.get_mut(..2) {
            id.copy_from_slice(&self.id.to_be_bytes());
        }
        if reply.len() <= usize::from(self.room(over)) {
            return reply;
        }
        let truncated = self.reply(&Answer::default(), true, over);
        let mut truncated = truncated.unwrap_or_default();
        if let Some(flags) = truncated.get_mut(2) {
            *flags |= TRUNCATED;
        }
        truncated
    }
}

/// An OPT record that says what this server can do (RFC 6891, 6.1.2).
fn opt(code: ResponseCode, dnssec: bool) -> [u8; OPT] {
    let [high, low] = MAX_PAYLOAD.to_be_bytes();
    let flags = if dnssec { 0x80 } else { 0 };
    [0, 0, 41, high, low, code.high(), 0, flags, 0, 0, 0]
}
