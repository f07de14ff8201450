//! Python, Ruby, PHP and .NET.

use super::{gaps, listed, packages, read};
use crate::scan::{GapKind, PackageKind};

const METADATA: &str = "usr/lib/python3/dist-packages/Foo_Bar-1.2.dist-info/METADATA";

#[test]
fn python_metadata_says_a_normalised_name_and_a_version() {
    let text = "Metadata-Version: 2.1\nName: Foo._-Bar\nVersion: 1.2.3\n\nVersion: 9\n";
    assert_eq!(packages(METADATA, text), ["foo-bar 1.2.3"]);
    assert_eq!(packages(METADATA, "\u{feff}NAME: a\r\nVERSION:2\r\n\r\nName: b\r\n"), ["a 2"]);
    let egg = "usr/lib/python3/dist-packages/six-1.16.0.egg-info";
    assert_eq!(packages(egg, "Name: six\nVersion: 1.16.0"), ["six 1.16.0"]);
    let first = "Name: six\nName: seven\nVersion: 1\nVersion: 2\n";
    assert_eq!(packages(METADATA, first), ["six 1"]);
    assert_eq!(read(METADATA, text).packages[0].kind, PackageKind::Python);
    assert_eq!(read(METADATA, text).packages[0].found_in, "", "in the file itself");
}

#[test]
fn where_python_metadata_says_nothing_its_directory_does() {
    for bytes in [&b""[..], b"\n", b"Name:\nVersion: \n", b"\xff\xfeN\x00a\x00"] {
        assert_eq!(packages(METADATA, bytes), ["foo-bar 1.2"]);
        let egg = "a/Foo.Bar-1.2-py3.11.egg-info/PKG-INFO";
        assert_eq!(packages(egg, bytes), ["foo-bar 1.2"]);
        assert_eq!(packages("a/foo_bar-1.2-py3.8.egg/EGG-INFO/PKG-INFO", bytes), ["foo-bar 1.2"]);
        assert_eq!(packages("a/foo_bar-1.2-py3.8.egg-info", bytes), ["foo-bar 1.2"]);
        assert_eq!(gaps("a/foo.egg-info/PKG-INFO", bytes), [GapKind::Malformed]);
        assert_eq!(gaps("a/.dist-info/METADATA", bytes), [GapKind::Malformed]);
    }
    assert_eq!(packages("a/x-1.dist-info/METADATA", "Name: y\n"), ["y 1"]);
    assert_eq!(gaps("a/foo.egg-info/PKG-INFO", "Name: foo\n"), [GapKind::Malformed]);
}

#[test]
fn python_versions_are_kept_as_they_are() {
    assert_eq!(packages(METADATA, "Name: a\nVersion: 2004d\n"), ["a 2004d"]);
    assert_eq!(packages(METADATA, "Name: a\nVersion: 1!2.0.post1+deb\n"), ["a 1!2.0.post1+deb"]);
    assert_eq!(
        gaps(METADATA, format!("Name: a\nVersion: {}\n", "1".repeat(300))),
        [GapKind::Malformed]
    );
}

#[test]
fn a_conda_environment_is_a_gap() {
    assert_eq!(gaps("opt/conda/conda-meta/history", "==> 2024 <=="), [GapKind::Unsupported]);
}

const GEM: &str = "usr/local/bundle/specifications/nokogiri-1.13.10-x86_64-linux.gemspec";

#[test]
fn gems_are_named_by_stub_text_or_file() {
    let stub = "# -*- encoding: utf-8 -*-\n# stub: nokogiri 1.13.10 x86_64-linux lib\n";
    assert_eq!(packages(GEM, stub), ["nokogiri 1.13.10"]);
    let text = "Gem::Specification.new do |s|\n  s.name = \"rack\".freeze\n  \
        s.version = Gem::Version.new('2.2.3')\n  s.required_ruby_version = \">= 1\"\nend\n";
    assert_eq!(packages(GEM, text), ["rack 2.2.3"]);
    for computed in
        ["", "s.name = NAME\ns.version = VERSION\n", "s.name = \"a\"\ns.version = \"#{V}\"\n"]
    {
        assert_eq!(packages(GEM, computed), ["nokogiri 1.13.10"], "{computed}");
    }
    let hyphens = "a/specifications/net-http-persistent-4.0.1.gemspec";
    assert_eq!(packages(hyphens, ""), ["net-http-persistent 4.0.1"]);
    assert_eq!(gaps("a/specifications/nothing.gemspec", ""), [GapKind::Malformed]);
    assert_eq!(gaps("a/specifications/-1.gemspec", ""), [GapKind::Malformed]);
}

#[test]
fn the_lock_file_of_bundler_lists_gems_without_platforms() {
    let text = "GIT\n  remote: https://git.test/x.git\n  specs:\n    forked (0.1.0)\n\n\
        PATH\n  remote: .\n  specs:\n    app (0.0.1)\n\n\
        GEM\n  remote: https://rubygems.org/\n  specs:\n    nokogiri (1.13.10-x86_64-linux)\n      \
        racc (~> 1.4)\n    racc (1.6.2)\n\nPLATFORMS\n  x86_64-linux\n\nDEPENDENCIES\n  nokogiri\n";
    let expected = ["forked 0.1.0", "nokogiri 1.13.10", "racc 1.6.2"];
    assert_eq!(packages("app/Gemfile.lock", text), expected);
    assert_eq!(packages("app/Gemfile.lock", text.replace('\n', "\r\n")), expected);
    assert_eq!(packages("app/Gemfile.lock", ""), [""; 0]);
    for broken in ["{}", "<<<<<<< HEAD\n", "GEM\n  specs:\n    a\n"] {
        assert_eq!(gaps("app/Gemfile.lock", broken), [GapKind::Malformed], "{broken}");
    }
}

#[test]
fn what_composer_installed_is_read_in_both_versions() {
    let records =
        r#"[{"name":"Symfony/Yaml","version":"v5.4.0"},{"name":"a/b","version":"dev-main"}]"#;
    let path = "app/vendor/composer/installed.json";
    assert_eq!(packages(path, records), ["a/b dev-main", "symfony/yaml v5.4.0"]);
    let second = format!(r#"{{"packages":{records},"dev":true,"dev-package-names":["a/b"]}}"#);
    assert_eq!(packages(path, second), ["a/b dev-main", "symfony/yaml v5.4.0"]);
    let lock =
        format!(r#"{{"packages":{records},"packages-dev":[{{"name":"c/d","version":"1"}}]}}"#);
    assert_eq!(packages("app/composer.lock", lock), ["a/b dev-main", "symfony/yaml v5.4.0"]);
    for broken in ["", "{}", "[1]", "[{}]", r#"[{"name":"a/b"}]"#, r#"{"packages":{}}"#, "null"] {
        assert_eq!(gaps(path, broken), [GapKind::Malformed], "{broken}");
    }
}

#[test]
fn dotnet_dependencies_are_packages_and_runtime_packs() {
    let text = r#"{"runtimeTarget":{"name":".NETCoreApp,Version=v8.0"},"targets":{},"libraries":{
        "app/1.0.0":{"type":"project"},
        "Newtonsoft.Json/13.0.1":{"type":"package","serviceable":true},
        "runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1":{"type":"runtimepack"},
        "System.Xml/4.0":{"type":"reference"}}}"#;
    let expected = ["Microsoft.NETCore.App.Runtime.linux-x64 8.0.1", "Newtonsoft.Json 13.0.1"];
    assert_eq!(packages("app/app.deps.json", text), expected);
    assert_eq!(listed(&read("a.deps.json", "\u{feff}{}")), [""; 0]);
    for broken in ["", "{", r#"{"libraries":[]}"#, r#"{"libraries":{"a":{"type":"package"}}}"#] {
        assert_eq!(gaps("app/app.deps.json", broken), [GapKind::Malformed], "{broken}");
    }
}
