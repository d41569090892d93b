// Tables whose estimates are also drawn, as a dot with its interval on a common scale.
(function (vapo) {
  "use strict";
  const { make, makeSvg, swatch, shapePath, styleOfModel } = vapo;

  // The scale of a column: from, to, and a level to mark.
  function scaleOf(estimates, mark) {
    const values = estimates.filter(Boolean).flatMap(([value, low, high]) => [value, low ?? value, high ?? value]);
    const low = Math.min(...values, mark), high = Math.max(...values, mark), room = (high - low || 1) * 0.06;
    return { from: low - room, to: high + room, mark };
  }

  function interval(estimate, scale, model) {
    if (!estimate) return null;
    const width = 150, x = (value) => Number(((width * (value - scale.from)) / (scale.to - scale.from)).toFixed(1));
    const { color, shape } = styleOfModel(model);
    const [value, low, high] = estimate;
    return makeSvg("svg.interval", { viewBox: `0 0 ${width} 16`, "aria-hidden": "true" },
      makeSvg("line.mark", { x1: x(scale.mark), x2: x(scale.mark), y1: 0, y2: 16 }),
      low != null && makeSvg("line", { x1: x(low), x2: x(high), y1: 8, y2: 8, style: { stroke: color, "stroke-width": "2.5px", "stroke-linecap": "round" } }),
      makeSvg("path", { d: shapePath(shape, x(value), 8, 4.2), style: { fill: color } }));
  }

  function modelName(models, k) {
    return make("span.model", {}, swatch(k), make("span", {}, models[k].name));
  }

  // A column of models says nothing where there is one.
  function tableOfModels(caption, models, heads, rows) {
    const drop = (cells) => (models.length > 1 ? cells : cells.filter((_, k) => k !== 1));
    return table(caption, drop(heads), rows.map(drop));
  }

  function table(caption, heads, rows) {
    return make("div.scroll", { tabindex: 0, role: "region", "aria-label": caption }, make("table", {},
      make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, rows.map((cells) => make("tr", {}, cells.map((cell, k) => make(k ? "td" : "th", k ? {} : { scope: "row" }, cell)))))));
  }

  function card(title, meaning, ...content) {
    return make("article.card", {}, make("h3", {}, title), meaning && make("p.faint", {}, meaning), ...content);
  }

  function wide(element) {
    element.classList.add("wide");
    return element;
  }

  function signed([value, low, high]) {
    const points = (share) => `${share > 0 ? "+" : ""}${(100 * share).toFixed(1)}`;
    return low == null ? `${points(value)} points` : `${points(value)} [${points(low)}, ${points(high)}] points`;
  }

  Object.assign(vapo, { scaleOf, interval, modelName, tableOfModels, table, card, wide, signed });
})((globalThis.vapoPage = globalThis.vapoPage || {}));
