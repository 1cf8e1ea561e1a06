// Making elements; text is always text, never markup.

export function element(name, content, attributes = {}) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...[content].flat(Infinity).filter((part) => part !== undefined && part !== null));
  return made;
}

const TONES = {
  promoted: "good", ready: "good", resolved: "good", delivered: "good", done: "good", held: "good",
  firing: "bad", failed: "bad", refused: "bad", rolled_back: "bad", given_up: "bad", lost: "bad", dropped: "bad", changed: "bad",
};

export const words = (name) => name.replaceAll("_", " ");
export const short = (digest) => element("code", digest.slice(0, 12), { title: digest });
export const soft = (text) => element("p", text, { class: "soft" });
export const state = (name) => element("span", words(name), { class: TONES[name] ?? "" });
export const bad = (text) => element("span", text, { class: "bad" });
export const text = (content) => ({ content, wide: true });
export const day = (ms) => new Date(ms).toISOString().slice(0, 10);
export const moment = (ms) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
export const percent = (share) => `${(100 * share).toFixed(share && Math.abs(share) < 0.1 ? 1 : 0)} %`;

// Three digits that matter, as people write them.
export function figure(value) {
  if (value === null || value === undefined) return "unknown";
  const size = Math.abs(value);
  if (size >= 1e6 || (size < 1e-4 && size > 0)) return value.toExponential(1);
  return size >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}

export function span(ms) {
  const [unit, size] = [["d", 86400e3], ["h", 3600e3], ["min", 60e3]].find(([, one]) => ms >= one && ms % one === 0) ?? ["s", 1e3];
  return `${ms / size} ${unit}`;
}

function cell(content) {
  return content?.wide ? element("td", content.content, { class: "text" }) : element("td", content);
}

export function table(header, rows, nothing) {
  if (rows.length === 0) return soft(nothing);
  const head = element("thead", element("tr", header.map((title) => element("th", title, { scope: "col" }))));
  const body = element("tbody", rows.map((row) => element("tr", row.map(cell))));
  return element("div", element("table", [head, body]), { class: "scroll" });
}

// What the lines and marks of a chart of quality mean.
export function legend(title, metric) {
  const keys = [["", metric.replaceAll("_", " ")], ["key-band", "its interval"], ["key-base", "baseline"], ["key-expected", "expected without labels"], ["key-drop", "dropped"]];
  return element("figcaption", [title, keys.map(([key, label]) => element("span", label, { class: key }))]);
}

export function lines(list, nothing = "–") {
  return list.length ? element("div", list.map((one) => element("div", one))) : nothing;
}

export function section(title, content) {
  return element("section", [element("h2", title), content]);
}

export function folded(title, content, open = false) {
  return element("details", [element("summary", title), content], open ? { open: "" } : {});
}
