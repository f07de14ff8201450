//! Archives and programs, made for the tests.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, ZlibEncoder};

pub(super) fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An entry of an archive, with all that can be wrong with it.
#[derive(Clone)]
pub(super) struct Made {
    pub(super) name: Vec<u8>,
    /// What stands before the bytes, if it is another name.
    pub(super) local_name: Option<Vec<u8>>,
    pub(super) packed: Vec<u8>,
    pub(super) bytes: u64,
    pub(super) method: u16,
    pub(super) flags: u16,
    pub(super) offset: Option<u32>,
}

pub(super) fn stored(name: &str, bytes: impl AsRef<[u8]>) -> Made {
    let packed = bytes.as_ref().to_vec();
    let bytes = packed.len().try_into().unwrap();
    let name = name.as_bytes().to_vec();
    Made { name, local_name: None, packed, bytes, method: 0, flags: 0, offset: None }
}

pub(super) fn packed(name: &str, bytes: impl AsRef<[u8]>) -> Made {
    Made { packed: deflated(bytes.as_ref()), method: 8, ..stored(name, bytes) }
}

/// An archive. With `large`, all numbers are where those of eight bytes are.
pub(super) fn zip_as(entries: &[Made], large: bool) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let offset = entry.offset.unwrap_or_else(|| u32::try_from(bytes.len()).unwrap());
        let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
        bytes.extend(b"PK\x03\x04\x14\x00");
        bytes.extend(middle(entry, large));
        bytes.extend(u16::try_from(local_name.len()).unwrap().to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(local_name);
        bytes.extend(&entry.packed);

        directory.extend(b"PK\x01\x02\x14\x00\x14\x00");
        directory.extend(middle(entry, large));
        directory.extend(u16::try_from(entry.name.len()).unwrap().to_le_bytes());
        let mut extra = Vec::new();
        if large {
            // Another field before it.
            extra.extend(b"\x99\x99\x02\x00ab\x01\x00\x18\x00");
            extra.extend(entry.bytes.to_le_bytes());
            extra.extend(u64::try_from(entry.packed.len()).unwrap().to_le_bytes());
            extra.extend(u64::from(offset).to_le_bytes());
        }
        directory.extend(u16::try_from(extra.len()).unwrap().to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(if large { u32::MAX } else { offset }.to_le_bytes());
        directory.extend(&entry.name);
        directory.extend(extra);
    }
    let (start, size) = (bytes.len(), directory.len());
    bytes.extend(directory);
    end(&mut bytes, entries.len(), size, start, large);
    bytes
}

/// Flags to sizes, which stand alike before an entry and in the directory.
fn middle(entry: &Made, large: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(entry.flags.to_le_bytes());
    bytes.extend(entry.method.to_le_bytes());
    bytes.extend([0; 8]);
    let narrow = |size: u64| if large { u32::MAX } else { u32::try_from(size).unwrap() };
    bytes.extend(narrow(entry.packed.len().try_into().unwrap()).to_le_bytes());
    bytes.extend(narrow(entry.bytes).to_le_bytes());
    bytes
}

fn end(bytes: &mut Vec<u8>, count: usize, size: usize, start: usize, large: bool) {
    let end_64 = u64::try_from(bytes.len()).unwrap();
    if large {
        bytes.extend(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
        for number in [count, count, size, start] {
            bytes.extend(u64::try_from(number).unwrap().to_le_bytes());
        }
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(end_64.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
    }
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        bytes.extend(if large { u16::MAX } else { u16::try_from(count).unwrap() }.to_le_bytes());
    }
    for number in [size, start] {
        bytes.extend(if large { u32::MAX } else { u32::try_from(number).unwrap() }.to_le_bytes());
    }
    bytes.extend([0, 0]);
}

pub(super) fn zip(entries: &[Made]) -> Vec<u8> {
    zip_as(entries, false)
}

/// What Maven leaves.
pub(super) fn maven(group: &str, artifact: &str, version: &str) -> Made {
    let name = format!("META-INF/maven/{group}/{artifact}/pom.properties");
    packed(
        &name,
        format!("#Generated\nversion={version}\ngroupId={group}\nartifactId={artifact}\n"),
    )
}

/// A program: one segment of data at [`DATA_ADDRESS`], and sections.
#[derive(Clone)]
pub(super) struct Program {
    pub(super) wide: bool,
    pub(super) big: bool,
    pub(super) data: Vec<u8>,
    /// Name, type, bytes; without bytes, the section is the segment of data.
    pub(super) sections: Vec<(&'static str, u32, Option<Vec<u8>>)>,
    /// Whether there is a table of sections.
    pub(super) table: bool,
}

/// Where the data of a program are loaded.
pub(super) const DATA_ADDRESS: u64 = 0x40_0000;
/// Where they are in its file.
pub(super) const DATA_OFFSET: u64 = 0x100;

impl Program {
    pub(super) fn new(data: impl Into<Vec<u8>>) -> Self {
        Self { wide: true, big: false, data: data.into(), sections: Vec::new(), table: true }
    }

    pub(super) fn with(mut self, name: &'static str, bytes: Option<Vec<u8>>) -> Self {
        self.sections.push((name, 1, bytes));
        self
    }

    fn half(&self, bytes: &mut Vec<u8>, value: u16) {
        bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    fn long(&self, bytes: &mut Vec<u8>, value: u32) {
        bytes.extend(if self.big { value.to_be_bytes() } else { value.to_le_bytes() });
    }

    pub(super) fn word(&self, bytes: &mut Vec<u8>, value: u64) {
        match (self.wide, self.big) {
            (true, false) => bytes.extend(value.to_le_bytes()),
            (true, true) => bytes.extend(value.to_be_bytes()),
            (false, _) => self.long(bytes, value.try_into().unwrap()),
        }
    }

    fn section(&self, name: u32, kind: u32, offset: u64, size: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.long(&mut bytes, name);
        self.long(&mut bytes, kind);
        for value in [0, 0, offset, size] {
            self.word(&mut bytes, value);
        }
        bytes.resize(if self.wide { 64 } else { 40 }, 0);
        bytes
    }

    fn segment(&self) -> Vec<u8> {
        let size = self.data.len().try_into().unwrap();
        let mut bytes = Vec::new();
        self.long(&mut bytes, 1);
        if self.wide {
            self.long(&mut bytes, 6);
        }
        for value in [DATA_OFFSET, DATA_ADDRESS, DATA_ADDRESS, size, size] {
            self.word(&mut bytes, value);
        }
        if !self.wide {
            self.long(&mut bytes, 6);
        }
        self.word(&mut bytes, 16);
        bytes
    }

    /// The file, and where its table of sections begins.
    pub(super) fn build(&self) -> (Vec<u8>, usize) {
        let mut body = self.data.clone();
        let position = |body: &Vec<u8>| DATA_OFFSET + u64::try_from(body.len()).unwrap();
        let mut names = b"\0".to_vec();
        let mut table = self.section(0, 0, 0, 0);
        for (name, kind, bytes) in &self.sections {
            let name_at = names.len().try_into().unwrap();
            names.extend(name.as_bytes());
            names.push(0);
            let (offset, size) = match bytes {
                None => (DATA_OFFSET, self.data.len()),
                Some(bytes) => (position(&body), bytes.len()),
            };
            body.extend(bytes.iter().flatten());
            table.extend(self.section(name_at, *kind, offset, size.try_into().unwrap()));
        }
        let name_at = names.len().try_into().unwrap();
        names.extend(b".shstrtab\0");
        table.extend(self.section(name_at, 3, position(&body), names.len().try_into().unwrap()));
        body.extend(names);
        let table_at = position(&body);
        let mut bytes = b"\x7fELF".to_vec();
        bytes.extend([if self.wide { 2 } else { 1 }, if self.big { 2 } else { 1 }, 1]);
        bytes.resize(16, 0);
        self.half(&mut bytes, 2);
        self.half(&mut bytes, 62);
        self.long(&mut bytes, 1);
        self.word(&mut bytes, 0);
        self.word(&mut bytes, if self.wide { 64 } else { 52 });
        self.word(&mut bytes, if self.table { table_at } else { 0 });
        self.long(&mut bytes, 0);
        let sizes = if self.wide { [64, 56, 1, 64] } else { [52, 32, 1, 40] };
        let count = u16::try_from(self.sections.len()).unwrap() + 2;
        for value in sizes.into_iter().chain([count, count - 1]) {
            self.half(&mut bytes, value);
        }
        bytes.extend(self.segment());
        bytes.resize(DATA_OFFSET.try_into().unwrap(), 0);
        bytes.extend(body);
        if self.table {
            bytes.extend(table);
        }
        (bytes, table_at.try_into().unwrap())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.build().0
    }
}

/// Build information in the newer form.
pub(super) fn inline(version: &str, modules: &str) -> Vec<u8> {
    let mut bytes = b"\xff Go buildinf:\x08\x02".to_vec();
    bytes.resize(32, 0);
    for text in [version.as_bytes(), &framed(modules)] {
        number(&mut bytes, text.len());
        bytes.extend(text);
    }
    bytes
}

/// The modules' text as Go surrounds it.
pub(super) fn framed(modules: &str) -> Vec<u8> {
    if modules.is_empty() {
        return Vec::new();
    }
    [&b"0123456789abcdef"[..], modules.as_bytes(), b"fedcba9876543210"].concat()
}

pub(super) fn number(bytes: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    bytes.push(value.try_into().unwrap());
}

/// Build information in the older form, as the data of a program: the header, then the headers of both
/// texts, then the texts.
pub(super) fn by_pointers(program: &Program, version: &str, modules: &str) -> Vec<u8> {
    let width = if program.wide { 8 } else { 4 };
    let mut bytes = b"\xff Go buildinf:".to_vec();
    bytes.extend([width, u8::from(program.big)]);
    let width = u64::from(width);
    program.word(&mut bytes, DATA_ADDRESS + 32);
    program.word(&mut bytes, DATA_ADDRESS + 32 + 2 * width);
    bytes.resize(32, 0);
    let modules = framed(modules);
    let texts = DATA_ADDRESS + 32 + 4 * width;
    let version_bytes = u64::try_from(version.len()).unwrap();
    program.word(&mut bytes, texts);
    program.word(&mut bytes, version_bytes);
    program.word(&mut bytes, texts + version_bytes);
    program.word(&mut bytes, modules.len().try_into().unwrap());
    bytes.extend(version.as_bytes());
    bytes.extend(modules);
    bytes
}
