//! Whole images, read by the real catalogers.

use super::image::Tar;
use super::kinds::inventory;
use crate::scan::Inventory;
use crate::scan::catalog::FileKind;

fn found(inventory: &Inventory) -> Vec<String> {
    let named = |package: &crate::scan::Package| format!("{} {}", package.name, package.version);
    inventory.packages.iter().map(named).collect()
}

/// What would be installed counts only where nothing says what is.
#[test]
fn a_lock_file_counts_only_where_nothing_is_installed_beside_it() {
    const LOCK: &str = r#"{"lockfileVersion": 3, "packages": {
        "": {"name": "app", "version": "1.0.0"},
        "node_modules/left-pad": {"version": "1.3.0"}}}"#;
    const INSTALLED: &str = r#"{"name": "left-pad", "version": "1.2.0"}"#;
    let alone = Tar::new().file("app/package-lock.json", LOCK);
    let alone = inventory::<FileKind>(&[alone.end()]);
    assert_eq!(found(&alone), ["left-pad 1.3.0"]);
    let both = Tar::new()
        .file("app/package-lock.json", LOCK)
        .file("app/node_modules/left-pad/package.json", INSTALLED);
    let both = both.end();
    assert_eq!(found(&inventory::<FileKind>(std::slice::from_ref(&both))), ["left-pad 1.2.0"]);
    let elsewhere = Tar::new()
        .file("app/package-lock.json", LOCK)
        .file("app2/node_modules/left-pad/package.json", INSTALLED);
    let elsewhere = inventory::<FileKind>(&[elsewhere.end()]);
    assert_eq!(found(&elsewhere), ["left-pad 1.2.0", "left-pad 1.3.0"]);
    let removed = Tar::new().file("app/.wh.node_modules", "");
    let removed = inventory::<FileKind>(&[both, removed.end()]);
    assert_eq!(found(&removed), ["left-pad 1.3.0"], "what a later layer removed is not installed");
}
