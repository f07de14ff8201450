//! What `cargo auditable` leaves in a program: compressed JSON of what it was built from.

use std::io::Read;

use flate2::read::ZlibDecoder;
use serde::Deserialize;

use super::Trouble;
use super::json::{self, Items};
use super::listing::Listing;
use crate::scan::{GapKind, Limits};

/// The section that it is in.
pub(super) const SECTION: &[u8] = b".dep-v0\0";
/// Bytes of the list, inflated.
const LIST_BYTES_MAX: u64 = 8 * 1024 * 1024;

#[derive(Deserialize)]
struct List {
    packages: Items<Crate>,
}

#[derive(Deserialize)]
struct Crate {
    name: String,
    version: String,
    #[serde(default)]
    kind: Option<String>,
}

/// Lists the crates that are in the program. What only built it (`build`) is not.
pub(super) fn list(section: &[u8], listing: &mut Listing<'_>, limits: &Limits) {
    match inflated(section).and_then(|text| json::read::<List>(&text, limits)) {
        Err((kind, text)) => listing.gap((kind, format!("its list of Rust crates: {text}"))),
        Ok(list) => {
            for item in list.packages.0.iter().filter(|item| item.kind.as_deref() != Some("build"))
            {
                listing.add(&item.name, &item.version);
            }
        }
    }
}

fn inflated(section: &[u8]) -> Result<Vec<u8>, Trouble> {
    let mut text = Vec::new();
    let read = ZlibDecoder::new(section).take(LIST_BYTES_MAX + 1).read_to_end(&mut text);
    if read.is_err() {
        return Err((GapKind::Malformed, "it cannot be inflated".to_owned()));
    }
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes > LIST_BYTES_MAX) {
        let text = format!("it has more than LIST_BYTES_MAX = {LIST_BYTES_MAX} bytes");
        return Err((GapKind::Limit, text));
    }
    Ok(text)
}
