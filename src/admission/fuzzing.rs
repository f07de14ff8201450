//! Fuzz target for what clusters ask.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Check, ImageReview, Keys, Known, MESSAGE_LENGTH_MAX, Object, Review, Rules, Said, Strictness,
    Unknown, WARNING_LENGTH_MAX, WARNINGS_MAX, mutate, pinned, validate,
};
use crate::oci::Digest;
use crate::policy::{Isolation, Mode};

/// What a mirror may say of `image`: something else for each, and the same each time.
fn known(image: &str) -> Known {
    let digest = Digest::sha256(image.as_bytes());
    let said = match image.len() % 5 {
        0 => Said::Refused("Denied by rule a: no".to_owned()),
        1 => Said::Unknown("it was not looked at yet".to_owned()),
        2 => Said::Waiting("Pending approval R-1".to_owned()),
        _ => Said::Served(None),
    };
    let isolation =
        vec![("a".to_owned(), Isolation { non_root: true, ..Isolation::default() }, Mode::Warn)];
    Known { said, rule: Some("a".to_owned()), digest: Some(digest), approval: None, isolation }
}

/// A review of any of the kinds: what is answered is bounded and about it; only images are changed, once, and
/// what is refused is in.
pub(crate) fn admission(bytes: &[u8]) {
    let mut rules = Rules::default();
    for check in Check::ALL {
        rules.checks.set(check, Strictness::Warn);
    }
    if let Ok(review) = Review::parse(bytes) {
        reviewed(bytes, &review, &rules);
    }
    if let Ok(review) = ImageReview::parse(bytes) {
        let all: BTreeMap<String, Known> =
            review.images.iter().map(|image| (image.clone(), known(image))).collect();
        let (document, allowed) = review.document(&rules, &all, |_| None);
        assert_eq!(document.pointer("/status/allowed"), Some(&Value::Bool(allowed)));
        let refused = |image: &String| {
            let unknown = if image.contains('@') { Unknown::Warn } else { Unknown::Deny };
            known(image).said.refusal(unknown).is_some()
        };
        assert_eq!(allowed, !review.images.iter().any(refused), "{document}");
        let (_, allowed) = review.document(&rules, &BTreeMap::new(), |_| None);
        assert_eq!(allowed, review.images.is_empty(), "what was not looked at is not let in");
    }
    if let Ok(keys) = Keys::parse(bytes) {
        let all = keys.0.iter().map(|image| (image.clone(), known(image))).collect();
        let provided = keys.provided(&rules, &all);
        let items = provided.document.pointer("/response/items").and_then(Value::as_array);
        assert_eq!(items.map(Vec::len), Some(keys.0.len()), "an item for each key");
    }
}

fn reviewed(bytes: &[u8], review: &Review, rules: &Rules) {
    let images = rules.images(review);
    let all: BTreeMap<String, Known> =
        images.iter().map(|image| (image.clone(), known(image))).collect();
    let answer = validate(review, rules, &all, 1);
    if let Object::Pod { new, old } = &review.object {
        let new = new.images(old.as_deref());
        let refused = new
            .iter()
            .filter(|image| image.is_new)
            .any(|image| matches!(known(&image.image).said, Said::Refused(_)));
        assert!(!refused || answer.refused.is_some(), "what is refused is not let in");
        let blind = validate(review, rules, &BTreeMap::new(), 1);
        let asks = new.iter().any(|image| image.is_new);
        assert!(!asks || blind.refused.is_some(), "what was not looked at is not let in");
    }
    let document = answer.document(&review.uid);
    assert_eq!(document.pointer("/response/uid"), Some(&Value::String(review.uid.clone())));
    let message = document.pointer("/response/status/message").and_then(Value::as_str);
    assert!(message.is_none_or(|it| it.len() <= MESSAGE_LENGTH_MAX), "{message:?}");
    let warnings = document.pointer("/response/warnings").and_then(Value::as_array);
    let warnings = warnings.map(Vec::as_slice).unwrap_or_default();
    let fits = |it: &Value| it.as_str().is_some_and(|it| it.len() <= WARNING_LENGTH_MAX);
    assert!(warnings.len() <= WARNINGS_MAX && warnings.iter().all(fits), "{warnings:?}");
    changed(bytes, review, rules, &all);
}

/// What is changed stands where an image stood, and there is nothing left to change afterwards.
fn changed(bytes: &[u8], review: &Review, rules: &Rules, all: &BTreeMap<String, Known>) {
    let answer = mutate(review, rules, all, 1);
    let read: Result<Value, _> = serde_json::from_slice(bytes);
    let Ok(mut whole) = read else { return };
    for patch in &answer.patches {
        let place = whole.pointer_mut(&format!("/request/object{}", patch.path));
        assert!(place.is_some(), "{} is nowhere", patch.path);
        let Some(place) = place else { continue };
        let before = place.as_str().unwrap_or_default().to_owned();
        let wanted = pinned(&before, &Digest::sha256(before.as_bytes()));
        assert_eq!(wanted.as_ref(), Some(&patch.value), "{before}");
        *place = Value::String(patch.value.clone());
    }
    let again = Review::parse(whole.to_string().as_bytes());
    assert!(again.is_ok(), "what is changed is as good as before");
    let Ok(again) = again else { return };
    let known_again = rules.images(&again).into_iter().map(|image| {
        let known = known(&image);
        (image, known)
    });
    let more = mutate(&again, rules, &known_again.collect(), 1).patches;
    let old = answer.patches.iter().map(|it| &it.path).collect::<Vec<_>>();
    assert!(more.iter().all(|it| !old.contains(&&it.path)), "{more:?}");
}
