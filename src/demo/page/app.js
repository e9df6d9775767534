// The same updates by four roads, counted; which files came from the cache; an echo through the tunnel.
// Nothing here keeps a total that it did not see: what the browser does not tell is named as an estimate on the page.

const POLL_EVERY_MS = 2000;
const STRIP_LENGTH = 30;
const encoder = new TextEncoder();
const byteLength = (text) => encoder.encode(text).length;
const byId = (id) => document.getElementById(id);

/** Milliseconds that the app's clock is ahead of the browser's; 0 when both are the same machine's. */
let clockAhead = 0;
/** The last update's number; those who join later begin behind it. */
let newest = 0;
/** Ends everything that is under way when the page is hidden. */
let session = null;

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// ---- The account of one road

class Lane {
  constructor(name, how) {
    this.name = name;
    Object.assign(this, { updates: 0, requests: 0, payload: 0, overhead: 0, ageSum: 0, last: 0 });
    this.badge = element("span", { className: "badge", textContent: "starting" });
    this.age = element("strong", { textContent: "–" });
    this.strip = element("div", { className: "strip" });
    this.strip.setAttribute("aria-hidden", "true");
    this.figures = {};
    const list = element("dl");
    for (const figure of ["Updates received", "Mean age on arrival", "Requests made", "Payload", "Heads and framing"]) {
      this.figures[figure] = element("dd", { textContent: "0" });
      list.append(element("dt", { textContent: figure }), this.figures[figure]);
    }
    const card = element("article", { className: "lane" },
      element("header", {}, element("h3", { textContent: name }), this.badge),
      element("p", { className: "how", textContent: how }),
      element("p", { className: "now" }, this.age, element("span", { textContent: "old when it came" })),
      this.strip, list);
    byId("lanes").append(card);

    this.payloadBar = element("span", { className: "payload" });
    this.overheadBar = element("span", { className: "overhead" });
    this.costText = element("output", { textContent: "–" });
    byId("cost").append(element("div", { className: "cost-row" }, element("span", { textContent: name }),
      element("div", { className: "bar" }, this.payloadBar, this.overheadBar), this.costText));
    lanes.push(this);
  }

  state(text, kind = "") {
    this.badge.textContent = text;
    this.badge.className = `badge ${kind}`;
  }

  /** One request with heads of that many bytes, both ways. */
  request(headBytes) {
    this.requests += 1;
    this.overhead += headBytes;
  }

  bytes(payload, overhead) {
    this.payload += payload;
    this.overhead += overhead;
  }

  /** Updates arrived together. Each counts once, whoever repeats it. */
  arrived(updates) {
    const now = Date.now() + clockAhead;
    for (const update of updates) {
      if (update.number <= this.last && this.last - update.number < 1000) continue;
      this.last = update.number;
      this.updates += 1;
      const age = Math.max(0, now - update.made);
      this.ageSum += age;
      this.age.textContent = `${Math.round(age)} ms`;
      const bar = element("i");
      // The square root keeps 3 ms visible beside 2 s.
      bar.style.height = `${Math.min(100, Math.sqrt(age / POLL_EVERY_MS) * 100)}%`;
      this.strip.append(bar);
      if (this.strip.childElementCount > STRIP_LENGTH) this.strip.firstElementChild.remove();
      showTide(update);
    }
    this.show();
  }

  show() {
    this.figures["Updates received"].textContent = this.updates;
    this.figures["Mean age on arrival"].textContent = this.updates ? `${Math.round(this.ageSum / this.updates)} ms` : "–";
    this.figures["Requests made"].textContent = this.requests;
    this.figures["Payload"].textContent = bytesText(this.payload);
    this.figures["Heads and framing"].textContent = bytesText(this.overhead);
    showCost();
  }
}

const lanes = [];
const polling = new Lane("Polling", "asks every 2 seconds");
const waiting = new Lane("Long poll", "answered at the next update");
const events = new Lane("Server-sent events", "one answer that does not end");
const socket = new Lane("WebSocket", "one tunnel, open both ways");

function bytesText(bytes) {
  return bytes < 1024 ? `${Math.round(bytes)} B` : `${(bytes / 1024).toFixed(1)} KiB`;
}

function showCost() {
  const cost = lanes.map((lane) => (lane.updates ? (lane.payload + lane.overhead) / lane.updates : 0));
  const most = Math.max(...cost, 1);
  lanes.forEach((lane, index) => {
    if (!lane.updates) return;
    lane.payloadBar.style.width = `${(100 * lane.payload) / lane.updates / most}%`;
    lane.overheadBar.style.width = `${(100 * lane.overhead) / lane.updates / most}%`;
    lane.costText.textContent =
      `${Math.round(lane.payload / lane.updates)} + ${Math.round(lane.overhead / lane.updates)} = ${Math.round(cost[index])} B`;
  });
}

function showTide(update) {
  if (update.number === newest) return;
  newest = update.number;
  byId("level").textContent = update.level.toFixed(2);
  byId("number").textContent = update.number;
  byId("waves").style.transform = `translateY(${(2.5 - update.level) * 9}px)`;
}

// ---- The roads

/** Heads of an exchange: the answer's from what the browser shows, the request's as the app counted it. */
function headBytes(response) {
  let bytes = "HTTP/1.1 200 OK\r\n\r\n".length;
  for (const [name, value] of response.headers) bytes += name.length + value.length + ": \r\n".length;
  return bytes + Number(response.headers.get("x-request-head-bytes") ?? 0);
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

/** Asks `path` for updates until the session ends, with `restMs` between two questions. */
async function ask(lane, path, restMs, signal) {
  let since = newest;
  while (!signal.aborted) {
    const begun = performance.now();
    try {
      const response = await fetch(`${path}?since=${since}`, { signal });
      if (!response.ok) throw new Error(`answered ${response.status}`);
      const text = await response.text();
      const answer = JSON.parse(text);
      since = answer.latest;
      lane.request(headBytes(response));
      lane.bytes(byteLength(text), 0);
      lane.state("live", "good");
      lane.arrived(answer.updates);
    } catch (problem) {
      if (signal.aborted) return;
      lane.state("trying again", "bad");
      await pause(1000, signal);
    }
    await pause(Math.max(0, restMs - (performance.now() - begun)), signal);
  }
}

/** Server-sent events. Their heads are out of a script's sight: a HEAD request shows what they are. */
async function listen(signal) {
  const heads = await fetch("/api/events", { method: "HEAD", signal }).then(headBytes).catch(() => 0);
  if (signal.aborted) return;
  const source = new EventSource(`/api/events?since=${newest}`);
  signal.addEventListener("abort", () => source.close(), { once: true });
  source.addEventListener("open", () => {
    events.request(heads);
    events.state("live", "good");
  });
  source.addEventListener("error", () => events.state("trying again", "bad"));
  source.addEventListener("hello", (event) => {
    events.bytes(0, chunk(`retry: 1000\nevent: hello\ndata: ${event.data}\n\n`));
  });
  source.addEventListener("message", (event) => {
    const framing = chunk(`id: ${event.lastEventId}\ndata: ${event.data}\n\n`) - byteLength(event.data);
    events.bytes(byteLength(event.data), framing);
    events.arrived([JSON.parse(event.data)]);
  });
}

/** Bytes of a chunk that holds this text (RFC 9112 §7.1). */
function chunk(text) {
  const bytes = byteLength(text);
  return bytes + bytes.toString(16).length + "\r\n\r\n".length;
}

/** Bytes in front of a WebSocket frame's payload (RFC 6455 §5.2); a client's frames carry a mask. */
function frameHead(bytes, masked) {
  return 2 + (bytes > 65535 ? 8 : bytes > 125 ? 2 : 0) + (masked ? 4 : 0);
}

let tunnel = null;

/** The WebSocket. The heads of its handshake are counted once: the app tells the one, the other is always the same. */
async function hold(signal) {
  const answerHead = 17 + 18 + 20 + 24 + 52 + 4;
  while (!signal.aborted) {
    await new Promise((ended) => {
      const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
      const leave = () => opened.close(1000);
      signal.addEventListener("abort", leave, { once: true });
      opened.addEventListener("open", () => {
        tunnel = opened;
        socket.state("live", "good");
      });
      opened.addEventListener("message", (event) => hear(event.data, answerHead));
      opened.addEventListener("close", () => {
        signal.removeEventListener("abort", leave);
        if (tunnel === opened) tunnel = null;
        if (!signal.aborted) socket.state("trying again", "bad");
        ended();
      });
    });
    await pause(1000, signal);
  }
}

function hear(text, answerHead) {
  const bytes = byteLength(text);
  const message = JSON.parse(text);
  if (message.hello) {
    socket.request(message.hello.head_bytes + answerHead + bytes + frameHead(bytes, false));
  } else if (message.echo !== undefined) {
    heard(message);
  } else {
    socket.bytes(bytes, frameHead(bytes, false));
    socket.arrived([message]);
  }
}

// ---- The echo

byId("echo").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = byId("echo-text");
  if (tunnel?.readyState !== WebSocket.OPEN) {
    note("The tunnel is not open just now.");
    return;
  }
  tunnel.send(JSON.stringify({ echo: input.value, sent: performance.now() }));
  input.value = "";
});

function heard({ echo, sent }) {
  const took = `${(performance.now() - sent).toFixed(1)} ms there and back`;
  byId("echo-log").prepend(element("li", {}, element("span", { textContent: echo }), element("span", { textContent: took })));
  while (byId("echo-log").childElementCount > 6) byId("echo-log").lastElementChild.remove();
}

// ---- The files

const ASSETS = ["/assets/app.css", "/assets/app.js", "/assets/tide.svg", "/assets/harbour.png", "/assets/gate.svg", "/", "/api/time"];
const assetRows = new Map();

for (const path of ASSETS) {
  const cells = ["said", "from", "age", "took"].map((name) => element("td", { className: name === "age" || name === "took" ? "right" : "" }));
  const button = element("button", { type: "button", textContent: "Ask again" });
  button.setAttribute("aria-label", `Ask for ${path} again`);
  button.addEventListener("click", () => fetchAsset(path));
  const name = path === "/" ? "/ (this page)" : path;
  byId("assets").append(element("tr", {}, element("th", { scope: "row", textContent: name }), ...cells, element("td", {}, button)));
  assetRows.set(path, { cells, button });
}
byId("reload-all").addEventListener("click", fetchAssets);

async function fetchAssets() {
  for (const path of ASSETS) await fetchAsset(path);
}

async function fetchAsset(path) {
  const { cells: [said, from, age, took], button } = assetRows.get(path);
  button.disabled = true;
  const begun = performance.now();
  try {
    const response = await fetch(path);
    await response.arrayBuffer();
    const elapsed = performance.now() - begun;
    // The browser files its account of the fetch a moment later.
    await new Promise((resolve) => setTimeout(resolve, 30));
    const timing = performance.getEntriesByName(response.url, "resource").at(-1);
    const ownCache = timing !== undefined && timing.transferSize === 0 && timing.decodedBodySize > 0;
    const field = response.headers.get("cache-status");
    const verdict = judge(field, ownCache);
    said.replaceChildren(element("code", { textContent: response.headers.get("cache-control") ?? "nothing" }));
    from.replaceChildren(element("span", { className: `badge ${verdict.kind}`, textContent: verdict.text }),
      element("code", { className: "raw", textContent: ownCache ? "not asked for" : field ?? "no Cache-Status" }));
    age.textContent = response.headers.has("age") && !ownCache ? `${response.headers.get("age")} s` : "–";
    took.textContent = `${elapsed.toFixed(1)} ms`;
  } catch (problem) {
    from.replaceChildren(element("span", { className: "badge bad", textContent: "no answer" }));
  } finally {
    button.disabled = false;
    // The browser keeps account of 250 fetches and then stops.
    performance.clearResourceTimings();
  }
}

/** The last member of Cache-Status (RFC 9211 §2) in words. */
function judge(field, ownCache) {
  if (ownCache) return { text: "the browser's own cache", kind: "" };
  if (field === null) return { text: "the app", kind: "" };
  const member = field.split(",").at(-1).toLowerCase();
  if (/;\s*hit\b/.test(member)) return { text: "Tidegate's cache", kind: "good" };
  if (/fwd-status=304/.test(member)) return { text: "Tidegate's cache, after asking", kind: "good" };
  if (/;\s*stored\b/.test(member)) return { text: "the app, now stored", kind: "warm" };
  return { text: "the app", kind: "" };
}

// ---- Beginning, pausing, ending

function note(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = text === "";
}

/** How far the app's clock is ahead; taken from the quickest of a few questions, and only if it can't be chance. */
async function compareClocks() {
  let best = { roundTrip: Infinity, ahead: 0 };
  for (let round = 0; round < 4; round += 1) {
    const begun = Date.now();
    const { now } = await fetch("/api/time").then((response) => response.json());
    const roundTrip = Date.now() - begun;
    if (roundTrip < best.roundTrip) best = { roundTrip, ahead: now - (begun + roundTrip / 2) };
  }
  clockAhead = Math.abs(best.ahead) > best.roundTrip / 2 + 2 ? best.ahead : 0;
}

async function about() {
  const { version, metrics, origin } = await fetch("/api/about").then((response) => response.json());
  byId("version").textContent = version;
  const address = `${location.protocol}//${location.host}`;
  byId("curl-cache").textContent =
    `curl -s -D - -o /dev/null -o /dev/null \\\n  ${address}/assets/harbour.png ${address}/assets/harbour.png \\\n  | grep -i '^cache-status'`;
  byId("curl-events").textContent = `curl -N ${address}/api/events`;
  const link = (href, text) => element("li", {}, element("a", { href, textContent: text }));
  if (metrics) byId("links").append(link(`http://${metrics}/metrics`, "What Tidegate counts, for Prometheus"));
  if (origin) byId("links").append(link(`http://${origin}/`, "This page without Tidegate"));
}

function begin() {
  session = new AbortController();
  ask(polling, "/api/updates", POLL_EVERY_MS, session.signal);
  ask(waiting, "/api/wait", 0, session.signal);
  listen(session.signal);
  hold(session.signal);
}

// A browser opens six connections to one address. A hidden page lets go of its own, so that another can live.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    session?.abort();
    session = null;
    lanes.forEach((lane) => lane.state("paused"));
  } else if (session === null) {
    begin();
  }
});

try {
  await compareClocks();
  newest = (await fetch("/api/updates?since=9007199254740991").then((response) => response.json())).latest;
  await about();
} catch (problem) {
  note("The app does not answer. The page goes on trying.");
}
if (!document.hidden) begin();
await fetchAssets();
