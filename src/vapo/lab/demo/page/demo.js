// Puts the page of the demo together from its data.
(function (vapo) {
  "use strict";
  const { make, mountCurve, card, wide, table, modelName, interval, scaleOf, percent, number, estimateText, signed, emphasised } = vapo;
  const data = JSON.parse(document.getElementById("data").textContent);
  const { summary } = data, { models } = summary;
  const into = (id, ...content) => document.getElementById(id).replaceChildren(...content.flat().filter(Boolean));
  const GRPO = 1, VAPO = 2; // places of the models

  function verdict() {
    const [first, ...others] = summary.verdict;
    return make("article.verdict-card", {}, make("p.first", {}, emphasised(first)),
      make("ul", {}, others.map((sentence) => make("li", {}, emphasised(sentence)))));
  }

  function rowsCard() {
    const write = (row) => (row.is_share ? (value) => percent(value, 1) : number);
    const less = (row, estimate) => (!estimate ? "–" : row.is_share ? signed(estimate) : estimateText(estimate, number));
    const scale = scaleOf(summary.rows.filter((row) => row.is_share).map((row) => row.difference), 0);
    return wide(card("In numbers", "With 95 % intervals; changes and differences are paired by question: an interval that leaves out 0 is one.",
      table("The models in numbers", ["", ...models.map((_, k) => modelName(models, k)), "GRPO less before", "VAPO less before", "VAPO less GRPO", "", "questions"],
        summary.rows.map((row) => [row.measure, ...row.models.map((estimate) => estimateText(estimate, write(row))), ...row.changes.map((change) => less(row, change)),
          less(row, row.difference), row.is_share ? interval(row.difference, scale, VAPO) : null, row.difference ? String(row.difference[3]) : "0"]))));
  }

  // By what the two trained models came to on the same question, and by what they still saw in the last quarter.
  function listFilters() {
    const right = (question, k) => Boolean(question.chains[k] && question.chains[k].right);
    const is = (grpo, vapo) => (question) => right(question, GRPO) === grpo && right(question, VAPO) === vapo;
    const seesMore = (k, other) => ({ late }) => late[k] != null && late[other] != null && late[k] > late[other];
    return [["all", "All", () => true], ["right", "Both right", is(true, true)], ["wrong", "Both wrong", is(false, false)],
      ["vapo", "VAPO alone right", is(false, true)], ["grpo", "GRPO alone right", is(true, false)],
      ["vapo-sees", "VAPO sees more, late", seesMore(VAPO, GRPO)], ["grpo-sees", "GRPO sees more, late", seesMore(GRPO, VAPO)]];
  }

  document.getElementById("subtitle").textContent =
    `GRPO and VAPO from the same checkpoint: ${summary.steps} steps of ${summary.rollouts} rollouts each, seed ${summary.seed}; ${summary.num_questions} held-out questions`;
  into("verdicts", verdict());
  into("curves", summary.learning.map((curve) => mountCurve([curve], models, 172)));
  into("by-depth", summary.by_depth.map((curve) => mountCurve([curve], models, 200)));
  into("rows", rowsCard());
  into("notes", card("Settings", "All that the results depend on.",
    make("div.settings", {}, table("Settings", ["setting", "value"], summary.settings))));
  document.getElementById("footer").textContent = `Made by vapo ${summary.version}. Curves by uPlot 1.6.32 (MIT). This page is complete: it fetches nothing.`;
  vapo.showChains(document.getElementById("chains"), data, models, { filters: listFilters() });
})((globalThis.vapoPage = globalThis.vapoPage || {}));
