//! Bills of materials that others made: what of them is a package that can be compared.
//!
//! Promises:
//! - Whatever a bill lists as a package is one, or is said to be unreadable: nothing is passed over. Only
//!   what a form marks as no package (files, the image itself, its operating system) is.
//! - A bill adds packages to what was read in the image. It takes none away, fills no gap, and speaks of no
//!   other distribution than the image does.
//! - Everything is bounded: a bill that is more than that is not read at all.

mod cyclonedx;
#[cfg(feature = "fuzzing")]
pub(in crate::scan) mod fuzzing;
mod locator;
mod spdx;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::SbomFormat;
use super::purl::vendor;
use crate::scan::database::printable;
use crate::scan::{Distribution, Inventory, Limits, Package, PackageKind};

/// Unreadable entries of a bill that are told one by one.
const UNREADABLE_MAX: usize = 100;
/// Characters of one that are shown.
const SHOWN_MAX: usize = 100;

/// What somebody's bill of materials lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttestedBill {
    listed: Vec<Listed>,
    unreadable: Vec<String>,
    /// How many more than are told.
    more_unreadable: usize,
}

/// A package, and whose distribution's it says to be.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    package: Package,
    vendor: Option<String>,
}

/// Why a bill is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// It is not what its type says.
    #[error("is no {form}: {why}")]
    Malformed {
        /// What it should be.
        form: &'static str,
        /// Why it is not, in printable words.
        why: String,
    },
    /// A bound was reached.
    #[error("lists more than {limit} packages")]
    TooMany {
        /// The bound.
        limit: usize,
    },
}

/// An inventory with what bills add to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attested {
    /// What was added, and by whose bill; nothing of it is in the image's own records.
    pub by: BTreeMap<Package, String>,
    /// What of the bills nothing can be said about, in words.
    pub unknown: Vec<String>,
}

impl SbomFormat {
    /// The form of bills that are attested as statements of the type `uri`, any version of it.
    ///
    /// Spec: <https://github.com/in-toto/attestation/tree/main/spec/predicates>
    pub fn of_predicate_type(uri: &str) -> Option<Self> {
        let is = |base: &str| {
            let rest = uri.strip_prefix(base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("/v"))
        };
        match () {
            () if is("https://cyclonedx.org/bom") => Some(Self::CycloneDx),
            () if is("https://spdx.dev/Document") => Some(Self::Spdx),
            () => None,
        }
    }

    const fn form(self) -> &'static str {
        match self {
            Self::CycloneDx => "CycloneDX as JSON",
            Self::Spdx => "SPDX 2 as JSON",
        }
    }
}

impl AttestedBill {
    /// Reads a bill; `label` is what is said of where its packages were found.
    ///
    /// # Errors
    /// When it is no such bill, or lists more packages than `limits` let an image have.
    pub fn read(
        format: SbomFormat,
        json: &str,
        label: &str,
        limits: &Limits,
    ) -> Result<Self, BillError> {
        let limit = limits.packages;
        let mut collected = Collected { label, limit, bill: Self::default(), count: 0 };
        let read = match format {
            SbomFormat::CycloneDx => cyclonedx::read(json, &mut collected),
            SbomFormat::Spdx => spdx::read(json, &mut collected),
        };
        match read {
            Ok(()) => Ok(collected.bill),
            Err(Trouble::TooMany) => Err(BillError::TooMany { limit }),
            Err(Trouble::Malformed(why)) => {
                Err(BillError::Malformed { form: format.form(), why: printable(&why) })
            }
        }
    }

    /// How many packages it lists that can be read.
    pub fn packages(&self) -> usize {
        self.listed.len()
    }

    /// Puts what it lists to `inventory`, as far as that does not have it and `limits` let an image have so
    /// many packages, and tells in `attested` what is by `signer`.
    pub fn add_to(
        &self,
        inventory: &mut Inventory,
        attested: &mut Attested,
        signer: &str,
        limits: &Limits,
    ) {
        let told = |text: &String| format!("{text} in the bill of materials by {signer}");
        attested.unknown.extend(self.unreadable.iter().map(told));
        if self.more_unreadable > 0 {
            let more = self.more_unreadable;
            attested.unknown.push(told(&format!("{more} more entries that cannot be read")));
        }
        let mut known: HashSet<Identity> = inventory.packages.iter().map(Identity::of).collect();
        let room = limits.packages.saturating_sub(inventory.packages.len());
        let mut strange: BTreeSet<&str> = BTreeSet::new();
        let mut added = Vec::new();
        for Listed { package, vendor: says } in &self.listed {
            if let (Some(distribution), Some(says)) = (&inventory.distribution, says)
                && !is_of(distribution, says)
            {
                strange.insert(says);
                continue;
            }
            if !known.insert(Identity::of(package)) {
                continue;
            }
            if added.len() == room {
                let limit = limits.packages;
                attested.unknown.push(told(&format!("what is beyond {limit} packages in all")));
                break;
            }
            added.push(package.clone());
        }
        if !strange.is_empty() {
            let names: Vec<&str> = strange.into_iter().take(UNREADABLE_MAX).collect();
            let text = format!("packages of {}, which the image is not,", names.join(", "));
            attested.unknown.push(told(&printable(&text)));
        }
        let by = added.iter().map(|package| (package.clone(), signer.to_owned()));
        attested.by.extend(by);
        inventory.packages.append(&mut added);
        inventory.packages.sort_unstable();
    }
}

/// The package that a package URL names, found in `label`; `own` is its name where that stands beside it.
/// `None` where it names none that can be compared with anything.
pub(in crate::scan) fn package_of_url(url: &str, own: &str, label: &str) -> Option<Package> {
    let entry = Entry { name: own, url: Some(url), source: None };
    locator::package(url, &entry, label).ok().flatten().map(|listed| listed.package)
}

/// Whether `vendor`, in a package URL, is who makes `distribution`.
fn is_of(distribution: &Distribution, says: &str) -> bool {
    let own = [vendor(distribution), distribution.id.as_str()];
    own.iter().any(|own| own.eq_ignore_ascii_case(says))
}

/// What makes a package the same as another, wherever it was found. What it was built from the image knows
/// better than a bill does, and advisories do not tell architectures apart.
#[derive(PartialEq, Eq, Hash)]
struct Identity(PackageKind, String, String);

impl Identity {
    fn of(package: &Package) -> Self {
        let Package { kind, name, version, .. } = package;
        Self(*kind, name.clone(), version.clone())
    }
}

/// Why a document cannot be read on.
enum Trouble {
    TooMany,
    Malformed(String),
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// What is collected of a document.
struct Collected<'a> {
    label: &'a str,
    limit: usize,
    bill: AttestedBill,
    count: usize,
}

/// What a document says of one package, whichever its form.
#[derive(Default)]
struct Entry<'a> {
    /// Its own name, which may have capitals that package URLs do not.
    name: &'a str,
    url: Option<&'a str>,
    /// What it was built from, where that stands beside the package URL: name and version.
    source: Option<(String, String)>,
}

impl Collected<'_> {
    fn add(&mut self, entry: &Entry<'_>) -> Result<(), Trouble> {
        self.count += 1;
        if self.count > self.limit {
            return Err(Trouble::TooMany);
        }
        let shown = entry.url.unwrap_or(entry.name);
        let Some(url) = entry.url else {
            self.unreadable(shown, "has no package URL");
            return Ok(());
        };
        match locator::package(url, entry, self.label) {
            Ok(Some(listed)) => self.bill.listed.push(listed),
            Ok(None) => {}
            Err(why) => self.unreadable(shown, why),
        }
        Ok(())
    }

    fn unreadable(&mut self, what: &str, why: &str) {
        let AttestedBill { unreadable, more_unreadable, .. } = &mut self.bill;
        if unreadable.len() < UNREADABLE_MAX {
            let what: String = what.chars().take(SHOWN_MAX).collect();
            unreadable.push(printable(&format!("{what} ({why})")));
        } else {
            *more_unreadable += 1;
        }
    }
}
