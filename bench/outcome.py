"""What a run has found, before anybody makes a table of it."""

import dataclasses
import datetime
import os
import pathlib
import platform
import re
import sys


@dataclasses.dataclass
class Outcome:
    """`shared` and `alone` are figures by scenario and proxy; `problems` are what must not be."""

    quick: bool
    rounds: int
    seconds: float
    began: str = dataclasses.field(default_factory=lambda: datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M"))
    machine: str = dataclasses.field(default_factory=lambda: machine())
    versions: dict = dataclasses.field(default_factory=dict)
    missing: dict = dataclasses.field(default_factory=dict)
    shared: dict = dataclasses.field(default_factory=dict)
    idle: dict = dataclasses.field(default_factory=dict)
    alone: dict = dataclasses.field(default_factory=dict)
    memory: dict = None
    churn: dict = None
    dropped: float = None
    problems: list = dataclasses.field(default_factory=list)

    @staticmethod
    def say(text):
        print(f"    {text}", file=sys.stderr, flush=True)

    def figure(self, scenario, proxy, what):
        """A figure, or None where it was not measured."""
        return (self.shared.get(scenario, {}).get(proxy) or {}).get(what)


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    model = model.group(1) if model else platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores of {model}, Linux {platform.release()}"
