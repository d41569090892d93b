// Puts the page of a report on two models together from its data.
(function (vapo) {
  "use strict";
  const { make, mountCurve, card, wide, table, interval, scaleOf, modelName, percent, signed, emphasised } = vapo;
  const data = JSON.parse(document.getElementById("data").textContent);
  const { summary } = data, { models, diagnosis } = summary;
  const into = (id, ...content) => document.getElementById(id).replaceChildren(...content.flat().filter(Boolean));
  const TITLES = { reasoning: "Reasoning", perception: "Perception" };
  const WORDS = { up: "▲ up", down: "▼ down", unclear: "cannot be told", contradictory: "▲▼ sources disagree", unmeasured: "not measured" };
  const OPEN = 6; // curves in the open; the rest is folded

  function verdictCard({ aspect, direction, sentences }) {
    const [first, ...others] = sentences;
    return make("article.conclusion-card", { "data-aspect": aspect, "data-direction": direction },
      make("h2", {}, make("span", {}, TITLES[aspect]), make("span.outcome", {}, WORDS[direction])),
      make("p.first", {}, emphasised(first)),
      others.length > 0 && make("ul", {}, others.map((sentence) => make("li", {}, emphasised(sentence)))));
  }

  function changesCard({ aspect, changes }) {
    if (!changes.length) return null;
    const scale = scaleOf(changes.map((one) => one.change), 0);
    return wide(card(TITLES[aspect], "Of the questions that both answered. A change whose interval leaves out 0 can be told from chance.",
      table(TITLES[aspect], ["", "asked", modelName(models, 0), modelName(models, 1), "change, paired", "line at 0", "", "questions"], changes.map((one) => [
        one.what, one.source, percent(one.first, 1), percent(one.second, 1), signed(one.change), interval(one.change, scale, 1),
        make("span", { class: one.direction }, one.direction === "unclear" ? "" : WORDS[one.direction]), String(one.num_questions)]))));
  }

  // Groups of curves, each drawn as one figure with a switch; those of forgetting come first.
  function listFigures() {
    const { of, ofProtocols } = vapo.pickCurves(diagnosis);
    return [of("perception", "p_label", "yes_rate", "claims_true", "claims_false"), ...ofProtocols, of("early"), of("attention_by_depth", "attention_by_step"), of("sensitivity"), of("recovery")]
      .map((group) => group.filter((curve) => curve.lines.length))
      .filter((group) => group.length);
  }

  document.title = `${models[0].name}, ${models[1].name}: vapo report`;
  document.getElementById("subtitle").textContent = `${models[1].name} less ${models[0].name}`;
  into("conclusions", summary.verdicts.map(verdictCard));
  into("tables", summary.verdicts.map(changesCard));
  if (diagnosis) {
    const figures = listFigures().map((group) => mountCurve(group, models, 190));
    into("models", diagnosis.models.map((model, k) => {
      const [first, second, ...others] = model.conclusion.map((sentence) => make("li", {}, emphasised(sentence)));
      return card(modelName(models, k), `on ${diagnosis.data}`, make("ul", {}, first, second),
        others.length > 0 && make("details", {}, make("summary", {}, `${others.length} more sentences`), make("ul", {}, others)));
    }));
    into("curves", figures.slice(0, OPEN));
    if (figures.length <= OPEN) document.getElementById("more").remove();
    else into("more", make("summary", {}, `${figures.length - OPEN} more`), make("div.curves", {}, figures.slice(OPEN)));
  } else {
    document.getElementById("more").remove();
    into("models", make("p.absent", {}, "Not measured: give --data with claims, and --diagnose for all curves."));
  }
  const left = diagnosis ? diagnosis.left_out : [];
  into("notes",
    card("What was left out", null, left.length ? make("ul", {}, left.map((reason) => make("li", {}, reason))) : make("p", {}, "Nothing that was asked for.")),
    card("Settings", "All that the results depend on.", make("details", {}, make("summary", {}, `${summary.settings.length} settings`), make("div.settings", {}, table("Settings", ["setting", "value"], summary.settings)))));
  document.getElementById("footer").textContent = `Made by vapo ${summary.version}. Curves by uPlot 1.6.32 (MIT). This page is complete: it fetches nothing.`;

  if (diagnosis) {
    vapo.showResponses(document.getElementById("responses"), data, models);
  } else {
    document.getElementById("inspector").remove();
    document.querySelector('nav a[href="#inspector"]').remove();
    document.documentElement.dataset.ready = "true";
  }
})((globalThis.vapoPage = globalThis.vapoPage || {}));
