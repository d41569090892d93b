// Elements made from plain values. Text becomes text, never markup.
(function (vapo) {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";

  // make("p.note", {title: "x"}, "text", otherElement): classes behind dots; functions become listeners.
  function make(name, attributes, ...children) {
    return build(document.createElement(name.split(".")[0]), name, attributes, children);
  }

  function makeSvg(name, attributes, ...children) {
    return build(document.createElementNS(SVG, name.split(".")[0]), name, attributes, children);
  }

  function build(element, name, attributes, children) {
    const classes = name.split(".").slice(1);
    if (classes.length) element.classList.add(...classes);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (typeof value === "function") element.addEventListener(key, value);
      else if (key === "style") for (const [part, set] of Object.entries(value)) element.style.setProperty(part, set);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value != null) element.setAttribute(key, value);
    }
    for (const child of children.flat()) if (child != null && child !== false) element.append(child);
    return element;
  }

  // The nth model is known by colour, dashes and the shape of its points.
  const SHAPES = ["circle", "square", "triangle", "diamond"];
  function styleOfModel(number) {
    return { color: `var(--model-${number % 6})`, shape: SHAPES[number % 4], dash: number >= 6 ? [10, 3] : [] };
  }

  function shapePath(shape, x, y, r) {
    if (shape === "square") return `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}z`;
    if (shape === "triangle") return `M${x} ${y - 1.2 * r}l${1.2 * r} ${2.1 * r}h${-2.4 * r}z`;
    if (shape === "diamond") return `M${x} ${y - 1.35 * r}l${1.35 * r} ${1.35 * r}l${-1.35 * r} ${1.35 * r}l${-1.35 * r} ${-1.35 * r}z`;
    return `M${x - r} ${y}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;
  }

  // A piece of a line; without a model, of any model's.
  function swatch(model, variant) {
    const { color, shape, dash } = model == null ? { color: "var(--faint)", shape: "circle", dash: [] } : styleOfModel(model);
    const dashes = (variant ? DASHES[variant % DASHES.length] : dash).join(" ");
    const hollow = variant ? "var(--card)" : color;
    return makeSvg("svg.swatch", { width: 30, height: 14, viewBox: "0 0 30 14", "aria-hidden": "true" },
      makeSvg("line", { x1: 1, x2: 29, y1: 7, y2: 7, "stroke-dasharray": dashes, style: { stroke: color, "stroke-width": "2px" } }),
      makeSvg("path", { d: shapePath(shape, 15, 7, 4), style: { stroke: color, "stroke-width": "1.5px", fill: hollow } }));
  }

  const DASHES = [[], [6, 4], [2, 3]];

  function percent(share, digits = 0) {
    return share == null ? "–" : `${(100 * share).toFixed(digits)} %`;
  }

  function number(value, digits = 3) {
    if (value == null) return "–";
    return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(digits)));
  }

  // An estimate is [value, low, high, questions].
  function estimateText(estimate, format) {
    if (!estimate) return "–";
    const [value, low, high] = estimate;
    return low == null ? format(value) : `${format(value)} [${format(low).replace(" %", "")}–${format(high)}]`;
  }

  // In a sentence, numbers stand out and their intervals stand back.
  function emphasised(sentence) {
    return sentence.split(/(\[[^\]]*\d[^\]]*\]|[+\u2212-]?\d+(?:[.,]\d+)?(?:\s?%| points| nats)?)/).map((part, k) => {
      if (k % 2 === 0) return part;
      return part.startsWith("[") ? make("span.faint", {}, part) : make("b", {}, part);
    });
  }

  Object.assign(vapo, { make, makeSvg, styleOfModel, shapePath, swatch, DASHES, percent, number, estimateText, emphasised });
})((globalThis.vapoPage = globalThis.vapoPage || {}));
