//! One request from its head to its answer: who, whether they may, and what then.

pub(crate) mod call;

use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use bytes::Bytes;
use http::request::Parts;
use http::{Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use tokio::task::JoinSet;

use crate::access::{Tokens, User, rbac};
use crate::failure::Failure;
use crate::faults::{Fault, Faults};
use crate::kinds::Kinds;
use crate::record::{Asked, Record};
use crate::server::Options;
use crate::store::Store;
use crate::wire::accept::{Accept, Format};
use crate::wire::reply::{Body, Cut, Reply};
use crate::wire::request::{Query, Target};
use crate::{discovery, openapi, verbs};
use call::Call;

/// The largest body that is read, as the real server has it.
const BODY: usize = 3 * 1024 * 1024;

/// Everything that requests need.
pub(crate) struct Api {
    store: Mutex<Store>,
    kinds: RwLock<Arc<Kinds>>,
    pub(crate) tokens: Mutex<Tokens>,
    pub(crate) faults: Faults,
    pub(crate) record: Record,
    pub(crate) options: Options,
    tasks: Mutex<JoinSet<()>>,
}

impl Api {
    pub(crate) fn new(options: Options) -> Arc<Self> {
        let api = Arc::new(Self {
            store: Mutex::new(Store::new()),
            kinds: RwLock::new(Arc::new(Kinds::built_in())),
            tokens: Mutex::default(),
            faults: Faults::default(),
            record: Record::default(),
            options,
            tasks: Mutex::default(),
        });
        crate::access::bootstrap::fill(&api);
        api
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub(crate) fn kinds(&self) -> Arc<Kinds> {
        self.kinds.read().unwrap().clone()
    }

    pub(crate) fn set_kinds(&self, change: impl FnOnce(&mut Kinds)) {
        let mut kinds = self.kinds.write().unwrap();
        change(Arc::make_mut(&mut kinds));
    }

    /// Does something beside the requests. It ends with the server.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// Ends what is done beside the requests.
    pub(crate) fn end(&self) {
        self.tasks.lock().unwrap().abort_all();
    }

    /// Answers a request.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
    ) -> Result<Response<Body>, Cut> {
        self.faults.unstalled().await;
        let (head, body) = request.into_parts();
        let text = head.uri.query().unwrap_or_default().to_owned();
        let query = Query::parse(&text);
        let target = Target::read(&head.method, &head.uri, &query);
        let user = self.user(&head);
        let name = user.as_ref().map_or("", |user| user.name.as_str());
        let agent = header_of(&head, header::USER_AGENT.as_str());
        let mut asked = Asked::new(&target, &text, name, agent);
        let result = match user {
            Err(refused) => Err(refused),
            Ok(user) => {
                self.answer_to(&user, &target, &query, &head, body, &asked)
                    .await?
            }
        };
        // Whoever stalls the server wants no answers from it, begun or not.
        self.faults.unstalled().await;
        let reply = result.unwrap_or_else(|failure| Reply::failure(&failure));
        asked.status = reply.status;
        self.record.add(asked);
        Ok(reply.write())
    }

    async fn answer_to(
        self: &Arc<Self>,
        user: &User,
        target: &Target,
        query: &Query,
        head: &Parts,
        body: Incoming,
        asked: &Asked,
    ) -> Result<Result<Reply, Failure>, Cut> {
        for fault in self.faults.take(asked) {
            match fault {
                Fault::Delay(time) => tokio::time::sleep(time).await,
                Fault::Refuse(failure) => return Ok(Err(failure)),
                Fault::Cut => {
                    self.record.add(asked.clone());
                    return Err(Cut);
                }
            }
        }
        let refused = rbac::check(&self.store(), user, target);
        if let Err(refused) = refused {
            return Ok(Err(refused));
        }
        let Ok(body) = Limited::new(body, BODY).collect().await else {
            let message = "Request entity too large: limit is 3145728";
            return Ok(Err(Failure::new(413, "RequestEntityTooLarge", message)));
        };
        let mut call = Call {
            api: self,
            user,
            target,
            query,
            accept: head
                .headers
                .get(header::ACCEPT)
                .and_then(|value| value.to_str().ok()),
            content_type: header_of(head, header::CONTENT_TYPE.as_str()),
            agent: header_of(head, header::USER_AGENT.as_str()),
            body: body.to_bytes(),
            warnings: Vec::new(),
        };
        if let Some(revision) = verbs::list::awaited(&call) {
            self.reached(revision).await;
        }
        let answer = self.dispatch(&mut call);
        Ok(answer.or_else(|failure| {
            // What is said besides is said of what is refused, too.
            let mut reply = Reply::failure(&failure);
            reply.format = Accept::parse(call.accept, false)
                .or_else(|_| Accept::parse(call.accept, true))
                .map_or_else(|_| Format::Json, |accept| accept.format);
            reply.warnings.append(&mut call.warnings);
            Ok(reply)
        }))
    }

    /// Waits for a revision, though not for long.
    async fn reached(&self, revision: u64) {
        let mut at = self.store().follow();
        let wait = at.wait_for(|at| *at >= revision);
        // If it is not reached, the request says so.
        let _ = tokio::time::timeout(self.options.revision_wait, wait).await;
    }

    fn user(&self, head: &Parts) -> Result<User, Failure> {
        let given = header_of(head, header::AUTHORIZATION.as_str());
        match given.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                let user = self.tokens.lock().unwrap().user(token.trim());
                let user = user.filter(|user| user.exists(&self.store()));
                user.ok_or_else(Failure::unauthorized)
            }
            None if given.is_empty() && self.options.anonymous => Ok(User::anonymous()),
            _ => Err(Failure::unauthorized()),
        }
    }

    /// Answers a request of somebody who may ask.
    pub(crate) fn dispatch(self: &Arc<Self>, call: &mut Call<'_>) -> Result<Reply, Failure> {
        let target = call.target;
        if target.resource.is_empty() {
            return self.page(call);
        }
        let kinds = self.kinds();
        let kind = kinds.get(&target.group, &target.version, &target.resource);
        let Some(kind) = kind.cloned() else {
            return Err(if kinds.is_built_in(&target.group) {
                Failure::nothing_there()
            } else {
                Failure::no_page()
            });
        };
        let mut reply = verbs::answer(call, &kind)?;
        if let Some(said) = kind.custom().and_then(|custom| custom.deprecation.clone()) {
            reply.warnings.push(said);
        }
        reply.warnings.append(&mut call.warnings);
        Ok(reply)
    }

    fn page(&self, call: &Call<'_>) -> Result<Reply, Failure> {
        if call.target.verb != "get" && call.target.verb != "head" {
            // Whatever can be read there cannot be written.
            discovery::page(call, &self.kinds())?;
            return Err(Failure::method_not_allowed());
        }
        match call.target.path.as_str() {
            "/healthz" | "/readyz" | "/livez" => Ok(Reply::text("ok")),
            path if path.starts_with("/openapi/") => openapi::page(call, &self.kinds()),
            _ => discovery::page(call, &self.kinds()),
        }
    }
}

fn header_of<'a>(head: &'a Parts, name: &str) -> &'a str {
    head.headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

/// A body that is already here.
pub(crate) fn bytes(text: impl Into<Vec<u8>>) -> Bytes {
    Bytes::from(text.into())
}
