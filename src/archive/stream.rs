//! One image of a layout as an archive: a layout of its own in a tar, for programs that read no folders.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use super::{BLOBS, Error, IMAGE_NAME, INDEX, Image, MARKER, MARKER_TEXT, REF_NAME};
use crate::layout::{self, Layout};
use crate::oci::{Descriptor, Digest, Hasher, MediaType};

/// The mode of what is in it.
const MODE: u32 = 0o444;

/// Writes `image` of `layout` to `out`, under all its names. Every blob is hashed on its way, and the
/// names come last: whoever reads an archive that ends early has no image.
///
/// # Errors
/// When a blob is not what it was any more, or `out` takes no more.
pub fn stream(layout: &Layout, image: &Image, out: impl Write) -> Result<(), Error> {
    let mut archive = tar::Builder::new(out);
    let mut add = |name: &str, size: u64, content: &mut dyn Read| -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(size);
        header.set_mode(MODE);
        archive.append_data(&mut header, name, content)
    };
    let small = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX);
    add(MARKER, small(MARKER_TEXT), &mut MARKER_TEXT.as_bytes()).map_err(Error::Send)?;
    for (digest, size) in &image.parts {
        let name = format!("{BLOBS}/{}/{}", digest.algorithm().as_str(), digest.hex());
        let changed = || layout::Error::Changed { path: layout.path().join(&name) };
        let file = layout.open_blob(digest)?.ok_or_else(changed)?;
        let mut hashed = Hashed { file, hasher: digest.algorithm().hasher(), read: 0 };
        add(&name, *size, &mut (&mut hashed).take(*size)).map_err(Error::Send)?;
        if !hashed.was(digest, *size) {
            return Err(changed().into());
        }
    }
    let entry = |name: &String| {
        let annotation = |key: &str| (key.to_owned(), name.clone());
        let annotations = BTreeMap::from([annotation(IMAGE_NAME), annotation(REF_NAME)]);
        Descriptor { annotations, ..image.descriptor.clone() }
    };
    let listed: Vec<Descriptor> = image.names.iter().map(entry).collect();
    let index = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_INDEX,
        "manifests": listed,
    })
    .to_string();
    add(INDEX, small(&index), &mut index.as_bytes()).map_err(Error::Send)?;
    archive.into_inner().and_then(|mut out| out.flush()).map_err(Error::Send)
}

/// What is read of a file, hashed.
struct Hashed {
    file: std::fs::File,
    hasher: Hasher,
    read: u64,
}

impl Hashed {
    fn was(self, digest: &Digest, size: u64) -> bool {
        self.read == size && self.hasher.finish() == *digest
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        self.read += u64::try_from(read).unwrap_or(u64::MAX);
        Ok(read)
    }
}
