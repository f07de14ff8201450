"""What was set out to be reached, and what this run measured."""

from statistics import median

import measure
import scale

MISSING = "not measured"


def rows(comparison):
    """(what, target, measured, whether it is reached or None) for each."""
    found = []

    def add(what, target, text, reached):
        found.append((what, target, text or MISSING, reached if text else None))

    samples = comparison.samples

    def of(title, name, key):
        values = [sample[key] for sample in samples.get(title, {}).get(name, []) if key in sample]
        return median(values) if values else None

    def ratio(title, key, other="nginx", own="pratique", other_title=None):
        mine, theirs = of(title, own, key), of(other_title or title, other, key)
        return mine / theirs if mine is not None and theirs else None

    speed, cpu = ratio("warm blob", "gb_per_second"), ratio("warm blob", "cpu_per_gb")
    add(f"warm 1 GB blob, plain, {measure.PLAIN_CONNECTIONS} connections",
        "≥ 1.5 × nginx's throughput, ≤ 0.7 × its CPU per GB",
        speed and f"{speed:.2f} ×, {cpu:.2f} ×", speed and speed >= 1.5 and cpu <= 0.7)
    cpu = ratio("warm blob, TLS", "cpu_per_gb")
    add("warm 1 GB blob, TLS 1.3", "≤ 0.75 × nginx's CPU per GB", cpu and f"{cpu:.2f} ×",
        cpu and cpu <= 0.75)
    manifest = "warm manifest by tag"
    speed = ratio(manifest, "per_second")
    direct = ratio(manifest, "per_second", "docker-registry, direct")
    proxy = ratio(manifest, "per_second", "docker-registry")
    text = speed and f"{speed:.2f} × nginx"
    if text and direct:
        text += f", {direct:.0f} × docker-registry ({proxy:.0f} × in proxy mode)"
    add(f"warm manifest by tag, {measure.MANIFEST_CONNECTIONS} kept connections",
        "≥ 1.0 × nginx, ≥ 30 × docker-registry", text,
        speed and speed >= 1 and (direct is None or direct >= 30))
    cold = ratio("cold pull", "seconds", "direct, to disk")
    bare = ratio("cold pull", "seconds", "direct")
    add("cold pull of a 1 GB layer, one client", "≤ 1.1 × a direct download, synced to disk",
        cold and f"{cold:.2f} × ({bare:.2f} × one that is thrown away)", cold and cold <= 1.1)
    slow = ratio("slow upstream", "seconds", "direct")
    add("cold pull when one upstream connection is the limit", "< 1 × a direct download",
        slow and f"{slow:.2f} ×", slow and slow < 1)
    crowds(comparison, of, add)
    times = of("flood", "pratique", "times")
    peers = [f"{name} {of('flood', name, 'times'):.1f} ×" for name in ("nginx", "docker-registry")
             if of("flood", name, "times")]
    add(f"p99 of warm manifests beside {scale.FLOOD_CLIENTS} clients of a cold image",
        "≤ 2 × the unloaded p99", times and f"{times:.1f} × ({', '.join(peers)})",
        times and times <= 2)
    sizes(comparison, add)
    gate = scale.gates_ratio(comparison)
    add("gates on ÷ gates off, requests per CPU second (the guard of CI)", "≥ 0.95",
        gate and f"{gate:.3f}", gate and gate >= 0.95)
    return found


def crowds(comparison, of, add):
    cold = of("crowd", "pratique, cold", "seconds")
    what = f"{scale.CROWD_CLIENTS} clients, one cold blob of {comparison.crowd_bytes / 1e9:.2g} GB"
    floor = max(of("crowd", name, "seconds") or 0
                for name in ("one client, at the upstream", "nginx, warm"))
    gets = of("crowd", "pratique, cold", "gets")
    memory = of("crowd", "pratique, cold", "kib_per_client")
    add(what, "1 GET, ≤ 1.3 × the larger of upstream time and fan-out by nginx, ≤ 64 KiB per client",
        cold and f"{gets:.0f} GET, {cold / floor:.2f} ×, {memory:.0f} KiB",
        cold and gets == 1 and cold <= 1.3 * floor and memory <= 64)


def sizes(comparison, add):
    by_size = {(row["verdicts"], row["blobs"]): row for row in comparison.sizes}
    row = by_size.get((1000, scale.BLOBS))
    add(f"resident memory, idle, {scale.BLOBS:,} blobs", "≤ 48 MiB",
        row and f"{row['resident'][1]:.1f} MiB", row and row["resident"][1] <= 48)
    row = by_size.get((100_000, scale.BLOBS))
    add(f"start to ready, {scale.BLOBS:,} blobs and 100,000 verdicts", "≤ 0.5 s",
        row and f"{median(row['starts']):.2f} s", row and median(row["starts"]) <= 0.5)
    if comparison.sizes:
        first, last = comparison.sizes[0], comparison.sizes[-1]
        grown = min(last["costs"]) / min(first["costs"])
        add(f"CPU per request, {first['verdicts']:,} to {last['verdicts']:,} verdicts", "≤ 1.1 ×",
            f"{grown:.2f} ×", grown <= 1.1)
    else:
        add("CPU per request as verdicts grow", "≤ 1.1 ×", None, None)
