"""Processes that end with the driver, however that ends."""

import ctypes
import pathlib
import signal
import socket
import subprocess
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Broken(Exception):
    """A process that did not start, or an end that came too early."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Processes:
    """What was started; all of it ends with the `with` block, the latest first."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
        for process in self.running:
            end(process)

    def start(self, command, ports, env=None, stdout=None):
        """Starts a command and waits until it listens. Its standard error is kept for the message
        in which it fails."""
        name = pathlib.Path(str(command[0])).name
        errors = self.folder / f"{name}-{len(self.running)}.err"
        with open(stdout or "/dev/null", "ab") as out, open(errors, "wb") as err:
            process = subprocess.Popen(
                [str(word) for word in command],
                env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                # Ctrl-C is for the driver, which then ends the others in order. Should it be killed
                # itself, the system tells them.
                start_new_session=True,
                preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
            )
        self.running.append(process)
        until = time.monotonic() + 30
        for port in ports:
            while not listens(port):
                if process.poll() is not None or time.monotonic() > until:
                    self.stop(process)
                    said = errors.read_text(errors="replace").strip()[-600:]
                    raise Broken(f"{name} does not listen on {port}: {said or 'and says nothing'}")
                time.sleep(0.05)
        return process

    def stop(self, process):
        self.running.remove(process)
        process.send_signal(signal.SIGTERM)
        end(process)


def end(process):
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.2).close()
        return True
    except OSError:
        return False
