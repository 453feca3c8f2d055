"""One measurement: load through a proxy, and what it costs the proxy meanwhile."""

import dataclasses
import json
import pathlib
import re
import statistics
import subprocess
import time
import urllib.request

import environment


@dataclasses.dataclass(frozen=True)
class Load:
    """What `a8load run` makes; see its `--help`."""

    protocol: str = "h1"
    connections: int = 32
    streams: int = 1
    rate: int = 0
    down: int = 512
    up: int = 0
    reconnect: bool = False
    headers: tuple = ()


def make(load, port, prefix, seconds):
    """Makes the load, and returns what a8load tells of it."""
    command = [
        environment.A8LOAD, "run", "--target", f"127.0.0.1:{port}", "--protocol", load.protocol,
        "--path", f"{prefix}/bytes/{load.down}", "--connections", load.connections,
        "--streams", load.streams, "--upload", load.up, "--seconds", seconds,
    ]
    command += ["--rate", load.rate] if load.rate else []
    command += ["--reconnect"] if load.reconnect else []
    for header in load.headers:
        command += ["--header", header]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode:
        raise Failed(done.stderr.strip())
    return json.loads(done.stdout)


class Failed(Exception):
    """A load that could not be made at all."""


def processes(pid):
    """A process and its children."""
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += processes(int(child))
    return found


def cpu_ns(pid):
    """User plus system time of a process and its children, of threads that have ended too.

    It is the kernel's clock of the process: to the nanosecond, where /proc/PID/stat rounds to ten
    milliseconds, and complete, where /proc/PID/task/*/schedstat forgets threads that ended.
    """
    # As clock_getcpuclockid(3) makes it; Python has no name for it.
    return sum(time.clock_gettime_ns((~each << 3) | 2) for each in processes(pid))


def resident_mb(pid):
    """Resident memory. What several processes share (nginx) is divided between them."""
    pids = processes(pid)
    what = "Rss" if len(pids) == 1 else "Pss"
    total = 0
    for each in pids:
        rollup = pathlib.Path(f"/proc/{each}/smaps_rollup").read_text()
        total += int(re.search(rf"^{what}:\s+(\d+)", rollup, re.MULTILINE).group(1))
    return total / 1024


def sample(running, load, seconds):
    """Makes the load once, through a proxy that runs."""
    before = cpu_ns(running.pid) if running.pid else 0
    told = make(load, running.ports[load.protocol], running.prefix(load.protocol), seconds)
    if running.pid:
        told["cpu_us"] = (cpu_ns(running.pid) - before) / 1e3 / max(told["count"], 1)
        told["rss_mb"] = resident_mb(running.pid)
    return told


def rounds(all_running, load, seconds, count, problems, warm=0.5):
    """Samples of each proxy by name. Rounds alternate, each in the other direction than the one
    before, so that a machine that is busy with something else is unfair to all of them alike."""
    samples = {each.name: [] for each in all_running}

    def one(each, seconds):
        told = None
        try:
            told = sample(each, load, seconds)
        except (Failed, OSError, subprocess.TimeoutExpired) as e:
            problems.append(f"{each.name}: {describe(load)}: {e}")
        if told and (told["errors"] or told["non_2xx"]):
            problems.append(
                f"{each.name}: {describe(load)}: of {told['count']} requests {told['errors']} failed and "
                f"{told['non_2xx']} were refused, the first with: {told['first_problem']}"
            )
        each.empty_log()
        return told

    for each in all_running:
        one(each, warm)
    for n in range(count):
        for each in all_running[:: -1 if n % 2 else 1]:
            if told := one(each, seconds):
                samples[each.name].append(told)
    return samples


def median(samples):
    """The median of each figure over the rounds, with the failures of all of them."""
    if not samples:
        return None
    figures = {what for each in samples for what, value in each.items() if isinstance(value, (int, float))}
    found = {what: statistics.median(each[what] for each in samples) for what in sorted(figures)}
    for what in ["errors", "non_2xx"]:
        found[what] = sum(each[what] for each in samples)
    return found


def describe(load):
    given = dataclasses.asdict(load)
    usual = dataclasses.asdict(Load())
    unusual = [f"{name}={value}" for name, value in given.items() if value != usual[name] and name not in ["protocol", "headers"]]
    return " ".join([load.protocol, *unusual])


def figure(running, name):
    """A figure of a8sidecar's own, summed over its labels."""
    page = admin(running.admin, "/metrics").decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))


def admin(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return answer.read()
