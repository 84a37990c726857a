"""The machine: which core does what, and what the kernel says a process has used."""

from __future__ import annotations

import datetime
import os
import platform
import socket
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
UNDER_TEST = {CORES[0]}
"""The core of the gateway, and in its turn of nginx."""
LOAD = set(CORES[1:2]) or UNDER_TEST
"""The core of the load and of the upstream. On a machine with one core they share it: the CPU figures stand."""


def tree(pid: int) -> list[int]:
    """A process and all its living descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except OSError:
                continue  # that thread has just ended
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process tree, children that it has waited for included."""
    total = 0
    for each in tree(pid):
        # Fields 14 to 17 of proc_pid_stat(5), counted behind the name, which may hold spaces.
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += sum(map(int, fields[11:15]))
    return total / TICKS


def rss_mib(pid: int) -> float:
    """Resident memory of a process tree. Pages shared between its processes count once in each."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in tree(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def busy_seconds(cores: set[int]) -> float:
    """What all processes together have used of these cores, and what the hypervisor took from them."""
    total = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in {f"cpu{core}" for core in cores}:
            # proc_stat(5): user nice system idle iowait irq softirq steal
            total += sum(map(int, fields[:3])) + sum(map(int, fields[5:8]))
    return total / TICKS


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def facts() -> dict[str, str | int | float]:
    """What a figure must be read with."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "cpu": model,
        "cores": len(CORES),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
    }
