//! What it costs to compare an image with a new vulnerability database: from what was kept of it, without a
//! look at a layer.
//!
//! ```text
//! cargo bench --bench rematch -- [--records N] [--about-images-every N] [--images N] [--status FILE]
//!     [--databases FOLDER] [--json]
//! ```
//!
//! Every image is another one: its versions differ. `--status` is a `status` of dpkg whose packages the images
//! have; without it they have made-up ones. Of every so many records, one is about a package that images have:
//! that decides how much is found. `--databases` keeps what is compared with, for others to use:
//! `first.db`, `second.db` with some records more, none of them about the images, and `third.db` with one more
//! that is about each. One thread; the figures are of this process alone.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be prepared has to end")]
#![expect(clippy::print_stdout, reason = "what it is for")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use pratique::scan::database::Builder;
use pratique::scan::{Database, Distribution, Inventory, Package, PackageKind, SourcePackage};
use pratique::time::{Clock as _, SystemClock, Timestamp};
use serde_json::{Value, json};

/// Records of the database: about what OSV has of Debian, Ubuntu and four languages together.
const RECORDS: usize = 300_000;
/// Records more in the second database.
const RECORDS_MORE: usize = 300;
const IMAGES: usize = 10_000;
/// Packages of an image: those of a small Debian with Python.
const SYSTEM_PACKAGES: usize = 135;
const PYTHON_PACKAGES: usize = 10;
/// Names that records of one ecosystem are about.
const NAMES: usize = 6_000;
/// Of so many records, one is about a package that images have: far more than about any real image of its size.
const ABOUT_IMAGES_EVERY: usize = 20;
/// A vector of medium severity: no gate of the measurements refuses it.
const MEDIUM: &str = "CVSS:3.1/AV:L/AC:L/PR:N/UI:R/S:U/C:N/I:N/A:H";
/// Ecosystems, and which share of the records they have, in hundredths.
const SHARES: [(&str, usize); 6] =
    [("Debian", 25), ("Ubuntu", 20), ("npm", 35), ("PyPI", 8), ("Maven", 6), ("Go", 6)];

struct Options {
    records: usize,
    about_images_every: usize,
    images: usize,
    status: Option<PathBuf>,
    databases: Option<PathBuf>,
    json: bool,
}

impl Options {
    fn read() -> Self {
        let mut options = Self {
            records: RECORDS,
            about_images_every: ABOUT_IMAGES_EVERY,
            images: IMAGES,
            status: None,
            databases: None,
            json: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().expect("a value behind the option");
            let number = |text: String| text.parse().expect("a number");
            match word.as_str() {
                "--records" => options.records = number(value()),
                "--about-images-every" => options.about_images_every = number(value()).max(1),
                "--images" => options.images = number(value()),
                "--status" => options.status = Some(value().into()),
                "--databases" => options.databases = Some(value().into()),
                "--json" => options.json = true,
                // Cargo says it to every benchmark.
                "--bench" => {}
                other => unreachable!("{other} is no option"),
            }
        }
        options
    }
}

/// Numbers that look as if by chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound.max(1)
    }
}

/// The packages that every image has, in other versions each.
fn packages(status: Option<&Path>) -> Vec<Package> {
    let of_file = |path: &Path| {
        let text = std::fs::read_to_string(path).expect("a status of dpkg");
        text.split("\n\n").filter_map(of_stanza).collect()
    };
    let made_up = |number| {
        let name = format!("package-{number}");
        let version = format!("{}.{}-{}", 1 + number % 7, number % 30, 1 + number % 4);
        Package::new(PackageKind::Deb, &name, &version, "var/lib/dpkg/status")
    };
    let mut packages: Vec<Package> = match status {
        Some(path) => of_file(path),
        None => (0..SYSTEM_PACKAGES).map(made_up).collect(),
    };
    for number in 0..PYTHON_PACKAGES {
        let place = format!("usr/local/lib/python3.11/site-packages/p{number}.dist-info/METADATA");
        let name = format!("python-package-{number}");
        packages.push(Package::new(PackageKind::Python, &name, "2.28.1", &place));
    }
    packages.sort();
    packages
}

fn of_stanza(stanza: &str) -> Option<Package> {
    let field = |name: &str| {
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned);
        stanza.lines().find_map(value)
    };
    field("Status").filter(|status| status.ends_with(" installed"))?;
    let version = field("Version")?;
    let mut package =
        Package::new(PackageKind::Deb, &field("Package")?, &version, "var/lib/dpkg/status");
    package.architecture = field("Architecture");
    package.source = field("Source").map(|source| match source.split_once(" (") {
        Some((name, of)) => {
            SourcePackage { name: name.to_owned(), version: of.trim_end_matches(')').to_owned() }
        }
        None => SourcePackage { name: source, version },
    });
    Some(package)
}

/// The image of that number: its versions end in another way than those of others.
fn inventory(packages: &[Package], number: usize) -> Inventory {
    let distribution = Distribution {
        id: "debian".to_owned(),
        version: Some("12".to_owned()),
        codename: Some("bookworm".to_owned()),
        ..Distribution::default()
    };
    let mut packages = packages.to_vec();
    for (index, package) in packages.iter_mut().enumerate() {
        if package.kind == PackageKind::Deb && (index + number).is_multiple_of(3) {
            package.version = format!("{}+b{number}", package.version);
        }
    }
    Inventory { distribution: Some(distribution), packages, gaps: Vec::new() }
}

/// The record of that number.
fn record(number: usize, options: &Options, packages: &[Package], chance: &mut Chance) -> Value {
    let mut share = number % 100;
    let ecosystem = SHARES.iter().find_map(|(ecosystem, of)| {
        let is_here = share < *of;
        share = share.saturating_sub(*of);
        is_here.then_some(*ecosystem)
    });
    let ecosystem = ecosystem.unwrap_or("Debian");
    let affected: Vec<Value> = match ecosystem {
        "Debian" if number.is_multiple_of(options.about_images_every) => {
            about_images(packages, chance)
        }
        "Debian" => releases(&["Debian:11", "Debian:12", "Debian:13"], chance),
        "Ubuntu" => releases(&["Ubuntu:20.04:LTS", "Ubuntu:22.04:LTS", "Ubuntu:24.04:LTS"], chance),
        _ => vec![affected(ecosystem, &name(ecosystem, chance), "2.28.2")],
    };
    document(&format!("CVE-{}-{number}", 2010 + number % 17), &affected)
}

fn document(id: &str, affected: &[Value]) -> Value {
    json!({
        "schema_version": "1.6.0", "id": id, "aliases": [format!("X-{id}")],
        "published": "2025-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z",
        "severity": [{"type": "CVSS_V3", "score": MEDIUM}], "affected": affected,
    })
}

fn affected(ecosystem: &str, name: &str, fixed: &str) -> Value {
    json!({
        "package": {"ecosystem": ecosystem, "name": name},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
    })
}

/// A name: few have many records, and many have few.
fn name(ecosystem: &str, chance: &mut Chance) -> String {
    let bound = 1 + chance.below(NAMES);
    format!("{}-{}", ecosystem.to_ascii_lowercase(), chance.below(bound))
}

fn releases(ecosystems: &[&str], chance: &mut Chance) -> Vec<Value> {
    let name = name("source", chance);
    let fixed = format!("{}.{}-1", chance.below(9), chance.below(40));
    ecosystems.iter().map(|ecosystem| affected(ecosystem, &name, &fixed)).collect()
}

/// Three releases of a package that images have: most are fixed in it, some are not.
fn about_images(packages: &[Package], chance: &mut Chance) -> Vec<Value> {
    let deb: Vec<&Package> = packages.iter().filter(|it| it.kind == PackageKind::Deb).collect();
    // The first ones have more, as a kernel or a browser has.
    let bound = 1 + chance.below(deb.len());
    let Some(package) = deb.get(chance.below(bound)) else { return Vec::new() };
    let version = package.source_version();
    let fixed =
        if chance.below(8) == 0 { format!("{version}+deb12u9") } else { format!("{version}~") };
    let of = |ecosystem: &&str| affected(ecosystem, package.source_name(), &fixed);
    ["Debian:11", "Debian:12", "Debian:13"].iter().map(of).collect()
}

/// A database of so many records, and of those that come on top.
fn database(options: &Options, packages: &[Package], more: &[Value], as_of: Timestamp) -> Vec<u8> {
    let mut builder = Builder::at(as_of);
    let mut chance = Chance(7);
    let all = (0..options.records).map(|number| record(number, options, packages, &mut chance));
    let all = all.chain(more.iter().cloned()).enumerate();
    let documents =
        all.map(|(index, record)| Ok((format!("{index}.json"), record.to_string().into())));
    builder.add_osv_records(documents, "bench", Some(as_of)).expect("a feed");
    let mut file = Vec::new();
    builder.finish(&mut file).expect("a database");
    file
}

/// What later databases know: nothing of the images, and one thing of each.
fn later(packages: &[Package]) -> [Vec<Value>; 2] {
    let other = |number: usize| {
        let of = affected("Debian:12", &format!("source-{number}"), "99.0-1");
        document(&format!("CVE-2026-{}", 900_000 + number), &[of])
    };
    let others: Vec<Value> = (0..RECORDS_MORE).map(other).collect();
    let mut all = others.clone();
    let deb = packages.iter().find(|it| it.kind == PackageKind::Deb).expect("a package");
    all.push(document("CVE-2026-999999", &[affected("Debian:12", deb.source_name(), "999:1-1")]));
    [others, all]
}

fn keep(folder: &Path, first: &[u8], options: &Options, packages: &[Package], now: Timestamp) {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("first.db"), first).expect("a database");
    for (name, more) in ["second.db", "third.db"].iter().zip(later(packages)) {
        let as_of = now.after(Duration::from_secs(1));
        let file = database(options, packages, &more, as_of);
        std::fs::write(folder.join(name), file).expect("a database");
    }
}

/// What was measured, in milliseconds: every one, in order.
struct Times(Vec<f64>);

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        Self(times)
    }

    /// The one that so many of a hundred are below.
    fn percentile(&self, percent: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * percent / 100).copied().unwrap_or(0.0)
    }

    fn view(&self) -> Value {
        json!({
            "p50": self.percentile(50), "p99": self.percentile(99), "most": self.percentile(100),
            "seconds": self.0.iter().sum::<f64>() / 1000.0,
        })
    }
}

fn main() {
    let options = Options::read();
    let packages = packages(options.status.as_deref());
    let now = SystemClock.now();
    let begin = Instant::now();
    let file = database(&options, &packages, &[], now);
    let built = begin.elapsed();
    let size = file.len();
    if let Some(folder) = &options.databases {
        keep(folder, &file, &options, &packages, now);
    }
    let begin = Instant::now();
    let database = Database::open(Bytes::from(file)).expect("a database");
    let opened = begin.elapsed();

    let (mut reading, mut matching, mut findings, mut kept) = (Vec::new(), Vec::new(), 0, 0);
    for number in 0..options.images {
        let bytes = serde_json::to_vec(&inventory(&packages, number)).expect("JSON");
        kept += bytes.len();
        let begin = Instant::now();
        let inventory: Inventory = serde_json::from_slice(&bytes).expect("an inventory");
        let read = begin.elapsed();
        let report = database.report(black_box(&inventory), now).expect("a report");
        let both = begin.elapsed();
        reading.push(both.as_secs_f64() * 1000.0);
        matching.push(both.saturating_sub(read).as_secs_f64() * 1000.0);
        findings += black_box(report).findings.len();
    }
    let (reading, matching) = (Times::of(reading), Times::of(matching));
    let each = |all: usize| all / options.images.max(1);
    let figures = json!({
        "records": options.records, "database_bytes": size, "built_seconds": built.as_secs_f64(),
        "opened_seconds": opened.as_secs_f64(), "images": options.images,
        "packages": packages.len(), "findings_each": each(findings), "kept_bytes_each": each(kept),
        "read_and_matched": reading.view(), "matched": matching.view(),
    });
    if options.json {
        println!("{figures}");
    } else {
        println!("{figures:#}");
    }
}
