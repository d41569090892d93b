// The cards of a diagnosis: remedies, kinds of error, the judge, heads, differences, all numbers.
(function (vapo) {
  "use strict";
  const { make, makeSvg, styleOfModel, percent, number, estimateText, scaleOf, interval, modelName, tableOfModels, table, card, wide, signed } = vapo;

  // Rows of one kind together, the models side by side.
  function byKind(rows, key) {
    const kinds = [...new Set(rows.map((row) => row[key]))];
    return kinds.flatMap((kind) => rows.filter((row) => row[key] === kind));
  }

  const REMEDIES = { none: "none", replay: "image shown again", focus: "focus prompt" };

  function remediesCard({ rows, absent }, models) {
    const meaning = "The same responses, with the image shown again or a reminder to look, at even cuts.";
    if (!rows.length) return card("Remedies", meaning, make("p.absent", {}, absent));
    const scale = scaleOf(rows.map((row) => row.accuracy), rows[0].accuracy[0]);
    return wide(card("Remedies", meaning,
      tableOfModels("Remedies", models, ["remedy", "model", "right answers", "", "gain, paired", "attention"], byKind(rows, "remedy").map((row) => [
        REMEDIES[row.remedy] || row.remedy, modelName(models, row.model), estimateText(row.accuracy, percent), interval(row.accuracy, scale, row.model),
        row.gain ? signed(row.gain) : "–", estimateText(row.attention, (share) => percent(share, 1))])),
      absent && make("p.faint", {}, absent)));
  }

  // A bar in two parts: errors that are right at the fixed cut (hatched), and those that remain.
  function categoryBar(share, recoverable, model) {
    const width = 150, all = width * share[0], saved = recoverable ? all * recoverable[0] : 0;
    const { color } = styleOfModel(model);
    return makeSvg("svg.interval", { viewBox: `0 0 ${width} 16`, "aria-hidden": "true" },
      makeSvg("rect", { x: 0, y: 3, width: Math.max(0, all - saved), height: 10, style: { fill: color } }),
      makeSvg("rect.saved", { x: all - saved + 0.5, y: 3.5, width: Math.max(0, saved - 1), height: 9, style: { stroke: color } }));
  }

  // Where the fixed cut is, as words; models of one diagnosis share it.
  function fixedCut(models) {
    const found = models.find((model) => model.recovery);
    return found ? `stopped at ${percent(found.recovery.cut)}` : "stopped earlier";
  }

  function categoriesCard({ rows, absent }, models) {
    const meaning = `Of all errors, and how many of each kind are right if ${fixedCut(models)}. Chance does that, too: see how many right answers the same stop loses.`;
    if (!rows.length) return card("Kinds of error", meaning, make("p.absent", {}, absent));
    return wide(card("Kinds of error", meaning,
      tableOfModels("Kinds of error", models, ["kind", "model", "of the errors", "", `right if ${fixedCut(models)}`, "left"], byKind(rows, "category").map((row) => [
        row.category, modelName(models, row.model), estimateText(row.share, percent), categoryBar(row.share, row.recoverable, row.model),
        estimateText(row.recoverable, percent), row.recoverable ? percent(row.share[0] * (1 - row.recoverable[0])) : percent(row.share[0])])),
      absent && make("p.faint", {}, absent)));
  }

  function confusionCards(tables, models) {
    return tables.map(({ model, names, counts, agreement }) => {
      const most = Math.max(1, ...counts.flat());
      const cells = counts.map((row, j) => [names[j], ...row.map((count, k) =>
        make("span.count", { class: `count h${count ? Math.max(1, Math.round((9 * count) / most)) : 0}${j === k ? " same" : ""}` }, String(count)))]);
      return card("The judge against the truth", "Rows: what the judge said. Columns: what is true. Framed: both agree.",
        models.length > 1 && make("p", {}, modelName(models, model)),
        table("Judged by true category", ["judged", ...names], cells),
        agreement && make("p", {}, `They agree on ${estimateText(agreement, percent)} of ${agreement[3]} errors.`));
    });
  }

  function headsCard({ maps, absent }, models) {
    const meaning = "Mean share of attention on image tokens. Rows: layers, the first on top; columns: heads.";
    if (!maps.length) return card("Layers and heads", meaning, make("p.absent", {}, absent));
    const most = Math.max(1e-9, ...maps.flatMap((map) => map.shares.flat()));
    return card("Layers and heads", meaning, make("div.maps", {}, maps.map(({ model, shares }) => {
      const columns = Math.max(...shares.map((layer) => layer.length));
      const cells = shares.flatMap((layer, y) => layer.map((share, x) => makeSvg(`rect.f${Math.round((9 * (share || 0)) / most)}`,
        { x, y, width: 0.94, height: 0.94 }, makeSvg("title", {}, `layer ${y + 1}, head ${x + 1}: ${percent(share, 1)}`))));
      return make("div", {}, models.length > 1 && make("p", {}, modelName(models, model)),
        makeSvg("svg.heads", { viewBox: `0 0 ${columns} ${shares.length}`, role: "img", "aria-label": `${shares.length} layers by ${columns} heads`, preserveAspectRatio: "xMinYMin", style: { "aspect-ratio": `${columns} / ${shares.length}`, "max-width": `${Math.min(420, 36 * columns)}px` } }, cells));
    })), make("p.scale", {}, "0 %", make("span.ramp", { "aria-hidden": "true" }), percent(most, 1)), absent && make("p.faint", {}, absent));
  }

  function differencesCard(rows, models) {
    if (!rows.length) return null;
    const isShare = (row) => !/token|nats|KL/i.test(row.measure);
    const scale = scaleOf(rows.filter(isShare).map((row) => row.difference), 0);
    const place = (row) => Math.max(0, models.findIndex((model) => model.name === row.name));
    const others = models.length > 2 ? models : [];
    return wide(card(`Differences to ${models[0].name}`, "Paired by question, with 95 % intervals: an interval that leaves out 0 is a difference.",
      tableOfModels("Paired differences", others, ["measure", "model", "difference", "", "questions"], rows.map((row) => [
        row.measure, modelName(models, place(row)), isShare(row) ? signed(row.difference) : estimateText(row.difference, number),
        isShare(row) ? interval(row.difference, scale, place(row)) : null, String(row.difference[3])]))));
  }

  function modelsCard(models) {
    const share = (get) => models.map((model) => estimateText(get(model), (value) => percent(value, 1)));
    const recovery = (key) => share((model) => model.recovery && model.recovery[key]);
    const rows = [
      ["right answers", ...share((model) => model.accuracy)],
      [`errors that are right if ${fixedCut(models)}`, ...recovery("avoided")],
      [`right answers that are wrong if ${fixedCut(models)}`, ...recovery("lost")],
      ["errors that are right at any cut (more cuts, more chances)", ...recovery("anywhere")],
      ["right answers that are wrong at any cut", ...recovery("lost_anywhere")],
      [`tokens that depend on the image (over ${number(models[0].dependence_threshold)} nats)`, ...share((model) => model.dependent_share)],
      ["tokens per response", ...models.map((model) => estimateText(model.num_tokens, number))],
    ];
    return card("In numbers", "With 95 % intervals over questions.", table("In numbers", ["", ...models.map((_, k) => modelName(models, k))], rows));
  }

  Object.assign(vapo, { remediesCard, categoriesCard, confusionCards, headsCard, differencesCard, modelsCard });
})((globalThis.vapoPage = globalThis.vapoPage || {}));
