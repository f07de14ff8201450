//! Numbers in bytes, in either order.

/// In which order the bytes of a number stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

impl Order {
    /// The number of two bytes at `at`, if they are there.
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let number = array(bytes, at)?;
        Some(match self {
            Self::Big => u16::from_be_bytes(number),
            Self::Little => u16::from_le_bytes(number),
        })
    }

    /// The number of four bytes at `at`, if they are there.
    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let number = array(bytes, at)?;
        Some(match self {
            Self::Big => u32::from_be_bytes(number),
            Self::Little => u32::from_le_bytes(number),
        })
    }

    /// As `u32`, for what counts or points.
    pub(super) fn size(self, bytes: &[u8], at: usize) -> Option<usize> {
        usize::try_from(self.u32(bytes, at)?).ok()
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// Pages of a file that may be used once each: whoever links them cannot send a reader in circles, nor
/// over the same bytes again and again.
#[derive(Debug)]
pub(super) struct Pages<'a> {
    bytes: &'a [u8],
    size: usize,
    used: Vec<bool>,
}

impl<'a> Pages<'a> {
    /// The whole pages of `size` bytes that `bytes` has.
    pub(super) fn new(bytes: &'a [u8], size: usize) -> Self {
        let count = bytes.len().checked_div(size).unwrap_or(0);
        Self { bytes, size, used: vec![false; count] }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.used.len()
    }

    /// The page of this number, from zero; `None` where there is none.
    pub(super) fn get(&self, number: usize) -> Option<&'a [u8]> {
        let start = number.checked_mul(self.size)?;
        self.bytes.get(start..start.checked_add(self.size)?)
    }

    /// Marks a page as used; `false` where there is none, or where it was used before.
    pub(super) fn claim(&mut self, number: usize) -> bool {
        self.used.get_mut(number).is_some_and(|used| !std::mem::replace(used, true))
    }

    /// As `get`, and the last time that this page is given.
    pub(super) fn take(&mut self, number: usize) -> Option<&'a [u8]> {
        if self.claim(number) { self.get(number) } else { None }
    }
}
