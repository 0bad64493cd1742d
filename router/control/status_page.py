"""The status page: one HTML document without external resources that shows what `/status` says, every 2 seconds."""

import base64
import hashlib

_STYLE = """
:root { color-scheme: light dark; --line: #d5dbdd; --dim: #5b676b; --good: #0b7a75; --bad: #b3261e; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --line: #38444a; --dim: #9aa7ad; --good: #4fd1c5; --bad: #ff8a80; --warn: #f0b429; }
}
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1.1rem; margin: 1.6rem 0 .3rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: right; white-space: nowrap; }
th { color: var(--dim); font-weight: 500; }
th:first-child, td:first-child, th.text, td.text { text-align: left; }
.dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
pre { overflow-x: auto; border-left: 3px solid var(--bad); margin: .3rem 0; padding: .2rem .7rem; font-size: 13px; }
.scroll { overflow-x: auto; }
"""

_SCRIPT = """
"use strict";
const WINDOW = 16, history = [];
const sum = counts => Object.values(counts).reduce((a, b) => a + b, 0);
const make = (tag, text, kind) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
const number = (value, digits) => value === null ? "–" : value.toFixed(digits);
const listed = counts => Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(" · ") || "none";

function quantile(counts, bounds, q) {
  const total = counts.reduce((a, b) => a + b, 0);
  if (!total) return null;
  let below = 0;
  for (let i = 0; i < bounds.length; i++) {
    if (counts[i] && below + counts[i] >= q * total) {
      const lower = i ? bounds[i - 1] : 0;
      return 1000 * (lower + (bounds[i] - lower) * (q * total - below) / counts[i]);
    }
    below += counts[i];
  }
  return 1000 * bounds[bounds.length - 1];
}

function find(status, endpoint, name) {
  const owner = status.endpoints.find(e => e.name === endpoint);
  return owner && owner.deployments.find(d => d.name === name);
}

function recent(deployment, status) {
  const first = history[0];
  const before = history.length > 1 && find(first.status, deployment.endpoint, deployment.name);
  const counts = deployment.latency.counts.map((n, i) => n - (before ? before.latency.counts[i] : 0));
  const requests = sum(deployment.live) - (before ? sum(before.live) : 0);
  const seconds = history.length > 1 ? (history[history.length - 1].at - first.at) / 1000 : null;
  return {
    requests, rate: seconds && before ? counts.reduce((a, b) => a + b, 0) / seconds : null,
    p50: quantile(counts, status.buckets_s, 0.5), p99: quantile(counts, status.buckets_s, 0.99),
  };
}

function states(deployment) {
  const counts = {};
  for (const instance of deployment.instances) {
    const state = deployment.ejected.includes(instance.name) ? "ejected" : instance.state;
    counts[state] = (counts[state] || 0) + 1;
  }
  return listed(counts);
}

function row(deployment, now, total) {
  const state = deployment.provisioning_state;
  const cells = [
    [deployment.name], [state, "text " + (state === "Failed" ? "bad" : state === "Succeeded" ? "good" : "warn")],
    [deployment.weight + " %"], [total ? number(100 * now.requests / total, 1) + " %" : "–"],
    [deployment.mirror_percent ? deployment.mirror_percent + " %" : "–"], [number(now.rate, 1)],
    [number(now.p50, 1)], [number(now.p99, 1)], [deployment.in_flight], [deployment.queued],
    [listed(deployment.live), "text"], [listed(deployment.mirrored), "text"], [states(deployment), "text"],
  ];
  const line = make("tr");
  line.append(...cells.map(([text, kind]) => make("td", text, kind)));
  return line;
}

const HEADS = ["deployment", "state", "weight", "seen", "mirror", "req/s", "p50 ms", "p99 ms", "in flight", "queued",
  "live answers", "mirrored answers", "instances"];
const TEXT_HEADS = ["state", "live answers", "mirrored answers", "instances"];

function section(endpoint, status) {
  const part = make("section"), table = make("table"), head = make("tr"), scroll = make("div", undefined, "scroll");
  const now = endpoint.deployments.map(d => recent(d, status));
  const total = now.reduce((a, b) => a + b.requests, 0);
  head.append(...HEADS.map(text => make("th", text, TEXT_HEADS.includes(text) ? "text" : "")));
  table.append(head, ...endpoint.deployments.map((d, i) => row(d, now[i], total)));
  scroll.append(table);
  part.append(make("h2", endpoint.name), make("div", `${endpoint.scoring_uri} · ${endpoint.auth_mode}`, "dim"), scroll);
  part.append(make("div", `copies: ${listed(endpoint.mirror)} · refused: ${listed(endpoint.refused)}`, "dim"));
  if (endpoint.held) part.append(make("div", endpoint.held, "bad"));
  for (const deployment of endpoint.deployments.filter(d => d.reason)) {
    part.append(make("div", `${deployment.name}: ${deployment.reason}`, "bad"));
    if (deployment.log_tail.length) part.append(make("pre", deployment.log_tail.join("\\n")));
  }
  return part;
}

function show(status) {
  const processes = status.proxies.map(p =>
    `${p.name} (pid ${p.pid}): generation ${p.generation}, ${p.connections} connections, ` +
    `lag ${number(1000 * p.loop_lag_s, 1)} ms`).join(" · ");
  const since = new Date(1000 * status.started).toLocaleString();
  const top = make("div", `teal ${status.version}, pid ${status.pid}, since ${since} · generation ` +
    `${status.generation} · ${status.config_path}`, "dim");
  const main = document.getElementById("main");
  main.replaceChildren(top, make("div", processes, "dim"));
  if (status.config_problems.length) {
    main.append(make("h2", "The config file on disk is refused; the last good one runs", "bad"),
      make("pre", status.config_problems.join("\\n")));
  }
  const tls = status.tls, certificate = tls && tls.certificate;
  if (certificate) {
    const ends = new Date(1000 * certificate.not_after);
    main.append(make("div", `TLS: ${certificate.names.join(", ")}; expires ${ends.toLocaleString()}`,
      ends < Date.now() + 14 * 86400e3 ? "warn" : "dim"));
  }
  if (tls && tls.problem) {
    const effect = certificate ? "the one before is served" : "clients are refused";
    main.append(make("div", `The certificate's files are refused, ${effect}: ${tls.problem}`, "bad"));
  }
  main.append(...status.endpoints.map(endpoint => section(endpoint, status)));
}

function remember(status) {
  if (history.length && history[0].status.started !== status.started) history.length = 0;
  history.push({at: performance.now(), status});
  if (history.length > WINDOW) history.shift();
}

async function refresh() {
  const note = document.getElementById("note"), token = sessionStorage.getItem("token");
  try {
    const answer = await fetch("status", {headers: token ? {Authorization: `Bearer ${token}`} : {}});
    document.getElementById("login").hidden = answer.status !== 401;
    if (!answer.ok) throw new Error(`the daemon answers ${answer.status}`);
    remember(await answer.json());
    show(history[history.length - 1].status);
    note.textContent = "";
  } catch (error) {
    note.textContent = `No news: ${error.message}`;
  }
  setTimeout(refresh, 2000);
}

document.getElementById("login").addEventListener("submit", event => {
  event.preventDefault();
  sessionStorage.setItem("token", document.getElementById("token").value);
});
refresh();
"""

PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>teal</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style>
</head>
<body>
<h1>teal</h1>
<div id="note" class="bad" role="status"></div>
<form id="login" hidden>
<label>Token of the admin address <input id="token" type="password" autocomplete="off"></label> <button>Use</button>
</form>
<div id="main">Rates and latencies are of the last 30 seconds. <noscript>This page needs JavaScript.</noscript></div>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


#: Nothing but what the page brings along may run in it, and it may talk to its own daemon only.
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
