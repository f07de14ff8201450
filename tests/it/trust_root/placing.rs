//! What `import` does to the place that it writes to.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::{Folder, newer_root, root};

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let folder = Folder::new();
    fs::create_dir(folder.path("real")).unwrap();
    let real = folder.put("real/root.json", root().to_string());
    symlink("real/root.json", folder.path("inner.json")).unwrap();
    symlink(folder.path("inner.json"), folder.path("corp.json")).unwrap();
    let imported = folder.import(&newer_root(), &[]);
    assert_eq!(imported.code, 0, "{imported:?}");
    assert!(imported.stdout.contains("changed:\n"), "compared with what is there: {imported:?}");
    for link in ["inner.json", "corp.json"] {
        assert!(fs::symlink_metadata(folder.path(link)).unwrap().is_symlink(), "{link}");
    }
    assert!(!fs::symlink_metadata(&real).unwrap().is_symlink());
    assert_eq!(folder.placed(), newer_root());
    let refused = folder.import(&root(), &[]);
    assert_eq!((refused.code, folder.placed()), (3, newer_root()), "{refused:?}");

    // One that leads nowhere yet leads to the new file, and a circle leads nowhere.
    fs::remove_file(&real).unwrap();
    let imported = folder.import(&root(), &[]);
    assert_eq!((imported.code, folder.placed()), (0, root()), "{imported:?}");
    assert!(!fs::symlink_metadata(&real).unwrap().is_symlink());
    fs::remove_file(folder.path("inner.json")).unwrap();
    symlink("corp.json", folder.path("inner.json")).unwrap();
    let failed = folder.import(&root(), &["--force"]);
    assert_eq!(failed.code, 1, "{failed:?}");
    assert!(failed.stderr.contains("was not written: more than 8 links lead there"), "{failed:?}");
}

#[test]
fn files_beside_it_are_nobody_elses_to_write() {
    let folder = Folder::new();
    let partial = folder.put("corp.json.partial", "of somebody else");
    assert_eq!(folder.import(&root(), &[]).code, 0);
    assert_eq!(fs::read_to_string(partial).unwrap(), "of somebody else");
    let mode = fs::metadata(folder.path("corp.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o022, 0o644, "others read it, too");
    let names = fs::read_dir(folder.0.path()).unwrap().map(|it| it.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["corp.json", "corp.json.partial", "new.json"]);
}

#[test]
fn what_is_not_text_is_replaced_by_force_only() {
    let folder = Folder::new();
    let there = folder.put("corp.json", b"\xff\xfe\0something else".as_slice());
    let refused = folder.import(&root(), &[]);
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("what is there is not text"), "{refused:?}");
    assert!(fs::read(there).unwrap().starts_with(b"\xff\xfe"));
    let forced = folder.import(&root(), &["--force"]);
    assert_eq!((forced.code, folder.placed()), (0, root()), "{forced:?}");
}
