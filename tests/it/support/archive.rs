//! Layers made by hand, and databases of what is known against what is in them.

use std::path::Path;

use pratique::scan::database::Builder;
use pratique::time::Timestamp;
use serde_json::{Value, json};

const BLOCK: usize = 512;

/// A tar archive of `files`: paths and contents, in order.
pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (path, contents) in files {
        archive.extend_from_slice(&header(path, contents.len(), b'0'));
        archive.extend_from_slice(contents);
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

/// A ustar header of a file of `size` bytes.
fn header(path: &str, size: usize, kind: u8) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}

/// What `os-release` of Debian 12 says.
pub(crate) const DEBIAN: &[u8] = b"ID=debian\nVERSION_ID=\"12\"\nVERSION_CODENAME=bookworm\n";

/// A layer of a Debian 12 with these packages, by name and version.
pub(crate) fn debian(packages: &[(&str, &str)]) -> Vec<u8> {
    let stanza = |(name, version): &(&str, &str)| {
        format!(
            "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
        )
    };
    let status: String = packages.iter().map(stanza).collect();
    tar(&[("etc/os-release", DEBIAN), ("var/lib/dpkg/status", status.as_bytes())])
}

/// An OSV record: below `fixed`, `name` of `ecosystem` has `id`, as bad as `urgency` says.
pub(crate) fn record(id: &str, ecosystem: &str, name: &str, fixed: &str, vector: &str) -> Value {
    json!({
        "schema_version": "1.6.0",
        "id": id,
        "published": "2026-01-01T00:00:00Z",
        "modified": "2026-11-20T00:00:00Z",
        "severity": [{"type": "CVSS_V3", "score": vector}],
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}],
        }],
    })
}

/// A vector of CVSS that is critical: 9.8.
pub(crate) const CRITICAL: &str = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";

/// Writes a database of `records`, as of `as_of`, in the place of what is at `path`.
pub(crate) fn write_database(path: &Path, as_of: &str, records: &[Value]) {
    let as_of: Timestamp = as_of.parse().expect("a time");
    let mut builder = Builder::at(as_of);
    let documents = records.iter().map(|record| {
        let name = format!("{}.json", record["id"].as_str().expect("an id"));
        Ok((name, record.to_string().into_bytes()))
    });
    builder.add_osv_records(documents, "test", Some(as_of)).expect("a feed");
    let mut file = Vec::new();
    builder.finish(&mut file).expect("a database");
    let partial = path.with_extension("partial");
    std::fs::write(&partial, file).expect("a database");
    std::fs::rename(partial, path).expect("a database");
}
