"""nginx twice: the upstream that answers from memory, and the yardstick that every figure is a ratio to.

The yardstick is what a proxy costs when it does nothing but proxy: keep-alive on both sides, no logs, and for streams
no buffering.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import unquote

from bench.families import FAMILIES, answer
from bench.machine import LOAD, UNDER_TEST, free_port
from bench.processes import Process, StartFailed

_FRAME = """\
daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log; worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 3600; tcp_nodelay on;
    client_body_buffer_size 64k; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    {inner}
}}
"""
_CANNED = "location = {path} {{ default_type application/json; return 200 '{answer}'; }}"
_PROXY = """\
upstream whole {{ server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 1000000000; }}
    upstream paced {{ server 127.0.0.1:{source}; keepalive 2048; keepalive_requests 1000000000; }}
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_read_timeout 60s;
    server {{ listen 127.0.0.1:{port} backlog=2048; location / {{ proxy_pass http://whole; }} }}
    server {{ listen 127.0.0.1:{streams} backlog=2048; location / {{ proxy_pass http://paced; proxy_buffering off; }} }}
"""


def _start(directory: Path, inner: str, cores: set[int]) -> Process:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise StartFailed("nginx is not installed: it is the yardstick of every figure (apt install nginx-light wrk)")
    directory.mkdir()
    config = directory / "nginx.conf"
    config.write_text(_FRAME.format(dir=directory, inner=inner))
    return Process([program, "-p", str(directory), "-c", str(config)], cores, directory / "output")


class Upstream:
    """The provider: both dialects' paths, each with its canned answer."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        answers = {unquote(family.at(family.model, False)): answer(name) for name, family in FAMILIES.items()}
        canned = "\n".join(_CANNED.format(path=path, answer=body.decode()) for path, body in answers.items())
        server = f"server {{ listen 127.0.0.1:{self.port} backlog=2048; {canned} }}"
        self.process = _start(directory, server, LOAD)
        self.process.wait_for(self.port)


class Yardstick:
    """`proxy_pass` on the core under test: `port` to the upstream, `streams` to the source of streams."""

    def __init__(self, directory: Path, upstream: int, source: int) -> None:
        self.port, self.streams = free_port(), free_port()
        inner = _PROXY.format(port=self.port, streams=self.streams, upstream=upstream, source=source)
        self.process = _start(directory, inner, UNDER_TEST)
        self.process.wait_for(self.streams)
