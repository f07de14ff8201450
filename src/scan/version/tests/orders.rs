//! Orders that the specifications of the schemes, their tools' own documents and their users' mistakes are
//! known for: each line ascending, versions of one word equal.

use super::*;

/// Asserts that versions are ascending as they are listed; those in one item, with `=` between, are equal.
fn ascending(scheme: Scheme, list: &str) {
    let groups: Vec<Vec<&str>> =
        list.split_whitespace().map(|group| group.split('=').collect()).collect();
    for (place, group) in groups.iter().enumerate() {
        for (other_place, other_group) in groups.iter().enumerate() {
            for a in group {
                for b in other_group {
                    assert_eq!(
                        compare(scheme, a, b),
                        Ok(place.cmp(&other_place)),
                        "{scheme}: {a} and {b}"
                    );
                }
            }
        }
    }
}

#[test]
fn dpkg() {
    ascending(
        Scheme::Deb,
        "1.0~~ 1.0~~a 1.0~ 1.0~rc1 1.0=1.0-0=0:1.0 1.0-1 1.0a 1.0+b1 1.0.1 1:0.1",
    );
    ascending(Scheme::Deb, "7.6-0 7.6p2-4 7.60 7.60+dfsg");
    ascending(Scheme::Deb, "1.0-3.1 1.0.3-3 1.1 1.2.2-2");
    ascending(Scheme::Deb, "3.0.15-1~deb12u1 3.0.15-1 3.0.15-1+b1 3.0.15-1+deb12u1 3.0.15-1.1");
    ascending(Scheme::Deb, "2:1.2 10:0.1 10:0.1:1-1");
    ascending(Scheme::Deb, "0 00a 0.1~ 0.1=0.01 0.1-1 0.2");
    for text in ["1.0-", "1.0_1-1", ":1", "1:", "-1:1", "1.0-1_1", "v1.0", "~1", "1 .0"] {
        assert!(Version::parse(Scheme::Deb, text).is_err(), "{text}");
    }
}

#[test]
fn apk() {
    ascending(
        Scheme::Apk,
        "1.0_alpha 1.0_alpha1 1.0_beta 1.0_pre 1.0_rc 1.0_rc2 1.0 1.0-r0 1.0-r1 1.0_cvs 1.0_svn 1.0_git20240101 1.0_hg 1.0_p 1.0_p1-r2 1.0a 1.0b 1.0.0 1.0.1",
    );
    ascending(Scheme::Apk, "1.01 1.02 1.1 1.2 1.10");
    ascending(Scheme::Apk, "1.1.1c-r0 1.1.1d-r0 1.1.1d-r2 1.1.1d-r10");
    ascending(
        Scheme::Apk,
        "1.2.4_git20230717-r3 1.2.4_git20230717-r4 1.2.4_git20230718-r0 1.2.5_rc1-r0 1.2.5-r0",
    );
    ascending(Scheme::Apk, "1.2_rc1_alpha 1.2_rc1 1.2_rc1_p1");
    ascending(Scheme::Apk, "1.0 1.0-r0 1.0~0a 1.0~0a-r1 1.0~abc");
    for text in [
        "1.0bc",
        "1.0_foo",
        "a1",
        "1.",
        "1..0",
        "1.0-1",
        "1.0-r",
        "1.0_alpha-",
        "1.0~",
        "1.0~xyz",
        "1.0-r1~ab",
        "1.0-r1_p1",
        "1:1.0",
        "1.0A",
        "1.0a.1",
        "1.0_p1.1",
    ] {
        assert!(Version::parse(Scheme::Apk, text).is_err(), "{text}");
    }
}

#[test]
fn rpm() {
    ascending(Scheme::Rpm, "1.0~rc1-1 1.0-0 1.0-1 1.0^git1~1-1 1.0^git1-1 1.0.1-1 1:0.1-1");
    ascending(Scheme::Rpm, "1.0.a 1.0.1 1.0.1a 1.0.2");
    ascending(Scheme::Rpm, "5.5p1 5.5p2 5.5p10 5.6p1");
    ascending(Scheme::Rpm, "2.0.1a=2_0_1a=2.0.1.a 2.0.2");
    ascending(Scheme::Rpm, "10xyz 10.1xyz");
    ascending(Scheme::Rpm, "xyz10 xyz10.1 8 10.0001=10.1 10.0039");
    ascending(Scheme::Rpm, "1.0~rc1~git123 1.0~rc1 1.0=1.0. 1.0^ 1.0^20160101 1.01=1.1");
    ascending(Scheme::Rpm, "3.0.7-24.el9 3.0.7-25.el9_3 3.0.7-27.el9 1:3.0.7-2.el9");
    ascending(Scheme::Rpm, "1 1-0 1-1");
    for text in ["1-", "-1", "a:1-1", "1-1-1", "1:2:3", "1.0-%{dist}", "1/2", "1:~-1"] {
        assert!(Version::parse(Scheme::Rpm, text).is_err(), "{text}");
    }
}

#[test]
fn python() {
    ascending(
        Scheme::Python,
        "1.dev0 1.0.dev456 1.0a1 1.0a2.dev456 1.0a12.dev456 1.0a12 1.0b1.dev456 1.0b2 1.0b2.post345.dev456 1.0b2.post345 1.0rc1.dev456 1.0rc1 1.0=1=1.0.0=v1.0 1.0+abc.5 1.0+abc.7 1.0+5 1.0.post456.dev34 1.0.post456=1.0-456=1.0.r456 1.0.15 1.1.dev1 1!0.1",
    );
    ascending(Scheme::Python, "1.0a1=1.0.alpha-1=1.0ALPHA1 1.0c1=1.0rc1=1.0-pre.1 2024.1");
    for text in
        ["2004d", "1.0-", "1.0-foo", "1.0+", "french toast", "1.0+a+b", "1..0", "0.1.0-x86_64"]
    {
        assert!(Version::parse(Scheme::Python, text).is_err(), "{text}");
    }
}

#[test]
fn npm_and_cargo() {
    for scheme in [Scheme::Npm, Scheme::Cargo] {
        ascending(
            scheme,
            "1.0.0-0 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0=v1.0.0=1.0.0+build.1=1.0.0+a=1.0=1 1.0.1 1.9.0 1.10.0 2.0.0",
        );
        ascending(scheme, "1.0.0-1 1.0.0-2 1.0.0-10 1.0.0-A 1.0.0-a");
        for text in [
            "1.2.3.4",
            "1.02.3",
            "1.2.3-",
            "1.2.3-01",
            "1.2.3-a..b",
            "1.2.3+",
            "1.2.3+a_b",
            "1.x",
            "^1.2.3",
            "vv1",
            "1.2.3-a_b",
            "1..3",
        ] {
            assert!(Version::parse(scheme, text).is_err(), "{text}");
        }
    }
    assert_eq!(compare(Scheme::Npm, "=1.2.3", "= v1.2.3"), Ok(Ordering::Equal));
}

#[test]
fn go() {
    ascending(
        Scheme::Go,
        "v0.0.0-20190101000000-abcdefabcdef v0.0.0-20200101000000-012345678901 v0.1.0 v1.0.0-rc.1 v1.0.0 v1.0.1-0.20200101000000-abcdefabcdef v1.0.1 v2.0.0+incompatible=v2.0.0=2.0.0=v2.0.0+incompatible+dirty v2.0.1",
    );
    ascending(
        Scheme::Go,
        "go1.20 go1.20.1 1.21.0-0 go1.21beta1 go1.21rc1=1.21rc1=1.21.0-rc.1 go1.21rc2 go1.21rc10 go1.21.0=1.21.0=1.21=go1.21.0-custom go1.21.9 go1.21.10 go1.22rc1 1.22.3",
    );
    assert_eq!(compare(Scheme::Go, "go1.22.3 X:boringcrypto", "1.22.3"), Ok(Ordering::Equal));
    assert_eq!(compare(Scheme::Go, "go1.9", "go1.10"), Ok(Ordering::Less));
    for text in [
        "(devel)",
        "devel go1.23-5e1e2e1",
        "go",
        "gopher1",
        "go1.22x1",
        "go1.22.3.4",
        "1.22rc",
        "v1.2.3.4",
        "go-1",
        "go1..2",
    ] {
        assert!(Version::parse(Scheme::Go, text).is_err(), "{text}");
    }
}

#[test]
fn maven() {
    ascending(
        Scheme::Maven,
        "1-alpha2snapshot 1-alpha2 1-alpha-123 1-beta-2 1-beta123 1-m2 1-m11 1-rc=1-cr 1-cr2=1-rc2 1-snapshot 1=1.0=1.0.0=1-ga=1-final=1-release=1.Final 1-sp 1-sp2 1-abc 1-def 1-pom-1 1-1-snapshot 1-1 1-2 1-123 1.1",
    );
    ascending(Scheme::Maven, "1.0.0.RC1 1.0.0-RC2 1.0.1");
    ascending(Scheme::Maven, "4.1.100.Final=4.1.100 4.1.101.Final");
    ascending(Scheme::Maven, "2.9.10.7 2.9.10.8 2.10.0 2.10.0.pr1 2.10.1");
    ascending(Scheme::Maven, "2.0-beta9 2.0-rc1 2.0 2.3.1 2.12.2 2.15.0 2.17.1");
    ascending(Scheme::Maven, "31.1-android 31.1-jre 32.0.0-android 32.0.0-jre");
    ascending(Scheme::Maven, "1.0-alpha-1-snapshot=1.0-alpha-1-SNAPSHOT 1.0-ALPHA-1=1.0a1 1.0b1");
    for text in ["1:2", "[1.0]", "1 0", "Finchley.RELEASE", "unspecified", "${project.version}"] {
        assert!(Version::parse(Scheme::Maven, text).is_err(), "{text}");
    }
}

#[test]
fn rubygems() {
    ascending(Scheme::Gem, "0.beta.1 0.0.beta.2 0.0.1.beta.3 0.0.2");
    ascending(
        Scheme::Gem,
        "1.0.0.a.1.1 1.0.0.a.2 1.0.a10=1.0.0.a.10 1.0.b1 1.0.0.pre 1.0.0.rc1=1.0.0.rc.1 1.0=1=1.0.0 1.0.1 1.9 1.10",
    );
    ascending(Scheme::Gem, "1.0.0-alpha=1.0.0.pre.alpha 1.0.0-rc1 1.0.0");
    ascending(
        Scheme::Gem,
        "1.13.9-java 1.13.10=1.13.10-x86_64-linux=1.13.10-java=1.13.10-arm64-darwin=1.13.10-x64-mingw-ucrt=1.13.10-x86-linux-musl 1.14",
    );
    for text in
        ["junk1", "1.2_3", "1..2", "1.2 3.4", "v1", "1.", "1-", "1.0rc1-x86_64_linux", "1rc1"]
    {
        assert!(Version::parse(Scheme::Gem, text).is_err(), "{text}");
    }
}

#[test]
fn composer() {
    ascending(
        Scheme::Composer,
        "1.0-dev=1.0.0.0-dev 1.0-alpha=1.0a 1.0-alpha2 1.0.0-beta2-dev 1.0.0-beta2=1.0b2=1.0.0.beta.2 1.0.0-RC1=1.0rc1 1.0=1=v1.0.0=1.0.0+build=1.0-stable 1.0-p1=1.0-patch1=1.0-pl1 1.0.1 1.x-dev 2.0",
    );
    ascending(Scheme::Composer, "5.4.9 5.4.10 5.4.x-dev 5.5.0-BETA1 v5.5.0");
    ascending(Scheme::Composer, "2023-12-31 2024-01-31 2024.01.31 20230131 20240131");
    for text in [
        "dev-master",
        "dev-1.0",
        "1.0-foo",
        "1.0.0.0.0",
        "1.0-beta-x",
        "1.0 as 2.0",
        "^1.0",
        "1.0@dev",
        "x.1-dev",
        "1.0-alpha-beta1",
        "1-2-3",
    ] {
        assert!(Version::parse(Scheme::Composer, text).is_err(), "{text}");
    }
}

#[test]
fn nuget() {
    ascending(
        Scheme::Nuget,
        "1.0.0-1 1.0.0-2 1.0.0-10 1.0.0-alpha=1.0.0-ALPHA=1.0.0.0-Alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0=1.0=1=1.0.0.0=1.00.0=1.0.0+abc 1.0.0.1-rc 1.0.0.1 1.0.1 1.9 1.10",
    );
    for text in [
        "1.0.0.0.0",
        "1.0-",
        "1.0.a",
        "1..0",
        "1.0-a..b",
        "1.0-a_b",
        "1.0+",
        "1.*",
        "[1.0]",
        "1.0.0-beta+",
    ] {
        assert!(Version::parse(Scheme::Nuget, text).is_err(), "{text}");
    }
}
