use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::store::Compare;
use crate::store::conformance::{self, Harness};
use crate::task::Stop;

mod damage;
mod failing_disk;

/// A store in a folder of its own, which can be closed and opened again.
struct OnDisk {
    store: Arc<Embedded>,
    tasks: Tasks,
    folder: TempDir,
}

impl OnDisk {
    async fn open(folder: TempDir) -> Self {
        let tasks = Tasks::new(Stop::new());
        let store = Embedded::open(folder.path(), &tasks).await.unwrap();
        Self {
            store: Arc::new(store),
            tasks,
            folder,
        }
    }

    async fn close(self) -> TempDir {
        self.tasks.finish(Duration::from_secs(20)).await;
        self.folder
    }

    async fn reopen(self) -> Self {
        Self::open(self.close().await).await
    }
}

impl Harness for OnDisk {
    const TTL: Duration = Duration::from_secs(30);

    async fn start() -> Self {
        Self::open(tempfile::tempdir().unwrap()).await
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn finish(self) {
        self.close().await;
    }
}

conformance::suite!(OnDisk, start_paused = true);

const TTL: Duration = Duration::from_secs(30);

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let h = OnDisk::start().await;
    let lease = h.store.grant(TTL).await.unwrap();
    let put = Transaction::new()
        .put("a", "1")
        .put_leased("b", vec![0, 255], lease);
    h.store.commit(put).await.unwrap();
    let delete = Transaction::new().put("a", "2").put("c", "1").delete("c2");
    h.store.commit(delete).await.unwrap();
    h.store
        .commit(Transaction::new().delete("c"))
        .await
        .unwrap();
    let (before, epoch) = (h.store.range("").await, h.store.epoch().await);

    let h = h.reopen().await;
    assert_eq!(h.store.range("").await, before);
    assert_eq!(h.store.epoch().await, epoch);
    // The lease still owns its key, and revisions go on where they were.
    h.store.keep_alive(lease).await.unwrap();
    h.store.revoke(lease).await.unwrap();
    assert_eq!(h.store.get("b").await, Ok(None));
    let next = before.unwrap().revision.0 + 1;
    assert_eq!(h.store.range("").await.unwrap().revision, Revision(next));
    // What happened before is not kept for watchers.
    assert!(matches!(
        h.store.watch("", Revision(1)).await.err(),
        Some(WatchError::Compacted { .. })
    ));
    h.finish().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_expires_nobody_and_brings_nobody_back() {
    let h = OnDisk::start().await;
    let ended = h.store.grant(TTL).await.unwrap();
    h.pass(TTL / 2).await;
    let alive = h.store.grant(TTL).await.unwrap();
    let put = Transaction::new()
        .put_leased("ended", "", ended)
        .put_leased("alive", "", alive);
    h.store.commit(put).await.unwrap();
    h.pass(TTL / 2 + Duration::from_secs(2)).await;
    assert_eq!(h.store.get("ended").await, Ok(None));

    let folder = h.close().await;
    tokio::time::sleep(10 * TTL).await;
    let h = OnDisk::open(folder).await;
    assert_eq!(h.store.get("ended").await, Ok(None));
    let unknown = LeaseError::Unknown(ended);
    assert_eq!(h.store.keep_alive(ended).await, Err(unknown));
    h.pass(TTL - Duration::from_secs(2)).await;
    assert!(h.store.get("alive").await.unwrap().is_some());
    h.pass(Duration::from_secs(4)).await;
    assert_eq!(h.store.get("alive").await, Ok(None));
    h.finish().await;
}

#[tokio::test(start_paused = true)]
async fn nobody_is_expired_for_an_absence_of_this_process() {
    let h = OnDisk::start().await;
    let lease = h.store.grant(TTL).await.unwrap();
    let put = Transaction::new().put_leased("k", "", lease);
    h.store.commit(put).await.unwrap();
    h.pass(Duration::from_secs(5)).await;
    tokio::time::advance(100 * TTL).await;
    h.pass(TTL - Duration::from_secs(1)).await;
    assert!(h.store.get("k").await.unwrap().is_some());
    h.pass(Duration::from_secs(3)).await;
    assert_eq!(h.store.get("k").await, Ok(None));
    h.finish().await;
}

#[tokio::test]
async fn a_second_process_is_told_who_has_the_folder() {
    let h = OnDisk::start().await;
    let tasks = Tasks::new(Stop::new());
    let refused = Embedded::open(h.folder.path(), &tasks).await.err().unwrap();
    let wanted = format!(
        "data_dir {} is in use by process {}",
        h.folder.path().display(),
        std::process::id()
    );
    assert_eq!(refused.to_string(), wanted);
    h.finish().await;
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("made/on/demand");
    let tasks = Tasks::new(Stop::new());
    Embedded::open(&folder, &tasks).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("store.redb")), 0o600);
    assert_eq!(mode(&folder.join("lock")), 0o600);
    tasks.finish(Duration::from_secs(20)).await;
}

#[tokio::test]
async fn what_was_asked_for_before_the_end_is_written() {
    let h = OnDisk::start().await;
    let mut writes = tokio::task::JoinSet::new();
    for i in 0..50 {
        let store = h.store.clone();
        let put = Transaction::new()
            .when(Compare::Absent(i.to_string().into()))
            .put(i.to_string(), "1");
        writes.spawn(async move { store.commit(put).await });
    }
    tokio::task::yield_now().await;
    let store = h.store.clone();
    let folder = h.close().await;
    let done = writes.join_all().await.iter().filter(|r| r.is_ok()).count();
    let refused = store.commit(Transaction::new().put("x", "1")).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))));
    let h = OnDisk::open(folder).await;
    assert_eq!(h.store.range("").await.unwrap().entries.len(), done);
    h.finish().await;
}
