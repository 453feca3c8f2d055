//! One write, from what is wanted to the revision at which it shows.

use std::sync::Arc;
use std::time::Duration;

use a8_common::http::IfMatch;
use a8_common::kubernetes::rule_objects::{self, AT_ONCE, Done, NotWritten, Objects, Terms};
use a8_common::model::{Revision, RuleId};
use a8_common::store::Unavailable;
use futures_util::{StreamExt, TryStreamExt, stream};
use kube::core::DynamicObject;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::warn;

use super::contents::{Contents, Known};
use super::journal::Journal;
use super::plan::{Live, Wanted, ids};
use crate::rulebook::{MAX_ATTEMPTS, MAX_RULES, Mode, SETTLE, Shelf, WriteError};

/// So many objects are asked for one by one; of more, all are.
const FEW: usize = 32;

/// How long the view may take to come to what was listed before it is listed again.
const GLANCE: Duration = Duration::from_millis(250);

/// Where a namespace's rules are written.
pub(super) struct Desk {
    objects: Objects,
    shelf: Arc<Shelf>,
    contents: watch::Receiver<Contents>,
}

/// What a write led to.
pub(super) struct Outcome {
    /// What it was about, in the order of the request or of the names.
    pub(super) ids: Vec<RuleId>,
    pub(super) revision: Revision,
}

impl Desk {
    pub(super) fn new(
        objects: Objects,
        shelf: Arc<Shelf>,
        contents: watch::Receiver<Contents>,
    ) -> Self {
        Self {
            objects,
            shelf,
            contents,
        }
    }

    pub(super) fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    pub(super) fn contents(&self) -> watch::Receiver<Contents> {
        self.contents.clone()
    }

    pub(super) async fn newest(&self) -> Result<Revision, Unavailable> {
        let newest = self.objects.newest().await.map(Revision);
        newest.map_err(|e| Unavailable::because(e.to_string()))
    }

    /// Does what is `wanted`, all of it or nothing.
    pub(super) async fn write(
        &self,
        wanted: &Wanted,
        condition: &IfMatch,
        mode: Mode,
    ) -> Result<Outcome, WriteError> {
        let bound = *condition != IfMatch::Any;
        let (_alone, _beside) = match bound {
            true => (Some(self.shelf.alone().await), None),
            false => (None, Some(self.shelf.beside_others().await)),
        };
        self.check(wanted)?;
        let (live, mut journal) = match bound {
            true => self.unmoved(condition).await?,
            false => (self.live(wanted).await?, Journal::begin(&self.shelf)),
        };
        let steps = wanted.steps(&live)?;
        let ids = ids(&steps);
        let terms = Terms {
            makes: wanted.makes(),
            takes: &|object| wanted.takes(object),
            bound,
        };
        if mode == Mode::DryRun || steps.is_empty() {
            self.objects.try_out(&steps, &terms).await?;
            let revision = journal.begun;
            return Ok(Outcome { ids, revision });
        }
        let done = self.objects.commit(steps, &terms).await?;
        let seen = timeout(SETTLE, self.seen(&done)).await.is_ok();
        if !seen {
            warn!("a write is done and not yet visible");
        }
        let made = journal.made_by(&done);
        if bound && made.is_some_and(|first| journal.others_before(first)) {
            return Err(self.objects.undo(done, NotWritten::Moved).await.into());
        }
        let revision = match journal.shown(&done) {
            Some(revision) => revision,
            None if seen => journal.begun,
            None => self.shelf.snapshot().revision,
        };
        Ok(Outcome { ids, revision })
    }

    fn check(&self, wanted: &Wanted) -> Result<(), WriteError> {
        let (Wanted::Add(rules) | Wanted::Update(rules)) = wanted else {
            return Ok(());
        };
        let unfit = rule_objects::unfit(rules);
        if !unfit.is_empty() {
            return Err(WriteError::Invalid(unfit));
        }
        let known = &self.contents.borrow().objects;
        let new = rules
            .iter()
            .filter(|rule| !known.contains_key(rule.id().as_str()));
        match wanted.makes() && known.len() + new.count() > MAX_RULES {
            true => Err(WriteError::Full { max: MAX_RULES }),
            false => Ok(()),
        }
    }

    /// The objects that it is about, as they are now: the view may be behind what the caller
    /// was told elsewhere.
    async fn live(&self, wanted: &Wanted) -> Result<Live, WriteError> {
        match wanted.names() {
            Some(names) if names.len() <= FEW => {
                let got =
                    stream::iter(names).map(|name| async move { self.objects.get(&name).await });
                let got: Vec<_> = got.buffered(AT_ONCE).try_collect().await?;
                Ok(rule_objects::by_name(got.into_iter().flatten().collect()))
            }
            _ => Ok(rule_objects::by_name(
                self.objects.list(None).await?.objects,
            )),
        }
    }

    /// All objects as they are now, if that is the state that `condition` names.
    async fn unmoved(&self, condition: &IfMatch) -> Result<(Live, Journal), WriteError> {
        let mut contents = self.contents();
        let until = Instant::now() + SETTLE;
        for _ in 0..MAX_ATTEMPTS {
            let listed = self.objects.list(None).await?.objects;
            loop {
                contents.borrow_and_update();
                let (journal, now) = (Journal::begin(&self.shelf), self.shelf.snapshot());
                if now.revision == journal.begun && self.shows(&listed) {
                    let holds = now.epoch.as_ref();
                    let holds = holds.is_some_and(|e| condition.holds(e, now.revision));
                    return match holds {
                        true => Ok((rule_objects::by_name(listed), journal)),
                        false => Err(WriteError::Moved),
                    };
                }
                // The view is behind, or ahead already.
                let glance = until.min(Instant::now() + GLANCE);
                if !matches!(timeout_at(glance, contents.changed()).await, Ok(Ok(()))) {
                    break;
                }
            }
            if Instant::now() >= until {
                return Err(Unavailable::because("its changes do not arrive").into());
            }
        }
        Err(WriteError::Contended)
    }

    /// Whether the view has just the rules of `listed`.
    fn shows(&self, listed: &[DynamicObject]) -> bool {
        let known = self.contents.borrow().clone();
        let shown = self.shelf.snapshot();
        let mut valid = 0;
        let all_shown = listed.iter().all(|object| {
            let before = known.objects.get(rule_objects::name(object));
            let same = before.filter(|before| before.is(object)).cloned();
            let now = same.unwrap_or_else(|| Arc::new(Known::of(object.clone(), before)));
            match now.rule() {
                Some(rule) => {
                    valid += 1;
                    shown.items.get(rule.id()) == Some(rule)
                }
                None => true,
            }
        });
        all_shown && shown.items.len() == valid
    }

    /// Waits until the view has what was `done`.
    async fn seen(&self, done: &[Done]) {
        let mut contents = self.contents();
        // The sender lives as long as the tasks, which outlive every request.
        let _ = contents
            .wait_for(|now| done.iter().all(|done| has(now, done)))
            .await;
    }
}

fn has(now: &Contents, done: &Done) -> bool {
    match (&done.after, &done.step.before) {
        (Some(_), _) => done.version().is_none_or(|version| now.version >= version),
        (None, Some(before)) => {
            let known = now.objects.get(&done.step.name);
            known.is_none_or(|known| known.object.metadata.uid != before.metadata.uid)
        }
        (None, None) => true,
    }
}
