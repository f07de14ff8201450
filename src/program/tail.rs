//! The end of what a program says.

use std::collections::VecDeque;

/// Bytes of what a program says that are kept.
const KEPT_BYTES: usize = 4 * 1024;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let new = bytes.get(bytes.len().saturating_sub(KEPT_BYTES)..).unwrap_or(bytes);
        let room = KEPT_BYTES - new.len();
        self.0.drain(..self.0.len().saturating_sub(room));
        self.0.extend(new);
    }

    /// The text, on one line and in printable ASCII: sequences that steer terminals are left out whole.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.0.len());
        let mut bytes = self.0.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            match byte {
                0x1b if bytes.next_if_eq(&b'[').is_some() => {
                    while bytes.next_if(|byte| !(0x40..=0x7e).contains(byte)).is_some() {}
                    bytes.next();
                }
                b' ' | b'\t' | b'\n' | b'\r' if text.ends_with(' ') || text.is_empty() => {}
                b'\t' | b'\n' | b'\r' => text.push(' '),
                b' '..=b'~' => text.push(char::from(byte)),
                _ => text.push('?'),
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(parts: &[&[u8]]) -> String {
        let mut tail = Tail::default();
        for part in parts {
            tail.add(part);
        }
        tail.text()
    }

    #[test]
    fn the_end_is_kept_and_the_beginning_is_not() {
        let long = vec![b'a'; 3 * KEPT_BYTES];
        assert_eq!(said(&[b"first", &long, b"last"]).len(), KEPT_BYTES);
        assert!(said(&[b"first", &long, b"last"]).ends_with("aaaalast"));
        assert_eq!(said(&[&long[..KEPT_BYTES], b"b"]).matches('a').count(), KEPT_BYTES - 1);
        assert_eq!(said(&[&long[..KEPT_BYTES - 1], b"b"]).len(), KEPT_BYTES);
        assert_eq!(said(&[]), "");
    }

    #[test]
    fn nothing_in_it_steers_a_terminal_or_makes_a_line_of_a_log() {
        assert_eq!(said(&[b"\x1b[31mFATAL\x1b[0m\tno\r\n\n database\n"]), "FATAL no database");
        assert_eq!(said(&[b"\x1b[2J\x1b]0;x\x07\xc3\xa9"]), "?]0;x???");
        assert_eq!(said(&[b"\x1b["]), "");
    }
}
