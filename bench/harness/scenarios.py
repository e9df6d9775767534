"""What is measured. A scenario is a load that all gateways get in turn; a knob is one load with two settings of ours."""

from dataclasses import dataclass, field

H2 = ["--tls", "--http2", "--connections", "10", "--streams", "10"]
H2_TUNNELS = ["--tls", "--http2", "--connections", "10", "--streams", "5"]
TUNNELS = ["--connections", "50"]
FEW_TUNNELS = ["--connections", "10"]
# The fields that Chromium sends for a page.
BROWSER = [word for line in [
    "Connection: keep-alive",
    'sec-ch-ua: "Chromium";v="142", "Not_A Brand";v="99"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "Upgrade-Insecure-Requests: 1",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
    "Sec-Fetch-Site: none",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-User: ?1",
    "Sec-Fetch-Dest: document",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9",
] for word in ("--field", line)]


@dataclass
class Scenario:
    name: str
    title: str
    load: list
    needs: set = field(default_factory=set)
    targets: dict = field(default_factory=dict)  # what the ratio to a peer should be
    main: bool = False  # gets more rounds
    cached: bool = False  # nothing may reach the backend
    open_loop: bool = False  # its latencies compare, as all get the same rate
    large: bool = False  # also beside an nginx with larger buffers
    floor: bool = False  # also beside the least that a gateway can do


def cached(path, *more):
    return ["get", "--path", f"/cached/{path}", *more]


SCENARIOS = [
    # HTTP/1.1, kept answers
    Scenario("hit-1k", "cached GET, 1 KiB", cached(1024), {"cache"}, {"nginx": 1.6}, main=True, cached=True,
             floor=True),
    Scenario("hit-16k", "cached GET, 16 KiB", cached(16384), {"cache"}, {"nginx": 1.3}, main=True, cached=True,
             floor=True),
    Scenario("hit-1m", "cached GET, 1 MiB", cached(2**20), {"cache"}, {"nginx": 1.35}, main=True, cached=True),
    Scenario("not-modified", "304 from the cache",
             cached(1024, "--expect", "304", "--field", 'If-None-Match: "v1"'), {"cache"}, cached=True),
    Scenario("vary-1k", "cached GET, 1 KiB, Vary: Accept-Encoding",
             ["get", "--path", "/vary/1024", "--field", "Accept-Encoding: gzip, br"], {"cache"}, cached=True),
    Scenario("browser-hit-1k", "cached GET, 1 KiB, with a browser's fields", cached(1024, *BROWSER), {"cache"}, cached=True),
    # TLS and HTTP/2
    Scenario("tls-hit-1k", "cached GET, 1 KiB, TLS", cached(1024, "--tls"), {"cache", "tls"}, {"nginx": 1.3},
             main=True, cached=True),
    Scenario("tls-hit-16k", "cached GET, 16 KiB, TLS", cached(16384, "--tls"), {"cache", "tls"}, cached=True),
    Scenario("tls-hit-1m", "cached GET, 1 MiB, TLS", cached(2**20, "--tls"), {"cache", "tls"}, cached=True),
    Scenario("h2-hit-1k", "cached GET, 1 KiB, HTTP/2", cached(1024, *H2), {"cache", "http2"}, {"nginx": 1.1},
             main=True, cached=True),
    Scenario("h2-hit-16k", "cached GET, 16 KiB, HTTP/2", cached(16384, *H2), {"cache", "http2"}, cached=True),
    Scenario("h2-hit-1m", "cached GET, 1 MiB, HTTP/2", cached(2**20, *H2), {"cache", "http2"}, cached=True),
    Scenario("tls-connect", "TLS handshake and one cached GET", cached(1024, "--tls", "--reconnect"),
             {"cache", "tls"}, cached=True),
    # To the backend each time
    Scenario("fresh-1k", "uncached GET, 1 KiB", ["get", "--path", "/fresh/1024"],
             targets={"nginx": 1.1, "haproxy": 1.1}, main=True, floor=True),
    Scenario("browser-fresh-1k", "uncached GET, 1 KiB, with a browser's fields", ["get", "--path", "/fresh/1024", *BROWSER]),
    Scenario("fresh-64k", "uncached GET, 64 KiB", ["get", "--path", "/fresh/65536"]),
    Scenario("post-16k", "POST of 16 KiB", ["get", "--path", "/fresh/64", "--post", "16384"]),
    # WebSockets
    Scenario("echo-64", "WebSocket echo, 64 B", ["echo", "--size", "64", *TUNNELS], {"websocket"}, {"nginx": 1.0},
             main=True, floor=True),
    Scenario("echo-16k", "WebSocket echo, 16 KiB", ["echo", "--size", "16384", *TUNNELS], {"websocket"},
             {"nginx": 3.0}, main=True, large=True, floor=True),
    Scenario("bulk-1m", "WebSocket echo, 1 MiB", ["echo", "--size", "1048576", *FEW_TUNNELS], {"websocket"},
             {"nginx": 3.0}, main=True, large=True),
    Scenario("handshake", "WebSocket opened and closed", ["handshake", *TUNNELS], {"websocket"}, {"nginx": 1.0},
             main=True, floor=True),
    Scenario("tls-echo-64", "WebSocket echo, 64 B, TLS", ["echo", "--size", "64", "--tls", *TUNNELS],
             {"websocket", "tls"}),
    Scenario("tls-echo-16k", "WebSocket echo, 16 KiB, TLS", ["echo", "--size", "16384", "--tls", *TUNNELS],
             {"websocket", "tls"}),
    Scenario("tls-bulk-1m", "WebSocket echo, 1 MiB, TLS", ["echo", "--size", "1048576", "--tls", *FEW_TUNNELS],
             {"websocket", "tls"}),
    Scenario("tls-handshake", "WebSocket opened and closed, TLS", ["handshake", "--tls", *TUNNELS],
             {"websocket", "tls"}),
    Scenario("h2-echo-64", "WebSocket echo, 64 B, HTTP/2", ["echo", "--size", "64", *H2_TUNNELS],
             {"websocket-http2"}),
    Scenario("h2-echo-16k", "WebSocket echo, 16 KiB, HTTP/2", ["echo", "--size", "16384", *H2_TUNNELS],
             {"websocket-http2"}),
    Scenario("h2-bulk-1m", "WebSocket echo, 1 MiB, HTTP/2",
             ["echo", "--size", "1048576", "--tls", "--http2", "--connections", "5", "--streams", "2"],
             {"websocket-http2"}),
    Scenario("h2-handshake", "WebSocket opened and closed, HTTP/2", ["handshake", *H2_TUNNELS],
             {"websocket-http2"}),
    # Latencies at a rate that all can serve
    Scenario("open-hit-1k", "cached GET, 1 KiB, 10,000/s", cached(1024, "--rate", "10000"), {"cache"}, cached=True,
             open_loop=True),
    Scenario("open-fresh-1k", "uncached GET, 1 KiB, 4,000/s", ["get", "--path", "/fresh/1024", "--rate", "4000"],
             open_loop=True),
    Scenario("open-echo-64", "WebSocket echo, 64 B, 5,000/s",
             ["echo", "--size", "64", "--rate", "5000", *TUNNELS], {"websocket"}, open_loop=True),
]


# Our own hits beside the plain one: the least share of its work per CPU second.
KIND_OF_ALL = "hit-1k"
KINDS = {"not-modified": 1.0, "vary-1k": 0.85}


@dataclass
class Crowd:
    """Connections at rest: memory for each, and what is left when they have gone."""

    name: str
    title: str
    load: list
    needs: set
    targets: dict = field(default_factory=dict)  # bytes at most: at rest, after


CROWDS = [
    Crowd("idle-tunnel", "idle tunnel", ["--rest", "tunnel"], {"websocket"}, {"at_rest": 2048, "after": 1024}),
    Crowd("idle-tunnel-tls", "idle tunnel, TLS", ["--rest", "tunnel", "--tls"], {"websocket", "tls"}),
    Crowd("idle-request", "kept connection after a cached GET", ["--rest", "request", "--path", "/cached/1024"],
          {"cache"}),
    Crowd("silent", "connection that never said a word", ["--rest", "silent"], set()),
]


@dataclass
class Knob:
    """One load with and without something of ours."""

    name: str
    title: str
    scenario: str
    variant: dict
    key: str = ""  # left out unless the configuration knows this key
    most: float = 0.0  # the ratio with / without that it should not pass


KNOBS = [
    Knob("access-log", "access log on, to a file", "hit-1k", {"log": True}),
    Knob("observer-off", "observer off", "echo-64", {"route": "websocket = { observe = false }"}, key="observe", most=1.05),
    Knob("observer-off-16k", "observer off", "echo-16k", {"route": "websocket = { observe = false }"}, key="observe",
         most=1.05),
    Knob("threads-2", "two threads on both processors", "hit-1k", {"threads": 2}),
    Knob("threads-2-fresh", "two threads on both processors", "fresh-1k", {"threads": 2}),
]

# Zipf: 100,000 objects of 8 KiB with room for a fifth of their bytes.
ZIPF = {"objects": 100_000, "bytes": 8192, "exponent": 0.9, "share": 0.2, "fill": 200_000, "measured": 100_000}
ZIPF_CAPACITY_MIB = round(ZIPF["objects"] * ZIPF["bytes"] * ZIPF["share"] / 2**20)

STAMPEDE = {"connections": 1000, "rounds": 5}
DRAIN = {"tunnels": 5000, "rate": 2000, "seconds": 5}
LIST = {"tunnels": 9000, "rate": 5000, "seconds": 2}
LISTS_A_SECOND = 5
CROWD_SIZE = 9000
