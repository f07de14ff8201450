"""Disks that are full, read-only, torn or strange, and limits of the process; each a case named after its promise."""
import datetime
import glob
import os
import re
import shutil
import signal
import subprocess
import threading

from rig import Broken, Image, Mirror, attempt, check, digest_of, fresh, until

CASES = {}


class Skipped(Exception):
    """This machine cannot do it; says why."""


def case(work):
    CASES[work.__name__] = work
    return work


class Bench:
    def __init__(self, program, folder, registry):
        self.program, self.folder, self.registry = program, folder, registry
        subprocess.run(["umount", "-l", os.path.join(folder, "mount")], capture_output=True, check=False)
        fresh(folder)
        self.warm = registry.add(Image("open/warm", 1))
        self.kept = registry.add(Image("asked/kept", 2, (1_000,)))
        self.mirrors = []

    def cold(self, name="cold", layers=(200_000, 3_000)):
        return self.registry.add(Image(f"open/{name}", name, layers))

    def mirror(self, data=None):
        mirror = Mirror(self.program, self.folder, self.registry, data)
        self.mirrors.append(mirror)
        return mirror

    def filled(self, mirror):
        """Starts `mirror` and has it hold a warm image and an approval."""
        mirror.start()
        if mirror.pull(self.warm) != 200:
            raise Broken(f"nothing can be pulled: {mirror.last_words()}")
        mirror.manifest(self.kept)
        if not mirror.approve(self.kept) or mirror.pull(self.kept) != 200:
            raise Broken(f"nothing can be approved: {mirror.last_words()}")
        # A blob is served a little before it has its name.
        paths = [blob_path(mirror, digest) for image in (self.warm, self.kept) for digest in image.blobs]
        if not until(10, lambda: all(os.path.exists(path) for path in paths)):
            raise Broken("pulled blobs are not stored")
        return mirror

    def tmpfs(self, size):
        place = os.path.join(self.folder, "mount")
        os.makedirs(place)
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", place)
        return place

    def served(self, mirror, what="it"):
        for image in (self.warm, self.kept):
            status = mirror.pull(image)
            if status != 200:
                raise Broken(f"{what}: {image.name}, admitted and cached, is answered {status}: {mirror.last_words()}")

    def close(self):
        for mirror in self.mirrors:
            mirror.kill()
        subprocess.run(["umount", "-l", os.path.join(self.folder, "mount")], capture_output=True, check=False)


def mount(*words):
    done = subprocess.run(["mount", *words], capture_output=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"mount: {done.stderr.decode().strip()[:150]}")


def is_blob(path, digest):
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return digest_of(file.read()) == digest


def blob_path(mirror, digest):
    return os.path.join(mirror.data, "blobs", "sha256", digest[7:9], digest[7:])


def refused_start(mirror, *words):
    """The program ends by itself, not by a signal, and says all of `words`."""
    mirror.spawn()
    if mirror.wait_ready() is not None:
        raise Broken(f"it started although it should say {words}")
    status, text = mirror.process.returncode, mirror.last_words(2000)
    if status <= 0 or "panicked" in text:
        raise Broken(f"it ended with status {status}: {text[-300:]}")
    for word in words:
        if word not in text:
            raise Broken(f"it does not say {word!r}: {text[-300:]}")
    return status


@case
def full_disk_serves_and_takes_up_again(bench):
    place = bench.tmpfs("24m")
    mirror = bench.filled(bench.mirror(os.path.join(place, "data")))
    waiting = bench.registry.add(Image("asked/late", 7, (400,)))
    ballast = os.path.join(place, "ballast")
    with open(ballast, "wb") as file:
        try:
            while True:
                os.write(file.fileno(), bytes(1 << 16))
        except OSError:
            pass
    bench.served(mirror, "full disk")
    cold = bench.cold("full", (3_000_000,))
    outcome = attempt(lambda: mirror.pull(cold))
    acknowledged = mirror.approve(waiting)
    if mirror.get("/readyz")[0] not in (200, 503):
        raise Broken("/readyz says neither yes nor no")
    bench.served(mirror, "full disk, after writes failed")
    mirror.kill()
    mirror.spawn()
    restarted = mirror.wait_ready()
    if restarted is not None:
        bench.served(mirror, "restarted on a full disk")
    else:
        text = mirror.last_words(800)
        if "panicked" in text or mirror.process.returncode < 0:
            raise Broken(f"restart on a full disk: {text}")
    mirror.kill()
    os.remove(ballast)
    check(mirror, [bench.warm, cold], [bench.kept, *([waiting] if acknowledged else [])])
    if not mirror.approve(waiting):
        raise Broken("with room again, nothing can be approved")
    how = "served after a restart" if restarted is not None else f"a restart said: {text[-160:]}"
    return f"cold pull came to {outcome}, approval {'acknowledged' if acknowledged else 'refused'}; {how}"


@case
def read_only_disk_serves_what_is_cached(bench):
    place = bench.tmpfs("24m")
    mirror = bench.filled(bench.mirror(os.path.join(place, "data")))
    # A file system with files open for writing cannot be remounted; a broken one becomes read-only all the same.
    # The nearest that a test can do: no file can be made or opened for writing by name any more.
    busy = subprocess.run(["mount", "-o", "remount,ro", place], capture_output=True, check=False).returncode != 0
    if not busy:
        raise Broken("the file system was not in use: the program holds no file open for writing")
    mirror.stop()
    mount("-o", "remount,ro", place)
    mirror.spawn()
    ready = mirror.wait_ready()
    if ready is None:
        status, text = mirror.process.returncode, mirror.last_words(800)
        if status <= 0 or "panicked" in text or "ead-only" not in text:
            raise Broken(f"start on a read-only disk ended with {status} and does not say why: {text}")
        how = f"a start says: {text[-200:]}"
    else:
        bench.served(mirror, "started on a read-only disk")
        late = bench.registry.add(Image("asked/late", 7, (400,)))
        if mirror.approve(late):
            raise Broken("an approval was acknowledged on a read-only disk")
        bench.served(mirror, "read-only disk, after an approval failed")
        how = "serves"
    mirror.kill()
    mount("-o", "remount,rw", place)
    check(mirror, [bench.warm], [bench.kept])
    return how


@case
def few_descriptors_refuse_nobody_for_good(bench):
    mirror = bench.filled(bench.mirror())
    mirror.stop()
    mirror.spawn(["prlimit", "--nofile=64"])
    if mirror.wait_ready() is None:
        text = mirror.last_words()
        if mirror.process.returncode <= 0 or "panicked" in text:
            raise Broken(f"with 64 descriptors: {text}")
        return f"a start says: {text[-200:]}"
    outcomes = []

    def client():
        outcomes.append(attempt(lambda: mirror.pull(bench.warm)))

    threads = [threading.Thread(target=client) for _ in range(150)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=90)
    if mirror.process.poll() is not None:
        raise Broken(f"it ended (status {mirror.process.returncode}): {mirror.last_words()}")
    bench.served(mirror, "after 150 clients at 64 descriptors")
    cold = bench.cold("few")
    # Connections that failed for want of descriptors may rest the upstream for a while.
    if not until(60, lambda: attempt(lambda: mirror.pull(cold)) == 200):
        raise Broken(f"cold pull after 150 clients at 64 descriptors: {mirror.last_words()}")
    return f"{outcomes.count(200)} of 150 clients served at once, every one later"


@case
def a_file_size_limit_is_a_full_disk_not_an_end(bench):
    mirror = bench.filled(bench.mirror())
    mirror.stop()
    mirror.spawn(["prlimit", f"--fsize={1 << 20}"])
    if mirror.wait_ready() is None:
        raise Broken(f"with a file size limit: status {mirror.process.returncode}, {mirror.last_words()}")
    large = bench.cold("large", (3_000_000,))
    outcome = attempt(lambda: mirror.pull(large))
    if mirror.process.poll() is not None:
        raise Broken(f"it was ended by {signal.Signals(-mirror.process.returncode).name} at a write beyond the limit")
    bench.served(mirror, "file size limit")
    mirror.kill()
    check(mirror, [bench.warm, large], [bench.kept])
    return f"a larger pull came to {outcome}"


@case
def what_rots_in_the_store_is_never_served(bench):
    """Flipped, cut short, longer, gone, a directory, a symbolic link, a FIFO, a foreign file: running and restarted."""
    for restarted in (False, True):
        mirror = bench.filled(bench.mirror())
        layer = next(digest for digest, content in bench.warm.blobs.items() if len(content) == 200_000)
        path = blob_path(mirror, layer)

        def flip():
            os.chmod(path, 0o644)
            with open(path, "r+b") as file:
                file.seek(100_000)
                byte = file.read(1)
                file.seek(100_000)
                file.write(bytes([byte[0] ^ 1]))

        def replace(make):
            def work():
                os.remove(path)
                make()
            return work

        secret = os.path.join(bench.folder, "secret")
        with open(secret, "wb") as file:
            file.write(b"s" * 200_000)
        damages = {
            "flipped": flip,
            "cut short": lambda: (os.chmod(path, 0o644), os.truncate(path, 1_000)),
            "longer": lambda: (os.chmod(path, 0o644), os.truncate(path, 300_000)),
            "empty": lambda: (os.chmod(path, 0o644), os.truncate(path, 0)),
            "gone": replace(lambda: None),
            "a directory": replace(lambda: os.mkdir(path)),
            "a symbolic link": replace(lambda: os.symlink(secret, path)),
            "a dangling link": replace(lambda: os.symlink("/nonexistent", path)),
            "a FIFO": replace(lambda: os.mkfifo(path)),
            "another blob": replace(lambda: shutil.copy(blob_path(mirror, next(iter(bench.kept.blobs))), path)),
        }
        for what, damage in damages.items():
            if restarted:
                mirror.kill()
            damage()
            if restarted:
                mirror.start()
            # One answer may break off; a clean one has the right bytes (pull compares), and soon it is whole.
            for _ in range(5):
                if attempt(lambda: mirror.pull(bench.warm)) == 200:
                    break
            else:
                raise Broken(f"{what}{', restarted' if restarted else ''}: not healed: {mirror.last_words()}")
            if mirror.process.poll() is not None:
                raise Broken(f"{what}: ended with status {mirror.process.returncode}")
            if not until(30, lambda: is_blob(path, layer)):
                raise Broken(f"{what}: not healed in the store")
        mirror.kill()
        shutil.rmtree(mirror.data)
    return f"{len(damages)} kinds of damage, running and restarted, healed by fetching again"


@case
def what_rots_in_the_audit_is_told_and_stops_nothing(bench):
    mirror = bench.filled(bench.mirror())
    status, archived = mirror.api("/audit/archives", {"before": "2999-01-01T00:00:00Z"})
    if status != 200 or not archived["segments"]:
        raise Broken(f"nothing was archived: {status} {archived}")
    mirror.stop()
    segment = os.path.join("segments", archived["segments"][0]["file"])
    template = fresh(os.path.join(bench.folder, "whole"), mirror.data)
    told = tried = 0
    for name in ("checkpoints", "checkpoint", "head", segment):
        for how, spoil_it in AUDIT_SPOILT.items():
            fresh(mirror.data, template)
            spoil_it(os.path.join(mirror.data, "audit", name))
            mirror.start()
            what = f"audit/{name} {how}"
            bench.served(mirror, what)
            tried += 1
            late = bench.registry.add(Image(f"asked/rot{tried}", 9_000 + tried, (400,)))
            if not mirror.approve(late):
                raise Broken(f"{what}: nothing can be approved: {mirror.last_words()}")
            status, report = mirror.api("/audit/verify")
            if status != 200:
                raise Broken(f"{what}: the audit cannot be verified: {status} {report}")
            found = not report["intact"] or bool(report.get("notes"))
            if name == segment and not found:
                raise Broken(f"{what}: nothing is told of it")
            told += found
            mirror.kill()
    return f"{told} of {tried} told, all of them served"


def flip_a_bit(path):
    with open(path, "r+b") as file:
        content = bytearray(file.read())
        content[len(content) // 2] ^= 1
        file.seek(0)
        file.write(content)


def cut_in_half(path):
    os.truncate(path, os.path.getsize(path) // 2)


AUDIT_SPOILT = {
    "with a flipped bit": flip_a_bit,
    "cut in half": cut_in_half,
    "empty": lambda path: os.truncate(path, 0),
    "gone": os.remove,
}


@case
def strange_files_do_not_keep_a_start_back(bench):
    mirror = bench.filled(bench.mirror())
    mirror.kill()
    data = mirror.data
    os.mkfifo(os.path.join(data, "ingest", "fifo"))
    os.mkdir(os.path.join(data, "ingest", "folder"))
    os.symlink("/etc", os.path.join(data, "ingest", "link"))
    with open(os.path.join(data, "blobs", "sha256", "README"), "w", encoding="utf-8") as file:
        file.write("foreign")
    os.makedirs(os.path.join(data, "blobs", "sha256", "zz"))
    os.mkfifo(os.path.join(data, "blobs", "sha256", "zz", "fifo"))
    os.makedirs(os.path.join(data, "lost+found"), exist_ok=True)
    mirror.start()
    bench.served(mirror, "strange files")
    if not until(5, lambda: not os.listdir(os.path.join(data, "ingest"))):
        raise Broken("ingest/ was not swept")
    if not os.path.exists("/etc/passwd"):
        raise Broken("a link was followed")
    if not os.path.exists(os.path.join(data, "blobs", "sha256", "README")):
        raise Broken("a foreign file was removed")
    return "swept from ingest/, left alone elsewhere"


@case
def a_second_process_is_refused(bench):
    mirror = bench.filled(bench.mirror())
    other = Mirror(bench.program, os.path.join(bench.folder, "other"), bench.registry, mirror.data)
    bench.mirrors.append(other)
    status = refused_start(other, "in use by another process")
    bench.served(mirror, "a second process came")
    return f"exit status {status}"


@case
def a_torn_ledger_refuses_a_start_and_says_what_to_do(bench):
    mirror = bench.filled(bench.mirror())
    mirror.api("/audit/verify")
    backup = os.path.join(bench.folder, "backup")
    done = subprocess.run([bench.program, "backup", backup, "--config", mirror.config], capture_output=True, check=False)
    if done.returncode != 0:
        raise Broken(f"no backup: {done.stderr.decode()}")
    mirror.stop()
    path = os.path.join(mirror.data, "ledger.db")
    with open(path, "rb") as file:
        whole = file.read()
    damages = {"garbage": b"\xa5" * len(whole), "cut short": whole[: len(whole) // 2], "empty": b"",
               "torn middle": whole[:5_000] + b"\xa5" * 30_000 + whole[35_000:]}
    for what, content in damages.items():
        with open(path, "wb") as file:
            file.write(content)
        refused_start(mirror, "ledger.db", "restore")
        with open(path, "rb") as file:
            if file.read() != content:
                raise Broken(f"{what}: a refused start changed the ledger")
    os.remove(path)
    refused_start(mirror, "missing", "restore")
    os.mkdir(path)
    refused_start(mirror, "ledger.db")
    os.rmdir(path)
    done = subprocess.run([bench.program, "restore", backup, "--config", mirror.config], capture_output=True, check=False)
    if done.returncode != 0:
        raise Broken(f"the backup does not restore: {done.stderr.decode()}")
    check(mirror, [bench.warm], [bench.kept])
    return f"{len(damages) + 2} kinds of damage refused, the backup restored"


@case
def a_ledger_torn_while_running_goes_on_serving(bench):
    mirror = bench.filled(bench.mirror())
    path = os.path.join(mirror.data, "ledger.db")
    for name in (path, path + "-wal"):
        length = os.path.getsize(name)
        with open(name, "r+b") as file:
            file.write(b"\xa5" * length)
    bench.served(mirror, "torn ledger")
    late = bench.registry.add(Image("asked/late", 7, (400,)))
    if mirror.approve(late):
        raise Broken("an approval was acknowledged by a torn ledger")
    bench.served(mirror, "torn ledger, after an approval failed")
    return "served from memory, nothing acknowledged"


@case
def a_lost_index_is_made_again(bench):
    mirror = bench.filled(bench.mirror())
    index = os.path.join(mirror.data, "index")
    damages = {
        "removed": lambda: shutil.rmtree(index),
        "a file": lambda: (shutil.rmtree(index), open(index, "wb").close()),
        "garbage": lambda: [spoil(os.path.join(folder, name)) for folder, _, names in os.walk(index) for name in names],
        "a link": lambda: (remove(index), os.symlink("/nonexistent/place", index)),
    }
    for what, damage in damages.items():
        mirror.kill()
        damage()
        took = mirror.start()
        bench.served(mirror, f"index {what}")
        if took > 10:
            raise Broken(f"index {what}: ready only after {took:.1f} s")
        remove(index) if os.path.islink(index) or os.path.isfile(index) else None
    return f"{len(damages)} kinds of loss"


def spoil(path):
    with open(path, "r+b") as file:
        file.write(os.urandom(max(os.path.getsize(path), 64)))


def remove(path):
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)


@case
def a_clock_years_off_loses_nothing(bench):
    library = next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), None)
    if not library:
        raise Skipped("no faketime")
    mirror = bench.filled(bench.mirror())
    mirror.stop()
    mirror.program = loaded_by_the_linker(bench.program)
    # What it leaves there has the number of its process for a name, and makes the next with that number fail.
    subprocess.run(["mount", "-t", "tmpfs", "none", "/dev/shm"], check=True)
    try:
        for years in (10, -1, 0):
            clock = f"clock {years:+}y"
            mirror.spawn(["env", f"LD_PRELOAD={library}", f"FAKETIME={years:+}y", "FAKETIME_DONT_FAKE_MONOTONIC=1"])
            if mirror.wait_ready() is None:
                raise Broken(f"{clock}: {mirror.last_words()}")
            stands_at(mirror, years)
            bench.served(mirror, clock)
            cold = bench.cold(f"clock{abs(years)}{'b' if years < 0 else 'f'}")
            if mirror.pull(cold) != 200:
                raise Broken(f"{clock}: a cold pull is refused: {mirror.last_words()}")
            late = bench.registry.add(Image(f"asked/clock{len(bench.registry.images)}", clock, (400,)))
            if not mirror.approve(late) or mirror.pull(late) != 200:
                raise Broken(f"{clock}: an approval does not count: {mirror.last_words()}")
            status, report = mirror.api("/audit/verify")
            if not report["intact"]:
                raise Broken(f"{clock}: {report}")
            mirror.kill()
    finally:
        mirror.kill()
        subprocess.run(["umount", "--lazy", "/dev/shm"], check=True)
    return "ten years ahead, one back, and right again"


def loaded_by_the_linker(program):
    """The program, or the one the tests built: the clock of a static one cannot be moved for it alone."""
    built = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../target/debug/pratique")
    for path in (program, os.environ.get("PRATIQUE_DYNAMIC", built)):
        if not os.path.exists(path):
            continue
        needs = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        if "libc.so" in needs:
            return os.path.realpath(path)
    raise Skipped("the program is static, and there is no other (PRATIQUE_DYNAMIC)")


def stands_at(mirror, years):
    """The clock of the program is where it was put, by what it logged last."""
    with open(mirror.log, encoding="utf-8", errors="replace") as log:
        times = re.findall(r"^(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d", log.read(), re.MULTILINE)
    said = datetime.date.fromisoformat(times[-1])
    expected = datetime.date.today() + datetime.timedelta(days=365 * years)
    if abs(said - expected) > datetime.timedelta(days=4):
        raise Broken(f"its clock was to be {years} years off and says {said}")


def closing(work):
    def run(bench):
        try:
            return work(bench)
        finally:
            bench.close()
    return run


CASES = {name: closing(work) for name, work in CASES.items()}
