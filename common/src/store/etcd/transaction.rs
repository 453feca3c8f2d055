//! From a transaction of the port's to one of etcd's.
//!
//! etcd bounds the operations of a transaction (`--max-txn-ops`, 128 by default), but lets
//! operations be transactions again, and counts along each path only. So many operations
//! become a tree of transactions, which is applied as one.

use std::collections::HashMap;

use etcd_client::{
    Compare as Condition, CompareOp, DeleteOptions, GetOptions, KeyValue, PutOptions, Txn, TxnOp,
    TxnOpResponse, TxnResponse,
};

use super::entry::{Keys, lease, revision, signed};
use crate::model::Revision;
use crate::store::transaction::{Compare, Op, Transaction};

/// Operations of one node of the tree. Three levels hold more than any transaction has, and
/// count 120 along a path.
const WIDTH: usize = 40;

/// Compares cannot be made a tree; [`Transaction::check`] keeps them few.
pub(super) fn encode(keys: &Keys, transaction: &Transaction) -> Txn {
    let compares = &transaction.compares;
    let conditions: Vec<_> = compares.iter().flat_map(|c| conditions(keys, c)).collect();
    // What was compared comes back when it does not hold, since etcd does not say what failed.
    let seen = compares.iter().map(|compare| {
        let options = GetOptions::new();
        TxnOp::get(keys.full(key(compare)), Some(options))
    });
    let ops = transaction
        .ops
        .iter()
        .map(|op| operation(keys, op))
        .collect();
    Txn::new()
        .when(conditions)
        .and_then(tree(ops))
        .or_else(seen.collect::<Vec<_>>())
}

fn tree(mut ops: Vec<TxnOp>) -> Vec<TxnOp> {
    while ops.len() > WIDTH {
        let mut rest = ops.into_iter();
        let mut nodes = Vec::new();
        loop {
            let node: Vec<_> = rest.by_ref().take(WIDTH).collect();
            if node.is_empty() {
                break;
            }
            nodes.push(TxnOp::txn(Txn::new().and_then(node)));
        }
        ops = nodes;
    }
    ops
}

fn operation(keys: &Keys, op: &Op) -> TxnOp {
    match op {
        Op::Put { key, value, lease } => {
            let id = lease.map_or(0, |lease| signed(lease.0));
            let options = PutOptions::new().with_lease(id);
            TxnOp::put(keys.full(key), value.to_vec(), Some(options))
        }
        Op::Delete(key) => TxnOp::delete(keys.full(key), None),
        Op::DeletePrefix(prefix) => {
            let options = DeleteOptions::new().with_prefix();
            TxnOp::delete(keys.full(prefix), Some(options))
        }
    }
}

fn key(compare: &Compare) -> &str {
    match compare {
        Compare::Exists(key)
        | Compare::Absent(key)
        | Compare::ModRevision(key, _)
        | Compare::Lease(key, _) => key,
    }
}

fn conditions(keys: &Keys, compare: &Compare) -> Vec<Condition> {
    let key = keys.full(key(compare));
    let exists = |key| Condition::create_revision(key, CompareOp::Greater, 0);
    match compare {
        Compare::Exists(_) => vec![exists(key)],
        Compare::Absent(_) => vec![Condition::create_revision(key, CompareOp::Equal, 0)],
        Compare::ModRevision(_, revision) => {
            let revision = signed(revision.0);
            vec![Condition::mod_revision(key, CompareOp::Equal, revision)]
        }
        // Of a key that is not there, etcd compares zeros.
        Compare::Lease(_, lease) => {
            let id = lease.map_or(0, |lease| signed(lease.0));
            vec![
                exists(key.clone()),
                Condition::lease(key, CompareOp::Equal, id),
            ]
        }
    }
}

/// The first compare that did not hold, of a transaction that was not applied.
pub(super) fn first_failed(transaction: &Transaction, reply: &TxnResponse) -> usize {
    let replies = reply.op_responses();
    let mut seen: HashMap<usize, &KeyValue> = HashMap::new();
    for (index, reply) in replies.iter().enumerate() {
        if let TxnOpResponse::Get(found) = reply
            && let Some(kv) = found.kvs().first()
        {
            seen.insert(index, kv);
        }
    }
    let holds = |(index, compare): (usize, &Compare)| {
        let kv = seen.get(&index);
        match compare {
            Compare::Exists(_) => kv.is_some(),
            Compare::Absent(_) => kv.is_none(),
            Compare::ModRevision(_, wanted) => {
                *wanted == kv.map_or(Revision(0), |kv| revision(kv.mod_revision()))
            }
            Compare::Lease(_, wanted) => kv.is_some_and(|kv| lease(kv.lease()) == *wanted),
        }
    };
    let compares = transaction.compares.iter().enumerate();
    compares.map(holds).position(|holds| !holds).unwrap_or(0)
}
