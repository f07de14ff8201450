//! Which files are read.

use super::super::{File, Installed};

fn of(path: &str) -> Option<File> {
    File::of(path, b"")
}

#[test]
fn files_are_known_by_their_place() {
    let known = [
        ("usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA", File::PythonMetadata),
        ("a/pip/_vendor/certifi-2022.9.24.dist-info/METADATA", File::PythonMetadata),
        ("a/six-1.16.0.egg-info/PKG-INFO", File::PythonMetadata),
        ("a/six-1.16.0.egg-info", File::PythonMetadata),
        ("a/six-1.16.0-py3.9.egg/EGG-INFO/PKG-INFO", File::PythonMetadata),
        ("opt/conda/conda-meta/history", File::CondaHistory),
        ("node_modules/lodash/package.json", File::NodePackage),
        ("app/node_modules/@babel/core/package.json", File::NodePackage),
        ("app/node_modules/a/node_modules/b/package.json", File::NodePackage),
        ("app/node_modules/.pnpm/a@1.0.0/node_modules/a/package.json", File::NodePackage),
        ("app/package-lock.json", File::NpmLock),
        ("npm-shrinkwrap.json", File::NpmLock),
        ("app/node_modules/.package-lock.json", File::NpmLock),
        ("app/yarn.lock", File::YarnLock),
        ("app/pnpm-lock.yaml", File::PnpmLock),
        ("app/vendor/composer/installed.json", File::ComposerInstalled),
        ("app/composer.lock", File::ComposerLock),
        ("usr/local/bundle/specifications/rack-2.2.3.gemspec", File::GemInstalled),
        ("usr/lib/ruby/gems/3.1.0/specifications/default/json-2.6.1.gemspec", File::GemDefault),
        ("app/Gemfile.lock", File::GemLock),
        ("app/app.deps.json", File::DotnetDependencies),
        ("app/app.jar", File::JavaArchive),
        ("app/APP.WAR", File::JavaArchive),
    ];
    for (path, file) in known {
        assert_eq!(of(path), Some(file), "{path}");
    }
}

#[test]
fn what_is_not_installed_is_not_read() {
    for path in [
        "",
        "/",
        "app/package.json",
        "app/node_modules/package.json",
        "app/node_modules/@babel/package.json",
        "app/node_modules/.bin/package.json",
        "app/node_modules/a/lib/package.json",
        "app/node_modules/a/package-lock.json",
        "app/node_modules/a/yarn.lock",
        "app/node_modules/a/pnpm-lock.yaml",
        "app/.package-lock.json",
        "app/requirements.txt",
        "app/METADATA",
        "src/six/PKG-INFO",
        "a/conda-meta/pip-1.json",
        "usr/local/bundle/gems/a-1.0/Gemfile.lock",
        "app/vendor/a/b/composer.lock",
        "a/installed.json",
        "src/rack.gemspec",
        "app/deps.json",
        "app/jar",
        "usr/share/doc/history",
    ] {
        assert_eq!(of(path), None, "{path}");
    }
}

#[test]
fn programs_and_archives_are_known_by_how_they_begin() {
    assert_eq!(File::of("usr/bin/thing", b"\x7fELF\x02\x01\x01"), Some(File::Program));
    let mut head = b"PK\x03\x04".to_vec();
    head.resize(30, 0);
    assert_eq!(File::of("opt/thing", &[&head[..], b"META-INF/"].concat()), Some(File::JavaArchive));
    assert_eq!(File::of("opt/thing.zip", &[&head[..], b"a.txt"].concat()), None);
    assert_eq!(File::of("opt/thing", b"PK\x03\x04"), None);
    assert_eq!(File::of("opt/thing", b"\x7fEL"), None);
}

/// A name that means something else does not hide a program.
#[test]
fn a_program_is_one_whatever_it_is_called() {
    for path in
        ["app/package.json", "app/METADATA", "app/history", "a.json", "node_modules/a/yarn.lock"]
    {
        assert_eq!(File::of(path, b"\x7fELF\x02\x01\x01"), Some(File::Program), "{path}");
    }
}

#[test]
fn a_lock_file_yields_to_what_is_installed_beside() {
    let under = |path: &str| Some(Installed::Under(File::NodePackage, path.to_owned()));
    assert_eq!(File::NpmLock.yields_to("app/package-lock.json"), under("app/node_modules/"));
    assert_eq!(File::NpmLock.yields_to("package-lock.json"), under("node_modules/"));
    let hidden = "app/node_modules/.package-lock.json";
    assert_eq!(File::NpmLock.yields_to(hidden), under("app/node_modules/"));
    assert_eq!(File::YarnLock.yields_to("a/b/yarn.lock"), under("a/b/node_modules/"));
    assert_eq!(File::PnpmLock.yields_to("pnpm-lock.yaml"), under("node_modules/"));
    let vendor = Some(Installed::Under(File::ComposerInstalled, "app/vendor/".to_owned()));
    assert_eq!(File::ComposerLock.yields_to("app/composer.lock"), vendor);
    let gems = Some(Installed::Anywhere(File::GemInstalled));
    assert_eq!(File::GemLock.yields_to("app/Gemfile.lock"), gems);
    assert_eq!(File::NodePackage.yields_to("node_modules/a/package.json"), None);
    assert_eq!(File::JavaArchive.yields_to("app.jar"), None);
}
