"""Runs a program and says what it took: seconds, processors, and the memory of that one program.

Not by the largest resident set that `wait4` tells: that is one for all children so far (`RUSAGE_CHILDREN`) or
begins with what the parent had when it forked, so that a small program after a large one looks large. `VmHWM`
in /proc/PID/status is the largest resident set of the program itself since it was started; it is read while
the program runs, because the kernel forgets it at the end. What it grew by in its last milliseconds is not seen.
"""
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass

#: How often it is looked at, in seconds.
LOOK_SECONDS = 0.003


@dataclass(frozen=True)
class Cost:
    """Seconds of the clock and of processors (and of these those outside of the kernel), and MiB."""
    wall: float
    processor: float
    user: float
    memory: float


class TookTooLong(Exception):
    """It did not end within its time, and was ended; with what it took until then."""

    def __init__(self, cost):
        super().__init__(f"not done after {cost.wall:.0f} s")
        self.cost = cost


def run(command, *, limit, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=None, cwd=None):
    """Runs `command`, which starts no programs of its own; gives its code and `Cost`."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=env, cwd=cwd, start_new_session=True)
    memory, late, status = 0, False, None
    ended = os.pidfd_open(child.pid)
    try:
        poll = select.poll()
        poll.register(ended, select.POLLIN)
        while not poll.poll(LOOK_SECONDS * 1000):
            memory = max(memory, largest(child.pid))
            if not late and time.monotonic() - start > limit:
                late = True
                os.killpg(child.pid, signal.SIGKILL)
        wall = time.monotonic() - start
        # What this child took, by itself.
        _, status, used = os.wait4(child.pid, 0)
    finally:
        os.close(ended)
        if status is None:
            child.kill()
            child.wait()
    child.returncode = os.waitstatus_to_exitcode(status)
    cost = Cost(wall, used.ru_utime + used.ru_stime, used.ru_utime, memory / 1024)
    if late:
        raise TookTooLong(cost)
    return child.returncode, cost


def largest(pid):
    """The largest resident set of the process so far, in KiB; 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("VmHWM:")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0
