//! Checkpoints: a signed statement of how many leaves a log has, and of their root.

use std::fmt::Write as _;

use super::note::{Note, NoteError, sign};
use super::{NodeHash, NoteSigner, Signed, Tree, VerifierKey};

/// First line of a proof.
const PROOF: &str = "c2sp.org/tlog-proof@v1";

/// Why a text is no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is no signed note.
    #[error("it is not a signed note: {0}")]
    Note(#[from] NoteError),
    /// Its text is not origin, size and root.
    #[error("its text is not the origin, the size and the root of a log, each on its line")]
    Text,
}

/// What is to be signed.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'a> {
    /// Which log.
    pub origin: &'a str,
    /// How it stands.
    pub tree: &'a Tree,
}

impl Unsigned<'_> {
    /// The checkpoint, signed by `signer`; `None` only if the library refuses to.
    pub fn sign(&self, signer: &NoteSigner) -> Option<Checkpoint> {
        let Self { origin, tree } = self;
        let text = format!("{origin}\n{}\n{}\n", tree.size(), tree.root());
        Checkpoint::parse(&sign(&text, signer)?).ok()
    }
}

/// A checkpoint; its signatures are not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: NodeHash,
    note: Note,
    whole: String,
}

impl Checkpoint {
    /// Reads `text`.
    ///
    /// # Errors
    /// When it is no checkpoint.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let note = Note::parse(text)?;
        let (origin, size, root) = fields(note.text()).ok_or(CheckpointError::Text)?;
        Ok(Self { origin, size, root, whole: text.to_owned(), note })
    }

    /// Which log it is of.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// How many leaves it covers.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of these leaves.
    pub const fn root(&self) -> &NodeHash {
        &self.root
    }

    /// The text that was read, signatures and all.
    pub fn as_str(&self) -> &str {
        &self.whole
    }

    /// Whether `key` signed it.
    pub fn signed_by(&self, key: &VerifierKey) -> Signed {
        self.note.signed_by(key)
    }
}

/// Origin, size and root; lines below them are left alone, as the format wants it.
fn fields(text: &str) -> Option<(String, u64, NodeHash)> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
    let is_decimal = size.bytes().all(|byte| byte.is_ascii_digit());
    let leads_with_zero = size.len() > 1 && size.starts_with('0');
    if origin.is_empty() || !is_decimal || leads_with_zero || lines.any(str::is_empty) {
        return None;
    }
    Some((origin.to_owned(), size.parse().ok()?, NodeHash::parse(root)?))
}

/// The proof that the leaf at `index` is in the log of `checkpoint`, in the text that other tools read.
///
/// Spec: <https://c2sp.org/tlog-proof>
pub fn tlog_proof(index: u64, inclusion: &[NodeHash], checkpoint: &Checkpoint) -> String {
    let mut text = format!("{PROOF}\nindex {index}\n");
    for hash in inclusion {
        let _infallible = writeln!(text, "{hash}");
    }
    format!("{text}\n{}", checkpoint.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: &str = "log.test/audit";

    fn tree(leaves: u8) -> Tree {
        let mut tree = Tree::default();
        (0..leaves).for_each(|leaf| tree.push(&[leaf]));
        tree
    }

    #[test]
    fn a_checkpoint_says_what_was_signed() {
        let signer = NoteSigner::generate(ORIGIN).unwrap();
        for leaves in [0, 1, 7] {
            let tree = tree(leaves);
            let checkpoint = Unsigned { origin: ORIGIN, tree: &tree }.sign(&signer).unwrap();
            let read = Checkpoint::parse(checkpoint.as_str()).unwrap();
            assert_eq!(read, checkpoint);
            assert_eq!(
                (read.origin(), read.size(), *read.root()),
                (ORIGIN, leaves.into(), tree.root())
            );
            assert_eq!(read.signed_by(signer.public()), Signed::Yes);
            let lines: Vec<&str> = checkpoint.as_str().lines().collect();
            assert_eq!(lines[..2], [ORIGIN, &leaves.to_string()]);
            assert!(lines[4].starts_with(&format!("\u{2014} {ORIGIN} ")), "{lines:?}");
        }
    }

    #[test]
    fn what_is_no_checkpoint_is_refused() {
        let signer = NoteSigner::generate(ORIGIN).unwrap();
        let root = tree(3).root();
        let note = |text: String| sign(&text, &signer).unwrap();
        let with_extension = note(format!("{ORIGIN}\n3\n{root}\nmore\n"));
        assert_eq!(Checkpoint::parse(&with_extension).unwrap().size(), 3);
        for text in [
            note(format!("{ORIGIN}\n3\n")),
            note(format!("\n3\n{root}\n")),
            note(format!("{ORIGIN}\n03\n{root}\n")),
            note(format!("{ORIGIN}\n+3\n{root}\n")),
            note(format!("{ORIGIN}\n-3\n{root}\n")),
            note(format!("{ORIGIN}\n99999999999999999999\n{root}\n")),
            note(format!("{ORIGIN}\n3\n{}\n", &root.to_string()[4..])),
            note(format!("{ORIGIN}\n3\n{root}\n\nmore\n")),
        ] {
            assert_eq!(Checkpoint::parse(&text).unwrap_err(), CheckpointError::Text, "{text}");
        }
        let error = Checkpoint::parse("x").unwrap_err();
        assert_eq!(error, CheckpointError::Note(NoteError::Form));
    }

    #[test]
    fn a_proof_is_text_with_the_checkpoint_below() {
        let signer = NoteSigner::generate(ORIGIN).unwrap();
        let checkpoint = Unsigned { origin: ORIGIN, tree: &tree(3) }.sign(&signer).unwrap();
        let hash = *checkpoint.root();
        let text = tlog_proof(2, &[hash], &checkpoint);
        let expected =
            format!("c2sp.org/tlog-proof@v1\nindex 2\n{hash}\n\n{}", checkpoint.as_str());
        assert_eq!(text, expected);
    }
}
