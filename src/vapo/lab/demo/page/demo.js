// Puts the page of the demo together from its data.
(function (vapo) {
  "use strict";
  const { make, mountCurve, card, wide, table, modelName, interval, scaleOf, emphasised } = vapo;
  const data = JSON.parse(document.getElementById("data").textContent);
  const { summary } = data, { models } = summary;
  const into = (id, ...content) => document.getElementById(id).replaceChildren(...content.flat().filter(Boolean));
  const GRPO = 1, VAPO = 2; // places of the models

  function conclusion() {
    const [first, ...others] = summary.conclusion;
    return make("article.conclusion-card", {}, make("p.first", {}, emphasised(first)),
      make("ul", {}, others.map((sentence) => make("li", {}, emphasised(sentence)))));
  }

  function rowsCard() {
    const write = (row, value, sign) => `${sign && value > 0 ? "+" : ""}${(row.is_share ? 100 * value : value).toFixed(1)}`;
    const cell = (row, sign) => (estimate) => {
      if (!estimate) return "–";
      const [value, low, high, count] = estimate;
      return make("span", { title: `${count} questions` }, write(row, value, sign),
        low != null && make("span.faint", {}, ` [${write(row, low, sign)}, ${write(row, high, sign)}]`));
    };
    // A difference over fewer questions than its two models have does not follow from their numbers.
    const paired = (row, estimate, ...models) => {
      const fewer = estimate && models.some((k) => row.models[k] && row.models[k][3] > estimate[3]);
      return make("span", {}, cell(row, true)(estimate), fewer && make("span.faint", {}, ` on ${estimate[3]} questions that have both`));
    };
    const scale = scaleOf(summary.rows.filter((row) => row.is_share).map((row) => row.difference), 0);
    return wide(card("In numbers", "With 95 % intervals. Differences are paired by question; one whose interval leaves out 0 can be told from chance.",
      table("The models in numbers", ["", ...models.map((_, k) => modelName(models, k)), "GRPO less before", "VAPO less before", "VAPO less GRPO", "line at 0"],
        summary.rows.map((row) => [row.is_share ? `${row.measure}, %` : row.measure, ...row.models.map(cell(row, false)), paired(row, row.changes[0], 0, GRPO), paired(row, row.changes[1], 0, VAPO),
          paired(row, row.difference, GRPO, VAPO), row.is_share ? interval(row.difference, scale, VAPO) : null]))));
  }

  // By what the two trained models came to on the same question, and by what they still saw in the last quarter.
  function listFilters() {
    const right = (question, k) => Boolean(question.responses[k] && question.responses[k].right);
    const is = (grpo, vapo) => (question) => right(question, GRPO) === grpo && right(question, VAPO) === vapo;
    const seesMore = (k, other) => ({ late }) => late[k] != null && late[other] != null && late[k] > late[other];
    const looked = ({ is_late, looks }) => is_late && looks[VAPO] > looks[GRPO];
    return [["looked", "Late question, VAPO alone looked and is right", (question) => looked(question) && is(false, true)(question)], ["all", "All", () => true], ["right", "Both right", is(true, true)], ["wrong", "Both wrong", is(false, false)],
      ["vapo", "VAPO alone right", is(false, true)], ["grpo", "GRPO alone right", is(true, false)],
      ["vapo-sees", "VAPO sees more, late", seesMore(VAPO, GRPO)], ["grpo-sees", "GRPO sees more, late", seesMore(GRPO, VAPO)]];
  }

  document.getElementById("subtitle").textContent =
    `GRPO and VAPO from the same checkpoint: ${summary.steps} steps of ${summary.rollouts} rollouts each, seed ${summary.seed}; ${summary.num_questions} held-out questions`;
  into("conclusions", conclusion());
  into("curves", summary.learning.map((curve) => mountCurve([curve], models, 172)));
  into("by-depth", summary.by_depth.map((curve) => mountCurve([curve], models, 200)));
  into("rows", rowsCard());
  into("notes", card("Settings", "All that the results depend on.",
    make("div.settings", {}, table("Settings", ["setting", "value"], summary.settings))));
  document.getElementById("footer").textContent = `Made by vapo ${summary.version}. Curves by uPlot 1.6.32 (MIT). This page is complete: it fetches nothing.`;
  vapo.showResponses(document.getElementById("responses"), data, models, { filters: listFilters() });
})((globalThis.vapoPage = globalThis.vapoPage || {}));
