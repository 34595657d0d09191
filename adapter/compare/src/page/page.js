// The page: parts > sections > callbacks > lines. What is closed or far away is not built.

const report = JSON.parse(document.getElementById("report").textContent);
const $ = (id) => document.getElementById(id);

/** Equal lines that stay visible beside a difference; a shorter run of equal lines is not worth folding. */
const CONTEXT = 3;
const SHORTEST_FOLD = 4;
/** Lines built at once, and the height of one while it is only estimated. */
const CHUNK = 100;
const LINE_HEIGHT = 21;
/** A line of more characters scrolls by itself. */
const LONG_LINE = 2000;

const KINDS = {
  response: () => ["Response", "what the client got"],
  upstream: () => ["Upstream", "what the upstream got"],
  callout: (section) => [`Callout ${section.name ?? ""}`, "what the cluster got"],
  log: () => ["Log", "what the filter logged"],
  trace: () => ["Trace", "every callback and host call"],
};

// The model: the report, with where the differences are.

/** All differences, in order: `{ section, from, to }`, a run of lines. */
const places = [];
const parts = report.parts.map((part, index) => {
  const model = { ...part, id: `part-${index + 1}`, places: 0 };
  model.sections = part.sections.map((section) => {
    const [title, about] = (KINDS[section.kind] ?? (() => [section.kind, ""]))(section);
    const result = { ...section, part: model, title, about, differing: 0, places: 0, elements: new Map(), hits: new Set() };
    section.rows.forEach((row, i) => {
      if (row.same) return;
      result.differing++;
      if (i > 0 && !section.rows[i - 1].same) {
        places.at(-1).to = i + 1;
      } else {
        result.places++;
        places.push({ section: result, from: i, to: i + 1, number: places.length + 1 });
      }
    });
    model.places += result.places;
    return result;
  });
  return model;
});
const sections = parts.flatMap((part) => part.sections);
sections.forEach((section, order) => { section.order = order; });

/** A section's lines by callback; in anything but a trace all are one group. */
function groupsOf(section) {
  const groups = [];
  let [envoy, here] = [0, 0];
  section.numbers = [];
  section.rows.forEach((row, i) => {
    section.numbers.push([row.envoy === null ? 0 : ++envoy, row.here === null ? 0 : ++here]);
    const last = groups.at(-1);
    if (!last || (section.kind === "trace" && begins(section, last, row))) {
      groups.push({ section, phase: row.phase ?? null, from: i, to: i + 1, differing: +!row.same });
    } else {
      last.to = i + 1;
      last.differing += +!row.same;
    }
  });
  return groups;
}

/** Whether a row opens a callback: its name changes, or the host calls the same one again. */
function begins(section, group, row) {
  if ((row.phase ?? null) !== group.phase) return true;
  const { direction } = read("trace", row.envoy ?? row.here);
  return row.depth === 0 && direction === "host->vm" && section.rows[group.from] !== row;
}

// Building late: `later` keeps the room, and builds when the reader comes near; `now` does not wait.

const NEAR = 1200;
const pending = new Map();
let fresh = [];
const near = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) now(entry.target);
  settle();
}, { rootMargin: `${NEAR}px` });

function later(element, lines, build) {
  element.classList.add("pending");
  element.style.setProperty("--height", `${lines * LINE_HEIGHT}px`);
  pending.set(element, build);
  fresh.push(element);
  near.observe(element);
  return element;
}

function now(element) {
  const build = pending.get(element);
  if (!build) return;
  pending.delete(element);
  near.unobserve(element);
  element.classList.remove("pending");
  build(element);
}

/** Builds what is in sight in this frame, and what that brings with it: nobody sees the page fill. */
function settle() {
  const isNear = (element) => {
    const { top, bottom } = element.getBoundingClientRect();
    return element.offsetParent && top < innerHeight + NEAR && bottom > -NEAR;
  };
  while (fresh.length) {
    const some = fresh.filter(isNear);
    fresh = [];
    some.forEach(now);
  }
}

/** For print: builds all that is open. */
function buildOpen() {
  for (let some; (some = [...pending.keys()].filter((element) => element.offsetParent)).length;) some.forEach(now);
}

// Parts and sections.

let everything = false;

function badge({ places, same, unmet = [] }) {
  if (same) return make("span", "badge same", "✓ same");
  const all = [];
  if (places) all.push(`≠ ${count(places, "difference")}`);
  if (unmet.length) all.push(`✗ ${count(unmet.length, "expectation")} not met`);
  return make("span", "badge different", all.join(", ") || "≠ different");
}

function showParts() {
  for (const section of sections) section.elements.clear();
  near.disconnect();
  pending.clear();
  $("parts").replaceChildren(...parts.map(showPart));
  if (!parts.length) $("parts").append(make("p", "empty", "The report has no parts: nothing was run."));
}

function showPart(part) {
  const heading = named("h2", "", part.name);
  const kinds = make("span", "kinds");
  for (const section of part.sections) {
    kinds.append(named("span", section.same ? "" : "different", `${section.title} ${section.same ? "✓" : "≠"}`), " ");
  }
  const summary = make("summary", "", heading, badge(part), kinds);
  const body = make("div", "sections");
  part.element = attributed(make("details", "part", summary, body), { id: part.id });
  part.body = later(body, 4, () => {
    for (const what of part.unmet ?? []) body.append(make("p", "unmet", make("strong", "", "✗ Expected: "), ...codes(what)));
    body.append(...part.sections.map(showSection));
    if (!part.sections.length) body.append(make("p", "empty", "Nothing was seen on either side."));
  });
  part.element.open = everything || !part.same;
  return part.element;
}

function showSection(section) {
  const left = make("span", "left", named("h3", "", section.title), make("span", "of", section.about), badge(section));
  const summary = make("summary", "", left, named("span", "side envoy", report.envoy.name), named("span", "side here", report.here.name));
  summary.title = `${section.title} of ${section.part.name}`;
  const body = attributed(make("div", "rows"), { role: "table", "aria-label": `${summary.title}: Envoy, then here` });
  section.element = make("details", `section ${section.kind}`, summary, body);
  section.body = later(body, Math.min(section.rows.length, 40), () => {
    // What has no difference shows all of itself once it is opened.
    section.folding = !everything && section.differing > 0;
    section.groups = groupsOf(section);
    body.append(...showGroups(section));
    if (!section.rows.length) body.append(make("p", "empty", "Nothing, on either side."));
  });
  section.element.open = everything || !section.same;
  return section.element;
}

// Callbacks, as bands.

function showGroups(section) {
  if (section.kind !== "trace") return section.groups.map((group) => showRuns(make("div", "group"), group));
  const shown = [];
  for (let i = 0; i < section.groups.length;) {
    let end = i;
    while (end < section.groups.length && !section.groups[end].differing) end++;
    // A neighbour of a difference keeps its band.
    const [from, to] = [i === 0 ? i : i + 1, end === section.groups.length ? end : end - 1];
    if (section.folding && to - from > 1) {
      shown.push(...section.groups.slice(i, from).map(showBand), foldOfBands(section.groups.slice(from, to)));
      shown.push(...section.groups.slice(to, end).map(showBand));
    } else {
      shown.push(...section.groups.slice(i, end).map(showBand));
    }
    if (end < section.groups.length) shown.push(showBand(section.groups[end++]));
    i = end;
  }
  return shown;
}

function foldOfBands(groups) {
  const lines = groups.at(-1).to - groups[0].from;
  const fold = folded(`${count(groups.length, "equal callback")}, ${count(lines, "line")}`, () => {
    const bands = groups.map(showBand);
    fold.replaceWith(...bands);
    return bands[0].querySelector("button");
  });
  for (const group of groups) group.unfold = () => fold.isConnected && fold.unfold();
  return fold;
}

/** `unfold` puts something in place of the button, and returns what takes its focus. */
function folded(text, unfold) {
  const fold = attributed(make("div", "fold"), { role: "row" });
  fold.unfold = unfold;
  const open = button("", text, () => unfold()?.focus({ preventScroll: true }));
  fold.append(attributed(make("div", "", attributed(open, { "aria-expanded": "false" })), { role: "cell", "aria-colspan": "2" }));
  return fold;
}

function familyOf(phase) {
  if (/http_call|grpc|foreign|queue|tick/.test(phase)) return "event";
  if (/_on_(log|done|delete)$/.test(phase)) return "end";
  return /request|downstream/.test(phase) ? "request" : /response|upstream/.test(phase) ? "response" : "lifecycle";
}

function showBand(group) {
  const name = group.phase ?? "outside of any callback";
  const open = button("", "", () => toggle(open.getAttribute("aria-expanded") !== "true"));
  const lines = count(group.to - group.from, "line");
  const state = group.differing ? make("span", "badge different", `≠ ${number(group.differing)} of ${lines}`) : make("span", "lines", lines);
  open.append(named("span", "phase", name), state);
  const header = attributed(make("div", "band", attributed(make("div", "", open), { role: "rowheader", "aria-colspan": "2" })), { role: "row" });
  const body = make("div", "group");
  const element = attributed(make("div", `callback ${familyOf(name)}`, header, body), { role: "rowgroup", "aria-label": name });
  let built = false;
  const toggle = (to) => {
    open.setAttribute("aria-expanded", to);
    body.hidden = !to;
    if (to && !built) showRuns(body, group);
    built ||= to;
  };
  toggle(!group.section.folding || group.differing > 0);
  group.open = () => toggle(true);
  group.element = element;
  return element;
}

// Lines.

/** Fills a group: runs of lines, those that are equal and away from a difference folded. */
function showRuns(element, group) {
  const { section, from, to } = group;
  group.runs = [];
  const add = (start, end, fold) => { if (end > start) group.runs.push({ section, from: start, to: end, fold }); };
  for (let i = from; i < to;) {
    let end = i;
    while (end < to && section.rows[end].same) end++;
    const [start, stop] = [i === from ? i : i + CONTEXT, end === to ? end : end - CONTEXT];
    const fold = section.folding && group.differing > 0 && stop - start >= SHORTEST_FOLD;
    if (fold) { add(i, start, false); add(start, stop, true); }
    i = fold ? stop : i;
    while (end < to && !section.rows[end].same) end++;
    add(i, end, false);
    i = end;
  }
  element.append(...group.runs.flatMap((run) => {
    if (!run.fold) return chunks(run);
    const fold = folded(count(run.to - run.from, "equal line"), () => {
      run.fold = false;
      const shown = chunks(run);
      fold.replaceWith(...shown);
      now(shown[0]);
      return focusable(section.elements.get(run.from));
    });
    run.unfold = () => fold.unfold();
    return [fold];
  }));
  return element;
}

function chunks(run) {
  const shown = [];
  for (let start = run.from; start < run.to; start += CHUNK) {
    const end = Math.min(start + CHUNK, run.to);
    const chunk = attributed(make("div", "chunk"), { role: "presentation" });
    later(chunk, end - start, () => {
      for (let i = start; i < end; i++) chunk.append(showRow(run.section, i));
    });
    (run.chunks ??= []).push(chunk);
    shown.push(chunk);
  }
  return shown;
}

const SIGNS = {
  both: ["≠", "Differs"],
  envoy: ["−", "Only on Envoy"],
  here: ["+", "Only here"],
  alike: ["≈", "Equal once made equal"],
};

function stateOf(row) {
  if (row.same) return row.envoy === row.here ? "equal" : "alike";
  return row.envoy === null ? "here" : row.here === null ? "envoy" : "both";
}

function showRow(section, i) {
  const row = section.rows[i];
  const state = stateOf(row);
  const element = attributed(make("div", `row ${state}`), { role: "row" });
  if (row.depth) element.classList.add(`deep-${Math.min(row.depth, 6)}`);
  ["envoy", "here"].forEach((side, column) => {
    const cell = attributed(make("div", `cell ${side}`), { role: "cell" });
    element.append(cell);
    if (row[side] === null) {
      cell.classList.add("none");
      cell.append(make("span", "unseen", "No line"));
      return;
    }
    cell.dataset.number = section.numbers[i][column];
    const { direction } = read(section.kind, row[side]);
    if (SIGNS[state]) {
      const [sign, words] = SIGNS[state];
      cell.append(attributed(make("span", "sign", sign), { role: "img", "aria-label": words, title: words }));
    }
    if (direction) {
      const [arrow, words] = DIRECTIONS[direction];
      const sign = make("span", `direction ${arrow === "→" || arrow === "←" ? "call" : "return"}`, arrow);
      cell.append(attributed(sign, { role: "img", "aria-label": words, title: words }));
    }
    if (row[side].length > LONG_LINE) attributed(cell, { tabindex: "0" }).classList.add("long");
    cell.append(make("span", "text"));
  });
  element.line = { section, i };
  section.elements.set(i, element);
  repaint(section, i);
  return element;
}

function repaint(section, i) {
  const element = section.elements.get(i);
  const row = section.rows[i];
  const texts = ["envoy", "here"].map((side) => read(section.kind, row[side]).text);
  const changed = stateOf(row) === "both" ? changes(...texts) : [[], []];
  ["envoy", "here"].forEach((side, column) => {
    if (texts[column] === null) return;
    const marks = subject(section.kind, texts[column]);
    for (const [from, to] of changed[column]) marks.push([from, to, "changed"]);
    for (const [from, to] of hitsIn(texts[column])) marks.push([from, to, "hit"]);
    paint(element.querySelector(`.${side} > .text`), texts[column], marks);
  });
}

/** Opens all that a line is in, builds it, and returns its element. */
function reveal(section, i) {
  section.part.element.open = true;
  now(section.part.body);
  section.element.open = true;
  now(section.body);
  const group = section.groups.find((group) => i < group.to);
  group.unfold?.();
  group.open?.();
  const run = group.runs.find((run) => i < run.to);
  if (run.fold) run.unfold();
  now(run.chunks[Math.floor((i - run.from) / CHUNK)]);
  return section.elements.get(i);
}
