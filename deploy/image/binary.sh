#!/bin/bash
# Builds the static program so that the same source gives the same bytes, wherever it lies:
#   deploy/image/binary.sh [TARGET_DIRECTORY]        prints the path of the program
# The paths of this machine are replaced by fixed ones in what the compilers write down (panic messages, assertions).
set -euo pipefail
PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$PROJECT"
target=$(rustc -vV | sed -n 's/^host: //p')
directory=${1:-$PROJECT/target}
home=${CARGO_HOME:-$HOME/.cargo}
sysroot=$(rustc --print sysroot)
export CARGO_INCREMENTAL=0
export RUSTFLAGS="-C target-feature=+crt-static --remap-path-prefix=$PROJECT=/src --remap-path-prefix=$home=/cargo --remap-path-prefix=$sysroot=/rust --remap-path-prefix=$directory=/target"
# The same for what is written in C (SQLite, the cryptography, zstd).
map="-ffile-prefix-map=$PROJECT=/src -ffile-prefix-map=$home=/cargo -ffile-prefix-map=$directory=/target"
export CFLAGS="${CFLAGS:+$CFLAGS }$map" CXXFLAGS="${CXXFLAGS:+$CXXFLAGS }$map"
# `--target` keeps the static flag away from build scripts and procedural macros, which cannot be static.
cargo build --release --locked --target "$target" --target-dir "$directory" --bin pratique >&2
echo "$directory/$target/release/pratique"
