//! One run: connects, makes requests for a while, and sums up.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue};
use tokio::task::{JoinSet, LocalSet};

use crate::client::{Connection, Error, Protocol, Request};
use crate::pace::Pace;
use crate::tally::{Summary, Tally};

/// How many connections are opened at a time: not more than a listener's queue holds.
const OPENING: usize = 32;
/// How long answers may be late at the end.
const GRACE: Duration = Duration::from_secs(5);
/// What a maker of requests waits after a failure, so that a proxy which is gone is not all that is
/// measured.
const AFTER_FAILURE: Duration = Duration::from_millis(10);

/// What is to be done.
#[derive(Clone, Debug, clap::Args)]
pub struct Plan {
    /// Where the proxy listens
    #[arg(long)]
    pub target: SocketAddr,
    /// What is spoken
    #[arg(long, value_enum)]
    pub protocol: Protocol,
    /// What is asked for
    #[arg(long, default_value = "/bytes/512")]
    pub path: String,
    /// The host that is asked
    #[arg(long, default_value = "localhost")]
    pub host: String,
    /// A field of each request's head, as `name: value`; can be given several times
    #[arg(long = "header", value_parser = field)]
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Connections
    #[arg(long, default_value_t = 1)]
    pub connections: u32,
    /// Requests at a time on each connection (HTTP/2 only)
    #[arg(long, default_value_t = 1)]
    pub streams: u32,
    /// Requests per second; without it each answer is followed by the next request
    #[arg(long)]
    pub rate: Option<f64>,
    /// How long
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Bytes that each request sends (TCP: at least one)
    #[arg(long, default_value_t = 0)]
    pub upload: usize,
    /// Make a connection for each request; its time counts
    #[arg(long)]
    pub reconnect: bool,
}

/// Does it.
///
/// # Errors
/// Connections that cannot be made before the run begins. Failures later on are counted.
pub async fn run(plan: Plan) -> io::Result<Summary> {
    LocalSet::new().run_until(all(plan)).await
}

async fn all(plan: Plan) -> io::Result<Summary> {
    let request = Rc::new(request(&plan)?);
    let open = match plan.reconnect {
        true => Vec::new(),
        false => connect(&request, plan.connections).await?,
    };
    let time = Duration::from_secs_f64(plan.seconds);
    let pace = Rc::new(Pace::new(plan.rate, time));
    let tally = Rc::new(RefCell::new(Tally::new()));
    let mut makers = JoinSet::new();
    let mut make = |connection: Option<Connection>| {
        let (request, pace, tally) = (request.clone(), pace.clone(), tally.clone());
        makers.spawn_local(maker(connection, plan.reconnect, request, pace, tally));
    };
    for connection in open {
        for _ in 1..plan.streams {
            make(connection.share());
        }
        make(Some(connection));
    }
    if plan.reconnect {
        (0..plan.connections).for_each(|_| make(None));
    }
    pace.keep(makers.len());
    let ended = async {
        while makers.join_next().await.is_some() {}
        Instant::now()
    };
    let last = match tokio::time::timeout(time + GRACE, ended).await {
        Ok(ended) => ended,
        Err(_) => {
            let mut tally = tally.borrow_mut();
            (0..makers.len()).for_each(|_| tally.error(&Error::Unfinished));
            Instant::now()
        }
    };
    Ok(tally.borrow().summary(last - pace.start()))
}

fn field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("there is no colon")?;
    let name = name.trim().parse().map_err(|e| format!("{e}"))?;
    let value = value.trim().parse().map_err(|e| format!("{e}"))?;
    Ok((name, value))
}

fn request(plan: &Plan) -> io::Result<Request> {
    let wrong = |why: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let multiplexes = matches!(plan.protocol, Protocol::H2 | Protocol::Grpc);
    if plan.streams != 1 && (!multiplexes || plan.reconnect) {
        return wrong("--streams is for connections of HTTP/2 that stay");
    }
    if plan.connections == 0 || plan.streams == 0 {
        return wrong("there must be a connection");
    }
    if !(plan.seconds > 0.0 && plan.seconds < 3600.0) {
        return wrong("--seconds must be more than 0 and less than an hour");
    }
    if plan.rate.is_some_and(|rate| !(rate > 0.0 && rate < 1e6)) {
        return wrong("--rate must be more than 0 and less than a million");
    }
    let least = usize::from(plan.protocol == Protocol::Tcp);
    Ok(Request {
        protocol: plan.protocol,
        target: plan.target,
        host: plan.host.clone(),
        path: plan.path.clone(),
        headers: plan.headers.clone(),
        upload: Bytes::from(vec![b'u'; plan.upload.max(least)]),
    })
}

async fn connect(request: &Request, connections: u32) -> io::Result<Vec<Connection>> {
    let opening = stream::iter(0..connections).map(|_| Connection::open(request));
    let opened: Vec<_> = opening.buffer_unordered(OPENING).collect().await;
    let opened: Result<Vec<_>, _> = opened.into_iter().collect();
    opened.map_err(|e| io::Error::other(format!("{}: {e}", request.target)))
}

/// Makes one request after the other.
async fn maker(
    mut connection: Option<Connection>,
    reconnect: bool,
    request: Rc<Request>,
    pace: Rc<Pace>,
    tally: Rc<RefCell<Tally>>,
) {
    while let Some(due) = pace.next().await {
        let answer = match connection.take() {
            Some(open) if open.is_open() => Ok(open),
            _ => Connection::open(&request).await,
        };
        let answer = match answer {
            Ok(mut open) => {
                let answer = open.call().await;
                if !reconnect && answer.is_ok() {
                    connection = Some(open);
                }
                answer
            }
            Err(e) => Err(e),
        };
        match answer {
            Ok(answer) => tally.borrow_mut().answer(due.elapsed(), answer),
            Err(e) => {
                tally.borrow_mut().error(&e);
                tokio::time::sleep(AFTER_FAILURE).await;
            }
        }
    }
}
