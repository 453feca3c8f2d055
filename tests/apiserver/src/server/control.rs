//! What tests make go wrong.

use std::time::Duration;

use super::ApiServer;
use super::listen::Listening;
use crate::failure::Failure;
use crate::faults::Fault;
use crate::record::Asked;
use crate::store::Key;
use crate::verbs;

impl ApiServer {
    /// Cuts all watches that go on now, in the middle of their stream.
    pub fn drop_watches(&self) {
        self.api.faults.cut_watches();
    }

    /// From now on nothing is answered and nothing is told: connections are accepted, then there
    /// is silence. Until [`release`](Self::release).
    pub fn stall(&self) {
        self.api.faults.stall(true);
    }

    /// Ends a stall. What was asked meanwhile is answered.
    pub fn release(&self) {
        self.api.faults.stall(false);
    }

    /// A stall that ends by itself.
    pub fn stall_for(&self, time: Duration) {
        self.stall();
        let api = std::sync::Arc::downgrade(&self.api);
        self.api.spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(api) = api.upgrade() {
                api.faults.stall(false);
            }
        });
    }

    /// Stops listening, and cuts every connection.
    pub async fn stop(&self) {
        let listening = self.listening.lock().unwrap().take();
        if let Some(listening) = listening {
            listening.stop().await;
        }
    }

    /// Listens again, on the same port. The objects are what they were.
    pub async fn start_again(&self) {
        let tls = self.tls.then(|| self.papers.config());
        let listening = Listening::start(self.address, &self.api, tls).await;
        *self.listening.lock().unwrap() = Some(listening);
    }

    /// Stops and starts again at once.
    pub async fn restart(&self) {
        self.stop().await;
        self.start_again().await;
    }

    /// Stops and starts again at once; whoever goes on from where they were is told that it is
    /// too late for that.
    pub async fn restart_compacted(&self) {
        self.stop().await;
        // Something has happened meanwhile: so nobody is where the server is.
        self.api.store().skip(1);
        self.compact();
        self.start_again().await;
    }

    /// Forgets all that has happened until now.
    pub fn compact(&self) {
        self.api.store().compact();
    }

    /// Counts on without any change, as a busy cluster does.
    pub fn advance_revision(&self, revisions: u64) {
        self.api.store().skip(revisions);
    }

    /// The revision of the last change.
    pub fn revision(&self) -> u64 {
        self.api.store().revision()
    }

    /// Answers the next requests of some kind with 429.
    pub fn throttle(
        &self,
        times: usize,
        retry_after: u32,
        which: impl Fn(&Asked) -> bool + Send + Sync + 'static,
    ) {
        let fault = Fault::Refuse(Failure::too_many_requests(retry_after));
        self.api.faults.add(times, Box::new(which), fault);
    }

    /// Answers the next requests of some kind with a status of 400 or more.
    pub fn fail(
        &self,
        times: usize,
        status: u16,
        which: impl Fn(&Asked) -> bool + Send + Sync + 'static,
    ) {
        let failure = match status {
            401 => Failure::unauthorized(),
            500 => Failure::internal("failed on demand"),
            503 => Failure::new(503, "ServiceUnavailable", "failed on demand"),
            504 => Failure::new(504, "Timeout", "Timeout: failed on demand"),
            403 => Failure::new(403, "Forbidden", "failed on demand"),
            409 => Failure::new(409, "Conflict", "failed on demand"),
            410 => Failure::expired("failed on demand"),
            404 => Failure::new(404, "NotFound", "failed on demand"),
            other => Failure::new(other, "", "failed on demand"),
        };
        let fault = Fault::Refuse(failure);
        self.api.faults.add(times, Box::new(which), fault);
    }

    /// Cuts the connections of the next requests of some kind, unanswered.
    pub fn cut(&self, times: usize, which: impl Fn(&Asked) -> bool + Send + Sync + 'static) {
        self.api.faults.add(times, Box::new(which), Fault::Cut);
    }

    /// Answers the next requests of some kind late.
    pub fn delay(
        &self,
        times: usize,
        time: Duration,
        which: impl Fn(&Asked) -> bool + Send + Sync + 'static,
    ) {
        self.api
            .faults
            .add(times, Box::new(which), Fault::Delay(time));
    }

    /// Takes back the faults whose requests have not come yet.
    pub fn clear_faults(&self) {
        self.api.faults.clear();
    }

    /// What a kubelet does when the last process of a pod that is to go has ended.
    pub fn end_pod(&self, namespace: &str, name: &str) {
        let key = Key::new(&"/pods".into(), namespace, name);
        let mut store = self.api.store();
        verbs::remove_now(&self.api, &mut store, &key);
    }
}
