use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use super::*;

/// A writer that waits for a permit before each write.
struct Gate {
    permits: Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A closed gate lets everything through.
        let _ = self.permits.recv();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log behind a gate.
struct Gated {
    open: Sender<()>,
    written: Arc<Mutex<Vec<u8>>>,
    metrics: Arc<Metrics>,
    buffer: Buffer,
    writer: Writer,
}

fn gated() -> Gated {
    let (open, permits) = channel();
    let written = Arc::default();
    let metrics = Arc::new(Metrics::new("t"));
    let gate = Gate {
        permits,
        written: Arc::clone(&written),
    };
    let (log, writer) = start(Box::new(gate), &metrics).unwrap();
    Gated {
        open,
        written,
        metrics,
        buffer: Buffer::new(log),
        writer,
    }
}

#[test]
fn a_stalled_writer_costs_lines_and_never_waits() {
    let Gated {
        open,
        written,
        metrics,
        buffer,
        writer,
    } = gated();
    let line = vec![b'x'; BUFFER];
    let lines = QUEUE as u64 + 50;
    // Each line fills a buffer. Not one permit is given: this loop would hang if it waited.
    for _ in 0..lines {
        buffer.put(&line);
    }
    let dropped = metrics.log_dropped.get();
    // The writer holds one batch in its hands, the queue the rest.
    assert!((49..=50).contains(&dropped), "{dropped}");
    drop(open);
    drop(buffer);
    writer.finish(Duration::from_secs(60));
    let kept = written.lock().unwrap().len() / (BUFFER + 1);
    assert_eq!(
        kept as u64 + dropped,
        lines,
        "every line is written or counted"
    );
    assert_eq!(metrics.log_dropped.get(), dropped);
}

#[test]
fn lines_come_out_whole_and_in_order() {
    let Gated {
        open,
        written,
        metrics,
        buffer,
        writer,
    } = gated();
    drop(open);
    for i in 0..5 {
        buffer.put(format!("line {i}").as_bytes());
    }
    drop(buffer);
    writer.finish(Duration::from_secs(60));
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    assert_eq!(text, "line 0\nline 1\nline 2\nline 3\nline 4\n");
    assert_eq!(metrics.log_dropped.get(), 0);
}

#[test]
fn a_failing_disk_is_counted() {
    struct Broken;
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(io::ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let metrics = Arc::new(Metrics::new("t"));
    let (log, writer) = start(Box::new(Broken), &metrics).unwrap();
    let buffer = Buffer::new(log);
    buffer.put(b"a");
    buffer.put(b"b");
    drop(buffer);
    writer.finish(Duration::from_secs(60));
    assert_eq!(metrics.log_dropped.get(), 2);
}
