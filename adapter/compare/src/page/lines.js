"use strict";
// What a line is, and how it is painted. Lines are hostile: they only ever become text nodes.

/** How Envoy's trace says who calls whom; its arrow here, the host being on the left; the same in words. */
const DIRECTIONS = {
  "host->vm": ["→", "The host calls the filter"],
  "vm->host": ["←", "The filter calls the host"],
  "vm<-host": ["⇢", "The host returns"],
  "host<-vm": ["⇠", "The filter returns"],
};
const DIRECTION = /^\[(host->vm|vm->host|vm<-host|host<-vm)\] ?/;

/** A line of a trace without its direction, and that direction; any other line as it is. */
function read(kind, line) {
  const match = kind === "trace" && line !== null ? DIRECTION.exec(line) : null;
  return match ? { direction: match[1], text: line.slice(match[0].length) } : { direction: null, text: line };
}

/** Makes an element: `make("p", "class", child, …)`; a string becomes a text node. */
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** The same, with attributes. */
function attributed(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** The same for a text that is not ours: what would not show in it does. */
function named(tag, className, text) {
  const element = make(tag, className);
  append(element, text);
  return element;
}

/** A sentence, with what stands in backticks as code. */
function codes(text) {
  return text.split("`").map((piece, i) => named(i % 2 ? "code" : "span", "", piece));
}

function button(className, text, onClick) {
  const element = attributed(make("button", className, text), { type: "button" });
  element.addEventListener("click", onClick);
  return element;
}

const number = (n) => n.toLocaleString("en");
const count = (n, one, many = one + "s") => `${number(n)} ${n === 1 ? one : many}`;

const TOKEN = /[\p{L}\p{N}_]+|\s+|[^\p{L}\p{N}_\s]/gu;
/** Above this many pairs of tokens, all between the common start and end counts as changed. */
const MOST_PAIRS = 90_000;

/** Where two lines differ: a list of `[from, to]` for each. */
function changes(left, right) {
  const a = left.match(TOKEN) ?? [];
  const b = right.match(TOKEN) ?? [];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let endA = a.length;
  let endB = b.length;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) { endA--; endB--; }
  const keptA = new Set();
  const keptB = new Set();
  const width = endB - start + 1;
  if ((endA - start) * (endB - start) <= MOST_PAIRS) {
    // The longest common subsequence of what is between.
    const lengths = new Uint16Array((endA - start + 1) * width);
    for (let i = endA - start - 1; i >= 0; i--) {
      for (let j = endB - start - 1; j >= 0; j--) {
        lengths[i * width + j] = a[start + i] === b[start + j]
          ? lengths[(i + 1) * width + j + 1] + 1
          : Math.max(lengths[(i + 1) * width + j], lengths[i * width + j + 1]);
      }
    }
    // Lines that have little in common are easier to read as wholly different.
    if (lengths[0] * 3 >= Math.min(endA, endB) - start) {
      for (let i = 0, j = 0; start + i < endA && start + j < endB;) {
        if (a[start + i] === b[start + j]) { keptA.add(start + i++); keptB.add(start + j++); }
        else if (lengths[(i + 1) * width + j] >= lengths[i * width + j + 1]) i++;
        else j++;
      }
    }
  }
  const found = [ranges(a, start, endA, keptA), ranges(b, start, endB, keptB)];
  if (found[0].length === found[1].length) found[0].forEach((range, i) => narrow(left, range, right, found[1][i]));
  return found;
}

/** A changed word is marked as a whole, for a number's last digit alone says little; of a long one what changed. */
const LONG_WORD = 32;

function narrow(left, a, right, b) {
  if (Math.min(a[1] - a[0], b[1] - b[0]) < LONG_WORD) return;
  while (a[0] < a[1] && b[0] < b[1] && left[a[0]] === right[b[0]]) { a[0]++; b[0]++; }
  while (a[1] > a[0] && b[1] > b[0] && left[a[1] - 1] === right[b[1] - 1]) { a[1]--; b[1]--; }
}

function ranges(tokens, start, end, kept) {
  const found = [];
  let at = 0;
  tokens.forEach((token, i) => {
    const last = found.at(-1);
    if (i >= start && i < end && !kept.has(i)) {
      if (last && last[1] === at) last[1] = at + token.length;
      else found.push([at, at + token.length]);
    }
    at += token.length;
  });
  return found;
}

/** Characters that would not show, or that would change how others show. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/gu;
const SHORT = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0" };

/** Puts `text` into `element`, each range `[from, to, class]` marked; overlapping ranges add up. */
function paint(element, text, marks) {
  element.replaceChildren();
  const cuts = [...new Set([0, text.length, ...marks.flatMap(([from, to]) => [from, to])])].sort((x, y) => x - y);
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [from, to] = [cuts[i], cuts[i + 1]];
    const classes = marks.filter((mark) => mark[0] <= from && mark[1] >= to).map((mark) => mark[2]);
    let into = element;
    if (classes.length) {
      into = make(classes.includes("hit") ? "mark" : "span", classes.join(" "));
      element.append(into);
    }
    append(into, text.slice(from, to));
  }
}

function append(element, text) {
  let at = 0;
  for (const match of text.matchAll(UNSEEN)) {
    element.append(text.slice(at, match.index));
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    element.append(attributed(make("span", "unprintable", SHORT[match[0]] ?? `U+${code}`), { title: `U+${code}` }));
    at = match.index + match[0].length;
  }
  element.append(text.slice(at));
}

const SUBJECTS = { trace: /^(?:(env|wasi_\w+)\.)?\w+/, log: /^\[\w+\]/ };

/** What a line is about, set off from the rest: a call's name, a log line's level, a header's name. */
function subject(kind, text) {
  const match = (SUBJECTS[kind] ?? /^:?[\w-]+(?=:)/).exec(text);
  if (!match) return [];
  const module = match[1] ? match[1].length + 1 : 0;
  return [...(module ? [[0, module, "module"]] : []), [module, match[0].length, "subject"]];
}
