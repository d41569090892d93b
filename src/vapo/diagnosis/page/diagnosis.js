// Puts the page of a diagnosis together from its data.
(function (vapo) {
  "use strict";
  const { make, swatch, mountCurve, card, table, percent, number, emphasised } = vapo;
  const data = JSON.parse(document.getElementById("data").textContent);
  const { summary } = data, { models } = summary;
  const into = (id, ...content) => document.getElementById(id).replaceChildren(...content.flat().filter(Boolean));

  function conclusion(model, k) {
    const facts = [
      ["right answers", model.accuracy, percent, ""],
      model.recovery && [`errors right at ${percent(model.recovery.cut)}`, model.recovery.avoided, percent, "if the response is stopped there"],
      model.recovery && [`right answers wrong at ${percent(model.recovery.cut)}`, model.recovery.lost, percent, "if the response is stopped there"],
      ["tokens that need the image", model.dependent_share, percent, `their distribution moves by more than ${number(model.dependence_threshold)} nats when the image is masked`],
      ["tokens per response", model.num_tokens, (value) => number(value), ""],
    ].filter((fact) => fact && fact[1]);
    const items = model.conclusion.map((sentence) => make("li", {}, emphasised(sentence)));
    const shown = models.length > 1 ? 1 : 3; // the four curves belong on the first screen
    return make("article.conclusion-card", { style: { "--own": vapo.styleOfModel(k).color } },
      make("h2", {}, swatch(k), make("span", {}, model.name)),
      make("p.first", {}, emphasised(model.conclusion[0] || "")),
      shown > 1 && make("ul", {}, items.slice(1, shown)),
      make("dl.facts", {}, facts.map(([name, [value, low, high], format, meaning]) => make("div", { title: meaning },
        make("dt", {}, name), make("dd", {}, format(value), low != null && make("span", {}, `${format(low).replace(" %", "")} – ${format(high)}`))))),
      items.length > shown && make("details", {}, make("summary", {}, items.length - shown === 1 ? "One more sentence" : `${items.length - shown} more sentences`), make("ul", {}, items.slice(shown))));
  }

  const { of: curves, ofProtocols } = vapo.pickCurves(summary);

  const names = models.map((model) => model.name);
  document.title = `${names.join(", ")}: vapo diagnosis`;
  document.getElementById("title").textContent = models.length > 1 ? `Do these ${models.length} models keep looking?` : "Does this model keep looking?";
  document.getElementById("subtitle").textContent = /question/.test(summary.data) ? summary.data : `${summary.data}, ${summary.num_questions} questions`;
  into("conclusions", models.map(conclusion));
  document.getElementById("conclusions").className = models.length > 1 ? "several" : "one";
  const height = 172;
  into("curves",
    mountCurve(curves("early"), models, height), mountCurve(curves("perception", "p_label", "yes_rate", "claims_true", "claims_false"), models, height),
    mountCurve(curves("attention_by_depth", "attention_by_step"), models, height), mountCurve(curves("sensitivity"), models, height));
  // Six curves at most are open: the four above, and two more. A folded one is drawn when it is first seen.
  const further = [...ofProtocols, curves("recovery")]
    .map((choices) => mountCurve(choices, models, 180));
  const folded = further.splice(2);
  into("tables",
    vapo.modelsCard(models), further, folded.length > 0 && vapo.wide(make("details.more", {}, make("summary", {}, folded.length === 1 ? "One more curve" : `${folded.length} more curves`), make("div.cards", {}, folded))), vapo.differencesCard(summary.differences, models),
    vapo.remediesCard(summary.remedies, models), vapo.categoriesCard(summary.categories, models), vapo.confusionCards(summary.confusion, models), vapo.headsCard(summary.heads, models));
  into("notes",
    card("What was left out", null, summary.left_out.length ? make("ul", {}, summary.left_out.map((reason) => make("li", {}, reason))) : make("p", {}, "Nothing that was asked for.")),
    card("Settings", "All that the results depend on.", make("details", {}, make("summary", {}, `${summary.settings.length} settings`), make("div.settings", {}, table("Settings", ["setting", "value"], summary.settings)))));
  document.getElementById("footer").textContent = `Made by vapo ${summary.version}. Curves by uPlot 1.6.32 (MIT). This page is complete: it fetches nothing.`;

  vapo.showResponses(document.getElementById("responses"), data, models);
})((globalThis.vapoPage = globalThis.vapoPage || {}));
