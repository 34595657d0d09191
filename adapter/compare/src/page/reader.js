// What the reader does: stepping through differences, searching, copying, choosing what is shown and how.

let current = null;
const say = (text) => { $("said").textContent = text; };
const focusable = (element) => attributed(element, { tabindex: "-1" });

/** Makes a line the current one, in sight and with the focus, unless that shall stay where it is. */
function go(section, i, keepFocus = false) {
  const element = reveal(section, i);
  select(element);
  if (!keepFocus) element.focus({ preventScroll: true });
  // What is built on the way there may move it.
  element.scrollIntoView({ block: "center" });
  requestAnimationFrame(() => requestAnimationFrame(() => element.scrollIntoView({ block: "center" })));
}

function select(element) {
  const last = current && current.section.elements.get(current.i);
  last?.classList.remove("current");
  last?.removeAttribute("tabindex");
  current = element.line;
  element.classList.add("current");
  element.tabIndex = 0;
  offerCopies(element);
  showPlace();
}

/** Less than 0 where the current line is before `line`, 0 where it is that. */
function fromCurrent(section, i) {
  return current.section.order - section.order || current.i - i;
}

// Differences.

function placeHere() {
  return current && places.find((place) => place.section === current.section && place.from <= current.i && current.i < place.to);
}

function showPlace() {
  const place = placeHere();
  $("place").textContent = places.length ? `${place ? number(place.number) : "–"} of ${number(places.length)}` : "none";
  $("place").title = "Differences";
}

function step(by) {
  if (!places.length) return say("There are no differences.");
  const here = placeHere();
  let index = by > 0 ? 0 : places.length - 1;
  if (here) index = (here.number - 1 + by + places.length) % places.length;
  else if (current) {
    const after = places.findIndex((place) => fromCurrent(place.section, place.from) < 0);
    index = ((after < 0 ? places.length : after) + (by > 0 ? 0 : -1) + places.length) % places.length;
  }
  const { section, from } = places[index];
  go(section, from);
  say(`Difference ${number(index + 1)} of ${number(places.length)}: ${section.title} of ${section.part.name}`);
}

// Search.

let pattern = null;
let found = [];

function hitsIn(text) {
  return pattern ? Array.from(text.matchAll(pattern), (match) => [match.index, match.index + match[0].length]) : [];
}

function search() {
  const query = $("query").value;
  pattern = query ? new RegExp(query.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"), "giu") : null;
  found = [];
  for (const section of sections) {
    const before = section.hits;
    section.hits = new Set();
    if (pattern) {
      section.rows.forEach((row, i) => {
        const isHit = ["envoy", "here"].some((side) => row[side] !== null && read(section.kind, row[side]).text.search(pattern) >= 0);
        if (!isHit) return;
        section.hits.add(i);
        found.push({ section, i });
      });
    }
    for (const i of section.elements.keys()) if (before.has(i) || section.hits.has(i)) repaint(section, i);
  }
  showCount(-1);
}

function showCount(index) {
  const total = count(found.length, "line");
  $("count").textContent = !pattern ? "" : index < 0 ? total : `${number(index + 1)} of ${total}`;
}

function nextHit(by) {
  if (!found.length) return;
  let index = by > 0 ? 0 : found.length - 1;
  if (current) {
    const beyond = (hit) => (by > 0 ? fromCurrent(hit.section, hit.i) < 0 : fromCurrent(hit.section, hit.i) > 0);
    const at = by > 0 ? found.findIndex(beyond) : found.findLastIndex(beyond);
    if (at >= 0) index = at;
  }
  go(found[index].section, found[index].i, true);
  showCount(index);
}

// Copying: one pair of buttons, in the line that is pointed at or current.

const copies = ["envoy", "here"].map((side) => {
  const label = side === "envoy" ? "Copy Envoy's line" : "Copy this side's line";
  return copyButton(label, (copy) => {
    const { section, i } = copy.closest(".row").line;
    return section.rows[i][side];
  });
});

function copyButton(label, textOf) {
  const copy = button("copy", "Copy", async () => {
    const done = await copyText(textOf(copy));
    copy.textContent = done ? "✓" : "✗";
    say(done ? "Copied" : "The browser did not allow it");
    setTimeout(() => { copy.textContent = "Copy"; }, 1200);
  });
  return attributed(copy, { "aria-label": label, title: label });
}

function offerCopies(row) {
  if (copies.some((copy) => copy === document.activeElement && !row.contains(copy))) return;
  ["envoy", "here"].forEach((side, column) => {
    const cell = row.querySelector(`.${side}`);
    if (cell.classList.contains("none")) copies[column].remove();
    else if (copies[column].parentElement !== cell) cell.append(copies[column]);
  });
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// Around the comparison.

function showHead() {
  const { filters, envoy, here, normalised, notes } = report;
  $("file").replaceChildren(...named("span", "", filters.map((filter) => filter.file).join(", ")).childNodes);
  for (const [index, filter] of filters.entries()) {
    const sum = attributed(make("code", "", filter.sha256.slice(0, 12)), { title: filter.sha256 });
    $("sums").append(index ? ", " : "", "sha256 ", sum, ` · ${count(filter.bytes, "byte")}`);
  }
  for (const [side, what] of [[envoy, "Left"], [here, "Right"]]) {
    const card = make("div", "card", make("p", "", make("span", "kicker", what), " ", named("strong", "", side.name)));
    if (side.command) {
      card.append(commandOf(side.command, `Copy the command of ${side.name}`));
    }
    $("sides").append(card);
  }
  if (report.command) {
    const again = make("p", "", make("span", "kicker", "Compare again"));
    $("sides").append(make("div", "card both", again, commandOf(report.command, "Copy the command that compares")));
  }
  if (parts.length > 1) {
    const list = make("ol", "");
    for (const part of parts) {
      const link = make("a", part.same ? "same" : "different", named("span", "name", part.name));
      link.append(make("span", "state", part.same ? "✓" : `≠ ${part.places || ""}`), make("span", "unseen", part.same ? "same" : "different"));
      link.href = `#${part.id}`;
      part.link = link;
      list.append(make("li", "", link));
    }
    $("contents").append(make("h2", "", "Parts"), list);
    $("contents").hidden = false;
    $("contents").parentElement.classList.add("listed");
  }
  for (const note of notes) $("notes").append(make("li", "", make("strong", "", "Note: "), ...codes(note)));
  for (const { reason, lines } of report.known ?? []) {
    $("notes").append(make("li", "", make("strong", "", `Known, ${count(lines, "line")}: `), ...codes(reason)));
  }
  const equal = make("section", "", make("h2", "", "Made equal before lines are compared"));
  const list = make("ul", "");
  for (const what of normalised) list.append(make("li", "", ...codes(what)));
  equal.append(normalised.length ? list : make("p", "empty", "Nothing: lines are compared as they are."));
  $("foot").append(equal, legend());
  $("foot").hidden = false;
}

/** A command, and a button that copies it. */
function commandOf(command, label) {
  const code = attributed(named("code", "", command), { tabindex: "0" });
  return make("div", "command", code, copyButton(label, () => command));
}

function legend() {
  const list = (entries) => make("dl", "", ...entries.map(([sign, words, state]) => (
    make("div", "", make("dt", state ? `sign-${state}` : "", sign), make("dd", "", words))
  )));
  const signs = Object.entries(SIGNS).map(([state, [sign, words]]) => [sign, words, state]);
  const lists = make("div", "legends", list(signs), list(Object.values(DIRECTIONS)), list(KEYS));
  const keys = attributed(make("input", ""), { type: "checkbox", id: "keys" });
  keys.checked = true;
  return make("section", "legend", make("h2", "", "Signs and keys"), lists, make("label", "", keys, " Keys of one character are on"));
}

const KEYS = [
  ["n", "Next difference"],
  ["p", "Previous difference"],
  ["/", "Search: Enter and Shift+Enter step"],
  ["↑ ↓", "From the current line to the next"],
];

function show(mode) {
  everything = mode === "everything";
  const kept = current;
  showParts();
  settle();
  if (kept) go(kept.section, kept.i, true);
}

/** The line before or after one, among those that are shown. */
function neighbour(row, by) {
  const walker = document.createTreeWalker($("parts"), NodeFilter.SHOW_ELEMENT, (node) => (node.line ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP));
  walker.currentNode = row;
  let next = null;
  do next = by > 0 ? walker.nextNode() : walker.previousNode(); while (next && !next.offsetParent);
  return next;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const row = event.target.closest?.(".row");
  const arrow = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (row && arrow) {
    const next = neighbour(row, arrow);
    if (next) go(next.line.section, next.line.i);
    event.preventDefault();
  }
  if (event.target.matches?.("input:not([type=radio], [type=checkbox])") || !$("keys").checked) return;
  const action = { n: () => step(1), p: () => step(-1), "/": () => { $("query").focus(); $("query").select(); } }[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function showTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  $("theme").textContent = dark ? "Light" : "Dark";
  $("theme").title = `Show it ${dark ? "light" : "dark"}`;
  return dark;
}

function listen() {
  for (const input of document.getElementsByName("mode")) input.addEventListener("change", () => show(input.value));
  $("next").addEventListener("click", () => step(1));
  $("previous").addEventListener("click", () => step(-1));
  let waiting;
  $("query").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 80); });
  $("query").addEventListener("keydown", (event) => {
    if (event.key === "Escape") { $("query").value = ""; search(); $("query").blur(); }
    if (event.key !== "Enter") return;
    clearTimeout(waiting);
    search();
    nextHit(event.shiftKey ? -1 : 1);
  });
  document.addEventListener("keydown", onKey);
  $("parts").addEventListener("pointerover", (event) => { const row = event.target.closest(".row"); if (row) offerCopies(row); });
  $("parts").addEventListener("click", (event) => { const row = event.target.closest(".row"); if (row && !event.target.closest("button")) select(row); });
  $("theme").addEventListener("click", () => { document.documentElement.dataset.theme = showTheme() ? "light" : "dark"; showTheme(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
  addEventListener("hashchange", openTarget);
  let waits = false;
  addEventListener("scroll", () => {
    if (!waits) requestAnimationFrame(() => { waits = false; showWhere(); });
    waits = true;
  }, { passive: true });
  addEventListener("beforeprint", buildOpen);
  new ResizeObserver(() => document.documentElement.style.setProperty("--bar", `${$("bar").offsetHeight}px`)).observe($("bar"));
}

/** Tells in the list of parts which of them is at the top of what is in sight. */
function showWhere() {
  const top = $("bar").getBoundingClientRect().bottom + 60;
  const here = parts.findLast((part) => part.element.getBoundingClientRect().top < top);
  for (const part of parts) part.link && attributed(part.link, { "aria-current": part === here });
}

function openTarget() {
  const part = parts.find((part) => `#${part.id}` === location.hash);
  if (!part) return;
  part.element.open = true;
  part.element.scrollIntoView();
}

$("bar").hidden = false;
$("previous").disabled = $("next").disabled = !places.length;
showHead();
showParts();
showPlace();
showTheme();
listen();
openTarget();
settle();
showWhere();
