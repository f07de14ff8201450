//! Lists that come in pages: referrers and tags.

use std::collections::HashSet;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde::Deserialize;

use super::client::Client;
use super::error::Error;
use super::link;
use super::registry::{Ask, Upstream};
use crate::oci::{
    Descriptor, Digest, Endpoint, Manifest, MediaType, Name, Tag, TagsPage, from_strict_slice,
};

impl Client {
    /// What refers to `digest`, all pages of it; `None`: the upstream does not offer the referrers
    /// API, and the fallback tag is where to look.
    ///
    /// # Errors
    /// When the upstream cannot be asked, or what comes is no index, does not end, or goes on at
    /// another host. A failure is never an empty list.
    pub async fn fetch_referrers(
        &self,
        name: &Name,
        digest: &Digest,
    ) -> Result<Option<Vec<Descriptor>>, Error> {
        let upstream = self.upstream(name)?;
        let endpoint = Endpoint::Referrers { digest: *digest, artifact_type: None };
        let mut ask =
            upstream.ask(Method::GET, name.repository(), &endpoint.path(name.repository()))?;
        ask.headers.insert(ACCEPT, HeaderValue::from_static(MediaType::OCI_INDEX));
        ask.follows_see_other = false;
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for page in 0..upstream.limits.referrer_pages {
            let answer = upstream.request(&ask).await?;
            let status = answer.status();
            let media_type =
                answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let is_index =
                media_type.map(MediaType::new).is_some_and(|media_type| media_type.is_index());
            if status != StatusCode::OK || !is_index {
                answer.into_body().discard().await;
                // On a later page this is a failure: what came before it is not all there is.
                return if page == 0 && not_offered(status) {
                    Ok(None)
                } else {
                    Err(upstream.unexpected(status, "referrers list"))
                };
            }
            let next = link::next(answer.headers());
            let bytes = answer.into_body().read_all(upstream.limits.manifest_bytes).await?;
            let declared = MediaType::new(MediaType::OCI_INDEX);
            let Ok(Manifest::Index(index)) = Manifest::parse(&bytes, Some(&declared)) else {
                return Err(upstream.unexpected(StatusCode::OK, "referrers list"));
            };
            found.extend(index.manifests.into_iter().filter(|listed| seen.insert(listed.digest)));
            match next {
                None => return Ok(Some(found)),
                Some(next) => ask = upstream.next_page(ask, &next)?,
            }
        }
        let (registry, limit) = (name.registry().clone(), upstream.limits.referrer_pages);
        Err(Error::TooManyPages { registry, limit })
    }

    /// All tags of a repository, in the upstream's order; `None`: it says there is no such
    /// repository. A tag that breaks the grammar is left out.
    ///
    /// # Errors
    /// When the upstream cannot be asked, or what comes is no list, does not end, or goes on at
    /// another host.
    pub async fn list_tags(&self, name: &Name) -> Result<Option<Vec<Tag>>, Error> {
        let upstream = self.upstream(name)?;
        let path = Endpoint::Tags(TagsPage::default()).path(name.repository());
        let mut ask = upstream.ask(Method::GET, name.repository(), &path)?;
        ask.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut tags = Vec::new();
        for page in 0..upstream.limits.tag_pages {
            let answer = upstream.request(&ask).await?;
            let Some(answer) = upstream.found(answer).await? else {
                return if page == 0 {
                    Ok(None)
                } else {
                    Err(upstream.unexpected(StatusCode::NOT_FOUND, "list of tags"))
                };
            };
            let next = link::next(answer.headers());
            let bytes = answer.into_body().read_all(upstream.limits.manifest_bytes).await?;
            let page = tags_of(&bytes);
            tags.extend(page.ok_or_else(|| upstream.unexpected(StatusCode::OK, "list of tags"))?);
            match next {
                None => return Ok(Some(tags)),
                Some(next) => ask = upstream.next_page(ask, &next)?,
            }
        }
        let (registry, limit) = (name.registry().clone(), upstream.limits.tag_pages);
        Err(Error::TooManyPages { registry, limit })
    }
}

/// The tags in one page of a list; `None` when it is no list. A tag that breaks the grammar is left
/// out.
pub(super) fn tags_of(page: &[u8]) -> Option<Vec<Tag>> {
    #[derive(Deserialize)]
    struct Page {
        tags: Option<Vec<String>>,
    }
    let page: Page = from_strict_slice(page).ok()?;
    Some(page.tags.unwrap_or_default().iter().filter_map(|tag| tag.parse().ok()).collect())
}

/// Whether a status (with 200: a body that is no index) says that there is no referrers API.
fn not_offered(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::OK
            | StatusCode::SEE_OTHER
            | StatusCode::BAD_REQUEST
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::NOT_IMPLEMENTED
    )
}

impl Upstream {
    /// The same request for the page at `link`, which must be at the upstream's own origin: the
    /// request may carry credentials.
    fn next_page(&self, ask: Ask, link: &str) -> Result<Ask, Error> {
        let elsewhere = || Error::LinkElsewhere { registry: self.registry.clone() };
        let location = ask.location.join(link).map_err(|_| elsewhere())?;
        if location.origin != self.base.origin {
            tracing::warn!(registry = %self.registry, host = %location.origin.host, "next page elsewhere refused");
            return Err(elsewhere());
        }
        Ok(Ask { location, ..ask })
    }

    fn unexpected(&self, status: StatusCode, what: &'static str) -> Error {
        let registry = self.registry.clone();
        if status == StatusCode::OK {
            return Error::Malformed { registry, what };
        }
        Error::Status { registry, status, retry_after: None }
    }
}
