//! Fuzz targets for what is read back from the disk: rows, whole backups, and exports of the audit.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::audit::{Body, Chain};
use super::canonical::to_canonical;
use super::policy::InForce;
use super::records::Record;
use super::requests::RequestRow;
use super::rows::Sealed;
use super::sealer::Sealer;
use super::tags::TagRecord;
use super::{Decided, Error, Trust, database, open, restore, tokens, verify_export};
use crate::gate::Grant;
use crate::time::{ManualClock, Timestamp};
use crate::transparency::{Checkpoint, NoteSigner, VerifierKey};

/// The body of a row, read as a row of every table, as if its seal were right.
pub(crate) fn row(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        again(&value);
    }
    as_row::<Record>(text);
    as_row::<Vec<Grant>>(text);
    as_row::<TagRecord>(text);
    as_row::<RequestRow>(text);
    as_row::<tokens::Known>(text);
    as_row::<InForce>(text);
    as_row::<Decided>(text);
    as_row::<Body>(text);
    as_row::<Chain>(text);
}

/// Canonical text read and written again is the same text.
fn again<T: Serialize + DeserializeOwned>(value: &T) {
    let Ok(text) = to_canonical(value) else { return };
    let read = serde_json::from_str::<T>(&text);
    let written = read.ok().and_then(|read| to_canonical(&read).ok());
    assert_eq!(written.as_ref(), Some(&text), "not canonical after all");
}

fn as_row<T: Serialize + DeserializeOwned>(text: &str) {
    const TABLE: &str = "records";
    const SEALER: Sealer = Sealer::plain();
    const KEY: [&str; 2] = ["up.test/app", "x"];
    let Ok(value) = serde_json::from_str::<T>(text) else { return };
    again(&value);
    let Ok(sealed) = Sealed::new(&SEALER, TABLE, &KEY, &value) else { return };
    assert!(
        sealed.open::<T>(&SEALER, TABLE, &KEY).is_ok(),
        "a row that was just sealed does not open"
    );
    assert!(
        sealed.open::<T>(&SEALER, TABLE, &["up.test/appx", ""]).is_err(),
        "the seal binds the key"
    );
    assert!(sealed.open::<T>(&SEALER, "grants", &KEY).is_err(), "the seal binds the table");
    let changed = Sealed { body: format!("{} ", sealed.body), seal: sealed.seal };
    assert!(changed.open::<T>(&SEALER, TABLE, &KEY).is_err(), "the seal binds every byte");
}

/// A backup to be restored in the empty directory `dir`.
pub(crate) fn backup(bytes: &[u8], dir: &Path) -> std::io::Result<()> {
    let from = dir.join("backup");
    std::fs::write(&from, bytes)?;
    let clock = ManualClock::at(Timestamp::from_milliseconds(1_780_000_000_000));
    let restored = restore(&from, dir, false, &clock);
    let path = open::database_path(dir);
    assert_eq!(restored.is_ok(), path.exists(), "all or nothing: {restored:?}");
    if restored.is_ok() {
        assert!(database::check(&path).is_ok(), "what was restored is whole");
        let twice = restore(&from, dir, false, &clock);
        assert!(matches!(twice, Err(Error::Exists { .. })), "nothing is replaced unasked");
    }
    assert!(!dir.join("ledger.db.restoring").exists(), "nothing is left behind");
    Ok(())
}

/// An export of the audit; and its lines as checkpoints and keys.
pub(crate) fn audit(bytes: &[u8]) {
    let told = verify_export(bytes, &Trust::default());
    if let Ok(report) = &told
        && report.is_whole()
    {
        assert!(report.first >= 1 && report.records + 1 >= report.first, "{report:?}");
        // Its last line alone says that it is whole.
        let text = bytes.trim_ascii_end();
        let cut = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let without = verify_export(bytes.get(..cut).unwrap_or_default(), &Trust::default());
        assert!(!without.is_ok_and(|report| report.is_whole()), "whole without its end");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(Checkpoint::parse(checkpoint.as_str()).as_ref(), Ok(&checkpoint));
    }
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string().parse().as_ref(), Ok(&key), "another key");
    }
    if let Ok(signer) = NoteSigner::from_text(text) {
        assert_eq!(signer.public().to_string().parse().as_ref(), Ok(signer.public()));
    }
}
