//! One request, from its head to the head of its response.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use http::header::{CONNECTION, EXPECT, HOST, SET_COOKIE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;

use super::attempt::{self, Answer};
use super::body::{End, ReplyBody};
use super::connections::{Connection, MAX_LINE};
use super::headers::{self, Caller};
use super::record::{Flag, Record};
use super::reply::{self, Reply};
use super::routes::{Plan, Unroutable};
use super::upstream::Traffic;
use super::worker::Worker;
use super::{framing, grpc, translate, upgrade};

/// The caller's connection is to be closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("closed without a response")]
pub(super) struct Closed;

/// What the requests of one connection have in common.
pub(super) struct Serve {
    pub(super) worker: Rc<Worker>,
    pub(super) connection: Rc<Connection>,
    pub(super) caller: Caller,
}

impl Serve {
    /// Serves one request in HTTP/1.
    pub(super) async fn call_http1(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Closed> {
        let worker = self.worker.clone();
        let mut response = self.call(request).await?;
        if worker.shared.leaving.load(Ordering::Relaxed)
            && response.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        Ok(response)
    }

    /// Serves one request.
    pub(super) async fn call(
        self: Rc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<ReplyBody>, Closed> {
        let (mut head, body) = request.into_parts();
        let asked = Asked {
            head_only: head.method == Method::HEAD,
            version: head.version,
        };
        let mut record = Record::begin(&self.worker, &self.connection, &head, Instant::now());
        let traffic = translate::traffic(&head);
        let form = Form::of(&head, traffic);
        if let Some(why) = framing::ambiguous(&head, &self.connection) {
            return Ok(local(record, form, reply::ambiguous(why)));
        }
        if head
            .uri
            .path_and_query()
            .is_some_and(|p| p.as_str().len() > MAX_LINE)
        {
            return Ok(local(record, form, reply::uri_too_long()));
        }
        if head.method == Method::CONNECT {
            return Ok(local(record, form, reply::connect_refused()));
        }
        let switching = match traffic {
            Traffic::Upgrade => switching(&mut head),
            Traffic::Http | Traffic::Grpc => None,
        };
        let plan = match self.plan(&mut head, &mut record) {
            Ok(plan) => plan,
            Err(why) => {
                record.headers(&head.headers);
                return Ok(local(record, form, reply::unroutable(&why)));
            }
        };
        self.rewrite(&plan, &mut head);
        record.headers(&head.headers);
        let caller = switching.map(|(protocol, caller)| {
            translate::upgrade_to(&mut head.headers, protocol);
            caller
        });
        let most = self.worker.shared.max_request_body;
        if body.size_hint().lower() > most {
            let reply = reply::too_large(most, &plan.backend);
            return Ok(local(record, form, reply));
        }
        self.note_faults(&plan, &mut record);
        let outcome = attempt::run(&self.worker, &plan, traffic, head, body, &mut record).await;
        let outcome = outcome.map(|mut answer| {
            if let Some(cookie) = &plan.cookie {
                let headers = answer.response.headers_mut();
                headers.append(SET_COOKIE, cookie.clone());
            }
            answer
        });
        match outcome {
            Ok(answer) if answer.response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                match caller {
                    Some(caller) => Ok(upgrade::switch(&self.worker, caller, answer, record)),
                    None => Ok(local(record, form, reply::unasked_switch(&plan.backend))),
                }
            }
            Ok(answer) => Ok(upstream(record, answer, asked)),
            Err(why) => match reply::failed(&why, &plan.backend) {
                Ok(reply) => Ok(local(record, form, reply)),
                // What the record says by itself when it is dropped.
                Err(Flag::CallerGone) => Err(Closed),
                Err(flag) => {
                    record.flag(flag);
                    record.finish(Instant::now());
                    Err(Closed)
                }
            },
        }
    }

    /// Drops the fields that were meant for us and decides by the rest.
    pub(super) fn plan(&self, head: &mut Parts, record: &mut Record) -> Result<Plan, Unroutable> {
        if head.version == Version::HTTP_2 {
            translate::from_http2(head)
                .map_err(|_| Unroutable::Malformed("the request names two hosts"))?;
        }
        headers::drop_hop_by_hop(&mut head.headers);
        headers::request_id(&mut head.headers);
        let plan = self
            .worker
            .decide(head, |key, value| record.trace(key, value))?;
        record.backend = Some(plan.backend.clone());
        Ok(plan)
    }

    /// Makes the head that the instance gets.
    pub(super) fn rewrite(&self, plan: &Plan, head: &mut Parts) {
        let uri = std::mem::replace(&mut head.uri, Uri::from(plan.target.clone()));
        head.version = Version::HTTP_11;
        // We have answered it ourselves by asking for the body (RFC 9110, 10.1.1).
        head.headers.remove(EXPECT);
        // The address that the caller wrote. For one that was written as an absolute URL the
        // field `Host` has no say.
        let asked = match uri.authority() {
            Some(authority) => authority.as_str().parse().ok(),
            None => head.headers.get(HOST).cloned(),
        };
        let sent = if plan.by_host {
            asked.clone()
        } else {
            plan.backend.host.clone()
        };
        if let Some(sent) = sent {
            head.headers.insert(HOST, sent);
        }
        self.caller.forward(&mut head.headers, asked);
    }

    fn note_faults(&self, plan: &Plan, record: &mut Record) {
        if plan.delay.is_some() {
            record.flag(Flag::Delayed);
        }
        if let Some(faults) = plan.note_faults(&self.worker.shared.metrics) {
            record.fault(&faults);
        }
    }
}

/// Takes what is needed to change the protocol out of a head that asks for it.
fn switching(head: &mut Parts) -> Option<(HeaderValue, OnUpgrade)> {
    let protocol = translate::upgrade(&head.headers)?.clone();
    Some((protocol, head.extensions.remove::<OnUpgrade>()?))
}

/// In which form a reply of our own is given.
#[derive(Debug, Clone, Copy)]
enum Form {
    Whole,
    /// Without its body.
    Head,
    Grpc,
}

impl Form {
    fn of(head: &Parts, traffic: Traffic) -> Self {
        match traffic {
            Traffic::Grpc => Self::Grpc,
            _ if head.method == Method::HEAD => Self::Head,
            Traffic::Http | Traffic::Upgrade => Self::Whole,
        }
    }
}

fn local(mut record: Record, form: Form, reply: Reply) -> Response<ReplyBody> {
    record.flag(reply.flag);
    // The log and the counts tell what it would be in HTTP, also where the caller is told
    // in another way.
    record.status = reply.response.status().as_u16();
    record.finish(Instant::now());
    match form {
        Form::Whole => reply.response,
        Form::Head => reply::head_of(reply.response),
        Form::Grpc => grpc::reply(&reply.response, &reply.why),
    }
}

/// What the form of a response depends on.
struct Asked {
    head_only: bool,
    version: Version,
}

impl Asked {
    /// By what the caller knows where a response ends.
    fn end(&self, status: StatusCode, body: &Incoming) -> End {
        let without = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
        if self.head_only || without.contains(&status) {
            End::Head
        } else if self.version == Version::HTTP_10 && body.size_hint().exact().is_none() {
            End::Connection
        } else {
            End::Told
        }
    }
}

fn upstream(mut record: Record, answer: Answer, asked: Asked) -> Response<ReplyBody> {
    let (mut head, body) = answer.response.into_parts();
    record.status = head.status.as_u16();
    framing::settle(&mut head.headers);
    let keep_alive = headers::drop_hop_by_hop(&mut head.headers);
    head.version = Version::HTTP_11;
    head.extensions.clear();
    let end = asked.end(head.status, &body);
    let body = ReplyBody::upstream(body, end, keep_alive, record, answer.held);
    Response::from_parts(head, body)
}
