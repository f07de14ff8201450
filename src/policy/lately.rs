//! What a policy says about the repositories that were asked about lately.
//!
//! Which rules speak of a repository is asked several times for each pull, and never changes for one
//! policy: it is worked out once and remembered. Names come from outside, so as many as there may be
//! are remembered, in two generations: what was not asked for while the younger one filled is
//! forgotten.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{ModeUntil, OutrightCause, RuleId, TagMove};
use crate::oci::Name;

/// Names in one generation.
const GENERATION_MAX: usize = 2_048;

/// What a policy says about one repository.
#[derive(Debug)]
pub(super) struct Applied {
    /// The places of the rules that cover it, most specific first.
    pub(super) ranked: Vec<usize>,
    /// How many of those, from the first on, can come to apply.
    pub(super) candidates: usize,
    /// The places of the overlays that cover it, in the order of the document.
    pub(super) overlays: Vec<usize>,
    /// The modes of whatever may come to decide by itself: a rule, or that none applies.
    pub(super) modes: Vec<ModeUntil>,
    /// The modes of the overlays that cover it.
    pub(super) overlay_modes: Vec<ModeUntil>,
    pub(super) tag_move: TagMove,
    /// What refuses everything, with the rule if one does, and why.
    pub(super) outright: Option<(OutrightCause, Option<RuleId>, String)>,
}

/// The memory; a clone of it begins empty.
#[derive(Debug, Default)]
pub(super) struct Lately(RwLock<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<Name, Arc<Applied>>,
    old: HashMap<Name, Arc<Applied>>,
}

impl Lately {
    /// What is remembered of `name`, else what `work_out` gives.
    pub(super) fn of(&self, name: &Name, work_out: impl FnOnce() -> Applied) -> Arc<Applied> {
        let known = {
            let generations = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(applied) = generations.young.get(name) {
                return Arc::clone(applied);
            }
            generations.old.get(name).cloned()
        };
        let applied = known.unwrap_or_else(|| Arc::new(work_out()));
        let mut generations = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if generations.young.len() >= GENERATION_MAX {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(name.clone(), Arc::clone(&applied));
        applied
    }
}

impl Clone for Lately {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn names_without_end_are_not_remembered_without_end_and_those_in_use_stay() {
        let lately = Lately::default();
        let worked_out = Cell::new(0);
        let ask = |number: usize| {
            let name = format!("up.test/a{number}").parse().unwrap();
            lately.of(&name, || {
                worked_out.set(worked_out.get() + 1);
                Applied {
                    ranked: vec![number],
                    candidates: 0,
                    overlays: Vec::new(),
                    modes: Vec::new(),
                    overlay_modes: Vec::new(),
                    tag_move: TagMove::HoldNew,
                    outright: None,
                }
            })
        };
        for number in 1..10_000 {
            assert_eq!(ask(0).ranked, [0]);
            assert_eq!(ask(number).ranked, [number]);
        }
        assert_eq!(worked_out.get(), 10_000, "each once, the one in use too");
        let generations = lately.0.read().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION_MAX);
    }
}
