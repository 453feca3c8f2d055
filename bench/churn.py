"""Requests while rules change: a weight of the called service's rule is written to a controller
every five milliseconds, beside 5,000 rules, and the sidecar watches it."""

import http.client
import json
import threading
import time

import environment
import fixtures
import measure
from alone import LOAD
from processes import Broken, free_port

EVERY = 0.005
RULES = 5000
BATCH = 500
# Seconds that the sidecar has to catch up.
PATIENCE = 15


class Editor(threading.Thread):
    """Writes the weight again and again until it is told to stop."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.stopped, self.edits, self.failed = port, threading.Event(), 0, 0

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        due = time.monotonic()
        while not self.stopped.wait(max(0, due - time.monotonic())):
            # When the controller is slower than that, the edits that were missed are not made up.
            due = max(due + EVERY, time.monotonic())
            weight = (self.edits % 99 + 1) / 100
            try:
                call(connection, "PUT", [fixtures.split("s", weight)])
                self.edits += 1
            except (OSError, http.client.HTTPException):
                self.failed += 1
                connection.close()
        connection.close()


def call(connection, method, rules):
    connection.request(method, "/v1/rules", json.dumps({"rules": rules}), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status >= 300:
        raise http.client.HTTPException(f"{answer.status}: {said[:300]}")


def run(alone):
    """Measures with and without changes in turns."""
    outcome, length = alone.outcome, alone.length
    outcome.say(f"churn: a weight every {EVERY * 1000:.0f} ms beside {RULES:,} rules")
    port = free_port()
    command = [environment.RELEASE / "a8controller", "--api_host=127.0.0.1", f"--api_port={port}", "--log_level=warn"]
    alone.processes.start(command, [port])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    rules = fixtures.rules(RULES)
    for n in range(0, RULES, BATCH):
        call(connection, "POST", rules[n : n + BATCH])
    running = alone.sidecar("churn", controller=port)
    found = {"quiet": [], "changing": []}
    edits, spent, behind = 0, 0, []
    measure.rounds([running], LOAD, length.warm, 0, outcome.problems, length.warm)
    for _ in range(max(2, length.rounds)):
        for kind in found:
            editor = Editor(port)
            began = time.monotonic()
            if kind == "changing":
                editor.start()
            samples = measure.rounds([running], LOAD, length.seconds, 1, outcome.problems, 0.1)
            found[kind] += samples[running.name]
            if kind == "changing":
                editor.stopped.set()
                editor.join()
                edits, spent = edits + editor.edits, spent + time.monotonic() - began
                behind.append(caught_up(running, connection))
                if editor.failed:
                    outcome.problems.append(f"churn: {editor.failed} changes were refused by the controller")
    outcome.churn = {kind: measure.median(samples) for kind, samples in found.items()}
    outcome.churn |= {"edits": edits, "edits_per_second": edits / spent, "behind_seconds": max(behind)}
    alone.stop(running)


def caught_up(running, connection):
    """For how many seconds after the last edit the sidecar was behind the controller."""
    began = time.monotonic()
    while (spent := time.monotonic() - began) < PATIENCE:
        connection.request("GET", "/v1/rules?id=split-s")
        newest = json.loads(connection.getresponse().read())["revision"]
        state = json.loads(measure.admin(running.admin, "/state"))
        if state["rules"]["revision"] == newest:
            return spent
        time.sleep(0.01)
    raise Broken(f"a8sidecar is behind the controller {PATIENCE} s after the last change")
