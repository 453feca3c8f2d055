//! The access log: one JSON object a line, written by a thread of its own.
//!
//! Each worker collects lines in a buffer and hands whole buffers to the writer through a
//! bounded queue. A writer that stalls (a full pipe, a slow disk) fills the queue; what does
//! not fit is dropped and counted. No request ever waits for the log.

mod line;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::warn;

use super::metrics::Metrics;

pub(super) use line::Line;

/// Bytes at which a worker hands its buffer over. Each time costs a switch to the writer and,
/// where somebody watches the log's folder, another to them.
const BUFFER: usize = 128 * 1024;
/// Buffers that may wait for the writer, over all workers.
const QUEUE: usize = 32;
/// Bytes that a batch may have more than the one before it without being copied.
const ROOM: usize = 1024;
/// How long a line may stay in a buffer that does not fill.
pub(super) const FLUSH_AFTER: Duration = Duration::from_millis(20);

/// Where the access log goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// Nowhere.
    Off,
    /// The process's own output.
    #[default]
    Stdout,
    /// The end of a file.
    File(PathBuf),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

struct Batch {
    lines: u64,
    text: Vec<u8>,
}

/// The way to the writer; each worker has a clone.
#[derive(Clone)]
pub(super) struct Log {
    queue: SyncSender<Batch>,
    metrics: Arc<Metrics>,
}

/// The thread that writes. It ends when all [`Log`]s are gone.
pub(super) struct Writer {
    ended: Receiver<()>,
}

/// Opens `target` and starts its writer; `None` when the log is off.
///
/// # Errors
/// The file cannot be opened, or the thread not be started.
pub(super) fn open(target: &Target, metrics: &Arc<Metrics>) -> io::Result<Option<(Log, Writer)>> {
    let out: Box<dyn Write + Send> = match target {
        Target::Off => return Ok(None),
        Target::Stdout => Box::new(io::stdout()),
        Target::File(path) => Box::new(open_file(path)?),
    };
    start(out, metrics).map(Some)
}

/// Opens the file, or the pipe, at `path` for writing to its end. A pipe is opened for both
/// ways: to open it for writing only would wait for somebody who reads, and its writer would
/// have to begin anew whenever that one is exchanged.
fn open_file(path: &Path) -> io::Result<File> {
    let pipe = std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo());
    let mut options = OpenOptions::new();
    options.create(true).append(true).read(pipe).open(path)
}

fn start(mut out: Box<dyn Write + Send>, metrics: &Arc<Metrics>) -> io::Result<(Log, Writer)> {
    let (queue, batches) = sync_channel::<Batch>(QUEUE);
    let (ended_tx, ended) = sync_channel(1);
    let counted = metrics.clone();
    std::thread::Builder::new()
        .name("access-log".into())
        .spawn(move || {
            let mut failing = false;
            for batch in batches {
                match out.write_all(&batch.text).and_then(|()| out.flush()) {
                    Ok(()) => failing = false,
                    Err(e) => {
                        counted.log_dropped.add(batch.lines);
                        // Once per outage: a full disk must not fill another one.
                        if !failing {
                            warn!(error = %e, "the access log cannot be written");
                        }
                        failing = true;
                    }
                }
            }
            // Nobody waits when the process ends without a drain.
            let _ = ended_tx.try_send(());
        })?;
    let log = Log {
        queue,
        metrics: metrics.clone(),
    };
    Ok((log, Writer { ended }))
}

impl Writer {
    /// Waits until everything handed over is written, at most `grace`. All [`Log`]s must be
    /// gone. Blocks its thread.
    pub(super) fn finish(self, grace: Duration) {
        if let Err(RecvTimeoutError::Timeout) = self.ended.recv_timeout(grace) {
            warn!("the access log could not be written to its end");
        }
    }
}

/// One worker's lines that are not handed over yet.
pub(super) struct Buffer {
    log: Log,
    pending: RefCell<Batch>,
    /// Bytes of the latest batch: the next one will be much like it.
    latest: Cell<usize>,
    /// Told when the first line is put into an empty buffer.
    pub(super) begun: Notify,
}

impl Buffer {
    pub(super) fn new(log: Log) -> Self {
        Self {
            log,
            pending: RefCell::new(Batch {
                lines: 0,
                text: Vec::new(),
            }),
            latest: Cell::new(0),
            begun: Notify::new(),
        }
    }

    /// Takes one line, without its end.
    pub(super) fn put(&self, line: &[u8]) {
        let mut pending = self.pending.borrow_mut();
        if pending.lines == 0 {
            self.begun.notify_one();
            pending.text.reserve(self.latest.get() + ROOM);
        }
        pending.lines += 1;
        pending.text.extend_from_slice(line);
        pending.text.push(b'\n');
        let full = pending.text.len() >= BUFFER;
        drop(pending);
        if full {
            self.flush();
        }
    }

    /// Hands the lines over, or drops and counts them when the writer is too far behind.
    pub(super) fn flush(&self) {
        let batch = self.pending.replace(Batch {
            lines: 0,
            text: Vec::new(),
        });
        if batch.lines == 0 {
            return;
        }
        self.latest.set(batch.text.len());
        if let Err(TrySendError::Full(batch) | TrySendError::Disconnected(batch)) =
            self.log.queue.try_send(batch)
        {
            self.log.metrics.log_dropped.add(batch.lines);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests;
