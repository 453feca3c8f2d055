//! Request metrics. Labels come from the routes declared and from closed sets, never from
//! what a caller sends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{MatchedPath, Request};
use http::{HeaderName, Method, StatusCode, header};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

use super::{Reply, Server};

/// Counts requests into a Prometheus registry. Clones share the counters.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    seconds: HistogramVec,
    running: IntGauge,
}

impl Metrics {
    /// Registers request and process metrics with `registry`.
    ///
    /// # Errors
    /// When the registry already has them.
    pub fn new(registry: Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new("a8_http_requests_total", "Requests answered"),
            &["route", "method", "code_class"],
        )?;
        let seconds = HistogramVec::new(
            HistogramOpts::new(
                "a8_http_request_duration_seconds",
                "Time until the answer to a request began",
            ),
            &["route", "method"],
        )?;
        let running = IntGauge::new(
            "a8_http_requests_running",
            "Requests whose answer has not begun",
        )?;
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(running.clone()))?;
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        Ok(Self {
            registry,
            requests,
            seconds,
            running,
        })
    }

    /// The registry, for a server's own metrics.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(super) fn begin(&self, request: &Request) -> Counted {
        self.running.inc();
        Counted {
            metrics: self.clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            method: method(request.method()),
            began: Instant::now(),
        }
    }
}

/// A request that is being answered; a caller that goes away before the answer is not counted.
pub(super) struct Counted {
    metrics: Metrics,
    route: Option<MatchedPath>,
    method: &'static str,
    began: Instant,
}

impl Counted {
    pub(super) fn end(self, status: StatusCode) -> Duration {
        let time = self.began.elapsed();
        let route = self.route.as_ref().map_or("(none)", MatchedPath::as_str);
        let requests = &self.metrics.requests;
        requests
            .with_label_values(&[route, self.method, class(status)])
            .inc();
        let seconds = &self.metrics.seconds;
        seconds
            .with_label_values(&[route, self.method])
            .observe(time.as_secs_f64());
        time
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.running.dec();
    }
}

fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "(other)",
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

pub(super) async fn show(
    Extension(server): Extension<Arc<Server>>,
) -> Result<([(HeaderName, &'static str); 1], String), Reply> {
    let families = server.metrics.registry.gather();
    let text = TextEncoder::new().encode_to_string(&families);
    let text = text.map_err(|e| Reply::internal().log(&e))?;
    Ok(([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text))
}
