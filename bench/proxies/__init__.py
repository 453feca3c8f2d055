"""The proxies that are compared. All forward the same three ways, each with one worker thread:

- `/s/...` in HTTP/1.1 to the backend in HTTP/1.1, without the `/s`;
- `/h/...` in HTTP/2 to the backend in HTTP/2, without the `/h`; gRPC as well;
- a port of bytes to the backend's echo.

Each module here has `find()`, which returns the program or raises `Missing`, `version(program)`,
and `setup(program, backend, folder)`, which writes the configuration and returns a `Setup`. A
protocol without a port in it is one that the proxy cannot speak.
"""

import dataclasses
import importlib
import os
import pathlib
import re
import resource
import shutil
import subprocess

import environment

# In the order of the tables.
PEERS = ["nginx", "haproxy", "envoy", "traefik"]
NAMES = ["a8sidecar", *PEERS]
PREFIX = {"h1": "/s", "h2": "/h", "grpc": "/h", "tcp": ""}


class Missing(Exception):
    """A proxy that is not installed here."""


@dataclasses.dataclass
class Setup:
    command: list
    ports: dict
    log: pathlib.Path
    env: dict = None
    stdout: pathlib.Path = None
    # Where else it listens.
    admin: int = None


@dataclasses.dataclass
class Running:
    name: str
    ports: dict
    pid: int = None
    log: pathlib.Path = None
    admin: int = None
    logged: int = 0

    def prefix(self, protocol):
        return PREFIX[protocol] if self.pid else ""

    def empty_log(self):
        """Empties the access log, so that it does not fill the memory that it is kept in."""
        if self.log and self.log.exists():
            self.logged += self.log.stat().st_size
            os.truncate(self.log, 0)


def module(name):
    return importlib.import_module(f"proxies.{name}")


def start(name, setup, processes):
    ports = sorted({*setup.ports.values(), *([setup.admin] if setup.admin else [])})
    process = processes.start(setup.command, ports, setup.env, setup.stdout)
    return Running(name, setup.ports, process.pid, setup.log, setup.admin)


def direct(backend):
    """The backend without a proxy: what the load and the machine allow."""
    return Running("direct", {"h1": backend.http, "h2": backend.http, "grpc": backend.http, "tcp": backend.tcp})


def program(name, how):
    """A program on the path, or in the environment of the benchmark."""
    found = shutil.which(name) or shutil.which(name, path=environment.VENV / "bin")
    if not found:
        raise Missing(f"{name} is not installed ({how})")
    return found


def said(pattern, *command):
    """What a program says that its version is."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "?"


def connections():
    """How many connections a proxy may have of callers, with as many of its own."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(8192, files // 2 - 100)
