//! The merged view: from what was learnt of an image's layers to what is in the image.
//!
//! Promises:
//! - What counts is what a node would show in the container: whiteouts, opaque directories, replaced
//!   files and directories, hard and symbolic links over all layers.
//! - A file that only a link makes interesting is named, to be read, and is a gap until it was.
//! - No path leads out of the image, and links are followed a bounded number of times.

mod collect;
mod ownership;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::collect::{Collector, Used};
use self::view::View;
use super::catalog::{FileKind, Maker};
use super::layer::{Facts, Kind, LayerFacts, LayerGap, WantedFile};
use super::{Distribution, Gap, GapKind, Inventory, Limits, Package};
use crate::oci::Digest;

/// Characters of a gap's text.
const TEXT_CHARS_MAX: usize = 300;
/// Gaps of an image that are told one by one.
const GAPS_MAX: usize = 1_000;
/// Bytes of all texts of an image's packages.
const PACKAGES_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Layers' entries in all, in times the bound for one layer.
const LAYERS_ENTRIES_MAX: u64 = 4;

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// What the image's config says that it inflates to; `None` where the config names too few.
    pub diff_id: Option<Digest>,
    /// What was learnt of it.
    pub facts: Arc<LayerFacts>,
}

/// Files of one layer that links lead to, and that are to be read: [`LayerFacts::read_more`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted(Vec<WantedFile<FileKind>>);

impl Wanted {
    pub(super) fn files(&self) -> &[WantedFile<FileKind>] {
        &self.0
    }
}

/// The merged view of an image's layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// What is in the image. While files are wanted, each is a gap.
    pub inventory: Inventory,
    /// Files to be read before merging again, by the position of their layer. A second time there are
    /// none.
    pub wanted: BTreeMap<usize, Wanted>,
}

impl Merged {
    /// Merges an image's layers, the lowest first.
    ///
    /// Packages of languages that the distribution's own packages brought are left out where `is_known`
    /// says that there is a feed for the distribution: it speaks for them.
    pub fn of(layers: &[Layer], is_known: &dyn Fn(&Distribution) -> bool, limits: &Limits) -> Self {
        let layers: Vec<_> =
            layers.iter().map(|layer| (layer.diff_id, layer.facts.facts())).collect();
        let (inventory, wanted) = merged(&layers, is_known, limits);
        let wanted = wanted.into_iter().map(|(layer, files)| (layer, Wanted(files))).collect();
        Self { inventory, wanted }
    }
}

type WantedFiles<K> = BTreeMap<usize, Vec<WantedFile<K>>>;

/// As [`Merged::of`], for any kinds of files.
pub(super) fn merged<K: Kind>(
    layers: &[(Option<Digest>, &Facts<K>)],
    is_known: &dyn Fn(&Distribution) -> bool,
    limits: &Limits,
) -> (Inventory, WantedFiles<K>) {
    let mut gaps: Vec<Gap> =
        layers.iter().flat_map(|(diff_id, facts)| of_layer(*diff_id, facts)).collect();
    let entries: usize = layers.iter().map(|(_, facts)| facts.tree.len()).sum();
    let entries_max = limits.entries.saturating_mul(LAYERS_ENTRIES_MAX);
    if u64::try_from(entries).is_ok_and(|entries| entries > entries_max) {
        gaps.push(gap(GapKind::Limit, format!("its layers have more than {entries_max} entries")));
        return (Inventory { gaps, ..Inventory::default() }, BTreeMap::new());
    }
    let view = View::new(layers.iter().map(|(_, facts)| *facts).collect(), limits.links);
    let mut collector = Collector::new(&view);
    collector.collect();
    gaps.extend(std::mem::take(&mut collector.gaps));
    let blob = |layer: usize| layers.get(layer).map(|(_, facts)| facts.blob);
    let wanted = wanted(std::mem::take(&mut collector.wanted));
    for (layer, file) in
        wanted.iter().flat_map(|(layer, files)| files.iter().map(|file| (*layer, file)))
    {
        let text = "a link leads to it, and it was not read yet".to_owned();
        let path = Some(file.path.clone());
        gaps.push(Gap { kind: GapKind::Unsupported, path, layer: blob(layer), text });
    }
    let used = collector.used;
    for file in &used {
        gaps.extend(file.facts.gaps.iter().map(|(kind, text)| {
            let path = Some(file.asked.clone());
            Gap { kind: *kind, path, layer: blob(file.layer), text: text.clone() }
        }));
    }
    let distribution = used.iter().find_map(|file| file.facts.distribution.clone());
    let known = distribution.as_ref().filter(|distribution| is_known(distribution));
    let maker = known.and_then(|distribution| Maker::of_distribution(&distribution.id));
    let packages = packages(&view, &used, maker, &mut gaps);
    (inventory(distribution, packages, gaps, limits), wanted)
}

/// What is to be said of a layer itself.
fn of_layer<K: Kind>(diff_id: Option<Digest>, facts: &Facts<K>) -> Vec<Gap> {
    let layer = Some(facts.blob);
    let of_layer = |LayerGap { kind, path, text }: &LayerGap| Gap {
        kind: *kind,
        path: path.clone(),
        layer,
        text: text.clone(),
    };
    let mut gaps: Vec<Gap> = facts.gaps.iter().map(of_layer).collect();
    let wrong = match (diff_id, facts.diff_id) {
        // That it could not be inflated is said already.
        (Some(_), None) => None,
        (Some(said), Some(found)) if said == found => None,
        (Some(said), Some(found)) if said.algorithm() == found.algorithm() => {
            let text = format!("it inflates to {found}, and the config says {said}");
            Some((GapKind::Malformed, text))
        }
        (Some(said), Some(_)) => {
            let text =
                format!("its diff_id is {}, which is not computed", said.algorithm().as_str());
            Some((GapKind::Unsupported, text))
        }
        (None, _) => Some((GapKind::Malformed, "the config has no diff_id for it".to_owned())),
    };
    gaps.extend(wrong.map(|(kind, text)| Gap { kind, path: None, layer, text }));
    gaps
}

fn wanted<K: Kind>(wanted: BTreeMap<usize, BTreeMap<(u32, K), String>>) -> WantedFiles<K> {
    let of_layer = |files: BTreeMap<(u32, K), String>| {
        let file = |((entry, kind), path)| WantedFile { entry, kind, path };
        files.into_iter().map(file).collect()
    };
    wanted.into_iter().map(|(layer, files)| (layer, of_layer(files))).collect()
}

/// The packages that files list, without those that the distribution speaks for.
fn packages<K: Kind>(
    view: &View<'_, K>,
    used: &[Used<'_>],
    maker: Option<Maker>,
    gaps: &mut Vec<Gap>,
) -> Vec<Package> {
    let is_of_language = |package: &Package| !package.kind.is_of_distribution();
    let checked = used.iter().filter(|file| !file.facts.checksums.is_empty());
    let files = checked.map(|file| (file.path.as_str(), file.facts.checksums.as_slice())).collect();
    let owned = maker.map(|maker| ownership::owned(view, used, maker, &files));
    let mut packages = Vec::new();
    let mut bytes_left = PACKAGES_BYTES_MAX;
    for file in used {
        let spoken_for = owned.as_ref().is_some_and(|owned| owned.contains(&file.path));
        let said = file.facts.packages.iter().map(|package| {
            // By the path that its file was asked for: it may have been read by another.
            let found_in = format!("{}{}", file.asked, package.found_in);
            Package { found_in, ..package.clone() }
        });
        for package in said.chain(file.named.iter().cloned()) {
            if spoken_for && is_of_language(&package) {
                continue;
            }
            let bytes = package.name.len() + package.version.len() + package.found_in.len();
            let Some(left) = bytes_left.checked_sub(bytes) else {
                let text = format!("its packages have more than {PACKAGES_BYTES_MAX} bytes");
                gaps.push(gap(GapKind::Limit, text));
                return packages;
            };
            bytes_left = left;
            packages.push(package);
        }
    }
    packages
}

fn inventory(
    distribution: Option<Distribution>,
    mut packages: Vec<Package>,
    mut gaps: Vec<Gap>,
    limits: &Limits,
) -> Inventory {
    packages.sort_unstable();
    packages.dedup();
    if packages.len() > limits.packages {
        packages.truncate(limits.packages);
        let text = format!("it has more than packages = {}", limits.packages);
        gaps.push(gap(GapKind::Limit, text));
    }
    for gap in &mut gaps {
        let printable = |char: char| if matches!(char, ' '..='~') { char } else { '?' };
        gap.text = gap.text.chars().map(printable).take(TEXT_CHARS_MAX).collect();
    }
    gaps.sort_unstable();
    gaps.dedup();
    if gaps.len() > GAPS_MAX {
        gaps.truncate(GAPS_MAX);
        gaps.push(gap(GapKind::Limit, "it has more gaps than these".to_owned()));
        gaps.sort_unstable();
    }
    Inventory { distribution, packages, gaps }
}

fn gap(kind: GapKind, text: String) -> Gap {
    Gap { kind, path: None, layer: None, text }
}
