//! Lists of tags: what is admitted, and for those who look for news, what is there.

use super::{Error, Mirror};
use crate::gate::refuse_by_name;
use crate::ledger::Role;
use crate::oci::{Name, Tag, TagsPage};
use crate::policy::{Mode, Policy};

/// Most tags on one page.
const TAGS_PAGE_MAX: usize = 1_000;

/// A page of tags in lexical order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList {
    /// The tags.
    pub tags: Vec<Tag>,
    /// When there are more: what to continue after.
    pub next_after: Option<Tag>,
}

impl Mirror {
    /// The tags of `name` that nodes may pull, or all that upstream has for a `token` whose role is
    /// to discover them.
    ///
    /// # Errors
    /// When the registry is not configured or cannot be asked.
    pub async fn tags(
        &self,
        name: &Name,
        page: &TagsPage,
        token: Option<&str>,
    ) -> Result<TagList, Error> {
        self.known(name)?;
        let token = token.and_then(|token| self.ledger().authenticate(token));
        let role = token.filter(|token| token.scope.covers(name)).map(|token| token.role);
        let (policy, now) = (self.policy(), self.now());
        let discovers = matches!(role, Some(Role::Admin | Role::Discover))
            || (policy.mode_for(name, now) != Mode::Enforce
                && policy.refuses_outright(name, now).is_none_or(|it| it.mode != Mode::Enforce));
        if discovers {
            let listed = self.client().list_tags(name).await?;
            let mut tags = listed.ok_or_else(|| Error::Absent(name.to_string().into()))?;
            tags.sort();
            tags.dedup();
            return Ok(paged(tags, page));
        }
        self.servable_tags(name, page, &policy).await
    }

    /// The tags that were admitted and still would be: nothing of what the policy refuses by name, and
    /// nothing that was revoked since.
    async fn servable_tags(
        &self,
        name: &Name,
        page: &TagsPage,
        policy: &Policy,
    ) -> Result<TagList, Error> {
        if refuse_by_name(policy, name, None, self.now()).is_some() {
            return Ok(TagList { tags: Vec::new(), next_after: None });
        }
        let limit = limit(page);
        let mut tags = Vec::new();
        for tag in self.ledger().admitted_tags(name).await? {
            let after = page.last.as_deref().is_none_or(|last| tag.as_str() > last);
            if after && self.is_servable(name, &tag, policy).await? {
                tags.push(tag);
            }
            if tags.len() > limit {
                break;
            }
        }
        Ok(paged(tags, page))
    }

    async fn is_servable(&self, name: &Name, tag: &Tag, policy: &Policy) -> Result<bool, Error> {
        if refuse_by_name(policy, name, Some(tag), self.now()).is_some() {
            return Ok(false);
        }
        match self.ledger().admitted_tag(name, tag).await? {
            Some(digest) => self.admits(name, &digest).await,
            None => Ok(false),
        }
    }
}

/// How many tags `page` may have.
fn limit(page: &TagsPage) -> usize {
    page.limit.map_or(TAGS_PAGE_MAX, |limit| {
        usize::try_from(limit).unwrap_or(TAGS_PAGE_MAX).min(TAGS_PAGE_MAX)
    })
}

fn paged(tags: Vec<Tag>, page: &TagsPage) -> TagList {
    let limit = limit(page);
    let after = page.last.as_deref();
    let mut rest = tags.into_iter().filter(|tag| after.is_none_or(|last| tag.as_str() > last));
    let tags: Vec<Tag> = rest.by_ref().take(limit).collect();
    let more = limit > 0 && rest.next().is_some();
    let next_after = if more { tags.last().cloned() } else { None };
    TagList { tags, next_after }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(limit: Option<u64>, last: Option<&str>) -> (Vec<String>, Option<String>) {
        let tags = ["1", "2", "3"].map(|tag| tag.parse().unwrap()).to_vec();
        let page = TagsPage { limit, last: last.map(str::to_owned) };
        let found = paged(tags, &page);
        let texts = found.tags.iter().map(ToString::to_string).collect();
        (texts, found.next_after.map(|tag| tag.to_string()))
    }

    #[test]
    fn pages_are_bounded_and_continue_after_the_last() {
        assert_eq!(list(Some(2), None), (vec!["1".into(), "2".into()], Some("2".into())));
        assert_eq!(list(Some(2), Some("2")), (vec!["3".into()], None));
        assert_eq!(list(Some(0), None), (vec![], None));
        assert_eq!(list(Some(u64::MAX), Some("0")).0.len(), 3);
        assert_eq!(list(None, Some("9")), (vec![], None));
    }
}
