//! What belongs to a digest within a repository: runtimes name the index or the image of it, whichever they have.

use std::collections::{HashMap, HashSet};

use super::view::Match;
use crate::gate::{GrantKind, Subject};
use crate::mirror::desk::{Desk, Error};
use crate::oci::{Digest, Name, Registry};

/// What a runtime may name where a digest runs.
#[derive(Debug, Default)]
pub(super) struct Family {
    /// Manifests and indexes, and why each is of it.
    pub(super) manifests: HashMap<Digest, Match>,
    /// Configurations of it.
    pub(super) configs: HashSet<Digest>,
}

impl Family {
    /// Why something that runs by `digest`, or by `config` where the runtime says no more, is of it.
    pub(super) fn matches(
        &self,
        digest: Option<&Digest>,
        config: Option<&Digest>,
    ) -> Option<Match> {
        match (digest, config) {
            (Some(digest), _) => self.manifests.get(digest).copied(),
            (None, Some(config)) => self.configs.contains(config).then_some(Match::Config),
            (None, None) => None,
        }
    }
}

impl Desk {
    /// What belongs to `digest` in the repository `name`, as far as that is on record: itself, what it lists, and
    /// what lists it.
    pub(super) async fn family(&self, name: &Name, digest: &Digest) -> Result<Family, Error> {
        let ledger = self.mirror.ledger();
        let subject = Subject { name: name.clone(), digest: *digest };
        let mut family = Family::default();
        for index in ledger.listing(name, digest).await? {
            family.manifests.insert(index, Match::InIndex);
        }
        if let Some(record) = ledger.record(&subject).await? {
            let children = record.evidence.manifest.found().map(|facts| facts.children.as_slice());
            for child in children.unwrap_or_default() {
                family.manifests.insert(*child, Match::OfIndex);
            }
            let grants = ledger.grants_of(&subject).await?;
            let configs = grants.iter().filter(|it| it.kind == GrantKind::Config);
            family.configs.extend(configs.map(|it| it.digest));
        }
        family.manifests.insert(*digest, Match::Same);
        family.configs.insert(*digest);
        Ok(family)
    }

    /// The repository that `name` stands for: pods may be written with the mirror in front,
    /// `mirror.example:5000/docker.io/library/redis`.
    pub(super) fn seen_as(&self, name: &Name) -> Name {
        let client = self.mirror.client();
        if client.knows(name.registry()) {
            return name.clone();
        }
        let path = name.repository().as_str();
        let first = path.split('/').next().unwrap_or_default();
        let within: Option<Name> =
            if Registry::is_named_by(first) { path.parse().ok() } else { None };
        within.filter(|it| client.knows(it.registry())).unwrap_or_else(|| name.clone())
    }
}
