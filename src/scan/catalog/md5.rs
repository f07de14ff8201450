//! MD5: dpkg, and rpm of old, have no other checksums of files.
//!
//! Nothing is kept safe by it; see [`super::Checksum`].
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc1321>

const BLOCK_BYTES: usize = 64;
/// Bytes of the length at the end.
const LENGTH_BYTES: usize = 8;
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// By how much each step of a round turns.
const TURNS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
/// The sine of each step's number.
#[rustfmt::skip]
const SINES: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee, 0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be, 0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa, 0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed, 0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c, 0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05, 0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039, 0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1, 0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// The checksum of all of `bytes`.
pub(super) fn md5(bytes: &[u8]) -> [u8; 16] {
    let mut state = START;
    let blocks = bytes.chunks_exact(BLOCK_BYTES);
    let mut last = blocks.remainder().to_vec();
    for block in blocks {
        state = mixed(state, block);
    }
    last.push(0x80);
    let padded = (last.len() + LENGTH_BYTES).next_multiple_of(BLOCK_BYTES);
    last.resize(padded - LENGTH_BYTES, 0);
    let bits = u64::try_from(bytes.len()).unwrap_or(u64::MAX).wrapping_mul(8);
    last.extend(bits.to_le_bytes());
    for block in last.chunks_exact(BLOCK_BYTES) {
        state = mixed(state, block);
    }
    let mut digest = [0; 16];
    for (place, word) in digest.chunks_exact_mut(4).zip(state) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    digest
}

fn mixed(state: [u32; 4], block: &[u8]) -> [u32; 4] {
    let mut words = [0_u32; 16];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes.try_into().map_or(0, u32::from_le_bytes);
    }
    let [mut a, mut b, mut c, mut d] = state;
    let steps = SINES.chunks_exact(16).zip(TURNS).enumerate();
    for (round, (sines, turns)) in steps {
        for (step, (sine, turn)) in sines.iter().zip(turns.iter().cycle()).enumerate() {
            let (mix, at) = match round {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), 5 * step + 1),
                2 => (b ^ c ^ d, 3 * step + 5),
                _ => (c ^ (b | !d), 7 * step),
            };
            let word = words.get(at % 16).copied().unwrap_or(0);
            let sum = a.wrapping_add(mix).wrapping_add(*sine).wrapping_add(word);
            (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(*turn)));
        }
    }
    let mut mixed = state;
    for (sum, word) in mixed.iter_mut().zip([a, b, c, d]) {
        *sum = sum.wrapping_add(word);
    }
    mixed
}

#[cfg(test)]
mod tests {
    use super::md5;

    #[test]
    fn the_suite_of_the_standard() {
        for (text, digest) in [
            ("", "d41d8cd98f00b204e9800998ecf8427e"),
            ("a", "0cc175b9c0f1b6a831c399e269772661"),
            ("abc", "900150983cd24fb0d6963f7d28e17f72"),
            ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
            ("abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"),
            (&"1234567890".repeat(8), "57edf4a22be3c955ac49da2e2107b67a"),
        ] {
            assert_eq!(hex::encode(md5(text.as_bytes())), digest, "{text}");
        }
        let lengths = (0..200).map(|length| md5(&vec![b'x'; length]));
        assert_eq!(lengths.collect::<std::collections::BTreeSet<_>>().len(), 200);
    }
}
