"""The report of a run, as Markdown."""

import glob
import json
import os
import platform
import re
import subprocess
import time
from statistics import median

import measure
import scale
import targets

# Contestants in the order of the tables.
ORDER = ["direct", "direct, to disk", "upstream", "one client, at the upstream", "nginx",
         "nginx, warm", "docker-registry, direct", "docker-registry", "gates off: allow all",
         "gates off: mode audit",          "gates on: signature required", "pratique", "pratique, cold", "pratique, warm"]
SHOWN = {"upstream": "no mirror: all at the upstream",
         "direct": "no mirror: at the upstream",
         "direct, to disk": "no mirror, written to disk and synced"}


# Between these, the file has what benches/scan.sh measured.
SCANNING = ("<!-- scan.sh -->\n", "<!-- end of scan.sh -->\n")


def scanning(path):
    """What another script wrote into the file that is written anew."""
    try:
        with open(path) as file:
            text = file.read()
    except OSError:
        return None
    begin, end = (text.find(mark) for mark in SCANNING)
    return text[begin:end] + SCANNING[1] if 0 <= begin < end else None


def write(comparison, binary, load_before, load_after, seconds, criterion, output):
    """The whole text."""
    parts = [
        "# Figures\n\nWritten by `benches/compare.sh`; every figure can be had again with that one"
        " command.\nFigures of different runs or machines do not compare; figures within this run"
        " do: contestants took turns, repetition by repetition.\n",
        environment(binary, comparison, load_before, load_after, seconds), reached(comparison),
        warm_blob(comparison, "warm blob", f"Warm blob of 1 GB, plain HTTP, {measure.PLAIN_CONNECTIONS}"
                  " connections at once", "Both connections fetch the whole blob."),
        warm_blob(comparison, "warm blob, TLS", "Warm blob of 1 GB, TLS 1.3, one connection",
                  "One connection, because the client's decryption needs the other core."
                  + ciphers(comparison)),
        manifests(comparison, "warm manifest by tag", "Warm manifest by tag, "
                  f"{measure.MANIFEST_CONNECTIONS} kept connections",
                  "pratique: with the verdict of the gate, `tag_ttl = \"60s\"`. nginx: a file of the"
                  f" same {comparison.images['small'].manifest_bytes} bytes."),
        manifests(comparison, "warm manifest by digest", "Warm manifest by digest, "
                  f"{measure.MANIFEST_CONNECTIONS} kept connections",
                  "The same manifest, by its digest."),
        cold(comparison), slow_upstream(comparison), herd(comparison), crowd(comparison),
        flood(comparison), gates(comparison), sizes(comparison), memory(comparison),
        parts_of(criterion), scanning(output), tried(), not_measured(comparison),
    ]
    return "\n".join(part for part in parts if part)


def environment(binary, comparison, before, after, seconds):
    rows = [
        ("Processor", f"{processor()}, {os.cpu_count()} cores"),
        ("Kernel", platform.release()),
        ("Memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("Date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
        ("Load average before and after", f"{before[0]:.1f}, {after[0]:.1f}"),
        ("Run", f"{'quick, ' if comparison.quick else ''}{comparison.repetitions} repetitions,"
         f" {seconds:.0f} s"),
        ("pratique", said([binary, "--version"]) if binary else "absent"),
        ("docker-registry", said(["docker-registry", "--version"])),
        ("nginx", said(["nginx", "-v"])),
        ("wrk", said(["wrk", "-v"])),
    ]
    table = ["| | |", "|---|---|"] + [f"| {name} | {value} |" for name, value in rows]
    return "\n".join(table) + f"""

Medians, lowest and highest in brackets.{busy(before)}
Everything on loopback; contents are in the page cache; the upstream is an nginx with static files.
CPU is user and system time of the server's processes as the kernel counts it; on loopback that
includes a part of the receiver's work, for everyone alike.
Clients on plain connections let the kernel discard what comes. What each contestant serves was
compared with its digest before the measurement.
nginx checks nothing and decides nothing: it is the floor. It and docker-registry write no access
log; pratique runs as it comes: gates on, `trust: allow`, its log at `info`.
docker-registry is in proxy mode, descriptors cached in memory; "direct" is one with its own data.
"""


def busy(load):
    """A warning when the machine had other work as the run began."""
    if load[0] < 0.5:
        return ""
    return (f"\n**The machine was not quiet** (load {load[0]:.1f} as the run began): wall times are"
            " those of a shared machine; CPU figures and ratios suffer less.")


def warm_blob(comparison, title, heading, note):
    rows = rows_of(comparison, title, [
        ("GB/s", "gb_per_second", 2), ("CPU s per GB", "cpu_per_gb", 3)])
    return section(heading, note, rows)


def manifests(comparison, title, heading, note):
    rows = rows_of(comparison, title, [
        ("requests/s", "per_second", 0), ("CPU µs each", "cpu_us", 1), ("p50 ms", "p50", 2),
        ("p99 ms", "p99", 2), ("upstream requests each", "asked", 2)])
    return section(heading, note, rows)


def cold(comparison):
    rows = rows_of(comparison, "cold pull", [
        ("seconds", "seconds", 2), ("CPU s per GB", "cpu_per_gb", 2), ("upstream GETs", "gets", 0)])
    return section("Cold pull of an image with one layer of 1 GB",
                   "Manifest by tag, configuration, layer, one after the other; each time a server"
                   " that was started for it, with an empty cache. CPU includes what is still done"
                   " after the client has everything.", rows)


def herd(comparison):
    rows = rows_of(comparison, "herd", [
        ("seconds until the last has it", "seconds", 2), ("CPU s per GB served", "cpu_per_gb", 2),
        ("upstream GETs", "gets", 0)])
    return section(f"{measure.HERD_CLIENTS} clients at once on one cold blob of 64 MiB",
                   "Every repetition a blob that was not asked for before.", rows)


def reached(comparison):
    words = {True: "yes", False: "**no**", None: ""}
    lines = [row(["", "to reach", "measured", "reached"]), row(["---"] * 4)]
    lines += [row([what, target, text, words[bool(good) if good is not None else None]])
              for what, target, text, good in targets.rows(comparison)]
    return section("What was to be reached", "Medians of this run.", "\n".join(lines))


def slow_upstream(comparison):
    megabytes = scale.SLOW_BYTES_PER_SECOND / 2**20
    return section("Cold blob of 256 MiB, every upstream connection limited",
                   f"The upstream gives {megabytes:.0f} MiB/s to each request. The blob alone, one"
                   " client.",
                   rows_of(comparison, "slow upstream",
                           [("seconds", "seconds", 2), ("CPU s per GB", "cpu_per_gb", 2)]))


def crowd(comparison):
    return section(f"{scale.CROWD_CLIENTS} clients at once on one blob of"
                   f" {comparison.crowd_bytes / 1e9:.2g} GB",
                   "One process asks for all of them by epoll, and the kernel throws the bytes away."
                   " Memory: the most anonymous memory meanwhile, less that before, for each client."
                   " One run each.",
                   rows_of(comparison, "crowd", [
                       ("seconds until the last has it", "seconds", 2),
                       ("CPU s per GB served", "cpu_per_gb", 3), ("upstream GETs", "gets", 0),
                       ("KiB per client", "kib_per_client", 1)]))


def flood(comparison):
    return section(f"Warm manifest beside {scale.FLOOD_CLIENTS} clients of another image",
                   "One request after the other on one kept connection, 1 ms between, by a process of"
                   f" its own; then the same while {scale.FLOOD_CLIENTS} clients fetch one blob of"
                   f" {'64' if comparison.quick else '256'} MiB: cold, each time another (nginx has it"
                   " always). All share the cores, so"
                   " a part of it is the scheduler's.",
                   rows_of(comparison, "flood", [
                       ("times the unloaded p99", "times", 1),
                       ("p99 ms alone", "p99_alone", 2), ("p99 ms beside it", "p99_beside", 2),
                       ("p50 ms alone", "p50_alone", 2), ("p50 ms beside it", "p50_beside", 2),
                       ("seconds of the clients", "seconds", 2)]))


def gates(comparison):
    return section("Gates on and off",
                   "The same image, manifest by tag, 32 kept connections; once with a signature"
                   " required and found, once with everything allowed, once with `mode: audit`. The"
                   " guard is on the median CPU per request, against the cheaper of the two that are"
                   f" off; while it is missed, all three are measured again, {scale.GATES_ATTEMPTS}"
                   " times at most.",
                   rows_of(comparison, "gates", [
                       ("requests/s", "per_second", 0), ("CPU µs each", "cpu_us", 1),
                       ("p99 ms", "p99", 2), ("CPU ms per small blob", "blob_cpu_ms", 2)]))


def sizes(comparison):
    if not comparison.sizes:
        return None
    head = ["verdicts", "blobs", "seconds to ready", "resident MiB (anonymous)", "CPU µs a request",
            "requests/s", "upstream requests"]
    lines = [row(head), row(["---"] * len(head))]
    for one in comparison.sizes:
        anonymous, total = one["resident"]
        lines.append(row([f"{one['verdicts']:,}", f"{one['blobs']:,}", figure(one["starts"], 3),
                          f"{total:.1f} ({anonymous:.1f})", figure(one["costs"], 1),
                          figure(one["speeds"], 0), str(one["asked"])]))
    return section("Growth", f"Manifests by digest, {scale.MANIFEST_CONNECTIONS} kept connections,"
                   f" {comparison.sizes[0]['served']:,} images in turn. The ledger is one that"
                   " benches/compare/populate.py made: one real verdict repeated for made-up digests"
                   " in 500 repositories, rightly sealed, one grant each, without audit rows; only"
                   " the images that are asked for are in the store. Blobs are small files. Memory"
                   " is after start, when nothing is done any more. Files are in the page cache.",
                   "\n".join(lines))


def tried():
    """The section that is kept by hand."""
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "TRIED.md")
    with open(path) as file:
        return f"## Tried, kept and dropped\n\n{file.read()}"


def rows_of(comparison, title, columns):
    """A table with the ratio of the first two figures to pratique's."""
    samples = comparison.samples.get(title)
    if not samples:
        return None
    first, second = columns[0], columns[1]
    own = samples.get("pratique") if title not in ("flood", "crowd") else None
    head = [""] + [column[0] for column in columns]
    if own:
        head += [f"{first[0].split(' until')[0]} ÷ pratique's", "CPU ÷ pratique's"]
    lines = [row(head), row(["---"] * len(head))]
    for name in sorted(samples, key=ORDER.index):
        cells = [SHOWN.get(name, name)]
        cells += [figure([s[key] for s in samples[name] if key in s], digits)
                  for _, key, digits in columns]
        if own:
            cells += [ratio(samples[name], own, key) for _, key, _ in (first, second)]
        lines.append(row(cells))
    return "\n".join(lines)


def ratio(theirs, own, key):
    base = median(sample[key] for sample in own)
    return f"{median(sample[key] for sample in theirs) / base:.2f}" if base else "-"


def memory(comparison):
    if not comparison.memory:
        return None
    head = ["", "idle: anonymous, with mapped files", "after the warm measurements"]
    lines = [row(head), row(["---"] * len(head))]
    for name in sorted(comparison.memory, key=ORDER.index):
        pairs = [f"{anonymous:.1f}, {total:.1f} MiB" for anonymous, total in comparison.memory[name]]
        lines.append(row([name] + pairs))
    return section("Memory", "Proportional set size of all processes. Mapped files are the page"
                   " cache's: the kernel takes them back when it needs them.", "\n".join(lines))


def parts_of(folder):
    """What `cargo bench` left in criterion's folder, if it was run."""
    lines = []
    for path in sorted(glob.glob(os.path.join(folder, "**", "new", "benchmark.json"), recursive=True)):
        with open(path) as file:
            benchmark = json.load(file)
        with open(os.path.join(os.path.dirname(path), "estimates.json")) as file:
            nanoseconds = json.load(file)["median"]["point_estimate"]
        throughput = benchmark["throughput"] or {}
        speed = f"{throughput['Bytes'] / nanoseconds:.2f} GB/s" if "Bytes" in throughput else ""
        lines.append(row([benchmark["full_id"], f"{nanoseconds / 1000:,.2f}", speed]))
    if not lines:
        return None
    table = [row(["", "median, µs", "speed"]), row(["---"] * 3)] + lines
    return section("Parts", "From the last `cargo bench` (benches/parts.rs), on the same machine.",
                   "\n".join(table))


def not_measured(comparison):
    lines = [f"- {text}" for text in comparison.skipped]
    lines += [
        "- A network: loopback has no delay and no loss; it shows what the servers cost, not what"
        " a link gives.",
        "- Content that is not in the page cache: the disk would be measured, the same for all.",
        "- docker-registry over TLS: the question there is the cipher, and nginx is the stronger"
        " opponent.",
        "- Clients as containerd: they unpack, and that hides the server.",
        "- Signatures in the cold pull: no other contestant looks at any.",
    ]
    return section("Not measured, and why", "\n".join(lines), "")


def ciphers(comparison):
    found = ", ".join(f"{name} {cipher}" for name, cipher in comparison.ciphers.items())
    return f" Negotiated: {found}." if found else ""


def section(heading, note, table):
    return f"## {heading}\n\n{note}\n\n{table}".rstrip() + "\n" if table is not None else None


def row(cells):
    return "| " + " | ".join(cells) + " |"


def figure(values, digits):
    if not values:
        return "-"
    low, middle, high = min(values), median(values), max(values)
    if len(values) == 1:
        return f"{middle:,.{digits}f}"
    if digits == 0 and low == high:
        return f"{middle:,.0f}"
    return f"**{middle:,.{digits}f}** ({low:,.{digits}f}-{high:,.{digits}f})"


def processor():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"(?m)^model name\s*: (.*)", file.read())
    return found.group(1) if found else platform.machine()


def said(command):
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return "absent"
    lines = (run.stdout or run.stderr).splitlines()
    return lines[0].strip() if lines else "?"
