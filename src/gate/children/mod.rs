//! Whether every image that an index lists carries signatures of its own.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::checks::{Checked, Finding, reason};
use super::signatures::{Answer, Asked, finding};
use super::text::few;
use super::{
    CheckState, ChildImage, ChildSignatures, Evidence, EvidenceKind, Gathered, ManifestFacts,
    Reason, ReasonCode, Subject,
};

/// Images that are named one by one when they are not signed.
const IMAGES_TOLD_MAX: usize = 3;

/// Judges the signatures over each image of `index` that is served: every one must meet all quorums by
/// its own.
pub(super) fn check(
    subject: &Subject,
    index: &ManifestFacts,
    evidence: &Evidence,
    asked: &Asked<'_>,
) -> Checked {
    let missing = |kind| {
        if asked.certain {
            return finding(CheckState::NotLooked, "not looked at");
        }
        Checked::Missing(kind)
    };
    let Some(images) = index.images_for(asked.context.policy.platforms()) else {
        return missing(EvidenceKind::Manifest);
    };
    if let Some(finding) = countless(images.len()) {
        return Checked::Finding(finding);
    }
    let searches = match &evidence.child_signatures {
        Gathered::Found(found) => &found.searches,
        Gathered::Failed(why) if asked.certain => return finding(CheckState::Failed, why),
        Gathered::Failed(why) => return Checked::Failed(why.clone()),
        Gathered::Absent | Gathered::NotGathered => return missing(EvidenceKind::ChildSignatures),
    };
    let mut answers = Vec::with_capacity(images.len());
    let mut images_existed_at = BTreeMap::new();
    for image in images {
        // It was not asked for when the others were searched: another policy was in force.
        let Some(search) = searches.get(&image.digest) else {
            return missing(EvidenceKind::ChildSignatures);
        };
        let child = Subject { name: subject.name.clone(), digest: image.digest };
        let label = label(image);
        let answer = asked.answer(&child, search, &label);
        images_existed_at.extend(answer.existed_at.map(|at| (image.digest, at)));
        answers.push((label, answer));
    }
    let checked = together(&answers, asked);
    let Checked::Finding(finding) = checked else { return checked };
    Checked::Finding(Finding { images_existed_at, ..finding })
}

/// Why so many images cannot be judged, if they cannot.
fn countless(count: usize) -> Option<Finding> {
    let (code, text, remedy) = match count {
        0 => (
            ReasonCode::Unsigned,
            "lists no image that could be signed".to_owned(),
            "The index would have to list an image for a platform that the policy allows.",
        ),
        1..=ChildSignatures::IMAGES_MAX => return None,
        _ => (
            ReasonCode::TooManySignatures,
            format!(
                "lists {count} images, of {} signatures are judged",
                ChildSignatures::IMAGES_MAX
            ),
            "floor.platforms would have to list fewer platforms.",
        ),
    };
    let failing = Finding::new("signature", CheckState::Fail, text.clone());
    Some(Finding { reasons: vec![reason(code, &text, remedy)], ..failing })
}

/// What an image is called: its platform and the beginning of its digest.
fn label(image: &ChildImage) -> String {
    let platform = image.platform.as_ref().map(ToString::to_string);
    let platform = platform.unwrap_or_else(|| "no stated platform".to_owned());
    format!("{platform} ({})", image.digest.short())
}

fn together(answers: &[(String, Answer)], asked: &Asked<'_>) -> Checked {
    let is_lacking = |(_, answer): &&(String, Answer)| !answer.lacking.is_empty();
    let lacking: Vec<_> = answers.iter().filter(is_lacking).collect();
    let needs = format!("each of {} images needs {}", answers.len(), asked.needs());
    if lacking.is_empty() {
        let labels: Vec<&str> = answers.iter().map(|(label, _)| label.as_str()).collect();
        let text = format!("{needs}; all signed: {}", few(&labels));
        let until = answers.iter().filter_map(|(_, answer)| answer.until).min();
        return Checked::Finding(Finding {
            until,
            ..Finding::new("signature", CheckState::Pass, text)
        });
    }
    // One image that certainly lacks something is enough to say no.
    let certain = lacking.iter().any(|(_, answer)| answer.open.is_none());
    let open = lacking.iter().find_map(|(label, answer)| Some((label, answer.open.as_ref()?)));
    if let Some((label, why)) = open.filter(|_| !certain && !asked.certain) {
        return Checked::Failed(format!("{label}: {why}"));
    }
    let sure: Vec<_> = lacking.into_iter().filter(|it| !certain || it.1.open.is_none()).collect();
    let seen: Vec<String> =
        sure.iter().map(|(label, answer)| format!("{label}: {}", answer.seen)).collect();
    let seen: Vec<&str> = seen.iter().map(String::as_str).collect();
    let text = format!("{needs}; not signed so: {}", few(&seen));
    let reasons = reasons(&sure);
    Checked::Finding(Finding { reasons, ..Finding::new("signature", CheckState::Fail, text) })
}

/// What each image lacks, for the first few of them.
fn reasons(lacking: &[&(String, Answer)]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for (label, answer) in lacking.iter().take(IMAGES_TOLD_MAX) {
        let named = |it: &Reason| reason(it.code, &format!("{label}: {}", it.text), &it.remedy);
        reasons.extend(answer.lacking.iter().map(named));
    }
    let more = lacking.len().saturating_sub(IMAGES_TOLD_MAX);
    if let Some((_, answer)) = lacking.get(IMAGES_TOLD_MAX)
        && let Some(first) = answer.lacking.first()
    {
        let text = format!("{more} more images are not signed so");
        reasons.push(reason(first.code, &text, "Every image would have to be signed."));
    }
    reasons
}
