//! The secret that lets somebody in for the first time, and after a reset.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};

use super::{NoRandomness, base32, random};
use crate::oci::{Digest, Secret};

/// Random bytes in a secret: far too many to be guessed, so that a plain hash of it is enough.
const SECRET_BYTES: usize = 16;
/// Letters between two hyphens.
const GROUP_LENGTH: usize = 5;
/// Longest text that is compared, in bytes; ours have 31.
const PRESENTED_BYTES_MAX: usize = 128;

/// A one-time secret as it is kept: its hash.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneTimeSecret(Digest);

impl OneTimeSecret {
    /// A new one, and the text that is told this once.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub fn generate() -> Result<(Self, Secret), NoRandomness> {
        let letters = base32::encode(&random::<SECRET_BYTES>()?).to_ascii_lowercase();
        let mut text = String::new();
        for (place, letter) in letters.chars().enumerate() {
            if place > 0 && place % GROUP_LENGTH == 0 {
                text.push('-');
            }
            text.push(letter);
        }
        Ok((Self(hash(&text)), Secret::new(text)))
    }

    /// Whether `presented` is it, in the same time whatever it is. Case, hyphens and space do not count:
    /// it is copied by hand.
    pub fn is(&self, presented: &str) -> bool {
        let hash = hash(presented.get(..PRESENTED_BYTES_MAX).unwrap_or(presented));
        verify_slices_are_equal(self.0.as_bytes(), hash.as_bytes()).is_ok()
            && presented.len() <= PRESENTED_BYTES_MAX
    }
}

impl fmt::Debug for OneTimeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[one-time secret]")
    }
}

fn hash(text: &str) -> Digest {
    let plain = text.chars().filter(|c| *c != '-' && !c.is_whitespace());
    Digest::sha256(plain.collect::<String>().to_ascii_lowercase().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_recognised_as_people_copy_it_and_nothing_else_is() {
        let (kept, told) = OneTimeSecret::generate().unwrap();
        let told = told.expose();
        assert_eq!(told.len(), 31, "{told}");
        for way in
            [told.to_owned(), told.to_uppercase(), told.replace('-', ""), format!(" {told}\n")]
        {
            assert!(kept.is(&way), "{way:?}");
        }
        let long = format!("{told}{}", " ".repeat(200));
        for other in ["", "-", &told[1..], &format!("{told}a"), &long] {
            assert!(!kept.is(other), "{other:?}");
        }
        let (other, _) = OneTimeSecret::generate().unwrap();
        assert!(!other.is(told));
        assert!(!format!("{kept:?}").contains(told));
        assert!(!serde_json::to_string(&kept).unwrap().contains(told));
    }
}
