//! Makes small databases of each kind.

use rusqlite::Connection;

pub(super) const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";

/// What is said of a package.
#[derive(Debug, Clone, Default)]
pub(super) struct Rpm {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) release: String,
    pub(super) epoch: Option<u32>,
    pub(super) vendor: &'static str,
    pub(super) architecture: &'static str,
    pub(super) source: Option<&'static str>,
    pub(super) module: Option<&'static str>,
    pub(super) summary: String,
    pub(super) files: Vec<(&'static str, &'static str)>,
    /// How checksums of files are made, and one for each of them.
    pub(super) digests: (Option<u32>, &'static str),
    /// Whether its name stands in it twice.
    pub(super) twice: bool,
}

impl Rpm {
    pub(super) fn new(name: &str, version: &str, release: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            release: release.to_owned(),
            architecture: "noarch",
            digests: (None, MD5),
            ..Self::default()
        }
    }

    /// Its header.
    pub(super) fn blob(&self) -> Vec<u8> {
        let mut header = HeaderMaker::default();
        for _ in 0..=usize::from(self.twice) {
            header.strings(1000, 6, &[&self.name]);
        }
        header.strings(1001, 6, &[&self.version]);
        header.strings(1002, 6, &[&self.release]);
        if let Some(epoch) = self.epoch {
            header.numbers(1003, &[epoch]);
        }
        header.strings(1004, 9, &[&self.summary]);
        if !self.vendor.is_empty() {
            header.strings(1011, 6, &[self.vendor]);
        }
        header.strings(1022, 6, &[self.architecture]);
        for (tag, value) in [(1044, self.source), (5096, self.module)] {
            if let Some(value) = value {
                header.strings(tag, 6, &[value]);
            }
        }
        let (folders, names): (Vec<_>, Vec<_>) = self.files.iter().copied().unzip();
        header.numbers(1116, &(0..u32::try_from(names.len()).unwrap()).collect::<Vec<_>>());
        header.strings(1117, 8, &names);
        header.strings(1118, 8, &folders);
        let (algorithm, digest) = self.digests;
        header.strings(1035, 8, &vec![digest; names.len()]);
        if let Some(algorithm) = algorithm {
            header.numbers(5011, &[algorithm]);
        }
        header.finish()
    }
}

#[derive(Default)]
struct HeaderMaker {
    index: Vec<u8>,
    values: Vec<u8>,
}

impl HeaderMaker {
    fn entry(&mut self, tag: u32, kind: u32, count: usize) {
        let offset = u32::try_from(self.values.len()).unwrap();
        for number in [tag, kind, offset, u32::try_from(count).unwrap()] {
            self.index.extend(number.to_be_bytes());
        }
    }

    fn strings(&mut self, tag: u32, kind: u32, values: &[&str]) {
        self.entry(tag, kind, values.len());
        for value in values {
            self.values.extend(value.bytes().chain([0]));
        }
    }

    fn numbers(&mut self, tag: u32, values: &[u32]) {
        self.values.resize(self.values.len().next_multiple_of(4), 0);
        self.entry(tag, 4, values.len());
        self.values.extend(values.iter().flat_map(|number| number.to_be_bytes()));
    }

    fn finish(self) -> Vec<u8> {
        let size = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
        [&size(self.index.len() / 16)[..], &size(self.values.len()), &self.index, &self.values]
            .concat()
    }
}

/// By the library itself.
pub(super) fn sqlite(blobs: &[Vec<u8>]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rpmdb.sqlite");
    let connection = Connection::open(&path).unwrap();
    let schema = "PRAGMA synchronous = off;
        BEGIN;
        CREATE TABLE 'Packages' (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL);
        CREATE TABLE 'Name' (key 'TEXT' NOT NULL, hnum INTEGER NOT NULL);
        CREATE INDEX 'Name_key_idx' ON 'Name'(key ASC);";
    connection.execute_batch(schema).unwrap();
    for blob in blobs {
        connection.execute("INSERT INTO 'Packages' (blob) VALUES (?1)", [blob]).unwrap();
    }
    connection.execute_batch("COMMIT").unwrap();
    drop(connection);
    std::fs::read(&path).unwrap()
}

/// One page of slots, and the blobs behind it.
pub(super) fn ndb(blobs: &[Vec<u8>]) -> Vec<u8> {
    let words = |words: &[u32]| words.iter().flat_map(|it| it.to_le_bytes()).collect::<Vec<u8>>();
    let magic = u32::from_le_bytes;
    let mut file = words(&[magic(*b"RpmP"), 0, 1, 1, 99, 0, 0, 0]);
    let mut after = Vec::new();
    for index in 0..254 {
        let Some(blob) = blobs.get(index) else {
            file.extend(words(&[magic(*b"Slot"), 0, 0, 0]));
            continue;
        };
        let number = u32::try_from(index).unwrap() + 1;
        let length = u32::try_from(blob.len()).unwrap();
        let blocks = (blob.len() + 16 + 12).div_ceil(16);
        let start = (4096 + after.len()) / 16;
        let [start, count] = [start, blocks].map(|it| u32::try_from(it).unwrap());
        file.extend(words(&[magic(*b"Slot"), number, start, count]));
        let end = after.len() + blocks * 16;
        after.extend(words(&[magic(*b"BlbS"), number, 1, length]));
        after.extend(blob);
        after.resize(end - 12, 0);
        after.extend(words(&[0, length, magic(*b"BlbE")]));
    }
    file.extend(after);
    file
}

const PAGE_BYTES: usize = 4096;

/// One package on each page of the hash table: what is short beside its key, the rest on its own pages.
pub(super) fn berkeley(blobs: &[Vec<u8>], is_big: bool) -> Vec<u8> {
    let four = |number: usize| {
        let number = u32::try_from(number).unwrap();
        if is_big { number.to_be_bytes() } else { number.to_le_bytes() }
    };
    let two = |number: usize| {
        let number = u16::try_from(number).unwrap();
        if is_big { number.to_be_bytes() } else { number.to_le_bytes() }
    };
    let page = |next: usize, entries: usize, offset: usize, kind: u8| {
        let mut page = vec![0; PAGE_BYTES];
        page[16..20].copy_from_slice(&four(next));
        page[20..22].copy_from_slice(&two(entries));
        page[22..24].copy_from_slice(&two(offset));
        page[25] = kind;
        page
    };
    let mut pages = vec![page(0, 0, 0, 8)];
    let counter = (0, vec![1, 9, 0, 0, 0]);
    let values = blobs.iter().enumerate().map(|(index, blob)| (index + 1, blob.clone()));
    for (key, value) in std::iter::once(counter).chain(values) {
        let mut hash = page(0, 2, 0, 13);
        let key: Vec<u8> = [&[1][..], &four(key)].concat();
        let item = if key[1..] == [0; 4] {
            value
        } else if value.len() < 300 {
            [&[1][..], &value].concat()
        } else {
            [&[3, 0, 0, 0][..], &four(pages.len() + 1), &four(value.len())].concat()
        };
        let key_at = PAGE_BYTES - key.len();
        let item_at = key_at - item.len();
        hash[26..28].copy_from_slice(&two(key_at));
        hash[28..30].copy_from_slice(&two(item_at));
        hash[key_at..].copy_from_slice(&key);
        hash[item_at..key_at].copy_from_slice(&item);
        pages.push(hash);
        if item[0] == 3 {
            let blob = &blobs[pages.iter().filter(|it| it[25] == 13).count() - 2];
            let chunks: Vec<_> = blob.chunks(PAGE_BYTES - 26).collect();
            for (index, chunk) in chunks.iter().enumerate() {
                let next = if index + 1 < chunks.len() { pages.len() + 1 } else { 0 };
                let mut overflow = page(next, 1, chunk.len(), 7);
                overflow[26..26 + chunk.len()].copy_from_slice(chunk);
                pages.push(overflow);
            }
        }
    }
    let last = pages.len() - 1;
    pages[0][12..16].copy_from_slice(&four(0x0006_1561));
    pages[0][16..20].copy_from_slice(&four(9));
    pages[0][20..24].copy_from_slice(&four(PAGE_BYTES));
    pages[0][32..36].copy_from_slice(&four(last));
    pages.concat()
}
