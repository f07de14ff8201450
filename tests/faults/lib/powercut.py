"""Power cuts: an ext4 file system that stops in an instant, and comes back with what had reached the disk.

The shutdown ioctl drops what was not synced, without flushing the journal.
"""
import ctypes
import fcntl
import os
import random
import shutil
import subprocess
import threading
import time

from disks import Skipped
from rig import Broken, Image, Mirror, attempt, check

EXT4_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2
DISK_BYTES = 96 << 20
APPROVERS = 3


def command(*words):
    done = subprocess.run(words, capture_output=True, check=False)
    if done.returncode != 0:
        raise Skipped(f"{words[0]}: {done.stderr.decode().strip()[:150]}")


def mounted(image, place):
    os.makedirs(place, exist_ok=True)
    command("mount", "-t", "ext4", "-o", "loop,data=ordered", image, place)


def shut_down(place):
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, EXT4_IOC_SHUTDOWN, ctypes.c_uint32(NO_LOG_FLUSH))
    except OSError as error:
        raise Skipped(f"no file system shutdown: {error}") from None
    finally:
        os.close(handle)


def run(program, folder, registry, cuts):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    disk, place = os.path.join(folder, "disk"), os.path.join(folder, "mount")
    with open(disk, "wb") as file:
        file.truncate(DISK_BYTES)
    command("mkfs.ext4", "-q", "-F", disk)
    mounted(disk, place)
    chance = random.Random(20261123)
    approved, pulled, number, slowest = [], [], 0, 0.0
    mirror = Mirror(program, folder, registry, os.path.join(place, "data"))
    try:
        for turn in range(cuts):
            mirror.start()
            stop = threading.Event()
            lock = threading.Lock()

            def approver(lane, stop=stop, turn=turn):
                for step in range(10_000):
                    if stop.is_set():
                        return
                    image = registry.add(Image(f"asked/cut{turn}-{lane}-{step}", (turn, lane, step).__hash__(), (300,)))
                    if mirror.approve(image):
                        with lock:
                            approved.append(image)

            def puller(stop=stop, turn=turn):
                for step in range(10_000):
                    if stop.is_set():
                        return
                    image = registry.add(Image(f"open/cut{turn}-{step}", (turn, step).__hash__(), (60_000,)))
                    if attempt(lambda image=image: mirror.pull(image)) == 200:
                        with lock:
                            pulled.append(image)

            threads = [threading.Thread(target=approver, args=(lane,)) for lane in range(APPROVERS)]
            threads.append(threading.Thread(target=puller))
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.05, 0.8))
            unsynced = os.path.join(place, f"unsynced-{turn}")
            with open(unsynced, "wb") as file:
                file.write(bytes(100_000))
            shut_down(place)
            stop.set()
            mirror.kill()
            for thread in threads:
                thread.join(timeout=60)
            command("umount", place)
            mounted(disk, place)
            if os.path.exists(unsynced) and os.path.getsize(unsynced):
                raise Broken("what was never synced is there after the cut: this cuts nothing")
            try:
                slowest = max(slowest, check(mirror, pulled[-3:], approved))
            except Broken as broken:
                raise Broken(f"cut {turn + 1}: {broken}") from None
            mirror.kill()
            number += 1
    finally:
        mirror.kill()
        subprocess.run(["umount", "-l", place], capture_output=True, check=False)
    if len(approved) < cuts:
        raise Broken(f"only {len(approved)} approvals in {cuts} cuts: this tested nothing")
    return (f"{number} cuts, {len(approved)} acknowledged approvals and {len(pulled)} pulled images, none lost; "
            f"ready again after {slowest:.2f} s at most")
