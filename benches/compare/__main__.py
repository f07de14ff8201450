"""Runs the comparison; `benches/compare.sh --help` says how."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

import report
import scale
from measure import Comparison
from servers import Rig

SCRATCH_BYTES_MIN = 12_000_000_000


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))
    if not shutil.which("nginx"):
        sys.exit("nginx is not installed: it is the upstream, nothing can be measured")
    binary = os.path.abspath(options.binary) if os.access(options.binary, os.X_OK) else None
    if shutil.disk_usage(options.scratch).free < SCRATCH_BYTES_MIN:
        sys.exit(f"{options.scratch} has less than {SCRATCH_BYTES_MIN // 10**9} GB free")

    begin, load = time.monotonic(), os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="pratique-bench-", dir=options.scratch) as folder:
        rig = Rig(folder, binary)
        try:
            comparison = Comparison(rig, quick=options.quick)
            if not binary:
                comparison.skip(f"pratique: {options.binary} is not there (cargo build --release)")
            comparison.run()
        finally:
            rig.stop_all()
    seconds = time.monotonic() - begin
    text = report.write(comparison, binary, load, os.getloadavg(), seconds,
                        os.path.join(options.target, "criterion"), options.output)
    with open(options.output, "w") as file:
        file.write(text)
    print(text)
    print(f"written to {options.output}", file=sys.stderr)
    ratio = scale.gates_ratio(comparison)
    if options.guard and (ratio is None or ratio < scale.GATES_RATIO_MIN):
        found = "not measured" if ratio is None else f"{ratio:.3f}"
        sys.exit(f"gates on / gates off is {found}, less than {scale.GATES_RATIO_MIN}")


def arguments():
    benches = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(benches), "target"))
    parser = argparse.ArgumentParser(prog="benches/compare.sh")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, smaller contents")
    parser.add_argument("--guard", action="store_true",
                        help="fail when the gates cost more than they may")
    parser.add_argument("--binary", default=os.path.join(target, "release", "pratique"))
    parser.add_argument("--output", default=os.path.join(benches, "RESULTS.md"))
    parser.add_argument("--scratch", default=tempfile.gettempdir(), help="where 12 GB are free")
    parser.set_defaults(target=target)
    return parser.parse_args()


main()
