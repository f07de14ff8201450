//! Archives and databases for tests.

use std::io::{Cursor, Write};
use std::path::PathBuf;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::Value;

use super::{Builder, Database, ImportError, Summary};
use crate::time::Timestamp;

/// When the tests' databases are made: 2026-11-23.
pub(in crate::scan) const NOW: Timestamp = Timestamp::from_milliseconds(1_795_392_000_000);

/// A file in an archive, and what the archive says of it.
#[derive(Debug, Clone)]
pub(in crate::scan) struct File {
    pub(in crate::scan) name: String,
    pub(in crate::scan) raw: Vec<u8>,
    pub(in crate::scan) size: u32,
    pub(in crate::scan) crc: u32,
    pub(in crate::scan) method: u16,
    pub(in crate::scan) flags: u16,
    /// Where the directory says it is, if not where it is.
    pub(in crate::scan) offset: Option<u32>,
}

impl File {
    pub(in crate::scan) fn new(name: &str, contents: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(contents);
        let mut deflated = DeflateEncoder::new(Vec::new(), Compression::fast());
        deflated.write_all(contents).unwrap();
        Self {
            name: name.to_owned(),
            raw: deflated.finish().unwrap(),
            size: u32::try_from(contents.len()).unwrap(),
            crc: crc.sum(),
            method: 8,
            flags: 0,
            offset: None,
        }
    }
}

/// An archive of these files; with `long`, its end is said in 64 bits.
pub(in crate::scan) fn archive(files: &[File], long: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    let word = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let short = |value: usize| u16::try_from(value).unwrap().to_le_bytes();
    for file in files {
        let offset = file.offset.map_or(word(bytes.len()), u32::to_le_bytes);
        let common = [
            &file.flags.to_le_bytes()[..],
            &file.method.to_le_bytes(),
            &[0; 4],
            &file.crc.to_le_bytes(),
            &word(file.raw.len()),
            &file.size.to_le_bytes(),
            &short(file.name.len()),
        ]
        .concat();
        bytes.extend(b"PK\x03\x04\x14\0");
        bytes.extend(&common);
        bytes.extend([0; 2]);
        bytes.extend(file.name.as_bytes());
        bytes.extend(&file.raw);
        directory.extend(b"PK\x01\x02\x14\0\x14\0");
        directory.extend(&common);
        directory.extend([0; 12]);
        directory.extend(offset);
        directory.extend(file.name.as_bytes());
    }
    let start = bytes.len();
    bytes.extend(&directory);
    if long {
        let end = u64::try_from(bytes.len()).unwrap();
        bytes.extend(b"PK\x06\x06");
        bytes.extend([0; 20]);
        for value in [files.len(), files.len(), directory.len(), start] {
            bytes.extend(u64::try_from(value).unwrap().to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(end.to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
    }
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    let count = if long { [0xff; 2] } else { short(files.len()) };
    bytes.extend([count, count].concat());
    let place = if long { [[0xff; 4]; 2] } else { [word(directory.len()), word(start)] };
    bytes.extend(place.concat());
    bytes.extend([0; 2]);
    bytes
}

/// A record of one package with one range.
pub(in crate::scan) fn record(id: &str, ecosystem: &str, name: &str, events: &Value) -> Value {
    serde_json::json!({
        "id": id,
        "modified": "2026-11-20T00:00:00Z",
        "affected": [{
            "package": { "ecosystem": ecosystem, "name": name },
            "ranges": [{ "type": "ECOSYSTEM", "events": events }],
        }],
    })
}

/// Scores as tests write them: the number after `score:`.
pub(in crate::scan) fn score(vector: &str) -> Option<u8> {
    vector.strip_prefix("score:")?.parse().ok()
}

pub(in crate::scan) fn builder() -> Builder {
    Builder::new(NOW, score)
}

/// The file that a builder makes.
pub(in crate::scan) fn finished(builder: Builder) -> Result<(Vec<u8>, Summary), ImportError> {
    let mut file = Vec::new();
    let summary = builder.finish(&mut file)?;
    Ok((file, summary))
}

/// The file that is made of these records.
pub(in crate::scan) fn file(records: &[Value]) -> Result<(Vec<u8>, Summary), ImportError> {
    let mut builder = builder();
    let records = records.iter().enumerate();
    let named =
        records.map(|(n, record)| Ok((format!("{n}.json"), record.to_string().into_bytes())));
    builder.add_osv_records(named, "test", None)?;
    finished(builder)
}

/// The database of these records.
pub(in crate::scan) fn database(records: &[Value]) -> Database {
    Database::open(Bytes::from(file(records).unwrap().0)).unwrap()
}

/// Shared data, where they are at hand (`PRATIQUE_TEST_DATA`).
pub(in crate::scan) fn shared(path: &str) -> Option<PathBuf> {
    let data = std::env::var_os("PRATIQUE_TEST_DATA").map(PathBuf::from)?;
    let path = data.join(path);
    path.exists().then_some(path)
}

/// A reader of an archive in memory.
pub(in crate::scan) fn reader(bytes: &[u8]) -> Cursor<Vec<u8>> {
    Cursor::new(bytes.to_vec())
}
