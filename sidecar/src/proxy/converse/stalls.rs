//! Ends exchanges in HTTP/2 whose caller gives no room for the response. HTTP asks a body for
//! its next piece when the latest one has been sent, so a body does not hear of it; the task
//! of the exchange does.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::rt::Executor;

use crate::proxy::body::Idle;
use crate::proxy::worker::Worker;

/// Runs the exchanges of a connection of a caller in HTTP/2, each as a task.
#[derive(Clone)]
pub(super) struct Exchanges(pub(super) Rc<Worker>);

impl<F: Future<Output = ()> + 'static> Executor<F> for Exchanges {
    fn execute(&self, work: F) {
        let worker = self.0.clone();
        self.0.drive(async move {
            let mut work = pin!(work);
            let mut response: Option<Idle> = None;
            let stalled = poll_fn(|cx| {
                let ended = work.as_mut().poll(cx).is_ready();
                if let Some(begun) = worker.begun.take() {
                    response = Some(begun);
                }
                match &mut response {
                    _ if ended => Poll::Ready(false),
                    Some(idle) if idle.progress().is_handed_over() => idle.poll(cx).map(|()| true),
                    _ => Poll::Pending,
                }
            });
            // What is dropped before its end is reset.
            if stalled.await
                && let Some(idle) = response
            {
                idle.progress().give_up();
            }
        });
    }
}
