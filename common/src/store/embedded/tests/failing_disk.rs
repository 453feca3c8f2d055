//! Disks that fail: full, or broken for a while.

use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use redb::StorageBackend;
use redb::backends::FileBackend;

use super::*;

/// Shared with the test: how many operations are still to succeed, and how many syncs
/// there have been.
#[derive(Debug, Clone)]
struct Dial {
    until_failure: Arc<AtomicI64>,
    syncs: Arc<AtomicU64>,
}

impl Dial {
    fn healthy() -> Self {
        Self {
            until_failure: Arc::new(AtomicI64::new(i64::MAX)),
            syncs: Arc::default(),
        }
    }

    fn fail_after(&self, operations: i64) {
        self.until_failure.store(operations, Ordering::SeqCst);
    }

    fn heal(&self) {
        self.fail_after(i64::MAX);
    }

    fn spend(&self) -> io::Result<()> {
        match self.until_failure.fetch_sub(1, Ordering::SeqCst) {
            1.. => Ok(()),
            _ => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }
}

#[derive(Debug)]
struct Failing {
    file: FileBackend,
    dial: Dial,
}

impl StorageBackend for Failing {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.dial.spend()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.dial.spend()?;
        self.dial.syncs.fetch_add(1, Ordering::SeqCst);
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.dial.spend()?;
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}

async fn open(folder: TempDir, dial: &Dial) -> OnDisk {
    let tasks = Tasks::new(Stop::new());
    let (dial, data_dir) = (dial.clone(), folder.path().to_owned());
    let open_file = move |path: &Path| {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let backend = Failing {
            file: FileBackend::new(file)?,
            dial: dial.clone(),
        };
        redb::Builder::new().create_with_backend(backend)
    };
    let open = move || Disk::open_with(&data_dir, Box::new(open_file));
    let store = Embedded::start(&tasks, open).await.unwrap();
    OnDisk {
        store: Arc::new(store),
        tasks,
        folder,
    }
}

/// Waits until writes are possible; the writer leaves a failed disk alone for a moment.
async fn healthy(store: &Embedded) {
    let healthy = async {
        while store.health().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), healthy).await;
    waited.expect("healthy within a minute");
}

fn put(key: &str) -> Transaction {
    Transaction::new().put(key, vec![b'x'; 5000])
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let dial = Dial::healthy();
    let h = open(tempfile::tempdir().unwrap(), &dial).await;
    h.store.commit(put("before")).await.unwrap();
    let before = h.store.range("").await.unwrap();

    dial.fail_after(0);
    for _ in 0..3 {
        let refused = h.store.commit(put("refused")).await.unwrap_err();
        assert!(refused.retryable());
        assert!(
            refused.to_string().contains("cannot be written"),
            "{refused}"
        );
        assert!(h.store.grant(TTL).await.is_err());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(h.store.health().await.is_err());
    assert_eq!(h.store.range("").await.unwrap(), before);

    dial.heal();
    healthy(&h.store).await;
    let after = h.store.commit(put("after")).await.unwrap();
    assert_eq!(after.0, before.revision.0 + 1);
    let content = h.store.range("").await;
    let h = h.reopen().await;
    assert_eq!(h.store.range("").await, content);
    h.finish().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_expired_while_the_disk_cannot_take_it() {
    let dial = Dial::healthy();
    let h = open(tempfile::tempdir().unwrap(), &dial).await;
    let lease = h.store.grant(TTL).await.unwrap();
    let leased = Transaction::new().put_leased("k", "", lease);
    h.store.commit(leased).await.unwrap();
    dial.fail_after(0);
    h.pass(TTL + Duration::from_secs(5)).await;
    assert!(h.store.get("k").await.unwrap().is_some());
    h.store.keep_alive(lease).await.unwrap();
    dial.heal();
    h.pass(TTL + Duration::from_secs(5)).await;
    assert_eq!(h.store.get("k").await, Ok(None));
    h.finish().await;
}

/// Whatever operation of a write fails, memory and file agree again afterwards.
#[tokio::test(start_paused = true)]
async fn a_failure_at_any_point_leaves_nothing_half_done() {
    let mut refusals = 0;
    for fail_after in 0..12 {
        let dial = Dial::healthy();
        let h = open(tempfile::tempdir().unwrap(), &dial).await;
        h.store.commit(put("first")).await.unwrap();
        let before = h.store.range("").await.unwrap();
        dial.fail_after(fail_after);
        let both = put("a").put("b", "1").delete("first");
        let outcome = h.store.commit(both).await;
        dial.heal();
        if outcome.is_err() {
            refusals += 1;
            assert_eq!(h.store.range("").await.unwrap(), before);
        }
        healthy(&h.store).await;
        h.store.commit(put("last")).await.unwrap();
        let content = h.store.range("").await;
        let h = h.reopen().await;
        assert_eq!(
            h.store.range("").await,
            content,
            "failed after {fail_after}"
        );
        h.finish().await;
    }
    assert!(refusals > 2, "only {refusals} failures hit the commit");
}

#[tokio::test]
async fn commits_that_wait_go_to_disk_together() {
    const COMMITS: u64 = 500;
    let dial = Dial::healthy();
    let h = open(tempfile::tempdir().unwrap(), &dial).await;
    let before = dial.syncs.load(Ordering::SeqCst);
    let mut writes = tokio::task::JoinSet::new();
    for i in 0..COMMITS {
        let store = h.store.clone();
        writes.spawn(async move { store.commit(put(&i.to_string())).await.unwrap() });
    }
    let mut revisions = writes.join_all().await;
    revisions.sort();
    revisions.dedup();
    assert_eq!(revisions.len() as u64, COMMITS);
    let syncs = dial.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs < COMMITS / 10, "{syncs} syncs");
    h.finish().await;
}
