// Curves with bands for their intervals, drawn by uPlot; arrow keys move along them, and a table says the same.
(function (vapo) {
  "use strict";
  const { make, swatch, styleOfModel, shapePath, DASHES, percent, number, estimateText } = vapo;

  const WHOLE = [1, 10, 100, 1000, 10000].flatMap((power) => [power, 2 * power, 5 * power]); // tokens and steps are counted

  function colorOf(element, variable) {
    return getComputedStyle(element).getPropertyValue(variable).trim();
  }

  // uPlot's columns: x, then value, low and high of each line. undefined: this line has no point here; null: it has
  // one, without an interval.
  function columnsOf(lines) {
    const xs = [...new Set(lines.flatMap((line) => line.points.map((point) => point[0])))].sort((a, b) => a - b);
    const columns = [xs];
    for (const line of lines) {
      const at = new Map(line.points.map((point) => [point[0], point]));
      for (const part of [1, 2, 3]) columns.push(xs.map((x) => at.get(x)?.[part]));
    }
    return columns;
  }

  function drawMarks(plot, line, index, color, background) {
    const { ctx } = plot, ratio = devicePixelRatio;
    const every = Math.ceil(line.points.length / 24); // of a line of many points, some: it is to stay a line
    const { shape } = styleOfModel(line.model);
    ctx.save();
    ctx.lineWidth = 1.5 * ratio;
    ctx.strokeStyle = color;
    ctx.fillStyle = line.variantNumber ? background : color;
    line.points.forEach(([x, y], k) => {
      if (k % every || y == null) return;
      const path = new Path2D(shapePath(shape, plot.valToPos(x, "x", true), plot.valToPos(y, "y", true), 3 * ratio));
      ctx.fill(path);
      ctx.stroke(path);
    });
    ctx.restore();
  }

  function optionsOf(host, curve, lines, width, height, onMove) {
    const ink = colorOf(host, "--faint"), grid = colorOf(host, "--line"), background = colorOf(host, "--card");
    const font = `12px ${getComputedStyle(host).fontFamily}`;
    const series = [{}], bands = [];
    lines.forEach((line, k) => {
      const color = colorOf(host, `--model-${line.model % 6}`);
      const bare = line.variantNumber && lines.some((other) => other.model !== line.model); // too many bands hide all
      const dash = line.variantNumber ? DASHES[line.variantNumber % DASHES.length] : styleOfModel(line.model).dash;
      series.push({ stroke: color, width: 2, dash, points: { show: false } });
      series.push({ stroke: null, width: 0, points: { show: false } }, { stroke: null, width: 0, points: { show: false } });
      if (!bare) bands.push({ series: [3 * k + 3, 3 * k + 2], fill: `${color}${line.variantNumber ? "14" : "2b"}` });
    });
    const axis = { stroke: ink, font, labelFont: font, labelSize: 15, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const sharp = (values) => values.map((value) => percent(value));
    return {
      width, height, series, bands, legend: { show: false }, padding: [8, 22, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, range: (_, low, high) => (curve.x_is_share ? [0, 1] : [low, high]) }, y: { range: (_, low, high) => rangeOf(curve, lines, low, high) } },
      axes: [
        curve.x_is_share ? { ...axis, label: curve.x_label, size: 24, values: (_, values) => sharp(values) }
          : { ...axis, label: curve.x_label, size: 24, incrs: WHOLE, values: (_, values) => values.map((v) => number(v)) },
        { ...axis, size: 48, space: 26, values: curve.y_is_share ? (_, values) => values.map((v) => percent(v, decimals(values))) : (_, values) => values.map((v) => number(v)) },
      ],
      hooks: {
        drawAxes: [(plot) => curve.reference && drawReference(plot, curve.reference, ink, background, font)],
        draw: [(plot) => lines.forEach((line, k) => drawMarks(plot, line, k, colorOf(host, `--model-${line.model % 6}`), background))],
        setCursor: [onMove],
      },
    };
  }

  function decimals(ticks) {
    const step = 100 * (ticks[1] - ticks[0]);
    return ticks.length > 1 && Math.abs(step - Math.round(step)) > 1e-6 ? 1 : 0;
  }

  function rangeOf(curve, lines, low, high) {
    if (low == null) return [0, 1];
    const all = curve.reference ? [low, high, curve.reference[0]] : [low, high];
    const span = Math.max(...all) - Math.min(...all) || 0.1 * Math.abs(high); // a level line has an axis too
    // Points all alike, such as 0 throughout, whose bands would otherwise fill the panel.
    const values = lines.flatMap((line) => line.points.map((point) => point[1])).filter((value) => value != null);
    if (!curve.reference && values.every((value) => value === values[0])) return [Math.max(0, low - 2 * span), high + 2 * span];
    const room = Math.max(span * 0.08, curve.y_is_share ? 0.01 : 1e-6);
    const from = Math.min(...all) - room, to = Math.max(...all) + room;
    const bottom = low >= 0 ? Math.max(0, !curve.reference && from < 0.7 * to ? 0 : from) : from;
    return [bottom, curve.y_is_share && high <= 1 ? Math.min(1, to) : to];
  }

  function drawReference(plot, [level, name], ink, background, font) {
    const { ctx, bbox } = plot, ratio = devicePixelRatio, y = Math.round(plot.valToPos(level, "y", true));
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = ink;
    ctx.setLineDash([2 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = font.replace("12px", `${11 * ratio}px`);
    ctx.setLineDash([]);
    ctx.textAlign = "left";
    ctx.lineWidth = 3 * ratio;
    ctx.strokeStyle = background; // a halo: curves may run through the word
    const below = y + 15 * ratio < bbox.top + bbox.height; // else it would stand in the axis
    ctx.strokeText(name, bbox.left + 6 * ratio, y + (below ? 13 : -5) * ratio);
    ctx.fillText(name, bbox.left + 6 * ratio, y + (below ? 13 : -5) * ratio);
    ctx.restore();
  }

  function describe(curve, lines, models, format) {
    const said = lines.map((line) => {
      const first = line.points[0], last = line.points[line.points.length - 1];
      return `${nameOf(line, models)}: ${format(first[1])} at the beginning, ${format(last[1])} at the end`;
    });
    return `${curve.title}. ${said.join("; ")}. Arrow keys move along the curve.`;
  }

  function nameOf(line, models) {
    if (!line.variant) return models[line.model].name;
    return models.length > 1 ? `${models[line.model].name}, ${line.variant}` : line.variant;
  }

  function tableOf(curve, lines, models, formatX, formatY) {
    const [xs] = columnsOf(lines);
    const at = lines.map((line) => new Map(line.points.map((point) => [point[0], point])));
    const heads = lines.map((line) => make("th", { scope: "col" }, nameOf(line, models)));
    const cell = (point) => make("td", {}, point ? `${estimateText(point.slice(1), formatY)} · ${point[4]}` : "");
    const rows = xs.map((x) => make("tr", {}, make("th", { scope: "row" }, formatX(x)), at.map((points) => cell(points.get(x)))));
    const table = make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, curve.x_label), heads)), make("tbody", {}, rows));
    return make("details.numbers", {}, make("summary", {}, "How to read it, and the numbers"), make("p", {}, curve.meaning), make("div.scroll", { tabindex: 0 }, table),
      make("p.faint", {}, "value [95 % interval] · questions"));
  }

  // Models by colour, variants by dashes: what differs is said once. With `onToggle`, variants but the first are
  // switched on and off.
  function keysOf(lines, variants, models, hidden, onToggle) {
    const drawn = [...new Set(lines.map((line) => line.model))];
    const names = models.length > 1 ? drawn.map((k) => make("li", {}, swatch(k), make("span", {}, models[k].name))) : [];
    const dashes = variants.length < 2 ? [] : variants.map((variant, k) => {
      const named = [swatch(drawn.length > 1 ? null : drawn[0], k), make("span", {}, variant)];
      const switches = onToggle && k > 0;
      return make("li", {}, switches ? make("button", { type: "button", "aria-pressed": String(!hidden.has(variant)), title: "show or hide", click: () => onToggle(variant) }, named) : named);
    });
    return make("ul.keys", {}, names, dashes);
  }

  // A box beside the cursor that says all values there.
  function makeReadout(lines, models, columns, formatX, formatY) {
    const box = make("div.readout", { "aria-live": "polite", hidden: true });
    function read(plot) {
      const index = plot.cursor.idx;
      box.hidden = index == null || plot.cursor.left < 0;
      if (box.hidden) return;
      const rows = lines.map((line, k) => [line, [1, 2, 3].map((part) => columns[3 * k + part][index])]).filter(([, [value]]) => value != null);
      box.replaceChildren(make("strong", {}, formatX(columns[0][index])),
        ...rows.map(([line, estimate]) => make("div", {}, swatch(line.model, line.variantNumber), make("span", {}, nameOf(line, models)), make("b", {}, estimateText(estimate, formatY)))));
      const left = plot.valToPos(columns[0][index], "x") + plot.over.offsetLeft;
      box.classList.toggle("leftwards", left > plot.width / 2);
      box.style.setProperty("--at", `${left}px`);
    }
    return { box, read };
  }

  // Draw one of `choices`, curves of which a switch chooses if there are several. Returns the figure.
  function mountCurve(choices, models, height) {
    const figure = make("figure.card.curve", {});
    const shown = choices.filter((curve) => curve.lines.length);
    let plot = null, current = shown[0] || choices[0], observer = null, redraw = () => {};
    const variantsOf = (curve) => [...new Set(curve.lines.map((line) => line.variant))];
    // Several models in several variants are too many lines: the first variant is shown, the others on demand.
    const hidden = new Set(models.length > 1 ? shown.flatMap((curve) => variantsOf(curve).slice(1)) : []);
    const toggles = hidden.size > 0;
    function toggle(variant) {
      if (!hidden.delete(variant)) hidden.add(variant);
      show(current);
      [...figure.querySelectorAll(".keys button")].find((button) => button.textContent === variant)?.focus();
    }

    function show(curve) {
      current = curve;
      observer?.disconnect();
      plot?.destroy();
      plot = null;
      figure.replaceChildren(make("figcaption", {}, make("div.heading", {}, make("h3", {}, curve.title, !curve.y_is_share && make("span.faint", {}, ` ${curve.y_label}`)), chooser())));
      figure.dataset.curve = curve.key;
      if (!curve.lines.length) {
        redraw = () => {};
        figure.append(make("p.faint", {}, curve.meaning), make("p.absent", {}, curve.absent));
        return;
      }
      const variants = variantsOf(curve);
      const all = curve.lines.map((line) => ({ ...line, variantNumber: variants.indexOf(line.variant) }));
      const lines = all.filter((line) => !hidden.has(line.variant));
      const formatX = curve.x_is_share ? (x) => percent(x) : (x) => `${curve.x_word} ${number(x)}`;
      const formatY = curve.y_is_share ? (y) => percent(y, 1) : (y) => number(y);
      const columns = columnsOf(lines);
      const host = make("div.plot", { tabindex: 0, role: "img", "aria-label": describe(curve, lines, models, formatY) });
      const readout = makeReadout(lines, models, columns, formatX, formatY);
      host.style.setProperty("height", `${height}px`);
      if (models.length > 1 || variants.length > 1) figure.append(keysOf(all, variants, models, hidden, toggles && toggle));
      figure.append(make("div.frame", {}, host, readout.box));
      if (curve.absent) figure.append(make("p.faint", {}, curve.absent));
      figure.append(tableOf(curve, all, models, formatX, formatY));
      host.addEventListener("blur", () => (readout.box.hidden = true));
      host.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step || !plot) return;
        event.preventDefault();
        event.stopPropagation();
        const last = columns[0].length - 1;
        const index = Math.min(last, Math.max(0, plot.cursor.idx == null ? (step > 0 ? 0 : last) : plot.cursor.idx + step));
        plot.setCursor({ left: plot.valToPos(columns[0][index], "x"), top: 1 });
      });
      redraw = () => {
        const width = host.clientWidth;
        if (!width) return;
        plot?.destroy();
        plot = new uPlot(optionsOf(host, curve, lines, width, height, readout.read), columns, host);
        figure.plot = plot;
      };
      observer = new ResizeObserver(() => {
        if (plot && host.clientWidth && plot.width !== host.clientWidth) plot.setSize({ width: host.clientWidth, height });
        else if (!plot) redraw();
      });
      observer.observe(host);
    }

    function chooser() {
      if (shown.length < 2) return null;
      return make("span.switch", { role: "group", "aria-label": "What to draw" }, shown.map((curve) =>
        make("button", { type: "button", "aria-pressed": String(curve === current), click: () => show(curve) }, curve.short)));
    }

    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redraw());
    show(current);
    return figure;
  }

  // What a switch calls the curves of one figure; protocols name their own.
  const SHORT = { perception: "verdicts", p_label: "probability", yes_rate: "yes-rate", claims_true: "true", claims_false: "false", attention_by_depth: "by depth", attention_by_step: "by token" };

  // Curves of a diagnosis for figures: those named to `of`, and a list for each protocol that has its own.
  function pickCurves({ curves, curve_groups }) {
    const curveOf = Object.fromEntries(curves.map((curve) => [curve.key, curve]));
    const named = (pairs) => pairs.map(([key, short]) => ({ ...curveOf[key], short }));
    return { of: (...keys) => named(keys.map((key) => [key, SHORT[key]])), ofProtocols: curve_groups.filter((group) => group.length).map(named) };
  }

  vapo.mountCurve = mountCurve;
  vapo.pickCurves = pickCurves;
})((globalThis.vapoPage = globalThis.vapoPage || {}));
