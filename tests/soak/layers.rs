//! Layers without end out of a little memory: the world must not be what grows.

use bytes::Bytes;

use crate::support::hostile::Seed;
use crate::support::hostile::rig::CLOSED_CANARY;

/// Random bytes that layers are cut from.
const POOL_BYTES: usize = 8 * 1024 * 1024;
/// Largest layer, in bytes.
const LARGE_BYTES: usize = 1_500_000;
/// Most bytes of two layers in three.
const SMALL_BYTES: usize = 20_000;
/// A canary begins so often in a secret pool, and every layer of it holds one.
const CANARY_EVERY: usize = 1024;

/// Where layers come from: each is a part of one pool, which nobody copies.
pub(crate) struct Layers {
    pool: Bytes,
    least_bytes: usize,
}

impl Layers {
    /// Layers that anybody may see.
    pub(crate) fn public(seed: &mut Seed) -> Self {
        Self { pool: seed.bytes(POOL_BYTES).into(), least_bytes: 1 }
    }

    /// Layers that hold [`CLOSED_CANARY`].
    pub(crate) fn secret(seed: &mut Seed) -> Self {
        let mut pool = seed.bytes(POOL_BYTES);
        for part in pool.chunks_exact_mut(CANARY_EVERY) {
            part[..CLOSED_CANARY.len()].copy_from_slice(CLOSED_CANARY.as_bytes());
        }
        Self { pool: pool.into(), least_bytes: CANARY_EVERY + CLOSED_CANARY.len() }
    }

    /// Another layer.
    pub(crate) fn cut(&self, seed: &mut Seed) -> Bytes {
        let more_bytes = if seed.chance(3) { LARGE_BYTES } else { SMALL_BYTES };
        let length = self.least_bytes + seed.below(more_bytes);
        let start = seed.below(self.pool.len() - length);
        self.pool.slice(start..start + length)
    }
}
