// The response inspector: question by question, the responses of all models side by side.
//
// mountInspector(container, {models: [{name}], questions, images, places, filters}): plain data as responses.py makes it;
// works without the rest of the page. `filters` are [key, name, test of a question], for a page that has its own.
// Returns {show(k), cutAt(depth), colour(key), filter(key)}.
(function (vapo) {
  "use strict";
  const { make, percent, number, makeResponse, scaleOfResponses, stateOfResponse, COLOURINGS } = vapo;
  const CATEGORIES = ["perception", "logical", "knowledge", "other"];
  const KEYS = [["← →", "previous, next question"], [", .", "cut the response earlier, later"], ["f", "next filter"], ["s", "switch the colours"], ["?", "this list"]];

  // By outcome, by whether models differ, and by kind of error.
  function listFilters(numModels) {
    const any = (test) => (question) => question.responses.some((response) => response && test(response));
    const filters = [["all", "All", () => true], ["right", "Right", any((response) => response.right)], ["wrong", "Wrong", any((response) => !response.right)],
      ["recoverable", "Recoverable", any((response) => response.recoverable)]];
    if (numModels > 1) filters.push(["differ", "Models differ", (question) => new Set(question.responses.map((response) => response && response.right)).size > 1]);
    for (const category of CATEGORIES) filters.push([category, `${category[0].toUpperCase()}${category.slice(1)} error`, any((response) => response.category === category)]);
    return filters;
  }

  // Filters with what passes them; of those that nothing passes, the plain ones alone.
  function applyFilters(filters, questions) {
    return filters.map(([key, name, test]) => ({ key, name, found: questions.map((_, k) => k).filter((k) => test(questions[k])) }))
      .filter(({ key, found }) => found.length || ["all", "right", "wrong"].includes(key));
  }

  function stopsOf(question) {
    const depths = question.responses.flatMap((response) => (response && response.early ? response.early.map((cut) => cut[0]) : []));
    const all = depths.length ? depths : Array.from({ length: 21 }, (_, k) => k / 20);
    return [...new Set([...all, 1])].sort((a, b) => a - b);
  }

  function mountInspector(container, { models, questions, images, places, filters: given }) {
    const scales = Object.fromEntries(Object.keys(COLOURINGS).map((key) => [key, scaleOfResponses(questions, key)]));
    const colourings = Object.keys(COLOURINGS).filter((key) => scales[key] != null);
    const filters = applyFilters(given || listFilters(models.length), questions);
    const state = { filter: filters[0], place: 0, colouring: colourings[0] || null, depth: 1 };
    let responses = [];

    const filterButtons = filters.map((filter) => make("button", { type: "button", "data-filter": filter.key, click: () => choose(filter) }, filter.name, make("span.number", {}, String(filter.found.length))));
    const colourButtons = [...colourings, null].map((key) => make("button", { type: "button", "data-colour": key || "none", click: () => colour(key) }, key || "none"));
    const map = make("div.map", { role: "group", "aria-label": "Questions" });
    const position = make("output.position", {});
    const previous = make("button.step", { type: "button", "aria-label": "previous question", click: () => move(-1) }, "←");
    const next = make("button.step", { type: "button", "aria-label": "next question", click: () => move(1) }, "→");
    const help = make("dl.help", { hidden: true }, KEYS.filter(([key]) => key !== "s" || colourings.length).map(([key, what]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, what))));
    const helpButton = make("button", { type: "button", "aria-expanded": "false", click: toggleHelp }, "Keys");
    const scale = make("p.scale", {});
    const slider = make("input", { type: "range", min: 0, step: 1, "aria-label": "where the response is cut", input: () => cutAt(stops[slider.value]) });
    let stops = [1];
    const earlier = make("button.step", { type: "button", "aria-label": "cut earlier", click: () => moveCut(-1) }, "‹");
    const later = make("button.step", { type: "button", "aria-label": "cut later", click: () => moveCut(1) }, "›");
    const cutText = make("output.cut", {});
    const stage = make("div.stage", {});
    const legend = make("p.legend", {}, [["right", "right"], ["recoverable", "wrong, but right when stopped earlier"], ["wrong", "wrong"]].map(([kind, text]) => make("span", {}, make(`i.${kind}`, {}), text)));
    const tools = make("div.tools", {},
      make("div.group", { role: "group", "aria-label": "Which questions" }, filterButtons),
      make("div.group", {}, colourings.length > 0 && [make("span.faint", {}, "colour by"), make("span.switch", { role: "group", "aria-label": "Colour by" }, colourButtons), scale], helpButton));
    const walk = make("div.walk", {}, make("div.group", {}, previous, position, next), make("div.group.cutter", {}, make("span.faint", {}, "stop at"), earlier, slider, later, cutText));
    container.replaceChildren(make("div.inspector", {}, tools, help, map, legend, walk, stage));
    document.addEventListener("keydown", onKey);

    function imagesOf(k) {
      const uris = ((places && places[k]) || []).map((place) => (place == null ? null : images[place]));
      if (!uris.length) return make("p.absent", {}, "No image.");
      return uris.map((uri, n) => uri ? make("img", { src: uri, alt: `image ${n + 1} of the question`, load: (event) => event.target.classList.toggle("small", event.target.naturalWidth <= 160) }) : make("p.absent", {}, "The image did not fit into this page."));
    }

    function draw() {
      const k = state.filter.found[state.place], question = questions[k];
      position.textContent = state.filter.found.length ? `${state.place + 1} of ${state.filter.found.length}` : "none";
      [...filterButtons].forEach((button, n) => button.setAttribute("aria-pressed", String(filters[n] === state.filter)));
      colourButtons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.colour === (state.colouring || "none"))));
      const coloured = COLOURINGS[state.colouring];
      scale.replaceChildren(...(coloured ? ["0", make("span.ramp", { "aria-hidden": "true" }), `${coloured.format(scales[state.colouring])} or more`] : []));
      previous.disabled = state.place <= 0;
      next.disabled = state.place >= state.filter.found.length - 1;
      drawMap(k);
      if (!question) {
        stage.replaceChildren(make("p.absent", {}, "No question passes this filter."));
        responses = [];
        return;
      }
      stops = stopsOf(question);
      slider.max = stops.length - 1;
      responses = question.responses.map((response, n) => makeResponse(response, { name: models[n].name, number: n, colouring: state.colouring, scales, image: ((places && places[k]) || []).length ? images[places[k][0]] : null, onCut: cutAt }));
      const asked = make("div.asked", {}, make("div.images", {}, imagesOf(k)),
        make("div", {}, make("p.faint", { dir: "auto" }, question.id), make("p.question", { dir: "auto" }, question.question),
          make("p", {}, make("span.faint", {}, "right answer "), make("strong.reference", { dir: "auto" }, question.reference))));
      stage.replaceChildren(asked, make("div.responses", { class: `responses ${models.length > 1 ? "several" : "one"}` }, responses.map((response) => response.element)));
      cutAt(state.depth);
    }

    // A square per question, a stripe of it per model: filled, hollow, or half for wrong but right when stopped earlier.
    function drawMap(current) {
      map.replaceChildren(...state.filter.found.map((k, place) => make("button.spot", {
        type: "button", tabindex: -1, title: `${questions[k].id}: ${questions[k].responses.map((response) => (response ? stateOfResponse(response)[0] : "none")).join(", ")}`,
        "aria-current": k === current ? "true" : false, click: () => show(place),
      }, questions[k].responses.map((response) => make(`i.${response ? stateOfResponse(response)[0] : "none"}`, {})))));
    }

    function show(place) {
      state.place = Math.min(Math.max(0, place), Math.max(0, state.filter.found.length - 1));
      state.depth = 1;
      draw();
    }

    function move(step) {
      show(state.place + step);
    }

    function choose(filter) {
      const before = state.filter.found[state.place];
      state.filter = filter;
      show(Math.max(0, filter.found.indexOf(before)));
    }

    function colour(key) {
      state.colouring = key;
      draw();
    }

    function cutAt(depth) {
      state.depth = depth;
      const at = Math.max(0, stops.findLastIndex((stop) => stop <= depth + 1e-9));
      slider.value = at;
      slider.setAttribute("aria-valuetext", percent(stops[at]));
      cutText.textContent = percent(stops[at]);
      responses.forEach((response) => response.cutAt(depth));
    }

    function moveCut(step) {
      cutAt(stops[Math.min(stops.length - 1, Math.max(0, Number(slider.value) + step))]);
    }

    function toggleHelp() {
      help.hidden = !help.hidden;
      helpButton.setAttribute("aria-expanded", String(!help.hidden));
    }

    function onKey(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
      const next = (list, one) => list[(list.indexOf(one) + 1) % list.length];
      const actions = {
        ArrowLeft: () => move(-1), ArrowRight: () => move(1), ",": () => moveCut(-1), ".": () => moveCut(1),
        f: () => choose(next(filters, state.filter)), s: () => colour(next([...colourings, null], state.colouring)), "?": toggleHelp,
      };
      if (!actions[event.key]) return;
      event.preventDefault();
      actions[event.key]();
    }

    draw();
    return { show, cutAt, colour, filter: (key) => choose(filters.find((filter) => filter.key === key)) };
  }

  vapo.mountInspector = mountInspector;
})((globalThis.vapoPage = globalThis.vapoPage || {}));
