//! Where something runs: every inventory, looked through for what is sought.

use super::super::{Desk, Error};
use super::Kept;
use super::view::{
    CachedView, ClusterView, RunsBrief, RunsView, SoughtAs, WhereView, kind_of_what,
};
use super::wanted::{Item, Memory, Outcome, Sought};
use crate::gate::Subject;
use crate::time::Timestamp;

/// Longest text that is sought, in characters.
const SOUGHT_LENGTH_MAX: usize = 1_024;
/// Most rows of what runs, and of what lies on nodes, each.
const ROWS_MAX: usize = 2_000;

impl Desk {
    /// Where `what` runs and lies, sought as `sought_as`, or as its form says.
    ///
    /// # Errors
    /// When it is not what it is sought as, the ledger cannot be read, or a target cannot be told.
    pub async fn whereabouts(
        &self,
        what: &str,
        sought_as: Option<SoughtAs>,
    ) -> Result<WhereView, Error> {
        let what = what.trim();
        if what.is_empty() || what.chars().count() > SOUGHT_LENGTH_MAX {
            return Err(Error::LabelForm { what: "what is sought", most: SOUGHT_LENGTH_MAX });
        }
        let policy = self.mirror.policy();
        let is_signer = |text: &str| policy.signers().iter().any(|it| it.name() == text);
        let sought_as = sought_as.unwrap_or_else(|| kind_of_what(what, is_signer));
        let _one_at_a_time = self.inventories.seeking.lock().await;
        let sought = self.sought(what, sought_as).await?;
        self.looked_through(what, sought_as, &sought).await
    }

    /// How much runs `subject`; none where no cluster was reported, or the ledger cannot be read now.
    pub(in crate::mirror::desk) async fn runs_brief(&self, subject: &Subject) -> Option<RunsBrief> {
        let (what, sought) = (subject.to_string(), Sought::Subject(subject.clone()));
        match self.looked_through(&what, SoughtAs::Target, &sought).await {
            Ok(view) => RunsBrief::of(&view),
            Err(error) => {
                tracing::warn!(%subject, %error, "what runs it is not told");
                None
            }
        }
    }

    async fn looked_through(
        &self,
        what: &str,
        sought_as: SoughtAs,
        sought: &Sought,
    ) -> Result<WhereView, Error> {
        let (kept, now) = (self.inventories().await, self.mirror.now());
        let mut view = WhereView {
            what: what.to_owned(),
            sought_as,
            pods: 0,
            running: Vec::new(),
            cached: Vec::new(),
            more: 0,
            not_known: 0,
            without_digest: 0,
            clusters: kept.iter().map(|it| ClusterView::of(it, now)).collect(),
        };
        let mut memory = Memory::default();
        let mut not_known = std::collections::HashSet::new();
        for one in &kept {
            self.running_in(one, sought, now, &mut view, &mut memory, &mut not_known).await?;
            self.cached_in(one, sought, now, &mut view, &mut memory).await?;
        }
        view.not_known = u64::try_from(not_known.len()).unwrap_or(u64::MAX);
        Ok(view)
    }

    async fn running_in(
        &self,
        kept: &Kept,
        sought: &Sought,
        now: Timestamp,
        view: &mut WhereView,
        memory: &mut Memory,
        not_known: &mut std::collections::HashSet<String>,
    ) -> Result<(), Error> {
        for it in &kept.report.running {
            let item = Item {
                name: it.name.as_ref(),
                written: Some(&it.image),
                digest: it.digest.as_ref(),
                config: it.config.as_ref(),
            };
            if it.digest.is_none() {
                view.without_digest = view.without_digest.saturating_add(it.pods);
            }
            let (matched, because) = match self.has(&item, sought, memory).await? {
                Outcome::Is(matched, because) => (matched, because),
                Outcome::Not => continue,
                Outcome::NotKnown => {
                    let id = it.digest.or(it.config).map(|it| it.to_string());
                    not_known.insert(id.unwrap_or_else(|| it.image.clone()));
                    continue;
                }
            };
            view.pods = view.pods.saturating_add(it.pods);
            if view.running.len() >= ROWS_MAX {
                view.more = view.more.saturating_add(1);
                continue;
            }
            view.running.push(RunsView {
                cluster: kept.report.cluster.clone(),
                is_stale: kept.is_stale(now),
                namespace: it.namespace.clone(),
                workload: it.workload.clone(),
                role: it.role,
                image: it.image.clone(),
                name: it.name.clone(),
                digest: it.digest,
                config: it.config,
                matched,
                because,
                pods: it.pods,
                since: it.since,
                nodes: it.nodes.clone(),
                more_nodes: it.more_nodes,
            });
        }
        Ok(())
    }

    async fn cached_in(
        &self,
        kept: &Kept,
        sought: &Sought,
        now: Timestamp,
        view: &mut WhereView,
        memory: &mut Memory,
    ) -> Result<(), Error> {
        for it in &kept.report.cached {
            let item = Item {
                name: Some(&it.name),
                written: None,
                digest: Some(&it.digest),
                config: None,
            };
            let Outcome::Is(matched, _) = self.has(&item, sought, memory).await? else { continue };
            if view.cached.len() >= ROWS_MAX {
                view.more = view.more.saturating_add(1);
                continue;
            }
            view.cached.push(CachedView {
                cluster: kept.report.cluster.clone(),
                is_stale: kept.is_stale(now),
                name: it.name.clone(),
                digest: it.digest,
                matched,
                nodes: it.nodes.clone(),
                more_nodes: it.more_nodes,
            });
        }
        Ok(())
    }
}
