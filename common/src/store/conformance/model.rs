//! Random transactions against a model that is too simple to be wrong.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::model::Revision;
use crate::store::{CommitError, Compare, Key, Op, Transaction};

/// Key to value, create and mod revision.
type Model = BTreeMap<Key, (Vec<u8>, Revision, Revision)>;

fn key() -> impl Strategy<Value = Key> {
    "[ab]/?[ab]?".prop_map(Key::from)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        5 => (key(), any::<[u8; 2]>()).prop_map(|(key, value)| Op::Put {
            key,
            value: value.to_vec().into(),
            lease: None,
        }),
        2 => key().prop_map(Op::Delete),
        1 => key().prop_map(Op::DeletePrefix),
    ]
}

fn compare() -> impl Strategy<Value = Compare> {
    prop_oneof![
        key().prop_map(Compare::Exists),
        key().prop_map(Compare::Absent),
        (key(), 0_u64..9).prop_map(|(key, r)| Compare::ModRevision(key, Revision(r))),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    let compares = proptest::collection::vec(compare(), 0..2);
    let ops = proptest::collection::vec(op(), 0..4);
    (compares, ops).prop_map(|(compares, ops)| Transaction { compares, ops })
}

/// What the port's documentation says, in the plainest way.
fn apply(model: &mut Model, now: Revision, tx: &Transaction) -> Result<Revision, CommitError> {
    tx.check()?;
    let of = |model: &Model, key: &Key| model.get(key).map_or(Revision(0), |entry| entry.2);
    for (index, compare) in tx.compares.iter().enumerate() {
        let holds = match compare {
            Compare::Exists(key) => model.contains_key(key),
            Compare::Absent(key) => !model.contains_key(key),
            Compare::ModRevision(key, revision) => of(model, key) == *revision,
            Compare::Lease(..) => unreachable!("not generated"),
        };
        if !holds {
            return Err(CommitError::Compare { index });
        }
    }
    let (before, next) = (model.clone(), Revision(now.0 + 1));
    for op in &tx.ops {
        match op {
            Op::Put { key, value, .. } => {
                let made = model.get(key).map_or(next, |entry| entry.1);
                model.insert(key.clone(), (value.to_vec(), made, next));
            }
            Op::Delete(key) => drop(model.remove(key)),
            Op::DeletePrefix(prefix) => model.retain(|key, _| !key.starts_with(&**prefix)),
        }
    }
    Ok(if *model == before { now } else { next })
}

pub(crate) async fn random_transactions_do_what_a_simple_model_does(h: &impl Harness) {
    let store = h.store();
    let start = store.range("").await.unwrap().revision;
    let mut watch = store.watch("", start).await.unwrap();
    let (mut model, mut replay, mut now) = (Model::new(), Model::new(), start);
    let mut runner = TestRunner::deterministic();
    for _ in 0..400 {
        let mut tx = transaction().new_tree(&mut runner).unwrap().current();
        // Revisions of the store under test need not begin at zero.
        for compare in &mut tx.compares {
            if let Compare::ModRevision(_, revision) = compare
                && revision.0 > 0
            {
                revision.0 = now.0.saturating_sub(revision.0);
            }
        }
        let wanted = apply(&mut model, now, &tx);
        assert_eq!(store.commit(tx.clone()).await, wanted, "{tx:?}");
        let Ok(revision) = wanted else { continue };
        if revision > now {
            now = revision;
            let batch = next(&mut watch).await;
            assert_eq!(batch.revision, now);
            follow(&mut replay, batch);
        }
        assert_eq!(content(&store).await, model, "{tx:?}");
        assert_eq!(replay, model, "{tx:?}");
    }
    assert!(
        now.0 > start.0 + 100,
        "most transactions should have changed something"
    );
}

fn follow(replay: &mut Model, batch: Batch) {
    for event in batch.events {
        match event {
            Event::Put(e) => {
                let entry = (e.value.to_vec(), e.create_revision, e.mod_revision);
                replay.insert(e.key.clone(), entry);
            }
            Event::Delete(key) => {
                assert!(replay.remove(&key).is_some(), "{key} was not there");
            }
        }
    }
}

async fn content(store: &Arc<dyn Store>) -> Model {
    let entries = store.range("").await.unwrap().entries.into_iter();
    let of = |e: Arc<crate::store::Entry>| {
        let entry = (e.value.to_vec(), e.create_revision, e.mod_revision);
        (e.key.clone(), entry)
    };
    entries.map(of).collect()
}
