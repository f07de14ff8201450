//! The order of versions as the schemes' own tools have it: a table that `tests/versions/run.sh` makes.

use std::collections::BTreeMap;
use std::fs;

use super::*;

/// Differences that are printed.
const PRINTED_MAX: usize = 50;

#[derive(Default)]
struct Count {
    same: usize,
    different: usize,
    /// Pairs with something that the tool does not take for a version, and that we do, and that neither does.
    only_ours: usize,
    nobodys: usize,
}

#[test]
fn the_order_is_that_of_the_schemes_own_tools() {
    let Some(path) = std::env::var_os("PRATIQUE_VERSION_PAIRS") else {
        println!("skipped: PRATIQUE_VERSION_PAIRS names no table; tests/versions/run.sh makes one");
        return;
    };
    let table = fs::read_to_string(path).unwrap();
    let mut counts: BTreeMap<&str, Count> = BTreeMap::new();
    let mut differences = Vec::new();
    for line in table.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [name, a, b, expected] = fields[..] else { panic!("four fields, not {line:?}") };
        let count = counts.entry(name).or_default();
        let ours = compare(scheme(name), a, b);
        match (&ours, expected) {
            (Ok(_), "none") => count.only_ours += 1,
            (Err(_), "none") => count.nobodys += 1,
            (Ok(order), _) if *order == expected.parse::<i32>().unwrap().cmp(&0) => count.same += 1,
            (ours, _) => {
                count.different += 1;
                differences.push(format!("{name}: {a} {b}: {expected}, not {ours:?}"));
            }
        }
    }
    for (name, count) in &counts {
        let Count { same, different, only_ours, nobodys } = count;
        println!(
            "{name}: {same} as its tool, {different} different; no versions: {nobodys} for both, {only_ours} for the tool"
        );
    }
    for difference in differences.iter().take(PRINTED_MAX) {
        println!("{difference}");
    }
    assert!(differences.is_empty(), "{} differences", differences.len());
    assert!(
        counts.iter().all(|(name, count)| *name == "apk" || count.same >= 1_000),
        "too few pairs to say anything"
    );
}

fn scheme(name: &str) -> Scheme {
    *SCHEMES.iter().find(|scheme| format!("{scheme:?}").to_lowercase() == name).unwrap()
}
