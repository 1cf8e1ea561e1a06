// Draw the watched metric of windows with its interval and the baseline it is held against, as one SVG.

import { day, figure } from "./elements.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 960, HEIGHT = 240, LEFT = 42, RIGHT = 12, BOTTOM = 22, TOP = 10;

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const percent = (value) => `${(100 * value).toFixed(0)} %`;
const path = (points) => "M" + points.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join("L");

// Shares are shown to the next five points, other figures as they are, with a little room.
function rounded(least, most, metric) {
  if (metric === "accuracy") return [Math.floor(least * 20) / 20, Math.ceil(most * 20) / 20];
  const room = (most - least || Math.abs(most) || 1) * 0.05;
  return [least - room, most + room];
}

const written = (metric) => (metric === "accuracy" ? percent : figure);

function scales(judged) {
  const first = judged[0].start_ms, last = judged.at(-1).end_ms;
  const values = judged.flatMap((one) => [one.lower, one.upper, one.value, one.baseline, one.estimated]).filter((value) => value !== null && value !== undefined);
  const [low, high] = rounded(Math.min(...values), Math.max(...values), judged[0].metric);
  const x = (ms) => LEFT + ((ms - first) / (last - first || 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value) => TOP + ((high - value) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  return { x, y, low, high };
}

function axes({ x, y, low, high }, judged) {
  const lines = [low, (low + high) / 2, high].flatMap((value) => [
    shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(value), y2: y(value), class: "axis" }),
    shape("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, written(judged[0].metric)(value))]);
  const dates = judged.length < 3 ? [judged[0]] : [judged[0], judged[Math.floor(judged.length / 2)], judged.at(-1)];
  const anchors = ["start", "middle", "end"];
  return [...lines, ...dates.map((one, at) => shape(
    "text", { x: x(at === 2 ? one.end_ms : one.start_ms), y: HEIGHT - 6, "text-anchor": anchors[at] }, day(one.start_ms)))];
}

function point(one, cx, cy) {
  const dropped = one.verdict === "dropped";
  const dot = shape("circle", { cx, cy, r: dropped ? 4 : 2.5, class: dropped ? "drop" : "point" });
  const say = written(one.metric);
  const range = `${one.metric} ${say(one.value)} (${say(one.lower)} to ${say(one.upper)})`;
  dot.append(shape("title", {}, `${day(one.start_ms)}: ${range}, ${one.labelled} labels (${percent(one.coverage)}), revision ${one.revision}${dropped ? ", dropped" : ""}`));
  return dot;
}

export const metricOf = (windows) => windows.findLast((one) => one.value !== null)?.metric ?? "quality";

export function qualityChart(windows) {
  const known = windows.filter((one) => one.value !== null && one.lower !== null && one.upper !== null);
  // A monitor whose metric was changed: only what is comparable with its newest window.
  const judged = known.filter((one) => one.metric === known.at(-1).metric);
  if (judged.length === 0) return null;
  const scale = scales(judged), { x, y } = scale;
  const middle = (one) => x((one.start_ms + one.end_ms) / 2);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${judged[0].metric} of each window` });
  const upper = judged.map((one) => [middle(one), y(one.upper)]);
  const lower = judged.map((one) => [middle(one), y(one.lower)]).reverse();
  const based = judged.filter((one) => one.baseline !== null)
    .flatMap((one) => [[x(one.start_ms), y(one.baseline)], [x(one.end_ms), y(one.baseline)]]);
  svg.append(...axes(scale, judged), shape("path", { d: path([...upper, ...lower]) + "Z", class: "band" }));
  if (based.length) svg.append(shape("path", { d: path(based), class: "base" }));
  // What was to be expected without labels is drawn apart: it is no part of realised quality.
  const expected = judged.filter((one) => one.estimated !== null && one.estimated_metric === one.metric);
  if (expected.length) svg.append(shape("path", { d: path(expected.map((one) => [middle(one), y(one.estimated)])), class: "expected" }));
  svg.append(shape("path", { d: path(judged.map((one) => [middle(one), y(one.value)])), class: "line" }));
  svg.append(...judged.map((one) => point(one, middle(one), y(one.value))));
  return svg;
}
