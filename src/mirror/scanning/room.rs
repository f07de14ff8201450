//! What reading the layers of one image may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::scan::LayerFacts;

/// Layers of one image that are read at once. Each may take a window of 128 MiB, a file as large, and what
/// is kept of it: of several at once nobody could say what a scan takes.
const READ_AT_ONCE: usize = 1;
/// Bytes of what is kept in memory of all layers of an image, beside those of the first.
const FACTS_BYTES_MAX: usize = 40 * 1024 * 1024;

/// The room for one image.
pub(super) struct Room {
    turn: Semaphore,
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl Room {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self::of(FACTS_BYTES_MAX)
    }

    fn of(bytes_max: usize) -> Self {
        Self { turn: Semaphore::new(READ_AT_ONCE), bytes: AtomicUsize::new(0), bytes_max }
    }

    /// Whose turn it is to be read.
    pub(super) const fn turn(&self) -> &Semaphore {
        &self.turn
    }

    /// `facts`; where they and those before them are more than is kept, only that they are left out, so
    /// that the image is incomplete. A bound holds for each layer by itself, so that one always fits.
    pub(super) fn keep(&self, facts: Arc<LayerFacts>) -> Arc<LayerFacts> {
        let bytes = facts.weight();
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before == 0 || before.saturating_add(bytes) <= self.bytes_max {
            return facts;
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let most = self.bytes_max;
        let text = format!("what the layers of its image say has more than {most} bytes in memory");
        Arc::new(facts.left_out(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Digest;
    use crate::scan::{Layer, Limits, Merged};

    fn facts(name: &str) -> Arc<LayerFacts> {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, std::io::empty()).unwrap();
        let bytes = archive.into_inner().unwrap();
        let digest = Digest::sha256(&bytes);
        Arc::new(LayerFacts::read(&digest, bytes.as_slice(), &Limits::default()).unwrap())
    }

    #[test]
    fn what_is_more_than_is_kept_is_left_out_and_makes_the_image_incomplete() {
        let layers = ["a", "b", "c"].map(facts);
        let both = layers[0].weight() + layers[1].weight();
        for (bytes_max, kept) in [(1, [true, false, false]), (both, [true, true, false])] {
            let room = Room::of(bytes_max);
            let read = layers.each_ref().map(|facts| room.keep(Arc::clone(facts)));
            for ((facts, read), kept) in layers.iter().zip(&read).zip(kept) {
                assert_eq!(facts == read, kept, "{bytes_max}");
                assert_eq!(facts.diff_id(), read.diff_id());
            }
            let layer = |facts: &Arc<LayerFacts>| Layer {
                diff_id: facts.diff_id().copied(),
                facts: Arc::clone(facts),
            };
            let image: Vec<Layer> = read.iter().map(layer).collect();
            let inventory = Merged::of(&image, &|_| true, &Limits::default()).inventory;
            assert!(!inventory.is_complete());
            let text = format!("more than {bytes_max} bytes");
            assert!(inventory.gaps.iter().any(|gap| gap.text.contains(&text)), "{inventory:?}");
        }
    }
}
