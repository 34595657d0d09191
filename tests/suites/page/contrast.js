// All texts in sight whose contrast with their ground is below 4.5 (WCAG 2.2, AA), as one line each.
(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const seen = new Map();
  const channels = (colours) => {
    const key = colours.join();
    if (!seen.has(key)) {
      for (const colour of colours) {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
      }
      seen.set(key, [...context.getImageData(0, 0, 1, 1).data].slice(0, 3));
    }
    return seen.get(key);
  };
  const luminance = (colours) => {
    const [r, g, b] = channels(colours).map((byte) => byte / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const grounds = (element) => {
    const found = [];
    for (let at = element; at; at = at.parentElement) found.unshift(getComputedStyle(at).backgroundColor);
    return ["white", ...found];
  };
  const bad = new Set();
  let checked = 0;
  for (const element of document.querySelectorAll("body *")) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data.trim()).join("");
    if (!text || element.closest("script, style, .unseen, :disabled") || !element.checkVisibility({ contentVisibilityAuto: false })) continue;
    checked++;
    const style = getComputedStyle(element);
    const ground = grounds(element);
    const [a, b] = [luminance([...ground, style.color]), luminance(ground)];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) bad.add(`${contrast.toFixed(2)} ${element.tagName}.${element.className} "${text.slice(0, 30)}"`);
  }
  return { checked, bad: [...bad] };
})()
