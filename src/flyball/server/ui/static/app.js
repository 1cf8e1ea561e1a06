// The page: read what the API says, show it, and pass a person's approval on.

import { accuracyChart, day } from "./charts.js";

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 4000;

async function api(method, path, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await fetch(`/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error.message), { status: answer.status });
  return content;
}

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat().filter((part) => part !== undefined));
  return made;
}

function table(header, rows, nothing) {
  if (rows.length === 0) return element("p", nothing, { class: "soft" });
  const head = element("thead", element("tr", header.map((cell) => element("th", cell, { scope: "col" }))));
  const body = element("tbody", rows.map((row) => element("tr", row.map((cell) => element("td", cell)))));
  return element("div", element("table", [head, body]), { class: "scroll" });
}

function button(text, act) {
  const made = element("button", text, { type: "button" });
  made.addEventListener("click", () => act().catch(complain));
  return made;
}

function show(id, content) { $(id).replaceChildren(content); }

function complain(error) {
  $("notice").textContent = error.status === 401
    ? "You are not signed in. Run `flyball ui` in a terminal and open the link it prints." : error.message;
  $("notice").hidden = false;
}

async function explain(kind, key) {
  const found = await api("GET", `why/${kind}/${key}`);
  $("why").textContent = found.text;
  $("why-section").hidden = false;
  $("why-section").scrollIntoView();
}

async function showApprovals() {
  const { approvals } = await api("GET", "approvals");
  const pending = approvals.filter((one) => one.state === "pending");
  const approve = (one) => async () => { await api("POST", `approvals/${one.id}/approve`, { digest: one.digest }); await refresh(); };
  show("approvals", table(["requested by", "content", ""], pending.map((one) => [
    one.requested_by, element("code", one.digest.slice(0, 16)), button("approve", approve(one))]), "Nothing waits."));
}

async function showEndpoints() {
  const { endpoints } = await api("GET", "endpoints");
  show("endpoints", table(["endpoint", "answers", "state"], endpoints.map((one) => [
    one.name, one.routes.map((route) => `${route.role} v${route.version} ${Math.round(route.share * 100)} %`).join(", "),
    element("span", one.error || (one.ready ? "ready" : "starting"), { class: one.ready ? "good" : "bad" })]), "None yet."));
}

async function showLoops() {
  const { loops } = await api("GET", "loops");
  const requests = [], charts = [];
  for (const loop of loops) {
    requests.push(...(await api("GET", `loops/${loop.name}/requests`)).requests);
    const { windows } = await api("GET", `monitors/${loop.monitor}/windows`).catch(() => ({ windows: [] }));
    charts.push(element("figure", [element("figcaption", loop.name, { class: "soft" }), accuracyChart(windows)]));
  }
  show("quality", charts.length ? element("div", charts) : element("p", "No loop yet.", { class: "soft" }));
  show("requests", table(["for", "window", "state", "cause", "versions", "reason"], requests.map((one) => [
    one.loop, one.window_end_ms ? day(one.window_end_ms) : "–", one.state, one.cause || one.origin,
    `${one.champion ?? "–"} → ${one.challenger ?? "–"}`, one.reason]), "None yet."));
}

async function showAlerts() {
  const { alerts } = await api("GET", "alerts");
  show("alerts", table(["window", "kind", "state", "cause", ""], alerts.map((one) => [
    day(one.window_start_ms), one.kind, one.state, one.cause.slice(0, 2).join("; "),
    button("why", () => explain("alert", one.id))]), "None."));
}

async function showAudit() {
  const found = await api("GET", "audit/verify");
  $("audit").textContent = found.intact
    ? `Intact: ${found.count} events, head ${found.head}` : `Broken at entry ${found.first_bad}: ${found.reason}`;
  $("audit").className = found.intact ? "good" : "bad";
}

async function refresh() {
  try {
    const me = await api("GET", "me");
    $("who").textContent = me.identity;
    $("notice").hidden = true;
    await Promise.all([showApprovals(), showEndpoints(), showLoops(), showAlerts()]);
  } catch (error) { complain(error); }
}

await refresh();
showAudit().catch(complain);
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
