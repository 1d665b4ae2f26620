"use strict";

// How often the node is asked how it stands, ms; and how many of its answers the chart shows.
const EVERY = 1000;
const KEPT = 180;

const seen = [];
let layersAsked = 0; // M of the node
const given = new URLSearchParams(location.hash.slice(1)).get("token"); // what is behind # is sent to no server
if (given) {
  sessionStorage.setItem("dmoa-token", given);
  history.replaceState(null, "", location.pathname); // nor is it left in the address or the history
}
let token = given || sessionStorage.getItem("dmoa-token") || "";

const $ = (id) => document.getElementById(id);

// All text from outside goes through textContent: whatever an LLM writes stays text.
function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function ask(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (token) headers.Authorization = `Bearer ${token}`;
  const response = await fetch(path, { ...options, headers, cache: "no-store" });
  if (response.status === 401) {
    $("door").hidden = false;
    $("inside").hidden = true;
    throw new Error(token ? "That is not the token of this node." : "");
  }
  const content = await response.json();
  if (!response.ok) {
    const again = response.headers.get("Retry-After");
    throw new Error(`${content.error ? content.error.message : response.statusText}${again ? `; again in ${again} s` : ""}`);
  }
  return content;
}

function complain(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

function seconds(value) {
  if (value === null || value === undefined) return "–";
  return value < 1 ? `${(1000 * value).toFixed(0)} ms` : `${value.toPrecision(3)} s`;
}

function show(status) {
  document.title = `${status.name}: dmoa node`;
  $("name").textContent = status.name;
  layersAsked = status.moa.M;
  const engine = status.engine && (status.engine.model || status.engine.name);
  const quorum = status.moa.quorum ? `, quorum ${status.moa.quorum}` : "";
  $("about").textContent = [
    `M = ${status.moa.M}, k = ${status.moa.k}${quorum}`,
    engine ? `${status.mode} with ${engine}` : status.mode,
    `up for ${duration(status.uptime_s)}`,
    `dmoa ${status.version}`,
  ].join(" · ");
  const working = status.queue.in_service;
  $("waiting").textContent = status.queue.waiting;
  $("working").textContent = working ? working.origin : "nothing";
  $("open").textContent = status.queries.open;
  $("done").textContent = status.queries.done;
  $("refused").textContent = status.queries.refused;
  $("mean").textContent = seconds(status.latency.count ? status.latency.mean : null);
  $("p95").textContent = seconds(status.latency.count ? status.latency.p95 : null);
  seen.push({ at: Date.now(), jobs: status.queue.waiting + (working ? 1 : 0), prompts: status.queries.open });
  while (seen.length > KEPT) seen.shift();
  draw();
  const others = status.members.filter((member) => member.name !== status.name);
  others.sort((a, b) => a.name.localeCompare(b.name));
  const rows = [{ name: status.name, state: "alive" }, ...others].map((member) => {
    const row = element("tr");
    const heard = member.silent_s === undefined ? "this device" : `${member.silent_s.toFixed(1)} s ago`;
    row.append(element("td", member.name), element("td", member.state, member.state), element("td", heard));
    return row;
  });
  $("members").replaceChildren(...rows);
}

function duration(s) {
  if (s < 120) return `${Math.floor(s)} s`;
  return s < 7200 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3600)} h`;
}

function svg(tag, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function draw() {
  const [left, right, top, bottom] = [34, 716, 8, 164];
  const span = KEPT * EVERY;
  const now = seen[seen.length - 1].at;
  const most = Math.max(4, ...seen.map((each) => Math.max(each.jobs, each.prompts)));
  const step = Math.max(1, Math.ceil(most / 4));
  const x = (at) => right - ((now - at) / span) * (right - left);
  const y = (value) => bottom - (value / (4 * step)) * (bottom - top);
  const parts = [];
  for (let value = 0; value <= 4 * step; value += step) {
    parts.push(svg("line", { x1: left, x2: right, y1: y(value), y2: y(value), class: "axis" }));
    parts.push(svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, value));
  }
  for (let back = 0; back <= span; back += 60000) {
    const label = back ? `${back / 60000} min ago` : "now";
    parts.push(svg("text", { x: x(now - back), y: bottom + 18, "text-anchor": back === span ? "start" : back ? "middle" : "end" }, label));
  }
  for (const name of ["jobs", "prompts"]) {
    const points = seen.filter((each) => x(each.at) >= left).map((each) => `${x(each.at).toFixed(1)},${y(each[name]).toFixed(1)}`);
    if (points.length > 1) parts.push(svg("path", { class: name, d: `M${points.join("L")}` }));
  }
  $("chart").replaceChildren(...parts);
}

function showAnswer(answer) {
  const layers = answer.layers.filter((layer) => layer.stage < layersAsked);
  const shown = layers.map((layer) => {
    const section = element("section", undefined, "layer");
    section.append(element("h3", `Layer ${layer.stage + 1}: proposals of ${layer.responses.length} of ${layer.asked.length} devices`));
    for (const change of layer.replaced) {
      const instead = change.by ? `${change.by} was asked instead of ${change.device}` : `nobody stood in for ${change.device}`;
      section.append(element("p", `${instead}: ${change.reason}`));
    }
    for (const response of layer.responses) {
      const card = element("div", undefined, "proposal");
      const tokens = response.output_tokens ? `, ${response.output_tokens} tokens` : "";
      card.append(element("strong", response.device), element("small", ` ${seconds(response.service_s)}${tokens}`));
      card.append(element("p", response.text));
      section.append(card);
    }
    return section;
  });
  $("layers").replaceChildren(...shown);
  const ended = answer.state === "done" || answer.state === "failed";
  $("answer").hidden = !ended;
  if (ended) {
    $("final").textContent = answer.state === "done" ? answer.answer : `No answer: ${answer.error}`;
    $("final").classList.toggle("failed", answer.state === "failed");
    $("notes").textContent = answer.notes.join("; ");
  }
  return ended;
}

async function question(event) {
  event.preventDefault();
  $("send").disabled = true;
  $("answer").hidden = true;
  $("layers").replaceChildren();
  complain("");
  const began = performance.now();
  try {
    const body = JSON.stringify({ prompt: $("prompt").value });
    const accepted = await ask("v1/submit", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    for (;;) {
      $("state").textContent = `asking, ${((performance.now() - began) / 1000).toFixed(1)} s`;
      const answer = await ask(`v1/queries/${accepted.id}?wait=1`);
      if (showAnswer(answer)) {
        $("state").textContent = `${answer.state === "done" ? "answered" : "failed"} after ${seconds(answer.latency_s)}`;
        break;
      }
    }
  } catch (error) {
    $("state").textContent = "";
    complain(error.message);
  }
  $("send").disabled = false;
}

async function look() {
  try {
    show(await ask("v1/status"));
    $("door").hidden = true;
    $("inside").hidden = false;
    if ($("trouble").dataset.from === "look") complain("");
    $("trouble").dataset.from = "";
  } catch (error) {
    const unreachable = error instanceof TypeError;
    complain(unreachable ? "The node does not answer." : error.message);
    $("trouble").dataset.from = "look";
    if (!$("door").hidden) return; // until a token is typed in
  }
  setTimeout(look, EVERY);
}

$("ask").addEventListener("submit", question);
$("door").addEventListener("submit", (event) => {
  event.preventDefault();
  token = $("token").value.trim();
  sessionStorage.setItem("dmoa-token", token);
  $("token").value = "";
  look();
});
look();
