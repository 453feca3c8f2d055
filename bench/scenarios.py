"""What all proxies are measured with."""

import dataclasses
import time

import measure
import proxies
from measure import Load
from processes import Broken


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    load: Load


SCENARIOS = [
    Scenario("base", "HTTP/1.1, 32 connections, 512 B", Load()),
    Scenario("rate", "… at 1,000 requests/s", Load(rate=1000)),
    Scenario("connections-1", "… 1 connection", Load(connections=1)),
    Scenario("connections-256", "… 256 connections", Load(connections=256)),
    Scenario("connections-1000", "… 1,000 connections", Load(connections=1000)),
    Scenario("body-0", "… empty body", Load(down=0)),
    Scenario("body-16k", "… 16 KiB", Load(down=16 << 10)),
    Scenario("body-1m", "… 1 MiB", Load(down=1 << 20)),
    Scenario("upload-64k", "… 64 KiB sent", Load(up=64 << 10, down=0)),
    Scenario("h2", "HTTP/2, 4 connections of 16 streams, 512 B", Load("h2", connections=4, streams=16)),
    Scenario("grpc", "gRPC, 4 connections of 16 streams, 512 B", Load("grpc", connections=4, streams=16, up=512)),
    Scenario("tcp", "TCP, 32 connections, 512 B there and back", Load("tcp", up=512)),
    Scenario("tcp-connect", "… a connection for each", Load("tcp", up=512, reconnect=True)),
]


@dataclasses.dataclass(frozen=True)
class Length:
    """How long things are measured."""

    seconds: float = 2.5
    rounds: int = 3
    warm: float = 0.5


QUICK = Length(seconds=1, rounds=1, warm=0.2)


def wanted(name, asked):
    """Whether a scenario was asked for, by its name or by that of its group."""
    return not asked or name in asked or name.split("-")[0] in asked


def start(names, backend, folder, processes, outcome):
    """Starts the proxies that there are, and reads what each needs when it has done nothing yet."""
    running = []
    for name in names:
        module = proxies.module(name)
        try:
            program = module.find()
            outcome.versions[name] = module.version(program)
            setup = module.setup(program, backend, folder / name)
            running.append(proxies.start(name, setup, processes))
        except proxies.Missing as e:
            outcome.missing[name] = str(e)
        except Broken as e:
            outcome.problems.append(f"{name} is left out: {e}")
    time.sleep(1)
    outcome.idle = {each.name: measure.resident_mb(each.pid) for each in running}
    return running


def run(names, asked, length, backend, folder, processes, outcome):
    """Measures each scenario with each proxy."""
    running = start(names, backend, folder, processes, outcome)
    for scenario in SCENARIOS:
        if not wanted(scenario.name, asked):
            continue
        able = [each for each in [proxies.direct(backend), *running] if scenario.load.protocol in each.ports]
        outcome.say(f"{scenario.name}: {', '.join(each.name for each in able)}")
        samples = measure.rounds(able, scenario.load, length.seconds, length.rounds, outcome.problems, length.warm)
        outcome.shared[scenario.name] = {name: measure.median(found) for name, found in samples.items() if found}
    # What is collected is written once a second at the latest.
    time.sleep(1.5)
    for each in running:
        each.empty_log()
        if not each.logged:
            outcome.problems.append(f"{each.name} has written no access log")
        if each.admin:
            outcome.dropped = measure.figure(each, "a8_access_log_dropped_total")
