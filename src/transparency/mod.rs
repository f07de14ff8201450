//! Transparency logs: a Merkle tree over records, and signed statements of how it stands.
//!
//! The formats are those that other logs, their witnesses and their tools use: the tree of RFC 6962,
//! [signed notes](https://c2sp.org/signed-note) by Ed25519,
//! [checkpoints](https://c2sp.org/tlog-checkpoint) and [proofs](https://c2sp.org/tlog-proof).
//! Everything here is bytes in, bytes out: no file, no clock, no network.

mod checkpoint;
mod key;
mod merkle;
mod note;

pub use checkpoint::{Checkpoint, CheckpointError, Unsigned, tlog_proof};
pub use key::{KeyError, NoteSigner, VerifierKey};
pub use merkle::{Inclusion, NodeHash, Tree, leaf_hash, verify_inclusion};
pub use note::{Note, NoteError, Signed};
