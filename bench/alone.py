"""What only a8sidecar is measured with: many rules, many instances, and rules that change.

What differs runs in processes of its own, side by side in alternating rounds: the ratio within a
round is what counts, whatever the machine does from one round to the next.
"""

import statistics
import time

import fixtures
import measure
import proxies
from measure import Load
from processes import Broken
from proxies import a8sidecar

LOAD = Load(headers=fixtures.HEADERS)
SIZES = [1, 100, 5000]


class Alone:
    def __init__(self, length, backend, folder, processes, outcome):
        self.length, self.backend, self.folder = length, backend, folder
        self.processes, self.outcome = processes, outcome

    def sidecar(self, name, **more):
        program = a8sidecar.find()
        folder = self.folder / f"alone-{name.replace(' ', '-')}"
        setup = a8sidecar.setup(program, self.backend, folder, **more)
        running = proxies.start("a8sidecar", setup, self.processes)
        running.name = name
        until = time.monotonic() + 30
        while not ready(running.admin):
            if time.monotonic() > until:
                raise Broken(f"a8sidecar ({name}) is not ready")
            time.sleep(0.1)
        return running

    def stop(self, running):
        for process in [each for each in self.processes.running if each.pid == running.pid]:
            self.processes.stop(process)

    def compare(self, kind, variants):
        """Measures variants side by side; the first is what the others are compared with."""
        self.outcome.say(f"{kind}: {', '.join(variants)}")
        running = [self.sidecar(name, **more) for name, more in variants.items()]
        # Many short rounds rather than a few long ones: what is looked for is a few percent.
        samples = measure.rounds(
            running, LOAD, self.length.seconds / 2, self.length.rounds * 4, self.outcome.problems, self.length.warm
        )
        first, *_ = samples.values()
        self.outcome.alone[kind] = {}
        for name, found in samples.items():
            if not found:
                continue
            ratios = [each["cpu_us"] / base["cpu_us"] for each, base in zip(found, first)]
            self.outcome.alone[kind][name] = measure.median(found) | {"ratio": statistics.median(ratios)}
        for each in running:
            self.stop(each)

    def rules(self):
        self.compare("rules", {name(size, "rule"): {"rules": fixtures.rules(size)} for size in SIZES})

    def instances(self):
        """Called instances are all answered by the one backend, under as many addresses."""
        variants = {name(size, "instance"): {"instances": fixtures.instances(self.backend, size)} for size in SIZES}
        variants["100 of 5,000 instances"] = {"instances": fixtures.instances(self.backend, 100, 4900)}
        self.compare("instances", variants)

    def memory(self):
        """What 5,000 rules and 5,000 instances need, after a while of requests."""
        self.outcome.say("memory: 5,000 rules and 5,000 instances")
        both = {"rules": fixtures.rules(5000), "instances": fixtures.instances(self.backend, 10, 4988)}
        running = self.sidecar("memory", **both)
        before = measure.resident_mb(running.pid)
        measure.rounds([running], LOAD, self.length.seconds, 1, self.outcome.problems, self.length.warm)
        after = measure.resident_mb(running.pid)
        self.outcome.memory = {"before_mb": before, "after_mb": after}
        self.stop(running)


def name(size, what):
    return f"{size:,} {what}{'' if size == 1 else 's'}"


def ready(port):
    try:
        measure.admin(port, "/ready")
        return True
    except OSError:
        return False
