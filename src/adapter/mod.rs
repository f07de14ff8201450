//! Scanners that are programs of their own: asked about one image, and heard in our words.
//!
//! Promises:
//! - A scanner never fetches an image: it gets what was fetched and hashed here, or our bill of materials.
//! - It never brings its database up to date, looks for a newer version of itself, or sends anything; with
//!   the exception of a Trivy server nothing that it does can reach the network. Who keeps its database is
//!   whoever set it up.
//! - No settings file, ignore file or VEX document of the machine changes what it says.
//! - It is heard when it ended well and its whole report was understood; else there is an error, and no
//!   report.
//!
//! It must not judge, or remember what was said.

mod command;
mod error;
mod invocation;

pub use command::{CommandScanner, Job, Prepared, ScannerSettings};
pub use error::AdapterError;
pub use invocation::{ScannerInput, ScannerKind};
