// One model's response on one question: what it came to, its ruler, its tokens in colour with anchors between them, and the
// claims it was asked.
(function (vapo) {
  "use strict";
  const { make, swatch, percent, number, makeRuler, makeLooks, verdictsAt, VIEWS } = vapo;
  const PER_UNIT = 1000; // attention and sensitivity come in thousandths
  const STEPS = 9;

  const COLOURINGS = {
    attention: { name: "attention", title: "Attention to the image", format: (value) => percent(value, 1), level: (share) => share },
    // Most tokens hardly move and a few move far: the root keeps both visible.
    sensitivity: { name: "sensitivity", title: "Sensitivity to the image", format: (value) => `${number(value)} nats`, level: Math.sqrt },
  };

  // The value that gets the strongest colour: few tokens pass it. One scale for all responses, so that they compare.
  function scaleOf(questions, key) {
    const all = questions.flatMap((question) => question.responses.flatMap((response) => (response && response[key]) || [])).sort((a, b) => a - b);
    return all.length ? Math.max(1, all[Math.ceil(0.98 * (all.length - 1))]) / PER_UNIT : null;
  }

  function stateOf(response) {
    if (response.right) return ["right", "✓ right"];
    return response.recoverable ? ["recoverable", "↺ wrong, but right when stopped earlier"] : ["wrong", "✗ wrong"];
  }

  function headline(response) {
    const [kind, text] = stateOf(response);
    const judged = response.category && (response.votes && response.votes.length ? `judged: ${response.category}` : `error: ${response.category}`);
    const votes = response.votes && response.votes.length > 1 ? ` (${response.votes.join(", ")})` : "";
    return make("p.headline", {}, make("span.answer", {}, response.answer ?? "no answer"), make(`span.badge.${kind}`, {}, text),
      judged && make("span.badge", {}, judged + votes), response.truth && response.votes && response.votes.length > 0 && make("span.badge", {}, `truth: ${response.truth}`),
      !response.finished && make("span.badge", {}, "cut off at the longest length"));
  }

  // The text, with a mark behind the tokens at which claims were asked. Returns {element, cutAt(index, nearest)}.
  function textOf(response, colouring, scale, onCut) {
    const values = colouring && response[colouring];
    const { level, format } = COLOURINGS[colouring] || {};
    const tokens = response.tokens.map((text, k) => {
      const value = values && values[k] != null ? values[k] / PER_UNIT : null;
      const step = value == null ? 0 : Math.min(STEPS, Math.round((STEPS * level(Math.max(0, value))) / level(scale)));
      const inside = k >= response.thinking[0] && k < response.thinking[1];
      return make(`span.t.h${step}${inside ? "" : ".outside"}`, value == null ? {} : { title: `token ${k + 1}: ${format(value)}` }, text);
    });
    const anchors = new Map([...anchorsOf(response)].map(([index, { depth, kind, text, title }]) =>
      [index, make(`span.anchor.${kind}`, { title, click: () => onCut(depth) }, text)]));
    const pieces = tokens.flatMap((token, k) => [anchors.get(k), token]);
    function cutAt(index, nearest) {
      tokens.forEach((token, k) => token.classList.toggle("after", k >= index));
      anchors.forEach((anchor, at) => {
        anchor.classList.toggle("after", at > index);
        anchor.classList.toggle("near", at === nearest);
      });
    }
    return { element: make("div.tokens", { dir: "auto" }, pieces, anchors.get(tokens.length)), cutAt };
  }

  // With the image, if it was shown; else under the first view there is.
  function anchorsOf(response) {
    const view = VIEWS.find(([key]) => (response.claims || []).some((row) => row.views[key]));
    return view ? verdictsAt(response, view[0]) : new Map();
  }

  // `places` adds the column that says where each was asked.
  function claimsTable(response, claims, places) {
    const views = VIEWS.filter(([view]) => response.claims.some((row) => row.views[view]));
    const rows = claims.map((row) => make("tr", { "data-index": row.index },
      places && make("td", {}, percent(row.depth)), make("td.text", { dir: "auto" }, row.claim), make("td", {}, row.is_true ? "true" : "false"),
      views.map(([view]) => {
        const found = row.views[view];
        return make(`td.${found ? (found[0] ? "right" : "wrong") : "none"}`, {}, found ? `${found[0] ? "✓" : "✗"} ${percent(found[1])}` : "");
      })));
    const heads = [places && "at", "claim", "is", ...views.map(([, name]) => `${name}: P(true)`)].filter(Boolean);
    return make("div.scroll", { tabindex: 0 }, make("table", {}, make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, rows)));
  }

  function allClaims(response) {
    return make("details.claims", {}, make("summary", {}, `All claims (${response.claims.length})`), claimsTable(response, response.claims, true));
  }

  // What was asked at one place of the response.
  function claimsAt(response, index) {
    const claims = response.claims.filter((row) => row.index === index);
    return [make("p.faint", {}, `Asked at ${percent(claims[0].depth)}, behind ${index} tokens:`), claimsTable(response, claims, false)];
  }

  function remedied(response) {
    const names = { none: "As it was", replay: "With the image shown again", focus: "With a focus prompt" };
    return response.remedied.filter((again) => again.remedy !== "none").map((again) => make("details", {},
      make("summary", {}, `${names[again.remedy]}: ${again.right ? "✓" : "✗"} ${again.answer ?? "no answer"}${again.attention == null ? "" : `, attention ${percent(again.attention, 1)}`}`),
      make("div.tokens", { dir: "auto" }, again.text)));
  }

  // What a protocol found on this response, row by row.
  function rowsTable({ title, columns, rows }) {
    const show = (value, name) => value === null ? "–" : value === true ? "yes" : value === false ? "no" : name === "depth" ? percent(value) : String(value);
    const body = rows.map((row) => make("tr", {}, row.map((value, k) => make("td", { dir: "auto" }, show(value, columns[k])))));
    return make("details.claims", {}, make("summary", {}, `${title} (${rows.length})`), make("div.scroll", { tabindex: 0 },
      make("table", {}, make("thead", {}, make("tr", {}, columns.map((name) => make("th", { scope: "col" }, name)))), make("tbody", {}, body))));
  }

  // `options`: {name, number, colouring, scales, image, onCut(depth)}; `image` is the address of the question's first. Returns {element, cutAt(depth)}.
  function makeResponse(response, options) {
    const { name, number: model, colouring, scales, image, onCut } = options;
    const heading = make("h4", {}, swatch(model), make("span", {}, name));
    if (!response) return { element: make("article.response", {}, heading, make("p.absent", {}, "This model has no response on this question.")), cutAt: () => {} };
    const has = colouring && response[colouring];
    const coloured = has && { name: colouring, values: response[colouring].map((value) => COLOURINGS[colouring].level(value / PER_UNIT)), most: COLOURINGS[colouring].level(scales[colouring]) };
    const ruler = makeRuler(response, coloured, onCut);
    const text = textOf(response, has ? colouring : null, scales[colouring], onCut);
    const now = make("p.now", { "aria-live": "polite" });
    const asked = response.claims && response.claims.length ? make("div.here", {}) : null;
    const claims = asked && allClaims(response);
    const looks = response.maps && response.maps.length ? makeLooks(response, image) : null;
    const element = make("article.response", { "data-right": String(response.right) }, heading, headline(response), ruler.element, now, text.element,
      colouring && !has && make("p.absent", {}, `${COLOURINGS[colouring].title} was not measured on this response.`),
      looks && looks.element, asked, claims, response.remedied && remedied(response), (response.tables || []).map(rowsTable), response.notes.length > 0 && make("ul.notes", {}, response.notes.map((note) => make("li", {}, note))));

    function cutAt(depth) {
      const cut = response.early && response.early.filter((one) => one[0] <= depth + 1e-9).pop();
      const whole = depth >= 1, [start, stop] = response.thinking;
      const index = whole ? response.tokens.length : cut ? cut[1] : Math.round(start + depth * (stop - start));
      const nearest = (response.claims || []).reduce((best, row) => (Math.abs(row.index - index) < Math.abs(best - index) ? row.index : best), Infinity);
      ruler.moveTo(index);
      text.cutAt(index, nearest);
      looks?.moveTo(whole ? null : index);
      now.replaceChildren(make("strong", {}, whole ? "Whole response" : `Stopped at ${percent(cut ? cut[0] : depth)}`), ` (${index} tokens)`);
      if (whole) now.append(": ", answerText(response.answer, response.right));
      else if (cut) now.append(": ", answerText(cut[2], cut[3]));
      asked?.replaceChildren(...claimsAt(response, nearest));
      claims?.querySelectorAll("tr[data-index]").forEach((row) => row.classList.toggle("near", Number(row.dataset.index) === nearest));
    }

    return { element, cutAt };
  }

  function answerText(answer, right) {
    return make(`span.said.${right ? "right" : "wrong"}`, {}, `${right ? "✓" : "✗"} ${answer ?? "no answer"}`);
  }

  Object.assign(vapo, { makeResponse, scaleOfResponses: scaleOf, stateOfResponse: stateOf, COLOURINGS });
})((globalThis.vapoPage = globalThis.vapoPage || {}));
