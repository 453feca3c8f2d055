//! Looks up the names of instances, ahead of time and again and again, so that no request
//! waits for a name server.
//!
//! A name is looked up as long as an instance of that name exists: at once when the first
//! one appears, then regularly, and soon after an address could not be connected to. The
//! system's resolver is asked, so whatever the machine's own configuration says counts. What
//! the latest good answer said stays in use while look-ups fail.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use a8_common::task::{Stop, Tasks};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use crate::proxy::{Addresses, Known, Target, Upstream};

/// How often a name is looked up.
const EVERY: Duration = Duration::from_secs(10);
/// Until the next attempt after the first failure; it doubles up to [`EVERY`].
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Until a name is looked up again whose addresses are in doubt, counted from the last time.
const SOON: Duration = Duration::from_secs(1);
/// The most look-ups at a time. Each takes a thread for as long as a name server is silent.
const AT_ONCE: usize = 16;
/// The most addresses that are kept of one name.
const MAX_ADDRESSES: usize = 64;

/// A look-up on its way. The ports of the answer do not matter.
pub type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

/// What looks a name up.
pub type Lookup = Arc<dyn Fn(Arc<str>) -> Answer + Send + Sync>;

/// The system's resolver: `/etc/hosts`, search domains and name servers, in its own order.
pub fn system() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move { Ok(tokio::net::lookup_host((&*host, 0)).await?.collect()) })
    })
}

/// Something that has a host name whose addresses are to be known.
pub trait Named: Send + Sync {
    /// The name, and the port that its addresses are given. `None` where there is nothing to
    /// look up.
    fn name(&self) -> Option<(&Arc<str>, u16)>;

    /// Where the addresses are told.
    fn addresses(&self) -> &Addresses;

    /// Whether nobody wants to know any more. What is dropped is not asked.
    fn is_gone(&self) -> bool;
}

impl Named for Upstream {
    fn name(&self) -> Option<(&Arc<str>, u16)> {
        match &self.target {
            Target::Name(name, port) => Some((name, *port)),
            Target::Address(_) => None,
        }
    }

    fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    fn is_gone(&self) -> bool {
        self.is_gone()
    }
}

/// The names that are looked up. Clones share them.
#[derive(Clone)]
pub struct Names(Arc<Shared>);

struct Shared {
    lookup: Lookup,
    slots: Semaphore,
    hosts: Mutex<HashMap<Arc<str>, Host>>,
    /// Told when there is a host that nobody attends to.
    more: Notify,
}

#[derive(Default)]
struct Host {
    attended: bool,
    doubted: Arc<Notify>,
    named: Vec<Weak<dyn Named>>,
    latest: Known,
}

impl Names {
    /// Looks names up with `lookup`, in a task of `tasks`.
    pub fn start(lookup: Lookup, tasks: &Tasks) -> Self {
        let names = Self(Arc::new(Shared {
            lookup,
            slots: Semaphore::new(AT_ONCE),
            hosts: Mutex::default(),
            more: Notify::new(),
        }));
        tasks.spawn("names", names.clone().run(tasks.stop().clone()));
        names
    }

    /// Keeps the addresses of `named` fresh, if it has a name, until it is gone.
    pub(crate) fn keep<N: Named + 'static>(&self, named: &Arc<N>) {
        let Some((name, _)) = named.name() else {
            return;
        };
        let known: Arc<dyn Named> = named.clone();
        let mut hosts = self.hosts();
        let host = hosts.entry(name.clone()).or_default();
        host.named.push(Arc::downgrade(&known));
        named.addresses().tell_doubts(&host.doubted);
        if host.latest != Known::default() {
            tell(&*known, &host.latest);
        }
        if !host.attended {
            self.0.more.notify_one();
        }
    }

    async fn run(self, stop: Stop) {
        let mut attending = JoinSet::new();
        loop {
            for (name, host) in &mut *self.hosts() {
                if !std::mem::replace(&mut host.attended, true) {
                    let doubted = host.doubted.clone();
                    attending.spawn(self.clone().attend(name.clone(), doubted));
                }
            }
            tokio::select! {
                () = stop.wait() => return,
                () = self.0.more.notified() => {}
                // Takes out those that have ended.
                Some(_) = attending.join_next() => {}
            }
        }
    }

    /// Looks `name` up for as long as somebody wants it.
    async fn attend(self, name: Arc<str>, doubted: Arc<Notify>) {
        let mut failures = 0;
        loop {
            // It is never closed.
            let Ok(slot) = self.0.slots.acquire().await else {
                return;
            };
            if !self.wanted(&name) {
                debug!(host = &*name, "forgotten");
                return;
            }
            let asked = Instant::now();
            let answer = (self.0.lookup)(name.clone()).await;
            drop(slot);
            let good = self.take(&name, answer);
            failures = if good { 0 } else { failures + 1 };
            let pause = pause(failures);
            tokio::select! {
                () = sleep(pause.mul_f64(0.8 + 0.4 * fastrand::f64())) => {}
                () = async {
                    doubted.notified().await;
                    sleep_until(asked + SOON).await;
                }, if good => {}
            }
        }
    }

    /// Whether there is an instance of that name. The name is forgotten when there is none.
    fn wanted(&self, name: &str) -> bool {
        let mut hosts = self.hosts();
        let Some(host) = hosts.get_mut(name) else {
            return false;
        };
        host.named
            .retain(|known| known.upgrade().is_some_and(|u| !u.is_gone()));
        let wanted = !host.named.is_empty();
        if !wanted {
            hosts.remove(name);
        }
        wanted
    }

    /// Takes an answer in; returns whether it is a good one.
    fn take(&self, name: &str, answer: io::Result<Vec<SocketAddr>>) -> bool {
        let found = answer.map_err(|e| e.to_string()).and_then(|mut list| {
            // Servers give them in another order each time.
            list.sort_unstable();
            list.dedup();
            list.truncate(MAX_ADDRESSES);
            match list.is_empty() {
                true => Err("it has no address".to_owned()),
                false => Ok(list),
            }
        });
        let mut hosts = self.hosts();
        let Some(host) = hosts.get_mut(name) else {
            return false;
        };
        let before = host.latest.error.is_some();
        let good = found.is_ok();
        match found {
            Ok(list) => {
                if before {
                    info!(host = name, "the name can be resolved again");
                }
                host.latest = Known {
                    list: list.into(),
                    error: None,
                };
            }
            Err(error) => {
                if !before {
                    let kept = host.latest.list.len();
                    warn!(host = name, error, kept, "the name cannot be resolved");
                }
                host.latest.error = Some(error.into());
            }
        }
        for named in host.named.iter().filter_map(Weak::upgrade) {
            tell(&*named, &host.latest);
        }
        good
    }

    fn hosts(&self) -> MutexGuard<'_, HashMap<Arc<str>, Host>> {
        self.0.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the next look-up after so many failures in a row.
fn pause(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => EVERY,
        Some(doublings) => (FIRST_PAUSE * 2_u32.saturating_pow(doublings.min(16))).min(EVERY),
    }
}

fn tell(named: &dyn Named, known: &Known) {
    let Some((_, port)) = named.name() else {
        return;
    };
    let mut known = known.clone();
    for address in &mut known.list {
        address.set_port(port);
    }
    named.addresses().set(known);
}

#[cfg(test)]
mod tests;
