//! Of what a statement is.

use super::{Purl, Statement};
use crate::oci::Digest;
use crate::scan::{Distribution, Finding, Package};

/// The image that statements are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Its manifest, and the index that it was asked for by.
    pub digests: &'a [Digest],
    /// Its packages.
    pub packages: &'a [Package],
    /// What it says it is.
    pub distribution: Option<&'a Distribution>,
}

/// What a statement is about: an image or a package, or only some of what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// What it is.
    pub component: Component,
    /// Of what in it only; none is all.
    pub subcomponents: Vec<Component>,
}

/// Something that can be named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Component {
    /// Its package URLs: each has to name it.
    pub purls: Vec<Purl>,
    /// The digests that it goes by: each has to be one of the image's.
    pub digests: Vec<Digest>,
    /// Whether it is whatever the document is attached to.
    pub is_attached: bool,
}

impl Component {
    /// What the document is attached to.
    pub(super) fn attached() -> Self {
        Self { is_attached: true, ..Self::default() }
    }

    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let digests = self.digests.len() * size_of::<Digest>();
        let purls: usize = self.purls.iter().map(Purl::weight).sum();
        size_of::<Self>() + digests + purls
    }

    fn names_image(&self, image: &Image<'_>) -> bool {
        if self.is_attached {
            return true;
        }
        // What is called an image by one name and a package by another is not understood.
        if self.purls.iter().any(|purl| !purl.is_image()) {
            return false;
        }
        let by_purl: Option<Vec<Digest>> = self.purls.iter().map(Purl::image_digest).collect();
        let Some(by_purl) = by_purl else { return false };
        let mut named = self.digests.iter().chain(&by_purl).peekable();
        named.peek().is_some() && named.all(|digest| image.digests.contains(digest))
    }

    fn names_package(&self, package: &Package, image: &Image<'_>) -> bool {
        !self.purls.is_empty()
            && self.purls.iter().all(|purl| purl.names(package, image.distribution))
    }
}

impl Product {
    /// About how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let parts: usize = self.subcomponents.iter().map(Component::weight).sum();
        self.component.weight() + parts
    }

    /// The same in `version` only; `None` where it names another, or nothing that has one.
    pub(super) fn at(&self, version: &str) -> Option<Self> {
        let mut product = self.clone();
        let component = product.subcomponents.first_mut().unwrap_or(&mut product.component);
        let [purl] = component.purls.as_mut_slice() else { return None };
        *purl = purl.at(version)?;
        Some(product)
    }

    /// Whether it is `package` of `image`, or has it.
    ///
    /// A product that is a package itself, and of which only something in it is meant, has to stand in
    /// the same file: what else in the image has the same thing is not spoken of.
    fn has(&self, package: &Package, image: &Image<'_>) -> bool {
        let Self { component, subcomponents } = self;
        let in_part = || subcomponents.iter().any(|part| part.names_package(package, image));
        if component.names_image(image) {
            return subcomponents.is_empty() || in_part();
        }
        if subcomponents.is_empty() {
            return component.names_package(package, image);
        }
        let is_beside = |other: &Package| {
            other.found_in == package.found_in && component.names_package(other, image)
        };
        in_part() && image.packages.iter().any(is_beside)
    }
}

impl Statement {
    /// Whether it is about `finding` in `image`.
    pub fn is_about(&self, finding: &Finding, image: &Image<'_>) -> bool {
        self.names(finding)
            && self.products.as_ref().is_none_or(|products| {
                products.iter().any(|product| product.has(&finding.package, image))
            })
    }

    /// Whether it names the vulnerability. Two CVEs are never one, whatever other names they share.
    fn names(&self, finding: &Finding) -> bool {
        let found = || std::iter::once(&finding.id).chain(finding.aliases.iter());
        let has_cve =
            self.vulnerability.iter().any(|name| is_cve(name)) && found().any(|it| is_cve(it));
        let counts = |name: &&String| !has_cve || is_cve(name);
        let is_named = |name: &String| found().any(|it| it.eq_ignore_ascii_case(name));
        self.vulnerability.iter().filter(counts).any(is_named)
    }
}

fn is_cve(name: &str) -> bool {
    name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("CVE-"))
}
