//! What is bounded in DER before a library reads it.
//!
//! The reader of DER puts the elements of a set in order by insertion, which takes the square of their
//! number: a certificate of 60 kB took seconds, before anybody had looked who signed it.

use super::Refusal;

/// Most elements of a set: names have one or two in each of theirs, timestamps about six attributes.
const SET_LENGTH_MAX: usize = 32;
/// Deepest nesting that is followed; readers give up long before.
const DEPTH_MAX: usize = 32;

const OCTET_STRING: u8 = 0x04;
const SET: u8 = 0x31;
const CONSTRUCTED: u8 = 0x20;
const CLASS: u8 = 0xc0;
const CONTEXT_SPECIFIC: u8 = 0x80;

/// Checks that no set in `der`, called `what`, is large, nor one in an octet string, where extensions
/// and timestamps keep DER of their own. What cannot be read is for who reads it to refuse.
pub(super) fn check_sets(der: &[u8], what: &'static str) -> Result<(), Refusal> {
    if is_within(der, 0) { Ok(()) } else { Err(Refusal::TooLarge(what)) }
}

fn is_within(der: &[u8], depth: usize) -> bool {
    Elements(der).all(|(tag, content)| {
        let is_constructed = tag & CONSTRUCTED != 0;
        // What has a tag of its context may be a set, by its type.
        let may_be_set = tag == SET || (is_constructed && tag & CLASS == CONTEXT_SPECIFIC);
        if may_be_set && Elements(content).nth(SET_LENGTH_MAX).is_some() {
            return false;
        }
        let is_followed = is_constructed || tag == OCTET_STRING;
        !is_followed || (depth < DEPTH_MAX && is_within(content, depth + 1))
    })
}

/// Tag and content of each element of some content, up to the first that is none.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, first], rest) = self.0.split_first_chunk()?;
        let (length, rest) = if first < 0x80 {
            (usize::from(first), rest)
        } else {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let fold =
                |length: usize, byte: &u8| Some(length.checked_mul(256)? + usize::from(*byte));
            (bytes.iter().try_fold(0, fold)?, rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }
}
