#!/usr/bin/env bash
# Builds every fuzz target for OSS-Fuzz into $OUT, each with its seeds, the dictionary and options.
# Runs in the folder of the repository, in the image of the Dockerfile. Without that image:
#
#   OUT=/tmp/out RUSTUP_TOOLCHAIN=nightly fuzz/oss-fuzz/build.sh
set -euo pipefail
cd "${SRC:+$SRC/landline}" # In the image only.

cargo fuzz build -O
built=fuzz/target/x86_64-unknown-linux-gnu/release

for target in $(cargo fuzz list); do
  cp "$built/$target" "$OUT/"
  zip --quiet --junk-paths --recurse-paths "$OUT/${target}_seed_corpus.zip" "fuzz/corpus/$target"
  cp fuzz/landline.dict "$OUT/$target.dict"
  # No input is larger than a few KiB, so a large allocation can only come from a claim of the peer.
  cat >"$OUT/$target.options" <<'OPTIONS'
[libfuzzer]
timeout = 10
rss_limit_mb = 1024
malloc_limit_mb = 16
OPTIONS
done
