// A response laid out from its first token to its last: early answers, claims under each view, and a curve over tokens.
(function (vapo) {
  "use strict";
  const { make, makeSvg, percent } = vapo;
  const VIEWS = [["image", "image"], ["blank", "blank image"], ["none", "no image"]];

  // Cuts with the same answer next to each other: [{from, to, answer, right, first, last}], from and to in tokens.
  function runsOf(early, numTokens) {
    const runs = [];
    early.forEach(([depth, index, answer, right], k) => {
      const end = k + 1 < early.length ? early[k + 1][1] : numTokens;
      const last = runs[runs.length - 1];
      if (last && last.answer === answer && last.right === right) Object.assign(last, { to: end, last: depth });
      else runs.push({ from: index, to: end, answer, right, first: depth, last: depth });
    });
    return runs.filter((run) => run.to > run.from || run.first === 1);
  }

  function lane(name, ...content) {
    return make("div.lane", {}, make("span.lane-name", {}, name), make("div.track", {}, ...content));
  }

  function answersLane(response, place, onCut) {
    const runs = runsOf(response.early, response.tokens.length);
    return lane("stopped here", runs.map((run) => {
      const said = run.answer ?? "no answer";
      const title = `${run.first === run.last ? percent(run.first) : `${percent(run.first)} to ${percent(run.last)}`}: ${said}, ${run.right ? "right" : "wrong"}`;
      return make(`div.run.${run.right ? "right" : "wrong"}`, { title, click: () => onCut(run.first), style: { left: place(run.from), width: place(run.to - run.from) } },
        make("span", {}, `${run.right ? "✓" : "✗"} ${said}`));
    }), response.early.filter((cut, k, all) => !k || cut[1] !== all[k - 1][1]).map((cut) => make("i.tick", { style: { left: place(cut[1]) } })));
  }

  // What was judged under a view, by the number of tokens before it: {depth, kind, text, title}.
  function verdictsAt(response, view) {
    const places = new Map();
    for (const row of response.claims) {
      if (!row.views[view]) continue;
      if (!places.has(row.index)) places.set(row.index, { depth: row.depth, marks: [] });
      places.get(row.index).marks.push([row.views[view][0], row.claim]);
    }
    return new Map([...places].map(([index, { depth, marks }]) => {
      const right = marks.filter((mark) => mark[0]).length;
      const kind = right === marks.length ? "right" : right ? "mixed" : "wrong";
      const text = marks.length === 1 ? (right ? "✓" : "✗") : `${right}/${marks.length}`;
      const title = `behind ${index} tokens: ${marks.map(([correct, claim]) => `${correct ? "✓" : "✗"} ${claim}`).join("; ")}`;
      return [index, { depth, kind, text, title }];
    }));
  }

  function claimLanes(response, place, onCut) {
    return VIEWS.filter(([view]) => response.claims.some((row) => row.views[view])).map(([view, name]) =>
      lane(`claims, ${name}`, [...verdictsAt(response, view)].map(([index, { depth, kind, text, title }]) =>
        make(`span.verdict.${kind}`, { title, style: { left: place(index) }, click: () => onCut(depth) }, text))));
  }

  function valuesLane(name, values, most) {
    const n = values.length, y = (value) => (22 - (21 * Math.min(value, most)) / (most || 1)).toFixed(2);
    const points = values.map((value, k) => `${k + 0.5},${y(value)}`);
    return lane(name, makeSvg("svg.spark", { viewBox: `0 0 ${Math.max(1, n)} 24`, preserveAspectRatio: "none", "aria-hidden": "true" },
      makeSvg("polygon", { points: `0,24 ${points.join(" ")} ${n},24` }), makeSvg("polyline", { points: points.join(" ") })));
  }

  // `onCut(depth)` is called when a place is chosen. Returns {element, moveTo(index)}.
  function makeRuler(response, coloured, onCut) {
    const n = Math.max(1, response.tokens.length);
    const place = (index) => `${((100 * index) / n).toFixed(3)}%`;
    const head = make("div.playhead", { "aria-hidden": "true" });
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => make("span.at", { style: { left: place(share * n) } }, String(Math.round(share * n))));
    const element = make("div.ruler", {},
      response.early && response.early.length ? answersLane(response, place, onCut) : null,
      response.claims && response.claims.length ? claimLanes(response, place, onCut) : null,
      coloured && coloured.values.length ? valuesLane(coloured.name, coloured.values, coloured.most) : null,
      make("div.lane.axis", {}, make("span.lane-name", {}, "tokens"), make("div.track", {}, ticks)),
      make("div.lane.over", { "aria-hidden": "true" }, make("span.lane-name", {}), make("div.track", {}, head)));
    return { element, moveTo: (index) => head.style.setProperty("left", place(index)) };
  }

  Object.assign(vapo, { makeRuler, runsOf, verdictsAt, VIEWS });
})((globalThis.vapoPage = globalThis.vapoPage || {}));
