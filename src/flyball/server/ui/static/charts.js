// Draw the accuracy of windows with its interval and the baseline it is held against, as one SVG.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 960, HEIGHT = 250, LEFT = 44, BOTTOM = 22, TOP = 8;

function shape(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

export function accuracyChart(windows) {
  const judged = windows.filter((one) => one.accuracy !== null);
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Accuracy of each window" });
  if (judged.length === 0) return svg;
  const first = judged[0].start_ms, last = Math.max(judged.at(-1).end_ms, first + 1);
  const values = judged.flatMap((one) => [one.lower, one.upper, one.baseline]).filter((value) => value !== null);
  const low = Math.min(...values), high = Math.max(...values), span = high - low || 1;
  const x = (ms) => LEFT + ((ms - first) / (last - first)) * (WIDTH - LEFT - 8);
  const y = (value) => TOP + ((high - value) / span) * (HEIGHT - TOP - BOTTOM);
  const middle = (one) => x((one.start_ms + one.end_ms) / 2);
  const path = (points) => "M" + points.map(([a, b]) => `${a.toFixed(1)},${b.toFixed(1)}`).join("L");
  for (const value of [low, (low + high) / 2, high]) {
    svg.append(shape("line", { x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value), class: "axis" }));
    svg.append(shape("text", { x: 4, y: y(value) + 4 }, value.toFixed(2)));
  }
  const upper = judged.map((one) => [middle(one), y(one.upper)]);
  const lower = judged.map((one) => [middle(one), y(one.lower)]).reverse();
  svg.append(shape("path", { d: path([...upper, ...lower]) + "Z", class: "band" }));
  const based = judged.filter((one) => one.baseline !== null);
  if (based.length) svg.append(shape("path", { d: path(based.map((one) => [middle(one), y(one.baseline)])), class: "base" }));
  svg.append(shape("path", { d: path(judged.map((one) => [middle(one), y(one.accuracy)])), class: "line" }));
  for (const one of judged.filter((each) => each.verdict === "dropped")) {
    const dot = shape("circle", { cx: middle(one), cy: y(one.accuracy), r: 3.5, class: "alert" });
    dot.append(shape("title", {}, `${day(one.start_ms)}: ${one.accuracy.toFixed(3)}, dropped`));
    svg.append(dot);
  }
  for (const one of [judged[0], judged[Math.floor(judged.length / 2)], judged.at(-1)])
    svg.append(shape("text", { x: Math.min(middle(one), WIDTH - 60), y: HEIGHT - 6 }, day(one.start_ms)));
  return svg;
}

export function day(ms) {
  return new Date(ms).toISOString().slice(0, 10);
}
