//! Signed notes: text, and lines that say who signed it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{NoteSigner, VerifierKey};

/// Largest note in bytes: a checkpoint with a dozen witnesses, of the largest kind of signature, has less.
const NOTE_BYTES_MAX: usize = 64 * 1024;
/// Most signatures that are looked at.
const SIGNATURES_MAX: usize = 64;
/// What a line with a signature begins with.
const SIGNATURE_LINE: &str = "\u{2014} ";

/// Why a text is no signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// No empty line between text and signatures, or nothing on one side of it.
    #[error("it has no text, an empty line and signatures after it")]
    Form,
    /// A line after the text is not a signature.
    #[error("a line below its text is not a signature")]
    Signature,
    /// It is larger than any.
    #[error(
        "it is larger than {NOTE_BYTES_MAX} bytes or has more than {SIGNATURES_MAX} signatures"
    )]
    Size,
}

/// A note: its text, and the signatures below, which are not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signature {
    name: String,
    id: [u8; 4],
    bytes: Vec<u8>,
}

/// Whether a note is signed by a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// By that key.
    Yes,
    /// There is a signature that says it is by that key, and is not.
    Forged,
    /// There is no signature by that key.
    No,
}

impl Note {
    /// Reads `bytes`.
    ///
    /// # Errors
    /// When they are no note.
    pub fn parse(bytes: &str) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Size);
        }
        if bytes.chars().any(|c| c.is_control() && c != '\n') {
            return Err(NoteError::Form);
        }
        let (text, below) = bytes.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let below = below.strip_suffix('\n').filter(|below| !below.is_empty());
        let lines: Vec<&str> = below.ok_or(NoteError::Form)?.split('\n').collect();
        if text.is_empty() {
            return Err(NoteError::Form);
        }
        if lines.len() > SIGNATURES_MAX {
            return Err(NoteError::Size);
        }
        let signatures = lines.into_iter().map(signature).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(NoteError::Signature)?;
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// The text, with its last line break.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether `key` signed it.
    pub fn signed_by(&self, key: &VerifierKey) -> Signed {
        let mut claims = self
            .signatures
            .iter()
            .filter(|signature| signature.name == key.name() && signature.id == key.id())
            .peekable();
        if claims.peek().is_none() {
            return Signed::No;
        }
        let all = claims.all(|signature| key.verifies(&self.text, &signature.bytes));
        if all { Signed::Yes } else { Signed::Forged }
    }
}

fn signature(line: &str) -> Option<Signature> {
    let (name, rest) = line.strip_prefix(SIGNATURE_LINE)?.split_once(' ')?;
    let bytes = STANDARD.decode(rest).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    if name.is_empty() || bytes.is_empty() {
        return None;
    }
    Some(Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

/// `text`, which ends with a line break, signed by `signer`; `None` only if the library refuses to.
pub(super) fn sign(text: &str, signer: &NoteSigner) -> Option<String> {
    let key = signer.public();
    let mut bytes = key.id().to_vec();
    bytes.extend(signer.sign(text)?);
    Some(format!("{text}\n{SIGNATURE_LINE}{} {}\n", key.name(), STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "one\n\ntwo\n";

    #[test]
    fn a_note_is_by_whoever_signed_it_and_nobody_else() {
        let (ours, theirs) =
            (NoteSigner::generate("log.test/a"), NoteSigner::generate("log.test/b"));
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        let again = NoteSigner::generate("log.test/a").unwrap();
        let signed = sign(TEXT, &ours).unwrap();
        let note = Note::parse(&signed).unwrap();
        assert_eq!(note.text(), TEXT);
        assert_eq!(note.signed_by(ours.public()), Signed::Yes);
        assert_eq!(note.signed_by(theirs.public()), Signed::No);
        assert_eq!(note.signed_by(again.public()), Signed::No, "the same name is not the same key");
        let both =
            format!("{signed}{}", sign(TEXT, &theirs).unwrap().rsplit_once("\n\n").unwrap().1);
        let note = Note::parse(&both).unwrap();
        assert_eq!(note.signed_by(ours.public()), Signed::Yes);
        assert_eq!(note.signed_by(theirs.public()), Signed::Yes);
        let changed = Note::parse(&both.replace("two", "three")).unwrap();
        assert_eq!(changed.signed_by(ours.public()), Signed::Forged);
    }

    #[test]
    fn what_is_no_note_is_refused() {
        let line = sign("x\n", &NoteSigner::generate("log.test/a").unwrap()).unwrap();
        let line = line.lines().last().unwrap();
        let many = format!("x\n\n{}", format!("{line}\n").repeat(SIGNATURES_MAX + 1));
        for (text, error) in [
            ("", NoteError::Form),
            ("x\n", NoteError::Form),
            ("x\n\n", NoteError::Form),
            (&format!("x\n{line}\n"), NoteError::Form),
            (&format!("x\n\n{line}"), NoteError::Form),
            (&format!("\n\n{line}\n"), NoteError::Form),
            (&format!("x\r\n\n{line}\n"), NoteError::Form),
            (&format!("x\n\n{}\n", line.replace('\u{2014}', "-")), NoteError::Signature),
            ("x\n\n\u{2014} name AAAA\n", NoteError::Signature),
            ("x\n\n\u{2014} name AAAAAAA=*\n", NoteError::Signature),
            (&many, NoteError::Size),
            (&"x".repeat(NOTE_BYTES_MAX + 1), NoteError::Size),
        ] {
            assert_eq!(Note::parse(text).unwrap_err(), error, "{text:.80}");
        }
        assert!(Note::parse(&format!("x\n\n{line}\n")).is_ok());
    }
}
