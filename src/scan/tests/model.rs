//! The merged view against a slow and simple model of overlayfs, and readers against any bytes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::Limits;
use super::super::layer::{Facts, read};
use super::image::{Tar, gzip};
use super::kinds::{TestKind, inventory, learn};
use crate::oci::Digest;

/// One entry of a layer over a few names, so that entries often meet.
#[derive(Debug, Clone)]
enum Act {
    Directory(String),
    File(String, u32),
    Opaque(String),
    Whiteout(String),
}

/// What a path of the model is: a directory, or a file with its number.
type Model = BTreeMap<String, Option<u32>>;

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[abc]", 1..4).prop_map(|names| names.join("/"))
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => path().prop_map(Act::Directory),
        4 => (path(), 0..1000_u32).prop_map(|(path, number)| Act::File(path, number)),
        1 => path().prop_map(Act::Opaque),
        2 => path().prop_map(Act::Whiteout),
    ]
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// What a node's own directory for a layer is after it, and what it hides of the layers below. `None`
/// where a node refuses the layer.
fn upper(acts: &[Act]) -> Option<(Model, Vec<String>, Vec<String>)> {
    let (mut model, mut whiteouts, mut opaque) =
        (Model::new(), Vec::<String>::new(), Vec::<String>::new());
    // Directories with one below them that no entry had named: nodes differ in what a mark does there.
    let mut marked = Vec::<String>::new();
    for act in acts {
        let (Act::Directory(path) | Act::File(path, _) | Act::Opaque(path) | Act::Whiteout(path)) =
            act;
        let opened = if matches!(act, Act::Opaque(_)) { format!("{path}/x") } else { path.clone() };
        for parent in parents(&opened) {
            let is_hidden = whiteouts.iter().any(|hidden| hidden == parent);
            if is_hidden || model.get(parent).is_some_and(Option::is_some) {
                return None;
            }
            if model.insert(parent.to_owned(), None).is_none() {
                marked.extend(parents(parent).map(str::to_owned));
            }
        }
        match act {
            Act::Directory(path) if model.get(path) == Some(&None) => {}
            Act::Directory(path) | Act::File(path, _) => {
                model.retain(|other, _| !is_below(other, path));
                opaque.retain(|other| other != path && !is_below(other, path));
                whiteouts.retain(|other| other != path && !is_below(other, path));
                marked.retain(|other| other != path && !is_below(other, path));
                let what = if let Act::File(_, number) = act { Some(*number) } else { None };
                model.insert(path.clone(), what);
            }
            Act::Opaque(path) if marked.contains(path) => return None,
            Act::Opaque(path) => opaque.push(path.clone()),
            Act::Whiteout(path) if model.contains_key(path) => return None,
            Act::Whiteout(path) => whiteouts.push(path.clone()),
        }
    }
    Some((model, whiteouts, opaque))
}

fn apply(below: &mut Model, (model, whiteouts, opaque): (Model, Vec<String>, Vec<String>)) {
    let hides = |path: &str| {
        whiteouts.iter().any(|hidden| hidden == path || is_below(path, hidden))
            || opaque.iter().any(|directory| is_below(path, directory))
    };
    below.retain(|path, _| !hides(path));
    for (path, what) in model {
        let was_directory = below.get(&path) == Some(&None);
        if what.is_some() || !was_directory {
            below.retain(|other, _| !is_below(other, &path));
        }
        below.insert(path, what);
    }
}

fn layer(acts: &[Act]) -> Vec<u8> {
    let tar = acts.iter().fold(Tar::new(), |tar, act| match act {
        Act::Directory(path) => tar.directory(path),
        Act::File(path, number) => tar.file(path, &format!("\u{7f}ELF{number}\nVersion: 1\n")),
        Act::Opaque(path) => tar.file(&format!("{path}/.wh..wh..opq"), ""),
        Act::Whiteout(path) => {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            tar.file(&format!("{parent}/.wh.{name}"), "")
        }
    });
    tar.end()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn merged_layers_are_what_overlayfs_would_show(
        layers in prop::collection::vec(prop::collection::vec(act(), 0..7), 1..5),
    ) {
        let uppers: Option<Vec<_>> = layers.iter().map(|acts| upper(acts)).collect();
        let tars: Vec<_> = layers.iter().map(|acts| layer(acts)).collect();
        let inventory = inventory::<TestKind>(&tars);
        prop_assert_eq!(inventory.is_complete(), uppers.is_some(), "a gap is where nodes refuse");
        let Some(uppers) = uppers else { return Ok(()) };
        let mut model = Model::new();
        for upper in uppers {
            apply(&mut model, upper);
        }
        let expected: BTreeMap<_, _> =
            model.into_iter().filter_map(|(path, what)| Some((path, what?.to_string()))).collect();
        let packages = inventory.packages.into_iter();
        let found: BTreeMap<_, _> =
            packages.map(|package| (package.found_in, package.name)).collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_make_reading_fail(
        flips in prop::collection::vec((0..4096_usize, any::<u8>()), 0..20),
        cut in 0..4096_usize,
        compressed in any::<bool>(),
    ) {
        let tar = Tar::new()
            .pax(&[("path", "var/lib/dpkg/status"), ("size", "5")])
            .file("x", "abcde")
            .symlink("a", "b")
            .hard_link("c", "x")
            .end();
        let mut layer = if compressed { gzip(&tar) } else { tar };
        layer.truncate(layer.len() - cut % layer.len());
        for (at, byte) in flips {
            let at = at % layer.len();
            layer[at] = byte;
        }
        learn::<TestKind>(&layer, &Limits::default());
    }

    #[test]
    fn noise_is_never_an_archive(noise in prop::collection::vec(any::<u8>(), 1..2000)) {
        let facts: Facts<TestKind> =
            read(&Digest::sha256(&noise), noise.as_slice(), &Limits::default()).unwrap();
        prop_assert!(noise.iter().all(|byte| *byte == 0) || !facts.gaps.is_empty());
    }
}
