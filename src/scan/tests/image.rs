//! Makes layers: entries as any tool writes them, and headers by hand that none would.

use std::io::Write;

/// A header block before its checksum.
#[derive(Clone)]
pub(in crate::scan) struct Header([u8; 512]);

impl Header {
    pub(in crate::scan) fn new(name: &[u8], typeflag: u8, size: u64) -> Self {
        let mut header = Self([0; 512]);
        header.set(0, &name[..name.len().min(100)]);
        header.set(100, b"0000644\0").set(108, b"0000000\0").set(116, b"0000000\0");
        header.set(124, format!("{size:011o}\0").as_bytes()).set(136, b"00000000000\0");
        header.set(156, &[typeflag]).set(257, b"ustar\x0000");
        header
    }

    /// Writes over what is at an offset.
    pub(in crate::scan) fn set(&mut self, offset: usize, bytes: &[u8]) -> &mut Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub(in crate::scan) fn sealed(mut self) -> [u8; 512] {
        self.set(148, b"        ");
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        self.set(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

/// A layer in the making: the bytes of its archive so far.
#[derive(Clone, Default)]
pub(in crate::scan) struct Tar(Vec<u8>);

impl Tar {
    pub(in crate::scan) fn new() -> Self {
        Self::default()
    }

    pub(in crate::scan) fn file(self, name: &str, contents: &str) -> Self {
        self.bytes(name, contents.as_bytes())
    }

    pub(in crate::scan) fn bytes(self, name: &str, contents: &[u8]) -> Self {
        let size = contents.len().try_into().unwrap();
        self.raw(Header::new(name.as_bytes(), b'0', size), contents)
    }

    pub(in crate::scan) fn directory(self, name: &str) -> Self {
        self.raw(Header::new(name.as_bytes(), b'5', 0), b"")
    }

    pub(in crate::scan) fn symlink(self, name: &str, target: &str) -> Self {
        self.link(b'2', name, target)
    }

    pub(in crate::scan) fn hard_link(self, name: &str, target: &str) -> Self {
        self.link(b'1', name, target)
    }

    /// A device, a pipe, or whatever the typeflag says.
    pub(in crate::scan) fn special(self, name: &str, typeflag: u8) -> Self {
        self.raw(Header::new(name.as_bytes(), typeflag, 0), b"")
    }

    /// An extended header for the next entry.
    pub(in crate::scan) fn pax(self, records: &[(&str, &str)]) -> Self {
        let records: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.raw(Header::new(b"PaxHeaders/x", b'x', records.len() as u64), records.as_bytes())
    }

    /// A header and contents, padded.
    pub(in crate::scan) fn raw(mut self, header: Header, contents: &[u8]) -> Self {
        self.0.extend(header.sealed());
        self.0.extend(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Bytes as they are.
    pub(in crate::scan) fn plain(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// The archive with its end.
    pub(in crate::scan) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    /// The archive as it is, without an end.
    pub(in crate::scan) fn cut(self) -> Vec<u8> {
        self.0
    }

    fn link(self, typeflag: u8, name: &str, target: &str) -> Self {
        let mut header = Header::new(name.as_bytes(), typeflag, 0);
        header.set(157, target.as_bytes());
        self.raw(header, b"")
    }
}

/// A record of an extended header: its length counts itself.
pub(in crate::scan) fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n")
}

pub(in crate::scan) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(in crate::scan) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// A frame of zstd that decoders skip.
pub(in crate::scan) fn skippable(contents: &[u8]) -> Vec<u8> {
    let length = u32::try_from(contents.len()).unwrap().to_le_bytes();
    [&[0x5a, 0x2a, 0x4d, 0x18], &length[..], contents].concat()
}
