//! Fuzz targets: every parser of bytes from outside, with what must hold for any input.
//!
//! The bodies stand beside what they test (`fuzzing.rs` in each folder); here they are gathered.
//! `fuzz/` runs them under cargo-fuzz, `tests/it/fuzz.rs` runs the same under the test command. A
//! target panics when a promise is broken; otherwise it returns, whatever it was given.

mod world;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name; its seeds are in `fuzz/seeds/<name>`.
    pub name: &'static str,
    /// Takes any bytes.
    pub run: fn(&[u8]),
    /// Whether one run takes so long that a few hundred have to do in a test.
    pub slow: bool,
}

/// All targets, by name.
pub const TARGETS: [Target; 24] = [
    Target { name: "admin", run: world::admin, slow: true },
    Target { name: "admission", run: crate::admission::fuzzing::admission, slow: false },
    Target { name: "approval", run: approval, slow: false },
    Target { name: "audit", run: crate::ledger::fuzzing::audit, slow: false },
    Target { name: "backup", run: world::backup, slow: true },
    Target { name: "condition", run: crate::gate::fuzzing::condition, slow: true },
    Target { name: "database", run: crate::scan::fuzzing::fuzz_database, slow: true },
    Target { name: "import", run: crate::policy::fuzzing::import, slow: false },
    Target { name: "kubernetes", run: kubernetes, slow: false },
    Target { name: "language", run: crate::scan::fuzzing::fuzz_language, slow: false },
    Target { name: "layer", run: crate::scan::fuzzing::fuzz_layer, slow: true },
    Target { name: "manifest", run: crate::oci::fuzzing::manifest, slow: false },
    Target { name: "node", run: world::node, slow: true },
    Target { name: "notation", run: crate::signature::fuzzing::notation, slow: true },
    Target { name: "policies", run: crate::policy::fuzzing::policies, slow: false },
    Target { name: "policy", run: crate::policy::fuzzing::policy, slow: false },
    Target { name: "request", run: request, slow: false },
    Target { name: "row", run: row, slow: false },
    Target { name: "sbom", run: crate::scan::fuzzing::fuzz_bill, slow: false },
    Target { name: "settings", run: crate::config::fuzzing::settings, slow: false },
    Target { name: "signature", run: signature, slow: true },
    Target { name: "system", run: crate::scan::fuzzing::fuzz_system, slow: false },
    Target { name: "upstream", run: crate::upstream::fuzzing::upstream, slow: false },
    Target { name: "vex", run: crate::scan::fuzzing::fuzz_vex, slow: false },
];

/// Runs the target `name` on `bytes`.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    assert!(target.is_some(), "there is no target {name}");
    if let Some(target) = target {
        (target.run)(bytes);
    }
}

/// What is read of an approval file is all of it, and the same when its text is read again; a draft shows what
/// its hashes are of.
fn approval(bytes: &[u8]) {
    use crate::mirror::approval_file::{ApprovalFile, Draft};
    if let Ok(file) = ApprovalFile::parse(bytes) {
        let again = ApprovalFile::parse(file.envelope.text().as_bytes());
        assert!(again.is_ok_and(|again| again == file), "one envelope, one file");
    }
    if let Ok(draft) = Draft::parse(bytes) {
        assert!(draft.check().is_ok());
    }
}

/// What objects name is bounded, each image is named once, and all is the same when it is read again.
fn kubernetes(bytes: &[u8]) {
    use crate::kubernetes::{IMAGES_MAX, images};
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let read = images(text);
    assert_eq!(read, images(text), "one text, one answer");
    let Ok(objects) = read else { return };
    assert!(objects.count > 0 && objects.images.len() <= IMAGES_MAX, "{}", objects.count);
    let mut seen = std::collections::HashSet::new();
    for named in &objects.images {
        assert!(!named.image.is_empty() && seen.insert(&named.image), "{named:?}");
    }
}

fn request(bytes: &[u8]) {
    crate::oci::fuzzing::request(bytes);
    crate::http::fuzzing::conditions(bytes);
}

fn row(bytes: &[u8]) {
    crate::ledger::fuzzing::row(bytes);
    crate::store::fuzzing::seen_tag(bytes);
}

fn signature(bytes: &[u8]) {
    crate::signature::fuzzing::signature(bytes);
    crate::http::fuzzing::certificate(bytes);
}
