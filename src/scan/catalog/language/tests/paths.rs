//! Which files are read.

use super::super::super::FileKind;
use super::super::{File, Installed};
use super::made::{Program, inline};
use crate::scan::Limits;

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
    for path in ["opt/dpkg/status", "srv/lib/os-release", "a-1.0.dist-info/METADATA", "bin/x"] {
        let kind = FileKind::of(path, b"\x7fELF\x02\x01\x01").unwrap();
        assert_eq!(kind, FileKind::Language(File::Program), "{path}");
        let program = Program::new(inline("go1.20.4", "")).bytes();
        let size = u64::try_from(program.len()).unwrap();
        let facts = kind.read(path, size, &mut &program[..], &Limits::default()).unwrap();
        assert_eq!((facts.packages.len(), facts.gaps.len()), (1, usize::from(path != "bin/x")));
    }
    assert_eq!(File::of_program("app/server.jar"), File::JavaArchive, "which may be behind it");
}

#[test]
fn a_path_alone_names_a_package_of_some_kinds() {
    let named = |file: File, path: &str| {
        file.named_by(path).map(|package| format!("{} {}", package.name, package.version))
    };
    let jar = named(File::JavaArchive, "app/log4j-core-2.14.1.jar");
    assert_eq!(jar.as_deref(), Some("log4j-core 2.14.1"));
    let python = named(File::PythonMetadata, "a/Foo_Bar-1.2.dist-info/METADATA");
    assert_eq!(python.as_deref(), Some("foo-bar 1.2"));
    let gem = named(File::GemInstalled, "specifications/rack-2.2.3.gemspec");
    assert_eq!(gem.as_deref(), Some("rack 2.2.3"));
    assert_eq!(named(File::JavaArchive, "app/app.jar"), None);
    assert_eq!(named(File::NodePackage, "node_modules/a-1.0/package.json"), None);
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
