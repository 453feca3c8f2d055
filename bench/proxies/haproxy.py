"""HAProxy, with its log on standard output, which is a file: one write for each line."""

from processes import free_port
from proxies import Setup, connections, program, said


def find():
    return program("haproxy", "Debian: apt-get install haproxy")


def version(path):
    return said(r"version (\S+)", path, "-v")


def setup(path, backend, folder):
    folder.mkdir()
    h1, h2, tcp = free_port(), free_port(), free_port()
    (folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn {connections()}
  log stdout format raw local0

defaults
  log global
  timeout connect 5s
  timeout client 1m
  timeout server 1m
  backlog 4096

frontend http1
  bind 127.0.0.1:{h1}
  mode http
  option httplog
  option forwardfor
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-path %[path,bytes(2)]
  default_backend http1

backend http1
  mode http
  http-reuse always
  server one 127.0.0.1:{backend.http}

frontend http2
  bind 127.0.0.1:{h2} proto h2
  mode http
  option httplog
  option forwardfor
  unique-id-format %[uuid()]
  unique-id-header X-Request-Id
  http-request set-path %[path,bytes(2)]
  default_backend http2

backend http2
  mode http
  http-reuse always
  server one 127.0.0.1:{backend.http} proto h2

listen bytes
  bind 127.0.0.1:{tcp}
  mode tcp
  option tcplog
  server one 127.0.0.1:{backend.tcp}
""")
    log = folder / "access.log"
    ports = {"h1": h1, "h2": h2, "grpc": h2, "tcp": tcp}
    return Setup([path, "-db", "-f", folder / "haproxy.cfg"], ports, log, stdout=log)
