"""The section of a run in benches/RESULTS.md."""

import os
import platform
import time
from statistics import median

import again
import pull
from report import SCANNING, busy, figure, processor, row, said

MIB = 1 << 20
# What was set out to be reached.
PULL_RATIO_MAX, INFLATED_MB_MIN = 1.15, 300
MATCH_MS_MAX, AGAIN_SECONDS_MAX = 2, 20
MEMORY_MIB_MAX, SYFT_RATIO_MIN = 64, 5


def section_of(run, load, seconds):
    """The whole section."""
    parts = [SCANNING[0] + "## Scanning\n", environment(run, load, seconds), reached(run), pulls(run), rematches(run),
             scans(run), left_out(run)]
    return "\n".join(part for part in parts if part) + "\n" + SCANNING[1]


def put(text, path):
    """Puts the section into the file, in the place of the one that is there."""
    before = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            before = file.read()
    begin, end = (before.find(mark) for mark in SCANNING)
    if 0 <= begin < end:
        after = before[:begin] + text + before[end + len(SCANNING[1]):]
    else:
        place = before.find("## Tried, kept and dropped")
        place = len(before) if place < 0 else place
        after = before[:place] + text + "\n" + before[place:]
    with open(path, "w", encoding="utf-8") as file:
        file.write(after)


def environment(run, load, seconds):
    image = run.image
    rows = [
        ("Processor", f"{processor()}, {os.cpu_count()} cores"),
        ("Kernel", platform.release()),
        ("Memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"),
        ("Date", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
        ("Load average before", f"{load[0]:.1f}"),
        ("Run", f"{'quick, ' if run.quick else ''}{run.rounds} rounds, {seconds:.0f} s"),
        ("pratique", said([run.binary, "--version"])),
        ("Image", f"one layer, {image.size / 1e6:.0f} MB in gzip, {image.inflated / 1e6:.0f} MB inflated, of {source(image)}"),
    ]
    table = ["| | |", "|---|---|"] + [f"| {name} | {value} |" for name, value in rows]
    return ("Written by `benches/scan.sh`; every figure can be had again with that one command. Medians, lowest and"
            f" highest in brackets; contestants took turns, round by round.{busy(load)}\n\n" + "\n".join(table) + "\n")


def source(image):
    return "a Debian bookworm of debootstrap with Python, Node.js, git, curl and openssl" if image.source.endswith("/tree") else image.source


def values(run, title, name, key):
    return [sample[key] for sample in run.samples.get(title, {}).get(name, []) if key in sample]


def middle(run, title, name, key):
    found = values(run, title, name, key)
    return median(found) if found else None


def inflated_per_core(run):
    """MB/s of inflated bytes for each processor second that the scan adds; on loopback, where all rounds are."""
    title = "pull, loopback"
    more, less = middle(run, title, pull.WITH, "user"), middle(run, title, pull.WITHOUT, "user")
    if more is None or more <= less:
        return None
    return run.image.inflated / 1e6 / (more - less)


def reached(run):
    rows = []

    def add(what, target, text, good):
        words = {True: "yes", False: "**no**", None: ""}
        rows.append(row([what, target, text or "not measured", words[good if text else None]]))

    for speed in pull.SPEEDS:
        with_it, without = (middle(run, f"pull, {speed}", name, "seconds") for name in (pull.WITH, pull.WITHOUT))
        if with_it:
            ratio = with_it / without
            add(f"cold pull with the scan ÷ without, upstream at {speed}", f"≤ {PULL_RATIO_MAX} ×", f"{ratio:.2f} ×", ratio <= PULL_RATIO_MAX)
    speed = inflated_per_core(run)
    alone = middle(run, "inflate", "gzip -dc", "user")
    beside = f" ({speed * alone / (run.image.inflated / 1e6):.1f} × `gzip -dc`)" if speed and alone else ""
    add("inflated for each processor second that the scan adds", f"≥ {INFLATED_MB_MIN} MB", speed and f"{speed:.0f} MB{beside}", speed and speed >= INFLATED_MB_MIN)
    for of, matched in run.facts.get("rematch", {}).items():
        p99 = matched["read_and_matched"]["p99"]
        add(f"{of} ({matched['findings_each']:,} findings) compared with a new database, p99", f"≤ {MATCH_MS_MAX} ms",
            f"{p99:.2f} ms", p99 <= MATCH_MS_MAX)
    for of, judged in run.facts.get("rejudge", {}).items():
        taken = judged["nothing of them"]["seconds"]
        add(f"{again.SUBJECTS:,} of {of} judged again on one core", f"≤ {AGAIN_SECONDS_MAX} s",
            f"{taken:.1f} s for {judged['subjects']:,}", judged["subjects"] >= again.SUBJECTS and taken <= AGAIN_SECONDS_MAX)
    memory = values(run, "beside", "pratique scan", "memory")
    add("memory of one scan, the most", f"≤ {MEMORY_MIB_MAX} MiB", memory and f"{max(memory):.0f} MiB", memory and max(memory) <= MEMORY_MIB_MAX)
    ours, theirs = (middle(run, "beside", name, "seconds") for name in ("pratique scan", "syft"))
    ratio = theirs / ours if ours and theirs else None
    add("scan of an image layout, syft ÷ pratique", f"≥ {SYFT_RATIO_MIN} ×", ratio and f"{ratio:.1f} ×", ratio and ratio >= SYFT_RATIO_MIN)
    return "\n".join([row(["", "to reach", "measured", "reached"]), row(["---"] * 4), *rows]) + "\n"


def table(run, title, columns):
    """One row for each contestant, and the ratio of seconds to the first of ours."""
    samples = run.samples.get(title)
    if not samples:
        return None
    base = next((name for name in (pull.WITHOUT, "pratique scan") if name in samples), next(iter(samples)))
    lines = [row(["", *(name for name, _, _ in columns), f"seconds ÷ {base}"]), row(["---"] * (len(columns) + 2))]
    for name in samples:
        cells = [figure(values(run, title, name, key), digits) for _, key, digits in columns]
        ratio = middle(run, title, name, "seconds") / middle(run, title, base, "seconds")
        lines.append(row([name, *cells, f"{ratio:.2f}"]))
    return "\n".join(lines) + "\n"


def pulls(run):
    columns = [("seconds", "seconds", 2), ("of these until the manifest", "manifest", 2), ("processor s", "cpu", 2), ("user s", "user", 2), ("MiB at most", "memory", 0)]
    tables = [f"Upstream at {speed}{'' if limit is None else f' for each connection ({limit / 1e6:.0f} MB/s)'}:\n\n{made}"
              for speed, limit in pull.SPEEDS.items() if (made := table(run, f"pull, {speed}", columns))]
    if not tables:
        return None
    alone = table(run, "inflate", [("seconds", "seconds", 2), ("processor s", "cpu", 2), ("user s", "user", 2)])
    return ("### Cold pull with and without a scan\n\nManifest by tag, configuration, layer, one after the other, by one client that throws the bytes"
            " away; each time a server that was started for it, with an empty cache. The one is asked by a rule with a gate, the other by"
            " a rule without, and nothing else differs. With the gate the manifest waits until the layer has been read, and the layer"
            " then comes from the cache. Processor time includes what is still done afterwards; memory is the process's `VmHWM`, pages of files that are"
            " mapped while they are sent included.\n\n" + "\n".join(tables)
            + "\nThe same layer through gzip alone:\n\n" + alone)


def rematches(run):
    matched, judged = run.facts.get("rematch"), run.facts.get("rejudge")
    if not matched:
        return None
    text = "### Compared with a new database\n"
    for of, it in matched.items():
        lines = [row(["one image", "p50 ms", "p99 ms", "most ms", "all, s"]), row(["---"] * 5)]
        for name, key in (("read from what is kept, and compared", "read_and_matched"), ("compared only", "matched")):
            times = it[key]
            lines.append(row([name, *(f"{times[which]:.3f}" for which in ("p50", "p99", "most")), f"{times['seconds']:.1f}"]))
        text += (f"\nAs {of}: {it['images']:,} images of {it['packages']} packages, no two alike, against {it['records']:,} records"
                 f" ({it['database_bytes'] / MIB:.0f} MiB, opened in {it['opened_seconds']:.2f} s): {it['findings_each']:,} findings each,"
                 f" {it['kept_bytes_each'] / 1024:.0f} KiB kept of each. By the library, on one thread (benches/rematch.rs).\n\n"
                 + "\n".join(lines) + "\n")
        if judged and of in judged:
            text += rejudged(judged[of])
    return text


def rejudged(judged):
    lines = [row(["the new database knows", "subjects", "verdicts written", "seconds", "processor s", "ms each"]), row(["---"] * 6)]
    for name in ("nothing of them", "one of each"):
        it = judged[name]
        lines.append(row([f"{name} more", f"{it['examined']:,}", f"{it['changed']:,}", f"{it['seconds']:.1f}", f"{it['cpu']:.1f}",
                          f"{it['seconds'] * 1000 / max(it['examined'], 1):.2f}"]))
    return (f"\nBy a server that is held to one core, from the new database in force to all judged again; each subject has its own record"
            f" and inventory, made of those of one real pull. It has {judged['memory']:.0f} MiB resident afterwards, database included.\n\n"
            + "\n".join(lines) + "\n")


def scans(run):
    made = table(run, "beside", [("seconds", "seconds", 2), ("processor s", "cpu", 2), ("user s", "user", 2), ("MiB at most", "memory", 0), ("packages", "packages", 0)])
    return made and ("### A scan beside syft\n\n`pratique scan --json` and `syft scan --output json` of the same image layout, each in a process of its own; memory is"
                     " that process's `VmHWM`. What they list is compared by `tests/packages/run.sh`.\n\n" + made)


def left_out(run):
    return "Left out: " + "; ".join(run.skipped) + ".\n" if run.skipped else None
