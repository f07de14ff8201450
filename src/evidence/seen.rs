//! What upstream has shown in which repository.
//!
//! A gathering that failed half-way is begun again from the start; what it had fetched is in the store
//! then, and need not be fetched twice: registries that ration pulls count every one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::oci::{Digest, MediaType, Name};

/// Most contents that are remembered; the oldest are forgotten first.
const CONTENTS_MAX: usize = 16 * 1024;

/// Content and the repository in which upstream showed it.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Contents>);

/// As what upstream showed something. A registry that has a blob need not have it as a manifest: that
/// one is pushed, and refused, by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Blob,
    Manifest,
}

/// How upstream showed something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// The type it was sent as; a body may not say it.
    pub(super) media_type: Option<MediaType>,
}

#[derive(Debug, Default)]
struct Contents {
    known: HashMap<Key, Shown>,
    order: VecDeque<Key>,
}

type Key = (Name, Digest, Form);

impl Seen {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How upstream showed `digest` in `name` as `form`, if it did.
    pub(super) fn get(&self, name: &Name, digest: &Digest, form: Form) -> Option<Shown> {
        self.contents().known.get(&(name.clone(), *digest, form)).cloned()
    }

    /// Remembers that it did.
    pub(super) fn note(&self, name: &Name, digest: &Digest, form: Form, shown: Shown) {
        let key = (name.clone(), *digest, form);
        let mut contents = self.contents();
        if contents.known.insert(key.clone(), shown).is_some() {
            return;
        }
        contents.order.push_back(key);
        if contents.order.len() > CONTENTS_MAX
            && let Some(oldest) = contents.order.pop_front()
        {
            contents.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_belongs_to_its_repository() {
        let seen = Seen::default();
        let name: Name = "up.test/lib/app".parse().unwrap();
        let digest = |number: usize| Digest::sha256(&number.to_le_bytes());
        for number in 0..=CONTENTS_MAX {
            seen.note(&name, &digest(number), Form::Blob, Shown::default());
            seen.note(&name, &digest(number), Form::Blob, Shown::default());
        }
        let get = |name: &Name, number| seen.get(name, &digest(number), Form::Blob);
        assert!(get(&name, 0).is_none() && get(&name, 1).is_some());
        assert!(get(&"up.test/lib/other".parse().unwrap(), 1).is_none());
        assert_eq!(seen.contents().known.len(), CONTENTS_MAX);
    }
}
