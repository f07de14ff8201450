//! The strictest gate that refuses none of today's images.

use super::{SeenFindings, SeenImage, SeenScan};
use crate::policy::scanned::Rating;

/// A gate, as a policy would have it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of the format")]
pub(super) struct Gate {
    /// From which rating on findings are refused.
    severity: Option<Rating>,
    /// The same of those that have a fix, where that is stricter.
    fixable: Option<Rating>,
    /// Whether those that are exploited are refused.
    exploited: bool,
    incomplete: bool,
    unknown: bool,
    no_image: bool,
}

/// What the scans of a repository come to.
#[derive(Debug, Clone)]
pub(super) struct Scans {
    /// `None` where nothing was scanned, or nothing can be refused.
    pub(super) gate: Option<Gate>,
    /// Of how many images it is not known.
    pub(super) not_scanned: usize,
    /// Why not, of one of them.
    pub(super) why: Option<String>,
    /// The worst finding: how bad it is, and in words.
    pub(super) worst: Option<(Option<Rating>, String)>,
    /// Malware, by its name: no gate lets it pass.
    pub(super) malware: Option<String>,
}

impl Scans {
    /// What those of `images` come to.
    pub(super) fn of(images: &[SeenImage]) -> Self {
        let mut told = Self { gate: None, not_scanned: 0, why: None, worst: None, malware: None };
        let mut worst: Option<&SeenFindings> = None;
        let (mut read, mut no_image): (Vec<&SeenFindings>, bool) = (Vec::new(), false);
        for image in images {
            match &image.scan {
                SeenScan::NoImage => no_image = true,
                SeenScan::NotScanned(why) => {
                    told.not_scanned += 1;
                    told.why.get_or_insert_with(|| why.clone());
                }
                SeenScan::Read(found) => {
                    if let Some(name) = &found.malware {
                        told.malware.get_or_insert_with(|| name.clone());
                        continue;
                    }
                    read.push(found);
                    if worst.is_none_or(|worst| found.worst > worst.worst) {
                        worst = Some(found);
                    }
                }
            }
        }
        told.worst = worst.and_then(|found| Some((found.worst, found.worst_told.clone()?)));
        told.gate = Gate::of(&read, no_image);
        told
    }
}

impl Gate {
    fn of(read: &[&SeenFindings], no_image: bool) -> Option<Self> {
        if read.is_empty() {
            return None;
        }
        let severity = above(read.iter().filter_map(|found| found.worst).max());
        let fixable = above(read.iter().filter_map(|found| found.worst_fixable).max());
        let fixable = fixable.filter(|fixable| severity.is_none_or(|all| *fixable < all));
        let exploited = read.iter().all(|found| found.exploited == Some(false));
        let gate = Self {
            severity,
            fixable,
            exploited,
            incomplete: read.iter().any(|found| found.is_incomplete),
            unknown: read.iter().any(|found| found.has_unknown),
            no_image,
        };
        (severity.is_some() || fixable.is_some() || exploited).then_some(gate)
    }

    /// What it is called: what it refuses.
    pub(super) fn name(&self) -> String {
        let mut words = vec!["no".to_owned()];
        words.extend(self.severity.map(|it| it.to_string()));
        words.extend(self.fixable.map(|it| format!("fixable-{it}")));
        if self.exploited {
            words.push("exploited".to_owned());
        }
        words.join("-")
    }

    /// The gate as a policy has it.
    pub(super) fn yaml(&self) -> String {
        let mut deny: Vec<String> = Vec::new();
        deny.extend(self.severity.map(|it| format!("{{severity: {it}}}")));
        deny.extend(self.fixable.map(|it| format!("{{severity: {it}, fixable: true}}")));
        if self.exploited {
            deny.push("{exploited: true}".to_owned());
        }
        let mut text = format!("deny: [{}]", deny.join(", "));
        for (is_so, key) in [
            (self.incomplete, "incomplete"),
            (self.unknown, "unknown"),
            (self.no_image, "notApplicable"),
        ] {
            if is_so {
                text.push_str(", ");
                text.push_str(key);
                text.push_str(": allow");
            }
        }
        format!("{{{text}}}")
    }
}

/// The rating next above `worst`, if there is one; low where nothing is worse than nothing.
const fn above(worst: Option<Rating>) -> Option<Rating> {
    match worst {
        None | Some(Rating::None) => Some(Rating::Low),
        Some(Rating::Low) => Some(Rating::Medium),
        Some(Rating::Medium) => Some(Rating::High),
        Some(Rating::High) => Some(Rating::Critical),
        Some(Rating::Critical) => None,
    }
}
