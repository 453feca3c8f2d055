"""nginx: no HTTP/2 towards a backend but gRPC, so `h2` is translated to HTTP/1.1."""

import pathlib

from processes import free_port
from proxies import Setup, connections, program, said

STREAM = pathlib.Path("/usr/lib/nginx/modules/ngx_stream_module.so")


def find():
    return program("nginx", "Debian: apt-get install nginx-light libnginx-mod-stream")


def version(path):
    return said(r"nginx/(\S+)", path, "-v")


def setup(path, backend, folder):
    folder.mkdir()
    h1, h2, tcp = free_port(), free_port(), free_port()
    log = folder / "access.log"
    # Debian has streams in a module of its own.
    built_in = said(r"(--with-stream)\s", path, "-V") != "?"
    stream = built_in or STREAM.exists()
    forward = """proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Request-Id $request_id;"""
    (folder / "nginx.conf").write_text(f"""
{f"load_module {STREAM};" if stream and not built_in else ""}
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections {2 * connections()}; }}
http {{
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  access_log {log} combined buffer=32k flush=1s;
  keepalive_requests 1000000000; client_max_body_size 0; client_body_buffer_size 1m;
  upstream http1 {{ server 127.0.0.1:{backend.http}; keepalive 1024; keepalive_requests 1000000000; }}
  upstream http2 {{ server 127.0.0.1:{backend.http}; keepalive 1024; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{h1} backlog=4096;
    location /s/ {{ proxy_pass http://http1/; {forward} }}
  }}
  server {{
    listen 127.0.0.1:{h2} http2 backlog=4096;
    http2_max_concurrent_streams 1024;
    location /h/ {{
      if ($content_type = application/grpc) {{ rewrite ^/h(/.*)$ $1 last; }}
      proxy_pass http://http1/; {forward}
    }}
    location /bytes/ {{ grpc_pass grpc://http2; grpc_set_header X-Request-Id $request_id; }}
  }}
}}
""" + (f"""
stream {{
  log_format line '$remote_addr [$time_local] $status $bytes_sent $bytes_received $session_time $upstream_addr';
  access_log {log} line buffer=32k flush=1s;
  server {{ listen 127.0.0.1:{tcp} backlog=4096; proxy_pass 127.0.0.1:{backend.tcp}; tcp_nodelay on; }}
}}
""" if stream else ""))
    ports = {"h1": h1, "h2": h2, "grpc": h2} | ({"tcp": tcp} if stream else {})
    return Setup([path, "-c", folder / "nginx.conf"], ports, log)
