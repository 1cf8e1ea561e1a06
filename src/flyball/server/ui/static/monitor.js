// The page of one monitor: its windows, what the newest showed, what its alarms rest on, and its backtests.

import { api } from "./api.js";
import { metricOf, qualityChart } from "./charts.js";
import { bad, day, element, figure, folded, legend, lines, moment, percent, section, short, soft, span, state, table, text } from "./elements.js";

const OPEN = ["queued", "running"];

// `monitor` is the name as it stands in the address.
export async function readMonitor(monitor) {
  const [info, { windows }, { reports }, { calibrations }, { studies }, { alerts }] = await Promise.all([
    api("GET", `monitors/${monitor}`), api("GET", `monitors/${monitor}/windows`), api("GET", `monitors/${monitor}/reports?limit=60`),
    api("GET", `monitors/${monitor}/calibrations`), api("GET", `studies?monitor=${monitor}&limit=20`),
    api("GET", `alerts?monitor=${monitor}&limit=20`)]);
  return { info, windows, reports: reports.toReversed(), calibrations, studies, alerts };
}

export function drawMonitor(found, tools) {
  const newest = found.reports[0];
  return [
    head(found.info),
    section("Quality by window", chart(found.windows)),
    section(newest ? `The newest window, from ${starts(newest)}` : "The newest window",
      newest ? windowDetail(newest) : soft("None was judged yet: a window is judged when traffic has passed its end.")),
    section("The last 60 windows", windowTable(found.reports)), soft("Quality and what was expected without labels, with their bounds; drift as effect, of features and of the answers. Point at an “unknown” for its reason."),
    section("Alerts", alertTable(found.alerts)),
    section("Alarms: what they rest on", calibrationList(found)),
    section("Calibrations and backtests in the background", studyTable(found.studies, tools)),
  ];
}

function head(info) {
  const through = info.matured_through_ms < 0 ? "nothing is judged to the end yet" : `judged to the end through ${moment(info.matured_through_ms)}`;
  return element("div", [
    element("h2", info.name, { class: "name" }),
    soft(`Endpoint ${info.endpoint}, model ${info.model}, windows of ${span(info.window_ms)}, labels are waited for ${span(info.label_maturity_ms)}; ${through}.`)]);
}

function chart(windows) {
  const drawn = qualityChart(windows);
  return drawn ? element("figure", [legend([], metricOf(windows)), element("div", drawn, { class: "scroll" })]) : soft("No window has enough labels yet.");
}

// -- windows

const between = (one) => `${figure(one.value)} (${figure(one.lower)} to ${figure(one.upper)})`;

function quality(report) {
  const one = report.quality;
  if (!one || one.value === null) return element("span", "unknown", { class: "soft", title: report.unknown.quality ?? one?.reason ?? "" });
  return element("span", [`${between(one)} `, state(one.verdict)], { title: `${one.metric}: ${one.reason}` });
}

function expected(report) {
  const one = report.estimated;
  if (!one || one.value === null) return element("span", "unknown", { class: "soft", title: report.unknown.estimated ?? one?.reason ?? "" });
  return element("span", between(one), { title: `${one.method}: ${one.assumes}` });
}

const faultText = (one) => `${one.feature ? `${one.feature}: ` : ""}${one.detail}`;
const moved = (list) => list.filter((one) => one.drifted);
const driftText = (one) => `${one.feature} ${figure(one.effect)}`;
const shortly = (one) => (one.subject ? `${one.subject}${one.named.length ? ` (${one.named.slice(0, 2).map((by) => by.name).join(", ")})` : ""}` : driftText(one));

function data(report) {
  if (report.faults.length) return element("div", report.faults.slice(0, 4).map((one) => element("div", faultText(one))), { class: "bad" });
  return report.unknown.data ? element("span", "unknown", { class: "soft", title: report.unknown.data }) : "sound";
}

function drift(list, unknown) {
  const shown = moved(list);
  if (shown.length) return lines([...shown.slice(0, 3).map(shortly), ...(shown.length > 3 ? [`and ${shown.length - 3} more`] : [])]);
  return unknown && !list.length ? element("span", "unknown", { class: "soft", title: unknown }) : "none";
}

const starts = (one) => (one.start_ms % 86400e3 || one.end_ms % 86400e3 ? moment(one.start_ms) : day(one.start_ms));

function windowTable(reports) {
  return table(["window", "rows", "labels", "quality", "expected", "data", "drift", "answers"], reports.map((one) => [
    element("span", starts(one), { title: `${one.state}, revision ${one.revision}, version ${one.version ?? "unknown"}` }), one.rows,
    one.rows ? percent(one.labelled / one.rows) : "–", quality(one), expected(one), text(data(one)), text(drift([...one.drift, ...(one.joint ?? [])], one.unknown.drift)),
    drift(one.outputs, one.unknown.outputs)]), "None yet.");
}

function measured(list, nothing) {
  return table(["", "measure", "effect", "threshold", "p", ""], list.map((one) => [
    one.feature, one.measure, figure(one.effect), figure(one.threshold), one.p_value === null ? "–" : figure(one.p_value),
    one.drifted ? bad("drifted") : ""]), nothing);
}

function together(list) {
  return table(["", "measure", "effect", "threshold", "p", "told apart by", ""], list.flatMap((one) => one.measures.map((each, place) => [
    place ? "" : one.subject, each.measure.replaceAll("_", " "), each.lower === null ? figure(each.effect) : between({ ...each, value: each.effect }),
    figure(each.threshold), figure(each.p_value), place ? "" : text(one.named.map((by) => `${by.name} ${percent(by.share)}`).join(", ")),
    each.beyond ? bad("drifted") : ""])), "");
}

function wanted(one) {
  return one.false_discoveries ? `false discoveries: ${one.false_discoveries}` : one.false_alarms;
}

function statement(alarms, discoveries) {
  if (!alarms) return soft("It was judged without a stated rate of false alarms.");
  if (alarms.reason) return element("p", [`${wanted(alarms)} wanted; `, bad("the rate is not known"), `: ${alarms.reason}`]);
  const p = alarms.p_value === null ? "" : `; this window has p = ${figure(alarms.p_value)}`;
  if (discoveries) {
    const found = discoveries.rejected ? ": a discovery." : ": no discovery.";
    return element("p", [`${wanted(alarms)} wanted, level ${figure(discoveries.level)} by calibration `, short(alarms.calibration), p, found]);
  }
  return element("p", [`${alarms.false_alarms} wanted, ${figure(alarms.rate)} on average by calibration `, short(alarms.calibration), p, "."]);
}

function facts(map) {
  return element("dl", Object.entries(map).flatMap(([key, value]) => [element("dt", key), element("dd", String(value))]));
}

function windowDetail(report) {
  const faults = table(["feature", "fault", "what was seen", "rows"], report.faults.map((one) => [
    one.feature || "all", bad(one.kind.replaceAll("_", " ")), text(one.detail), percent(one.share)]), "No fault of the data was found.");
  const said = [...sentences(report)];
  return element("div", [
    soft(`${report.rows} rows of version ${report.version ?? "unknown"}, ${report.labelled} with labels; ${report.state}, revision ${report.revision}.`),
    element("h3", "Data"), faults,
    element("h3", "Answers"), measured(report.outputs, report.unknown.outputs ?? "It is not known what this version answered before release."),
    element("h3", "Features"), measured(report.drift.slice(0, 12), report.unknown.drift ?? "None is watched."),
    report.drift.length > 12 ? folded(`all ${report.drift.length} features`, measured(report.drift, "")) : null,
    report.joint?.length ? element("h3", "Together") : null, report.joint?.length ? together(report.joint) : null,
    element("h3", "Alarm"), statement(report.alarms, report.discoveries),
    report.online.length ? element("h3", "Detectors that go on from window to window") : null,
    report.online.length ? lines(report.online.map(detected)) : null,
    said.length ? element("h3", "Labels, slices and groups") : null, said.length ? lines(said) : null,
    Object.keys(report.unknown).length ? folded("What could not be judged", facts(report.unknown), true) : null,
    Object.keys(report.unwatched).length ? folded("What nobody watches", facts(report.unwatched)) : null,
    folded("What this was made from", facts(report.evidence))]);
}

function detected(one) {
  const who = `${one.about}, ${one.detector} of ${one.per}`;
  if (one.change) return `${who}: ${one.change.rose ? "rose" : "fell"} since ${moment(one.change.since_ms)}, found ${moment(one.change.found_ms)}; ${one.stated}`;
  const stands = one.limit === null ? "no change" : `no change, ${figure(one.statistic)} of ${figure(one.limit)}`;
  return `${who}: ${one.reason || stands}`;
}

function* sentences(report) {
  if (report.concept) yield `concept: ${report.concept.verdict}. ${report.concept.reason}`;
  if (report.slices?.worst) yield `worst slice: ${report.slices.worst.where}, ${between(report.slices.worst)} against ${figure(report.slices.worst.rest)}`;
  for (const one of report.slices?.named ?? []) yield `slice ${one.name}: ${one.verdict}, ${between(one)}; ${one.reason}`;
  for (const one of report.groups) yield `${one.rate} by ${one.column}: ${one.verdict}; ${one.reason}`;
}

// -- alerts, calibrations, studies

function alertTable(alerts) {
  return table(["fired", "window", "kind", "state", "likely cause", "note"], alerts.map((one) => [
    moment(one.created_ms), moment(one.window_start_ms), one.kind.replaceAll("_", " "), state(one.state), text(one.cause.slice(0, 3).join("; ")),
    text(one.note || "–")]), "None.");
}

function since(calibration, reports) {
  const judged = reports.filter((one) => one.alarms?.calibration === calibration.digest);
  const alarmed = judged.filter((one) => moved(one.drift).length).length;
  return judged.length ? `${alarmed} of the ${judged.length} windows here that it judged show drift.` : "It has judged none of the windows here.";
}

function calibrationCard(one, reports, open) {
  const title = `version ${one.version}, made ${moment(one.created_ms)}`;
  const history = `From ${one.windows} windows (${one.needed} are needed), ${moment(one.history_start_ms)} to ${moment(one.history_end_ms)}, ${one.method}.`;
  if (one.reason) return folded(`${title}: no rate`, [element("p", bad(one.reason)), soft(history)], open);
  const check = one.backcheck;
  const checked = check ? element("p", [`Calibrated on its first half, ${check.alarms} of ${check.windows} windows of the second alarm: `,
    check.holds ? element("span", "as stated", { class: "good" }) : bad("more than stated; the history changes in ways that it does not repeat"), "."]) : null;
  const apart = one.cycles.length ? `Cycles kept apart: ${one.cycles.join(", ")}.` : "No cycle is kept apart.";
  const not = Object.entries({ ...one.unmatched, ...one.uncalibrated }).map(([what, reason]) => `${what}: ${reason}`);
  return folded(`${title}: ${wanted(one)} wanted, ${figure(one.rate)} on average (${figure(one.rate_lower)} to ${figure(one.rate_upper)})`, [
    soft(`${history} ${apart}`), checked, element("p", since(one, reports)),
    not.length ? folded("What it does not cover", lines(not)) : null,
    table(["feature", "measure", "threshold", "training to history"],
      one.thresholds.map((each) => [each.feature, each.measure, figure(each.threshold), figure(each.skew)]), "No feature is calibrated."),
    folded(`What it finds (${one.statements.length} statements)`, lines(one.statements, "Nothing is stated.")),
    element("p", ["Calibration ", short(one.digest)])], open);
}

function calibrationList({ calibrations, reports, info }) {
  if (!calibrations.length) return soft(`Never calibrated. A file with “alarms: {false_alarms: 1 per 90d}” calibrates itself once there is history, or: flyball monitor calibrate ${info.name}`);
  return element("div", calibrations.map((one, at) => calibrationCard(one, reports, at === 0)));
}

function progress(one) {
  if (one.error) return bad(one.error);
  if (!OPEN.includes(one.state) || !one.total) return one.stage || "–";
  const bar = element("progress", [], { max: one.total, value: one.done, "aria-label": one.stage });
  return element("span", [bar, ` ${one.stage}, ${one.done} of ${one.total}`]);
}

function act(one, { may, button, showResult }) {
  if (one.state === "done") return button("result", () => showResult(one));
  return may && OPEN.includes(one.state) ? button("cancel", () => api("POST", `studies/${one.id}/cancel`)) : "";
}

function studyTable(studies, tools) {
  return table(["asked", "what", "state", "progress", "by", ""], studies.map((one) => [
    moment(one.created_ms), one.kind, state(one.state), text(progress(one)), one.actor, act(one, tools)]),
  "None was asked for. From a terminal: flyball monitor backtest FILE");
}

export function drawResult({ backtest, calibration }) {
  if (calibration) return soft(`Calibration ${calibration.digest.slice(0, 12)} is among those above.`);
  return element("div", [run(backtest.draft), backtest.current ? run(backtest.current) : null]);
}

function run(one) {
  const fired = one.fired.slice(0, 40).map((each) => [moment(each.fired_ms), each.kind.replaceAll("_", " "), each.windows,
    each.false_alarm ? "no" : "yes", text(each.causes.join("; "))]);
  const caught = one.caught.map((each) => [each.incident.name, moment(each.incident.start_ms),
    each.fired_ms === null ? bad("missed") : moment(each.fired_ms), each.after_ms === null ? "–" : `${figure(each.after_ms / 3600e3)} h`,
    each.sooner_ms === null ? "–" : `${figure(each.sooner_ms / 3600e3)} h`]);
  return element("div", [
    element("h3", `Backtest of ${one.monitor}: ${one.fired.length} alerts in ${one.windows.length} windows`),
    soft(`${moment(one.from_ms)} to ${moment(one.to_ms)}. False alarms: ${one.stated}.`),
    table(["kind", "alerts", "in 30 days", "95 % bounds"], one.rates.map((each) => [
      each.kind.replaceAll("_", " "), each.count, figure(each.per_30d), `${figure(each.lower)} to ${figure(each.upper)}`]), "Nothing would have fired."),
    caught.length ? table(["incident", "began", "alert", "after", "sooner than people"], caught, "") : null,
    fired.length ? table(["fires", "kind", "windows", "incident", "likely cause"], fired, "") : null,
    one.fired.length > fired.length ? soft(`and ${one.fired.length - fired.length} more: flyball monitor study show ID --html FILE`) : null]);
}
