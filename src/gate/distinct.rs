//! How many people stand behind the signatures.

use std::collections::{BTreeMap, BTreeSet};

/// The most signers of whom each can be given somebody of their own, out of those who signed for
/// them.
///
/// Two names in a policy may speak of overlapping people, and one person may have signed twice: a
/// person counts for one name only.
pub(crate) fn distinct(signed_by: &[BTreeSet<String>]) -> usize {
    let mut taken = BTreeMap::new();
    (0..signed_by.len()).filter(|at| give(*at, signed_by, &mut taken, &mut BTreeSet::new())).count()
}

/// Gives the signer `at` somebody, if need be by giving those before somebody else (Kuhn's matching).
fn give<'a>(
    at: usize,
    signed_by: &'a [BTreeSet<String>],
    taken: &mut BTreeMap<&'a str, usize>,
    tried: &mut BTreeSet<&'a str>,
) -> bool {
    for person in signed_by.get(at).into_iter().flatten() {
        if !tried.insert(person) {
            continue;
        }
        let before = taken.get(person.as_str()).copied();
        if before.is_none_or(|before| give(before, signed_by, taken, tried)) {
            taken.insert(person, at);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_counts_for_one_name_only_and_names_share_as_well_as_they_can() {
        for (signed_by, expected) in [
            (vec![], 0),
            (vec!["", ""], 0),
            (vec!["a", "a"], 1),
            (vec!["a", "ab"], 2),
            (vec!["ab", "a"], 2),
            (vec!["ab", "ab", "ab"], 2),
            (vec!["abc", "a", "b"], 3),
            (vec!["a", "ab", "bc", "c"], 3),
        ] {
            let sets: Vec<BTreeSet<String>> = signed_by
                .iter()
                .map(|people| people.chars().map(|person| person.to_string()).collect())
                .collect();
            assert_eq!(distinct(&sets), expected, "{signed_by:?}");
        }
    }
}
