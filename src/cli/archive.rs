//! Images in one file: what `docker save`, `podman save`, `skopeo copy` and `crane pull` write, as a tar
//! archive, unpacked into an image layout that everything else reads.
//!
//! Promises: only plain names below the folder are written, each a regular file; what an archive says of
//! itself decides nothing but which of its files are the image; everything is bounded.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;
use serde_json::{Value, json};
use tar::{Archive, EntryType};

use super::CliError;
use crate::layout::Layout;
use crate::oci::{Algorithm, Digest, LAYERS_MAX, MANIFEST_BYTES_MAX, MediaType, from_strict_slice};

/// Most entries of an archive.
const ENTRIES_MAX: usize = 100_000;
/// Most bytes that are unpacked.
const BYTES_MAX: u64 = 64 << 30;
/// Longest name of an entry that is looked at, in bytes: a folder and a file, each a digest.
const NAME_BYTES_MAX: usize = 256;
/// Most images of an archive.
const IMAGES_MAX: usize = 1_000;
/// The list of images in an archive of Docker.
const DOCKER_LIST: &str = "manifest.json";
/// A layer that is not compressed, as far as its type says.
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// How much is read at once.
const CHUNK_BYTES: usize = 256 << 10;

/// One image of an archive of Docker.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The layout at `path`: a folder, or an archive, which is unpacked into `scratch`. Blocks.
///
/// # Errors
/// When it cannot be read, or is neither.
pub(super) fn open_layout(path: &Path, scratch: &Path) -> Result<Layout, CliError> {
    let unreadable = |error| {
        CliError::unreachable(format!("{} could not be read", path.display())).caused_by(error)
    };
    if !path.is_file() {
        return Layout::open(path).map_err(|error| {
            CliError::unreachable("the layout could not be read").caused_by(error)
        });
    }
    fs::create_dir_all(scratch).map_err(unreadable)?;
    let mut unpacked = Unpacked { folder: scratch.to_owned(), files: BTreeMap::new() };
    unpacked.fill(File::open(path).map_err(unreadable)?).map_err(unreadable)?;
    if !Layout::is_at(scratch) {
        unpacked.lay_out().map_err(unreadable)?;
    }
    Layout::open(scratch).map_err(|error| {
        CliError::unreachable(format!("{} holds no image", path.display())).caused_by(error)
    })
}

/// The files of an archive.
struct Unpacked {
    folder: PathBuf,
    /// By the names in the archive: where they are, or what they are a link to.
    files: BTreeMap<String, Content>,
}

enum Content {
    File(PathBuf),
    /// The name of the file that it stands for.
    Link(String),
}

impl Unpacked {
    fn fill(&mut self, file: File) -> io::Result<()> {
        let mut reader = BufReader::with_capacity(CHUNK_BYTES, file);
        let mut magic = [0; 4];
        let read = reader.read(&mut magic)?;
        reader.rewind()?;
        let head = magic.get(..read).unwrap_or_default();
        let inflated: Box<dyn Read> = if head.starts_with(&[0x1f, 0x8b]) {
            Box::new(MultiGzDecoder::new(reader))
        } else if head == [0x28, 0xb5, 0x2f, 0xfd] {
            Box::new(zstd::Decoder::new(reader)?)
        } else {
            Box::new(reader)
        };
        let mut archive = Archive::new(inflated.take(BYTES_MAX));
        for (number, entry) in archive.entries()?.enumerate() {
            if number >= ENTRIES_MAX {
                return Err(wrong(format!("it has more than {ENTRIES_MAX} entries")));
            }
            self.take(&mut entry?)?;
        }
        Ok(())
    }

    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<()> {
        let Some(name) = plain(&entry.path_bytes()) else { return Ok(()) };
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let place = self.folder.join(&name);
                if let Some(folder) = place.parent() {
                    fs::create_dir_all(folder)?;
                }
                let mut file = File::create(&place)?;
                let size = entry.size();
                if io::copy(entry, &mut file)? != size {
                    return Err(wrong("it ends too early".to_owned()));
                }
                self.files.insert(name, Content::File(place));
            }
            EntryType::Symlink | EntryType::Link => {
                let is_symbolic = entry.header().entry_type() == EntryType::Symlink;
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = String::from_utf8_lossy(&target).into_owned();
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                let target = if is_symbolic { beside(folder, &target) } else { Some(target) };
                let target = target.and_then(|target| plain(target.as_bytes()));
                self.files.extend(target.map(|target| (name, Content::Link(target))));
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the file `name` of the archive is.
    fn place(&self, name: &str) -> io::Result<&Path> {
        let missing = || wrong(format!("it lacks {name:?}"));
        let name = plain(name.as_bytes()).ok_or_else(missing)?;
        match self.files.get(&name).ok_or_else(missing)? {
            Content::File(place) => Ok(place),
            Content::Link(target) => match self.files.get(target) {
                Some(Content::File(place)) => Ok(place),
                Some(Content::Link(_)) | None => Err(missing()),
            },
        }
    }

    /// Makes a layout of an archive of Docker.
    fn lay_out(&self) -> io::Result<()> {
        let list = self
            .place(DOCKER_LIST)
            .map_err(|_absent| wrong(format!("it has neither oci-layout nor {DOCKER_LIST}")))?;
        let list = read_up_to(list, MANIFEST_BYTES_MAX)?;
        let images: Vec<DockerImage> = from_strict_slice(&list)
            .map_err(|error| wrong(format!("its {DOCKER_LIST} is not well formed: {error}")))?;
        if images.len() > IMAGES_MAX {
            return Err(wrong(format!("it has more than {IMAGES_MAX} images")));
        }
        let mut listed = Vec::new();
        let mut kept = BTreeMap::new();
        for image in &images {
            self.lay_out_image(image, &mut kept, &mut listed)?;
        }
        let index =
            json!({"schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": listed});
        fs::write(self.folder.join("index.json"), index.to_string())?;
        fs::write(self.folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
    }

    fn lay_out_image(
        &self,
        image: &DockerImage,
        kept: &mut BTreeMap<String, Value>,
        listed: &mut Vec<Value>,
    ) -> io::Result<()> {
        if image.layers.len() > LAYERS_MAX {
            return Err(wrong(format!("an image of it has more than {LAYERS_MAX} layers")));
        }
        let config = self.keep(&image.config, MediaType::OCI_CONFIG, kept)?;
        // Whatever they are compressed with is told by their first bytes.
        let layers = image.layers.iter().map(|layer| self.keep(layer, LAYER_TYPE, kept));
        let layers: Vec<Value> = layers.collect::<io::Result<_>>()?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OCI_MANIFEST,
            "config": config,
            "layers": layers,
        });
        let manifest = manifest.to_string();
        let digest = Digest::sha256(manifest.as_bytes());
        fs::write(self.blob(&digest)?, &manifest)?;
        let descriptor = json!({
            "mediaType": MediaType::OCI_MANIFEST, "digest": digest, "size": manifest.len(),
        });
        let tags = image.repo_tags.as_deref().unwrap_or_default();
        if tags.is_empty() {
            listed.push(descriptor);
            return Ok(());
        }
        for tag in tags {
            let mut named = descriptor.clone();
            if let Some(named) = named.as_object_mut() {
                let names = json!({"org.opencontainers.image.ref.name": tag});
                named.insert("annotations".to_owned(), names);
            }
            listed.push(named);
        }
        Ok(())
    }

    /// Puts the file `name` among the blobs, and gives its descriptor.
    fn keep(
        &self,
        name: &str,
        media_type: &str,
        kept: &mut BTreeMap<String, Value>,
    ) -> io::Result<Value> {
        if let Some(known) = kept.get(name) {
            return Ok(known.clone());
        }
        let place = self.place(name)?;
        let mut file = File::open(place)?;
        let mut hasher = Algorithm::Sha256.hasher();
        let (mut chunk, mut size) = (vec![0; CHUNK_BYTES], 0_u64);
        loop {
            let read = file.read(&mut chunk)?;
            if read == 0 {
                break;
            }
            hasher.update(chunk.get(..read).unwrap_or_default());
            size += u64::try_from(read).unwrap_or(0);
        }
        let digest = hasher.finish();
        let blob = self.blob(&digest)?;
        if !blob.exists() {
            fs::hard_link(place, &blob)?;
        }
        let descriptor = json!({"mediaType": media_type, "digest": digest, "size": size});
        kept.insert(name.to_owned(), descriptor.clone());
        Ok(descriptor)
    }

    fn blob(&self, digest: &Digest) -> io::Result<PathBuf> {
        let folder = self.folder.join("blobs").join(digest.algorithm().as_str());
        fs::create_dir_all(&folder)?;
        Ok(folder.join(digest.hex()))
    }
}

/// `name` without what means nothing in it; `None` when it is not plain, or leads elsewhere.
fn plain(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let is_plain = |part: &&str| {
        part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+=".contains(&byte))
            && **part != *".."
    };
    let fits =
        !parts.is_empty() && name.len() <= NAME_BYTES_MAX && parts.iter().all(|it| is_plain(it));
    fits.then(|| parts.join("/"))
}

/// What `target` means in `folder`, both within the archive.
fn beside(folder: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn read_up_to(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(wrong(format!("its {DOCKER_LIST} is larger than {most} bytes")));
    }
    Ok(bytes)
}

fn wrong(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Which;

    const CONFIG: &str =
        r#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;

    /// A file, or a link: name, kind, contents or target.
    type Entry<'a> = (&'a str, EntryType, &'a [u8]);

    fn tar_of(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            // As hostile archives do: names that no builder lets through.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_mode(0o644);
            if *kind == EntryType::Regular {
                header.set_size(u64::try_from(content.len()).unwrap());
                header.set_cksum();
                builder.append(&header, *content).unwrap();
            } else {
                header.as_old_mut().linkname[..content.len()].copy_from_slice(content);
                header.set_size(0);
                header.set_cksum();
                builder.append(&header, io::empty()).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn opened(archive: &[u8]) -> Result<(Layout, tempfile::TempDir), String> {
        let folder = tempfile::tempdir().unwrap();
        let (file, scratch) = (folder.path().join("image.tar"), folder.path().join("scratch"));
        fs::write(&file, archive).unwrap();
        let layout = open_layout(&file, &scratch).map_err(|error| error.chain())?;
        Ok((layout, folder))
    }

    const FILE: EntryType = EntryType::Regular;

    fn docker(list: &str) -> Vec<u8> {
        tar_of(&[
            ("manifest.json", FILE, list.as_bytes()),
            ("c.json", FILE, CONFIG.as_bytes()),
            ("a/layer.tar", FILE, b"a layer"),
            ("b/layer.tar", EntryType::Symlink, b"../a/layer.tar"),
        ])
    }

    const LIST: &str = r#"[{"Config":"c.json","RepoTags":["app:1","app:2"],"Layers":["a/layer.tar","b/layer.tar"]}]"#;

    #[test]
    fn what_docker_saves_is_a_layout_with_its_tags() {
        use std::io::Write as _;
        let plain = docker(LIST);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
        for archive in [plain, gzip.finish().unwrap(), zstd] {
            let (layout, _folder) = opened(&archive).unwrap();
            let one = layout.select(&Which::Named("app:1".to_owned())).unwrap();
            assert_eq!(layout.select(&Which::Named("app:2".to_owned())).unwrap(), one);
            let manifest = layout.read(&one, MANIFEST_BYTES_MAX).unwrap().unwrap();
            let manifest: Value = serde_json::from_slice(&manifest).unwrap();
            let layer = Digest::sha256(b"a layer");
            let digests =
                manifest["layers"].as_array().unwrap().iter().map(|it| it["digest"].clone());
            assert_eq!(digests.collect::<Vec<_>>(), [json!(layer), json!(layer)]);
            assert!(layout.check(&layer, 7).unwrap());
            assert!(layout.check(&Digest::sha256(CONFIG.as_bytes()), 78).is_ok());
        }
    }

    #[test]
    fn an_archive_of_a_layout_is_that_layout() {
        let manifest = json!({"schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "layers": [],
            "config": {"mediaType": MediaType::OCI_CONFIG, "size": 2, "digest": Digest::sha256(b"{}")}});
        let manifest = manifest.to_string();
        let digest = Digest::sha256(manifest.as_bytes());
        let index = json!({"schemaVersion": 2, "manifests": [
            {"mediaType": MediaType::OCI_MANIFEST, "digest": digest, "size": manifest.len()}]});
        let archive = tar_of(&[
            ("./blobs/sha256/", EntryType::Directory, b""),
            ("./oci-layout", FILE, br#"{"imageLayoutVersion":"1.0.0"}"#),
            ("./index.json", FILE, index.to_string().as_bytes()),
            (&format!("./blobs/sha256/{}", digest.hex()), FILE, manifest.as_bytes()),
        ]);
        let (layout, _folder) = opened(&archive).unwrap();
        assert_eq!(layout.select(&Which::Only).unwrap(), digest);
    }

    #[test]
    fn nothing_is_written_elsewhere_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("in/scratch");
        fs::create_dir_all(&scratch).unwrap();
        let archive = tar_of(&[
            ("../out", FILE, b"x"),
            ("/absolute", FILE, b"x"),
            ("a/../../out", FILE, b"x"),
            ("link", EntryType::Symlink, b"/etc/passwd"),
            ("up", EntryType::Symlink, b"../../out"),
            ("link/passwd", FILE, b"x"),
            ("manifest.json", FILE, br#"[{"Config":"link","Layers":[]}]"#),
        ]);
        let file = folder.path().join("image.tar");
        fs::write(&file, archive).unwrap();
        let error = open_layout(&file, &scratch).unwrap_err().chain();
        assert!(error.contains("it lacks \"link\""), "{error}");
        let names = |path: &Path| fs::read_dir(path).unwrap().count();
        assert_eq!((names(folder.path()), names(&folder.path().join("in"))), (2, 1));
        assert_eq!(fs::read(scratch.join("link/passwd")).unwrap(), b"x");
        assert_eq!(fs::read(scratch.join("absolute")).unwrap(), b"x");
    }

    #[test]
    fn what_is_no_image_says_why() {
        for (archive, expected) in [
            (b"no archive at all".to_vec(), "could not be read"),
            (tar_of(&[("a", FILE, b"x")]), "it has neither oci-layout nor manifest.json"),
            (docker("[{}]"), "manifest.json is not well formed"),
            (docker("not json"), "manifest.json is not well formed"),
            (docker(r#"[{"Config":"../c.json","Layers":[]}]"#), "it lacks \"../c.json\""),
            (docker(r#"[{"Config":"c.json","Layers":["gone"]}]"#), "it lacks \"gone\""),
            (docker(LIST)[..3000].to_vec(), "could not be read"),
            (tar_of(&[("oci-layout", FILE, b"{}")]), "holds no image"),
        ] {
            let error = opened(&archive).err().unwrap_or_default();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
