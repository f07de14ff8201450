//! What is admitted instead: versions of the same line that may be pulled now.
//!
//! All of it is what was kept: no registry is asked for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Desk, Error};
use crate::gate::{Judgement, Standing, Subject};
use crate::mirror::line::Version;
use crate::oci::{Digest, Name, Tag};
use crate::time::Timestamp;

/// Most versions that are named: the highest newer one, and the nearest older one.
const NAMED_MAX: usize = 2;
/// Most tags of a line that are looked at in each direction for one that is admitted now.
const LOOKED_AT_MAX: usize = 16;

/// A version of the same line that is admitted here.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema, Serialize, Deserialize)]
pub struct AlternativeView {
    /// The image as it is pulled.
    pub image: String,
    /// Its tag.
    pub tag: Tag,
    /// What that stands for.
    pub digest: Digest,
    /// `newer` or `older`.
    pub relation: String,
    /// How far: `patch`, `minor` or `major`.
    pub step: String,
    /// Since when it is known here; of an approved one, since when it is approved.
    pub since: Timestamp,
    /// Who approved it, where people did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
}

impl Desk {
    /// The versions of the line of `tag` in `name` that are admitted now and are not `digest`: the highest
    /// newer one and the nearest older one, as far as there are such.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(super) async fn alternatives(
        &self,
        name: &Name,
        tag: Option<&Tag>,
        digest: Option<&Digest>,
    ) -> Result<Vec<AlternativeView>, Error> {
        let mut found = Vec::new();
        let Some((tag, own)) = tag.and_then(|tag| Some((tag, Version::of(tag)?))) else {
            return Ok(found);
        };
        let tags = self.mirror.ledger().admitted_tags(name).await?;
        let others = tags.iter().filter(|other| *other != tag);
        let mut line: Vec<(Version<'_>, &Tag)> =
            others.filter_map(|other| Some((Version::of(other)?, other))).collect();
        line.sort_by(|(a, _), (b, _)| b.numbers.cmp(&a.numbers));
        let newer = line.iter().filter_map(|(it, tag)| Some(("newer", own.step_to(it)?, *tag)));
        let older = line.iter().filter_map(|(it, tag)| Some(("older", it.step_to(&own)?, *tag)));
        let (newer, older): (Vec<_>, Vec<_>) = (newer.collect(), older.collect());
        for direction in [newer, older] {
            for (relation, step, tag) in direction.into_iter().take(LOOKED_AT_MAX) {
                let Some((admitted, since, by)) = self.admitted_as(name, tag).await? else {
                    continue;
                };
                if Some(&admitted) == digest {
                    continue;
                }
                found.push(AlternativeView {
                    image: format!("{name}:{tag}"),
                    tag: tag.clone(),
                    digest: admitted,
                    relation: relation.to_owned(),
                    step: step.as_str().to_owned(),
                    since,
                    approved_by: by,
                });
                break;
            }
        }
        found.truncate(NAMED_MAX);
        Ok(found)
    }

    /// What `tag` is admitted as now, since when, and who approved it if people did. Admitted once is not
    /// admitted now: what cannot be read, or was decided about since, is none.
    async fn admitted_as(
        &self,
        name: &Name,
        tag: &Tag,
    ) -> Result<Option<(Digest, Timestamp, Option<String>)>, Error> {
        let ledger = self.mirror.ledger();
        let Some(digest) = ledger.admitted_tag(name, tag).await? else { return Ok(None) };
        let subject = Subject { name: name.clone(), digest };
        let Some(record) = ledger.record(&subject).await? else { return Ok(None) };
        if !record.judgement.as_ref().is_some_and(Judgement::admits) {
            return Ok(None);
        }
        Ok(Some(match &record.standing {
            Some(Standing::Approved { by, at, .. }) => (digest, *at, Some(by.clone())),
            _ => (digest, record.first_seen, None),
        }))
    }
}
