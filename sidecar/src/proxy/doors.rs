//! Where callers come in: one set of listeners for each worker, all sets on the same ports.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use super::metrics::Metrics;
use super::tcp::Port;
use super::{Config, StartError, listener};

/// One worker's listeners.
pub(super) struct Doors {
    pub(super) http: TcpListener,
    pub(super) tcp: Vec<(Arc<Port>, TcpListener)>,
}

/// The listeners of all workers.
pub(super) struct Bound {
    pub(super) http: SocketAddr,
    pub(super) tcp: Vec<SocketAddr>,
    pub(super) doors: Vec<Doors>,
}

/// Binds everything that is asked for.
///
/// # Errors
/// [`StartError::Bind`] or [`StartError::BindTcp`] names the first that cannot be had.
pub(super) fn bind(config: &Config, metrics: &Metrics) -> Result<Bound, StartError> {
    let workers = config.workers.max(1);
    let (http, listeners) = open(config.listen, workers).map_err(|source| StartError::Bind {
        listen: config.listen,
        source,
    })?;
    let made = listeners.into_iter().map(|http| Doors {
        http,
        tcp: Vec::new(),
    });
    let mut bound = Bound {
        http,
        tcp: Vec::new(),
        doors: made.collect(),
    };
    for (at, proxy) in config.tcp.iter().enumerate() {
        let (address, listeners) =
            open(proxy.listen, workers).map_err(|source| StartError::BindTcp {
                proxy: proxy.clone(),
                at,
                source,
            })?;
        let port = Arc::new(Port {
            service: proxy.service.clone(),
            number: address.port(),
            stats: metrics.streams(proxy.service.as_str()),
        });
        bound.tcp.push(address);
        for (doors, listener) in bound.doors.iter_mut().zip(listeners) {
            doors.tcp.push((port.clone(), listener));
        }
    }
    Ok(bound)
}

fn open(listen: listener::Listen, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    let listeners = listener::bind(listen, workers)?;
    let first = listeners.first().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((first.local_addr()?, listeners))
}
