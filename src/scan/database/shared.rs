//! The names of vulnerabilities, as findings have them: each list is made once, and shared by the findings of
//! all images.

use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;

use super::DatabaseError;

/// Vulnerabilities whose names are kept: those of images that have much in common. Each has some hundred
/// bytes.
const KEPT_MAX: usize = 65_536;

/// Other names of vulnerabilities, by their numbers.
#[derive(Debug, Default)]
pub(super) struct SharedNames(RwLock<HashMap<u32, Arc<[String]>>>);

impl SharedNames {
    /// The names of a vulnerability, in their order and each once; what is not known is `read`.
    pub(super) fn of<'a>(
        &self,
        number: u32,
        read: impl FnOnce() -> Result<Vec<&'a str>, DatabaseError>,
    ) -> Result<Arc<[String]>, DatabaseError> {
        if let Some(names) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&number) {
            return Ok(Arc::clone(names));
        }
        let mut names = read()?;
        names.sort_unstable();
        names.dedup();
        let names: Arc<[String]> = names.into_iter().map(str::to_owned).collect();
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        Ok(Arc::clone(kept.entry(number).or_insert(names)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_once_and_those_that_are_too_many_are_let_go() {
        let names = SharedNames::default();
        let first = names.of(7, || Ok(vec!["B", "A", "B"])).unwrap();
        assert_eq!(first.as_ref(), ["A", "B"]);
        let again = names.of(7, || Err(DatabaseError::Damaged("not asked")));
        assert!(Arc::ptr_eq(&again.unwrap(), &first));
        let damaged = DatabaseError::Damaged("a list ends early");
        assert_eq!(names.of(8, || Err(damaged.clone())), Err(damaged));
        for number in 0..u32::try_from(KEPT_MAX).unwrap() + 10 {
            names.of(number, || Ok(Vec::new())).unwrap();
        }
        assert!(names.0.read().unwrap().len() <= KEPT_MAX);
        assert_eq!(names.of(7_000_000, || Ok(vec!["C"])).unwrap().as_ref(), ["C"]);
    }
}
