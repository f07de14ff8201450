//! The list in Microsoft's images without rpm: a package on each line, its fields parted by tabs, as
//! rpm wrote them when the image was made.

use super::{Epochs, Fault, Headers, Identity};
use crate::scan::Package;
use crate::scan::catalog::system::collector::{lines, shown, token};

/// Name, version-release, two times, vendor, epoch, size, architecture, epoch again, source.
const FIELDS: usize = 10;

/// Reads the list.
pub(super) fn read(bytes: &[u8], headers: &mut Headers<'_, '_>) {
    for line in lines(bytes).filter(|line| !line.is_empty()) {
        if !headers.take_package(|path, epochs| package(line, path, epochs)) {
            break;
        }
    }
}

fn package(line: &[u8], path: &str, epochs: &mut Epochs) -> Result<Option<Package>, Fault> {
    let broken = || Fault::malformed(format!("a line that is no package: {}", shown(line)));
    let fields: Vec<&[u8]> = line.splitn(FIELDS + 1, |&byte| byte == b'\t').collect();
    let Ok([name, version, _, _, _, _, _, architecture, epoch, source]) =
        <[&[u8]; FIELDS]>::try_from(fields)
    else {
        return Err(broken());
    };
    if name == b"gpg-pubkey" {
        return Ok(None);
    }
    let hyphen = version.iter().rposition(|&byte| byte == b'-').ok_or_else(broken)?;
    let (version, release) = version.split_at_checked(hyphen).ok_or_else(broken)?;
    let epoch = token(epoch).and_then(|epoch| epoch.parse().ok()).ok_or_else(broken)?;
    let identity = Identity {
        name,
        version,
        release: release.strip_prefix(b"-").unwrap_or(release),
        epoch: Some(epoch),
        source_rpm: Some(source).filter(|source| *source != b"(none)"),
    };
    let mut package = identity.package(path, epochs)?;
    package.architecture = Some(token(architecture).ok_or_else(broken)?.to_owned());
    Ok(Some(package))
}
