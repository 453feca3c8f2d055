//! A file that is not what it should be is refused and left alone.

use std::fs;

use super::*;

async fn refused(folder: &Path) -> String {
    let tasks = Tasks::new(Stop::new());
    let error = Embedded::open(folder, &tasks).await.err();
    error.expect("must not open").to_string()
}

async fn filled() -> TempDir {
    let h = OnDisk::start().await;
    for i in 0..50 {
        let put = Transaction::new().put(format!("key/{i}"), vec![i; 3000]);
        h.store.commit(put).await.unwrap();
    }
    h.close().await
}

#[tokio::test]
async fn a_foreign_or_empty_file_is_refused_and_left_alone() {
    for content in ["", "x", "# notes\n", &"SQLite format 3\0".repeat(1000)] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("store.redb");
        fs::write(&file, content).unwrap();
        let error = refused(folder.path()).await;
        assert!(
            error.contains("store.redb is not a usable store"),
            "{error}"
        );
        assert_eq!(fs::read(&file).unwrap(), content.as_bytes());
    }
}

#[tokio::test]
async fn a_database_of_somebody_else_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let other = redb::Database::create(folder.path().join("store.redb")).unwrap();
    let transaction = other.begin_write().unwrap();
    let table = redb::TableDefinition::<u64, u64>::new("theirs");
    transaction.open_table(table).unwrap();
    transaction.commit().unwrap();
    drop(other);
    let error = refused(folder.path()).await;
    assert!(error.contains("meta"), "{error}");
}

#[tokio::test]
async fn a_file_of_a_later_layout_is_refused() {
    let folder = filled().await;
    let file = redb::Database::open(folder.path().join("store.redb")).unwrap();
    let transaction = file.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, &str>::new("meta");
    let mut table = transaction.open_table(meta).unwrap();
    table.insert("layout", "2").unwrap();
    drop(table);
    transaction.commit().unwrap();
    drop(file);
    let error = refused(folder.path()).await;
    assert!(error.contains("its layout is 2"), "{error}");
}

#[tokio::test]
async fn a_truncated_file_is_refused() {
    let folder = filled().await;
    let file = folder.path().join("store.redb");
    let whole = fs::read(&file).unwrap();
    for length in [1, 100, 512, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&file, &whole[..length]).unwrap();
        let error = refused(folder.path()).await;
        assert!(error.contains("not a usable store"), "{length}: {error}");
    }
    fs::write(&file, &whole).unwrap();
    OnDisk::open(folder).await.finish().await;
}

/// Damage anywhere is noticed, or was where nothing is kept: the content is never another.
#[tokio::test]
async fn a_damaged_file_is_refused_or_whole() {
    let folder = filled().await;
    let file = folder.path().join("store.redb");
    let whole = fs::read(&file).unwrap();
    let h = OnDisk::open(folder).await;
    let content = h.store.range("").await.unwrap();
    let mut folder = h.close().await;
    let mut random = fastrand::Rng::with_seed(7);
    let mut noticed = 0;
    for _ in 0..60 {
        let mut damaged = whole.clone();
        let at = random.usize(..damaged.len() - 64);
        damaged[at..at + 64].fill(random.u8(1..));
        fs::write(&file, &damaged).unwrap();
        let tasks = Tasks::new(Stop::new());
        match Embedded::open(folder.path(), &tasks).await {
            Ok(store) => assert_eq!(store.range("").await.unwrap(), content, "at {at}"),
            Err(OpenError::Unusable { .. }) => noticed += 1,
            Err(other) => panic!("{other}"),
        }
        tasks.finish(Duration::from_secs(20)).await;
    }
    fs::write(&file, &whole).unwrap();
    assert!(noticed > 0, "some damage must have hit what is kept");
    let h = OnDisk::open(folder).await;
    folder = h.close().await;
    drop(folder);
}

#[tokio::test]
async fn a_start_that_was_cut_short_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("store.redb.new"), "half").unwrap();
    OnDisk::open(folder).await.finish().await;
}

/// As a power cut on a disk that lies may leave it: never closed, and cut short.
#[tokio::test]
async fn a_file_cut_short_while_in_use_is_refused_or_whole() {
    let h = OnDisk::start().await;
    for i in 0..50 {
        let put = Transaction::new().put(format!("key/{i}"), vec![i; 3000]);
        h.store.commit(put).await.unwrap();
    }
    let content = h.store.range("").await.unwrap();
    let in_use = fs::read(h.folder.path().join("store.redb")).unwrap();
    h.finish().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.redb");
    let step = in_use.len() / 40;
    for length in (0..=in_use.len()).step_by(step).chain([in_use.len()]) {
        fs::write(&file, &in_use[..length]).unwrap();
        let tasks = Tasks::new(Stop::new());
        match Embedded::open(folder.path(), &tasks).await {
            Ok(store) => assert_eq!(store.range("").await.unwrap(), content, "at {length}"),
            Err(OpenError::Unusable { .. }) => assert_ne!(length, in_use.len()),
            Err(other) => panic!("{other}"),
        }
        tasks.finish(Duration::from_secs(20)).await;
    }
}
