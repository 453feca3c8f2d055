//! Reading all that lies below a prefix, page by page, as it was at one revision.

use etcd_client::GetOptions;

use super::entry::{Keys, end_of, header, signed};
use super::members::Members;
use super::trouble::Trouble;
use crate::model::Revision;
use crate::store::Range;

/// Entries of the first page.
const FIRST_PAGE: i64 = 64;
/// Entries of the largest page.
const LARGEST_PAGE: i64 = 4096;
/// A page that is smaller lets the next be larger.
const SMALL: usize = 1 << 20;
/// The largest answer taken. Entries are of a megabyte at most, and a page of large ones makes
/// the next smaller.
const MAX_ANSWER: usize = 128 << 20;
/// How often reading begins anew because what was begun is no longer kept.
const TRIES: usize = 3;

pub(super) async fn read(members: &Members, keys: &Keys, prefix: &str) -> Result<Range, Trouble> {
    let mut failed = Trouble::Compacted;
    for _ in 0..TRIES {
        match all(members, keys, prefix).await {
            Err(Trouble::Compacted) => failed = Trouble::Compacted,
            read => return read,
        }
    }
    Err(failed)
}

async fn all(members: &Members, keys: &Keys, prefix: &str) -> Result<Range, Trouble> {
    let full = keys.full(prefix);
    let (mut from, end) = (full.clone().into_bytes(), end_of(&full));
    let mut range = Range {
        revision: Revision(0),
        entries: Vec::new(),
    };
    let mut limit = FIRST_PAGE;
    loop {
        let options = GetOptions::new()
            .with_range(end.clone())
            .with_limit(limit)
            .with_revision(signed(range.revision.0));
        let page = members.ask(|client| {
            let (from, options) = (from.clone(), options.clone());
            let mut client = client.kv_client().max_decoding_message_size(MAX_ANSWER);
            async move { client.get(from, Some(options)).await }
        });
        let page = page.await?;
        if range.revision == Revision(0) {
            range.revision = header(page.header()).revision;
        }
        let entries = page.kvs().iter().filter_map(|kv| keys.entry(kv));
        range.entries.extend(entries);
        let Some(last) = page.kvs().last().filter(|_| page.more()) else {
            return Ok(range);
        };
        from = last.key().to_vec();
        from.push(0);
        let bytes: usize = page.kvs().iter().map(|kv| kv.value().len()).sum();
        limit = match bytes < SMALL {
            true => (limit * 2).min(LARGEST_PAGE),
            false => (limit / 2).max(1),
        };
    }
}
