"""Measures the scan gate; `benches/scan.sh --help` says how."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

BENCHES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[1:1] = [os.path.join(BENCHES, "compare"), os.path.join(os.path.dirname(BENCHES), "tests", "tools")]

import again  # noqa: E402
import beside  # noqa: E402
import figures  # noqa: E402
import pull  # noqa: E402
import tree  # noqa: E402
from servers import Rig  # noqa: E402

SCRATCH_BYTES_MIN = 6_000_000_000
PARTS = {"pull": pull.measure, "again": again.measure, "beside": beside.measure}


class Run:
    """What the parts need, and what they found."""

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.quick, self.rounds = options.quick, options.rounds or (2 if options.quick else 7)
        self.binary = os.path.abspath(options.binary)
        self.rig = Rig(folder, self.binary)
        self.skipped, self.samples, self.facts = [], {}, {}

    def say(self, text):
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)

    def skip(self, text):
        self.say(f"left out: {text}")
        self.skipped.append(text)

    def each_round(self, title, contestants, measure):
        """`measure` for each of them in turn, another first in each round."""
        for turn in range(self.rounds):
            first = turn % len(contestants)
            for name in contestants[first:] + contestants[:first]:
                self.say(f"{title}: round {turn + 1} of {self.rounds}, {name}")
                self.samples.setdefault(title, {}).setdefault(name, []).append(measure(name))


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("out of time"))
    if not os.access(options.binary, os.X_OK):
        sys.exit(f"{options.binary} is not there (cargo build --release)")
    wanted = [part for part in options.only.split(",") if part]
    if set(wanted) - PARTS.keys():
        sys.exit(f"--only takes {', '.join(PARTS)}")
    if shutil.disk_usage(options.scratch).free < SCRATCH_BYTES_MIN:
        sys.exit(f"{options.scratch} has less than {SCRATCH_BYTES_MIN // 10**9} GB free")
    begin, load = time.monotonic(), os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="pratique-bench-", dir=options.scratch) as folder:
        run = Run(options, folder)
        try:
            run.say("making the image")
            run.image = tree.image(options, run.rig.root)
            for part in wanted:
                PARTS[part](run)
        finally:
            run.rig.stop_all()
    text = figures.section_of(run, load, time.monotonic() - begin)
    print(text)
    figures.put(text, options.output)
    print(f"written to {options.output}", file=sys.stderr)


def arguments():
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(os.path.dirname(BENCHES), "target"))
    parser = argparse.ArgumentParser(prog="benches/scan.sh")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and images")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--binary", default=os.path.join(target, "release", "pratique"))
    parser.add_argument("--output", default=os.path.join(BENCHES, "RESULTS.md"))
    parser.add_argument("--scratch", default=tempfile.gettempdir(), help="where 6 GB are free")
    parser.add_argument("--tree", help="a root file system to make the image of")
    parser.add_argument("--syft", help="the program")
    parser.add_argument("--kept", required=True, help="where things are that are made once")
    return parser.parse_args()


main()
