// The page: read what the API says, show it, and pass a person's decision on.

import { accuracyChart, day } from "./charts.js";

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 4000;
const shown = new Map();

async function api(method, path, body) {
  const headers = body === undefined ? {} : { "content-type": "application/json" };
  const answer = await fetch(`/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) });
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error.message), { status: answer.status });
  return content;
}

// -- making elements; text is always text, never markup

function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat().filter((part) => part !== undefined && part !== null));
  return made;
}

const words = (name) => name.replaceAll("_", " ");
const short = (digest) => element("code", digest.slice(0, 12), { title: digest });
const soft = (text) => element("p", text, { class: "soft" });
const TONES = { promoted: "good", ready: "good", resolved: "good", firing: "bad", failed: "bad", refused: "bad", rolled_back: "bad", given_up: "bad", delivered: "good" };
const state = (name) => element("span", words(name), { class: TONES[name] ?? "" });
const text = (content) => ({ content, wide: true });

function cell(content) {
  return content?.wide ? element("td", content.content, { class: "text" }) : element("td", content);
}

function table(header, rows, nothing) {
  if (rows.length === 0) return soft(nothing);
  const head = element("thead", element("tr", header.map((title) => element("th", title, { scope: "col" }))));
  const body = element("tbody", rows.map((row) => element("tr", row.map(cell))));
  return element("div", element("table", [head, body]), { class: "scroll" });
}

function button(label, act) {
  const made = element("button", label, { type: "button" });
  made.addEventListener("click", () => act().then(refresh).catch(complain));
  return made;
}

// Drawn again only when there is something new, so that what a person opened or marked stays.
function show(id, data, draw) {
  const now = JSON.stringify(data);
  if (shown.get(id) === now) return;
  shown.set(id, now);
  $(id).replaceChildren(draw());
}

function complain(error) {
  const out = error.status === 401;
  $("notice").textContent = out
    ? "You are not signed in. Run “flyball ui” in a terminal and open the link it prints." : error.message;
  $("notice").hidden = false;
  if (out) { $("content").hidden = true; $("who").textContent = ""; }
}

// -- the sections

async function explain(kind, key) {
  const found = await api("GET", `why/${kind}/${encodeURIComponent(key)}`);
  $("why").textContent = found.text;
  $("why-section").hidden = false;
  $("why-section").scrollIntoView();
}

function content(approval) {
  const parts = Object.entries(approval.content).flatMap(([name, digest]) => [element("dt", name), element("dd", short(digest))]);
  const summary = element("summary", [`${parts.length / 2} digests, together `, short(approval.digest)]);
  return element("details", [summary, element("dl", parts)]);
}

function decide(approval) {
  const reject = async () => {
    const reason = window.prompt("Why is it rejected?");
    if (reason) await api("POST", `approvals/${approval.id}/reject`, { reason });
  };
  return element("div", [
    button("approve", () => api("POST", `approvals/${approval.id}/approve`, { digest: approval.digest })), button("reject", reject)]);
}

function showApprovals(approvals, requests, me) {
  const pending = approvals.filter((one) => one.state === "pending");
  const may = me.permissions.includes("approvals:approve");
  const subject = (one) => {
    const found = requests.find((request) => request.approval_id === one.id);
    return found ? `${found.loop}: version ${found.challenger}` : "–";
  };
  show("approvals", [pending, may, requests.map((one) => one.approval_id)], () => table(
    ["for", "requested by", "content", ""],
    pending.map((one) => [subject(one), one.requested_by, text(content(one)), may ? decide(one) : ""]), "Nothing waits."));
}

function showEndpoints(endpoints, unmonitored) {
  const bare = new Set(unmonitored.map((one) => one.endpoint));
  const watched = (one) => bare.has(one.name) ? element("span", "not monitored", { class: "bad" }) : "monitored";
  const routes = (one) => one.routes.map((route) => `${route.role} v${route.version} ${Math.round(route.share * 100)} %`).join(", ");
  show("endpoints", [endpoints, unmonitored], () => table(["endpoint", "model", "answers", "state", ""], endpoints.map((one) => [
    one.name, one.model, text(routes(one)), one.error ? element("span", one.error, { class: "bad" }) : state(one.ready ? "ready" : "starting"), watched(one)]),
  "None yet."));
}

function showQuality(monitored) {
  const legend = [["", "accuracy"], ["key-band", "its interval"], ["key-base", "baseline"], ["key-expected", "expected without labels"], ["key-drop", "dropped"]];
  const figure = ({ loop, windows }) => element("figure", [
    element("figcaption", [element("strong", loop.name), ...legend.map(([key, label]) => element("span", label, { class: key }))]),
    element("div", accuracyChart(windows) ?? soft("No window has enough labels yet."), { class: "scroll" })]);
  show("quality", monitored, () => monitored.length ? element("div", monitored.map(figure)) : soft("No loop yet."));
}

function showRequests(requests) {
  show("requests", requests, () => table(["for", "window", "state", "cause", "version", "reason"], requests.map((one) => [
    one.loop, one.window_end_ms ? day(one.window_end_ms) : "–", state(one.state), words(one.cause || one.origin),
    `${one.champion ?? "–"} → ${one.challenger ?? "–"}`, text(one.reason)]), "None yet."));
}

const SPANS = { m: 60e3, h: 3600e3, d: 86400e3 };

function until(ms) {
  return new Date(ms).toISOString().slice(0, 16).replace("T", " ");
}

async function silence(one) {
  const asked = window.prompt(`Tell nobody about ${words(one.kind)} alerts of ${one.monitor} for how long? (30m, 2h, 3d)`, "2h");
  if (asked === null) return;
  const span = /^([1-9][0-9]{0,3})([mhd])$/.exec(asked.trim());
  if (!span) throw new Error(`“${asked}” is no span of time: write 30m, 2h or 3d.`);
  const reason = window.prompt("Why? Everybody sees it.");
  if (!reason) return;
  const end_ms = Date.now() + Number(span[1]) * SPANS[span[2]];
  await api("POST", "alert-silences", { monitor: one.monitor, kind: one.kind, end_ms, reason });
}

function handle(one, may) {
  const open = may && one.state !== "resolved";
  return element("div", [
    open && one.state === "firing" ? button("acknowledge", () => api("POST", `alerts/${one.id}/acknowledge`)) : null,
    open ? button("resolve", () => api("POST", `alerts/${one.id}/resolve`)) : null,
    open && !one.silence ? button("silence", () => silence(one)) : null,
    button("why", () => explain("alert", one.id))]);
}

function told(deliveries) {
  const line = (one) => element("div", [`${one.sink}: `, state(one.state)],
    { title: one.reason || `${words(one.occasion)}, ${one.attempts} attempts` });
  return deliveries.length ? element("div", deliveries.map(line)) : "–";
}

function showAlerts(alerts, me) {
  const may = me.permissions.includes("alerts:write");
  const stands = (one) => element("div", [state(one.state),
    one.silence ? element("div", `silenced until ${until(one.silenced_until_ms)}`, { class: "soft" }) : null]);
  const cause = (one) => element("div", [one.cause.slice(0, 2).join("; "),
    one.cause.length > 1 ? element("span", ` (by ${one.ranked_by === "labels" ? "effect on quality" : "strength"})`, { class: "soft" }) : null]);
  show("alerts", [alerts, may], () => table(["window", "kind", "state", "likely cause", "told", ""], alerts.map((one) => [
    element("span", day(one.window_start_ms), { id: `alert-${one.id}`, title: `${one.endpoint}, ${one.monitor}` }), words(one.kind),
    stands(one), text(cause(one)), told(one.deliveries), handle(one, may)]), "None."));
}

function showSilences(silences, me) {
  const may = me.permissions.includes("alerts:write");
  const covers = (one) => Object.entries(one.matcher).map(([name, pattern]) => `${name} ${pattern}`).join(", ");
  show("silences", [silences, may], () => table(["covers", "until", "by", "reason", ""], silences.map((one) => [
    covers(one), until(one.end_ms), one.author, text(one.reason),
    may ? button("end", () => api("POST", `alert-silences/${one.id}/end`)) : ""]), "None."));
}

async function showAudit() {
  const found = await api("GET", "audit/verify");
  $("audit").replaceChildren(found.intact
    ? element("span", [`Intact: ${found.count} events, head `, element("code", found.head)], { class: "good" })
    : element("span", `Broken at entry ${found.first_bad}: ${found.reason}`, { class: "bad" }));
}

async function refresh() {
  try {
    const me = await api("GET", "me");
    const [{ approvals }, { endpoints }, { alerts }, { silences }, { loops }, { unmonitored }] = await Promise.all(
      ["approvals", "endpoints", "alerts", "alert-silences", "loops", "monitors"].map((path) => api("GET", path)));
    const requests = await Promise.all(loops.map((loop) => api("GET", `loops/${encodeURIComponent(loop.name)}/requests`)));
    const windows = await Promise.all(loops.map(
      (loop) => api("GET", `monitors/${encodeURIComponent(loop.monitor)}/windows`).catch(() => ({ windows: [] }))));
    $("who").textContent = me.identity;
    $("notice").hidden = true;
    $("content").hidden = false;
    const all = requests.flatMap((found) => found.requests);
    showApprovals(approvals, all, me);
    showEndpoints(endpoints, unmonitored);
    showQuality(loops.map((loop, at) => ({ loop: { name: loop.name }, windows: windows[at].windows })));
    showRequests(all);
    showAlerts(alerts, me);
    showSilences(silences, me);
    return true;
  } catch (error) {
    complain(error);
    return false;
  }
}

if (await refresh()) {
  showAudit().catch(complain);
  // Links in notices lead to their alert, which was not there yet when the browser looked for it.
  document.getElementById(window.location.hash.slice(1))?.scrollIntoView();
}
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
