// The page: read what the API says, show it, and pass a person's decision on.

import { api, name } from "./api.js";
import { metricOf, qualityChart } from "./charts.js";
import { day, element, legend, moment, short, soft, state, table, text, words } from "./elements.js";
import { drawMonitor, drawResult, readMonitor } from "./monitor.js";

const $ = (id) => document.getElementById(id);
const REFRESH_MS = 4000;
const shown = new Map();

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
  if (out) { $("content").hidden = true; $("monitor-page").hidden = true; $("who").textContent = ""; }
}

// -- the sections

async function explain(kind, key) {
  const found = await api("GET", `why/${kind}/${name(key)}`);
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

const link = (monitor) => element("a", monitor, { href: `#monitor/${name(monitor)}` });

function showEndpoints(endpoints, unmonitored, monitors) {
  const bare = new Set(unmonitored.map((one) => one.endpoint));
  const of = (one) => monitors.filter((each) => each.endpoint === one.name && each.model === one.model).map((each) => link(each.name));
  const watched = (one) => bare.has(one.name)
    ? element("span", "not monitored", { class: "bad", title: `flyball monitor init ${one.name} --set` }) : element("div", of(one), { class: "links" });
  const routes = (one) => one.routes.map((route) => `${route.role} v${route.version} ${Math.round(route.share * 100)} %`).join(", ");
  const elsewhere = monitors.filter((each) => !endpoints.some((one) => one.name === each.endpoint && one.model === each.model));
  const waiting = elsewhere.length
    ? element("p", ["Monitors of what no endpoint here answers: ", elsewhere.map((each) => [link(each.name), " "])], { class: "soft" }) : null;
  show("endpoints", [endpoints, unmonitored, monitors.map((one) => one.name)], () => element("div", [waiting, table(["endpoint", "model", "answers", "state", "monitor"], endpoints.map((one) => [
    one.name, one.model, text(routes(one)), one.error ? element("span", one.error, { class: "bad" }) : state(one.ready ? "ready" : "starting"), watched(one)]),
  "None yet.")]));
}

function showQuality(monitored) {
  const figure = ({ loop, windows }) => element("figure", [
    legend([element("strong", `loop ${loop.name}`), element("strong", ["monitor ", link(loop.monitor)])], metricOf(windows)),
    element("div", qualityChart(windows) ?? soft("No window has enough labels yet."), { class: "scroll" })]);
  show("quality", monitored, () => monitored.length ? element("div", monitored.map(figure)) : soft("No loop yet."));
}

function showRequests(requests) {
  show("requests", requests, () => table(["for", "window", "state", "cause", "version", "reason"], requests.map((one) => [
    one.loop, one.window_end_ms ? day(one.window_end_ms) : "–", state(one.state), words(one.cause || one.origin),
    `${one.champion ?? "–"} → ${one.challenger ?? "–"}`, text(one.reason)]), "None yet."));
}

const SPANS = { m: 60e3, h: 3600e3, d: 86400e3 };

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

const noted = (verb) => window.prompt(`A note for everybody, as you ${verb} this alert (may be empty):`, "");

async function acknowledge(one) {
  const note = noted("acknowledge");
  if (note !== null) await api("POST", `alerts/${one.id}/acknowledge`, { note });
}

async function resolve(one) {
  const note = noted("resolve");
  if (note !== null) await api("POST", `alerts/${one.id}/resolve`, { note });
}

function handle(one, may) {
  const open = may && one.state !== "resolved";
  return element("div", [
    open && one.state === "firing" ? button("acknowledge", () => acknowledge(one)) : null,
    open ? button("resolve", () => resolve(one)) : null,
    open && !one.silence ? button("silence", () => silence(one)) : null,
    button("why", () => explain("alert", one.id))]);
}

function told(deliveries) {
  const line = (one) => element("div", [`${one.sink}: `, state(one.state)],
    { title: one.reason || `${words(one.occasion)}, ${one.attempts} attempts` });
  return deliveries.length ? element("div", deliveries.map(line)) : "–";
}

// Which alerts are shown: chosen by a person, and how many pages of them.
const PAGE = 50;
const wanted = { monitor: "", state: "", pages: 1 };

async function readAlerts() {
  const found = { alerts: [], next: "" };
  for (let page = 0; page < wanted.pages; page += 1) {
    const asked = new URLSearchParams({ limit: PAGE, ...(found.next && { before: found.next }), ...(wanted.monitor && { monitor: wanted.monitor }) });
    for (const one of wanted.state === "active" ? ["firing", "acknowledged"] : [wanted.state].filter(Boolean)) asked.append("state", one);
    const { alerts, next } = await api("GET", `alerts?${asked}`);
    found.alerts.push(...alerts);
    found.next = next;
    if (!next) break;
  }
  return found;
}

function choice(label, key, options) {
  const select = element("select", options.map(([value, title]) => element("option", title, { value, ...(wanted[key] === value && { selected: "" }) })));
  select.addEventListener("change", () => { wanted[key] = select.value; wanted.pages = 1; refresh(); });
  return element("label", [`${label} `, select]);
}

function showAlerts({ alerts, next }, monitors, me) {
  const may = me.permissions.includes("alerts:write");
  const stands = (one) => element("div", [state(one.state),
    one.silence ? element("div", `silenced until ${moment(one.silenced_until_ms)}`, { class: "soft" }) : null]);
  const cause = (one) => element("div", [one.cause.slice(0, 2).join("; "),
    one.cause.length > 1 ? element("span", ` (by ${one.ranked_by === "labels" ? "effect on quality" : "strength"})`, { class: "soft" }) : null,
    one.note ? element("div", `Note: ${one.note}`, { class: "soft" }) : null]);
  const names = monitors.map((one) => one.name);
  const more = async () => { wanted.pages += 1; };
  show("alerts", [alerts, next, may, names, wanted], () => element("div", [
    element("div", [
      choice("monitor", "monitor", [["", "all"], ...names.map((each) => [each, each])]),
      choice("state", "state", [["", "all"], ["active", "not resolved"], ["firing", "firing"], ["acknowledged", "acknowledged"], ["resolved", "resolved"]])],
    { class: "choices" }),
    table(["window", "kind", "state", "likely cause", "told", ""], alerts.map((one) => [
      element("span", day(one.window_start_ms), { id: `alert-${one.id}`, title: `${one.endpoint}, ${one.monitor}` }), words(one.kind),
      stands(one), text(cause(one)), told(one.deliveries), handle(one, may)]), "None."),
    next ? element("p", button("older alerts", more)) : null]));
}

function showSilences(silences, me) {
  const may = me.permissions.includes("alerts:write");
  const covers = (one) => Object.entries(one.matcher).map(([name, pattern]) => `${name} ${pattern}`).join(", ");
  show("silences", [silences, may], () => table(["covers", "until", "by", "reason", ""], silences.map((one) => [
    covers(one), moment(one.end_ms), one.author, text(one.reason),
    may ? button("end", () => api("POST", `alert-silences/${one.id}/end`)) : ""]), "None."));
}

async function showAudit() {
  const found = await api("GET", "audit/verify");
  $("audit").replaceChildren(found.intact
    ? element("span", [`Intact: ${found.count} events, head `, element("code", found.head)], { class: "good" })
    : element("span", `Broken at entry ${found.first_bad}: ${found.reason}`, { class: "bad" }));
}

// -- the pages: the overview, and one for each monitor (#monitor/NAME)

const monitorPage = () => /^#monitor\/(.+)$/.exec(window.location.hash)?.[1];

async function showResult(study) {
  const result = await api("GET", `studies/${study.id}/result`);
  $("study-result").replaceChildren(drawResult(result));
}

async function refreshMonitor(monitor, me) {
  const found = await readMonitor(monitor);
  if (monitorPage() !== monitor) return;  // somebody went on meanwhile
  const tools = { may: me.permissions.includes("monitors:write"), button, showResult };
  show("monitor", found, () => element("div", drawMonitor(found, tools)));
}

async function refreshOverview(me) {
  const [{ approvals }, { endpoints }, { silences }, { loops }, { monitors, unmonitored }] = await Promise.all(
    ["approvals", "endpoints", "alert-silences", "loops", "monitors"].map((path) => api("GET", path)));
  const alerts = await readAlerts();
  const requests = await Promise.all(loops.map((loop) => api("GET", `loops/${name(loop.name)}/requests`)));
  const windows = await Promise.all(loops.map(
    (loop) => api("GET", `monitors/${name(loop.monitor)}/windows`).catch(() => ({ windows: [] }))));
  const all = requests.flatMap((found) => found.requests);
  showApprovals(approvals, all, me);
  showEndpoints(endpoints, unmonitored, monitors);
  showQuality(loops.map((loop, at) => ({ loop: { name: loop.name, monitor: loop.monitor }, windows: windows[at].windows })));
  showRequests(all);
  showAlerts(alerts, monitors, me);
  showSilences(silences, me);
}

function turnTo(monitor) {
  $("content").hidden = Boolean(monitor);
  $("monitor-page").hidden = !monitor;
}

async function refresh() {
  try {
    const me = await api("GET", "me");
    const monitor = monitorPage();
    await (monitor ? refreshMonitor(monitor, me) : refreshOverview(me));
    $("who").textContent = me.identity;
    $("notice").hidden = true;
    turnTo(monitor);
    return true;
  } catch (error) {
    turnTo(monitorPage());
    complain(error);
    return false;
  }
}

if (await refresh()) {
  showAudit().catch(complain);
  // Links in notices lead to their alert, which was not there yet when the browser looked for it.
  document.getElementById(window.location.hash.slice(1))?.scrollIntoView();
}
window.addEventListener("hashchange", () => {
  // What belongs to the page before must not stand under another name.
  shown.delete("monitor");
  for (const id of ["monitor", "study-result"]) $(id).replaceChildren();
  refresh().then(() => window.scrollTo(0, 0));
});
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_MS);
