"""a8sidecar: rules and instances from files, the access log in a file, metrics as always."""

import json

import environment
import fixtures
from processes import free_port
from proxies import Setup, said


def find():
    return environment.RELEASE / "a8sidecar"


def version(program):
    return said(r"a8sidecar (\S+)", program, "--version")


def setup(program, backend, folder, rules=None, instances=None, controller=None):
    # Apart from the files that are watched for changes.
    log = folder / "log" / "access.log"
    log.parent.mkdir(parents=True)
    write(folder / "instances.json", {"instances": instances or fixtures.instances(backend)})
    write(folder / "rules.json", rules or fixtures.BASE)
    http, tcp, admin = free_port(), free_port(), free_port()
    config = {
        "service": {"name": "bench", "tags": ["v1"]},
        "proxy": True,
        "discovery_adapter": "filesystem",
        "discovery": {"path": f"{folder}/instances.json"},
        "log_level": "warn",
        "proxy_config": {
            "http_listener_port": http,
            "http_listener_host": "127.0.0.1",
            "admin_port": admin,
            "worker_threads": 1,
            "access_log": str(log),
            "tcp_proxies": [{"service": "t", "listener_port": tcp}],
            "drain_timeout": "1s",
        },
    }
    if controller:
        config["controller"] = {"url": [f"http://127.0.0.1:{controller}"]}
    else:
        config |= {"rules_adapter": "filesystem", "rules": {"path": f"{folder}/rules.json"}}
    write(folder / "sidecar.json", config)
    return Setup(
        command=[program, "--config", folder / "sidecar.json"],
        ports={"h1": http, "h2": http, "grpc": http, "tcp": tcp},
        log=log,
        admin=admin,
    )


def write(path, content):
    path.write_text(json.dumps(content))
