// A person's way through claims: one image at a time, a key for each judgement. What the server has not stored is not
// shown as judged. Text from models is set as text and never parsed.
(function () {
  "use strict";
  const KEYS = [["r", "the label is right"], ["w", "the label is wrong"], ["u", "unclear: the image does not tell"], ["e", "edit claim or label"],
    ["z", "undo the last annotation"], ["↑ ↓", "previous, next claim"], ["← →", "previous, next image"], ["?", "this list"]];
  const at = (id) => document.getElementById(id);
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const state = { places: 0, place: 0, shown: null, current: 0 };
  let last = Promise.resolve();

  function make(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value != null) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // One thing after another: keys pressed quickly judge one claim each, in order.
  function queue(step) {
    last = last.then(step).catch((error) => {
      at("trouble").textContent = error.message;
      at("trouble").hidden = false;
    });
    return last;
  }

  async function ask(path, body) {
    const options = body === undefined ? {} : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    let reply, said;
    try {
      reply = await fetch(path, options);
      said = await reply.json();
    } catch {
      throw new Error("Nothing was stored: the review has ended. Start `vapo claims review` again and open the address that it prints.");
    }
    if (!reply.ok) throw Object.assign(new Error(`Nothing was stored: ${said.error}`), { stale: reply.status === 409 });
    at("trouble").hidden = true;
    return said;
  }

  function drawRate({ total, right, wrong, unclear, rate }) {
    at("done").hidden = right + wrong + unclear < total;
    const counts = `${right + wrong + unclear} of ${total} claims: ${right} right, ${wrong} wrong, ${unclear} unclear`;
    if (!rate) {
      at("rate").replaceChildren(make("span", { class: "faint" }, counts));
      return;
    }
    const [value, low, high] = rate;
    const band = make("i", {}), line = make("b", {});
    [band.style.left, band.style.right, line.style.left] = [`${100 * low}%`, `${100 * (1 - high)}%`, `calc(${100 * value}% - 1px)`];
    at("rate").replaceChildren(
      make("strong", {}, `${percent(value)} wrong`), make("span", {}, `${percent(low)} – ${percent(high)}`),
      make("span", { class: "interval", "aria-hidden": "true", title: "95 % interval, from 0 to 100 %" }, band, line),
      make("span", { class: "faint" }, counts));
  }

  function drawClaim(claim, number) {
    const { annotation } = claim;
    const wrong = annotation && annotation.judgement === "wrong";
    const label = wrong ? (annotation.is_true ?? (annotation.text == null ? !claim.is_true : claim.is_true)) : claim.is_true;
    const changed = wrong && annotation.text != null;
    return make("li", {
      class: annotation ? annotation.judgement : null, "aria-current": String(number === state.current), "data-claim": claim.id,
      click: () => queue(() => move(number - state.current)),
    },
      make("span", { class: "label" }, ...(label === claim.is_true ? [] : [make("span", { class: "was" }, String(claim.is_true)), " "]), String(label)),
      make("span", { dir: "auto" }, ...(changed ? [make("span", { class: "was" }, claim.text), " ", annotation.text] : [claim.text])),
      make("span", { class: "annotation" }, annotation ? annotation.judgement : ""));
  }

  function draw() {
    const { claims } = state.shown;
    at("place").textContent = `image ${state.place + 1} of ${state.places}`;
    at("previous").disabled = state.place === 0;
    at("next").disabled = state.place === state.places - 1;
    at("claims").replaceChildren(...claims.map(drawClaim));
    const here = at("claims").children[state.current];
    if (here) here.scrollIntoView({ block: "nearest" });
    document.documentElement.dataset.ready = "true";
  }

  async function show(place, claim) {
    const shown = await ask(`places/${place}`);
    if (state.place !== place || !state.shown) {
      at("images").replaceChildren(...Array.from({ length: shown.images }, (_, n) => make("img", {
        src: `images/${place}/${n}`, alt: `image ${n + 1} that the claims are about`,
        load: (event) => event.target.classList.toggle("small", event.target.naturalWidth <= 160),
      })));
    }
    closeEditor();
    [state.place, state.shown] = [place, shown];
    const first = shown.claims.findIndex((one) => (claim == null ? !one.annotation : one.id === claim));
    state.current = Math.max(0, first);
    draw();
  }

  function move(step) {
    closeEditor();
    state.current = Math.min(state.shown.claims.length - 1, Math.max(0, state.current + step));
    draw();
  }

  async function goTo(place) {
    if (place >= 0 && place < state.places) await show(place);
  }

  // To the next claim without an annotation, of this image or of a later one.
  async function goOn() {
    const next = state.shown.claims.findIndex((claim, number) => number > state.current && !claim.annotation);
    if (next >= 0) move(next - state.current);
    else if (state.shown.claims.some((claim) => !claim.annotation)) move(state.shown.claims.findIndex((claim) => !claim.annotation) - state.current);
    else await goTo(state.place + 1);
  }

  async function annotate(judgement, change = {}) {
    const claim = state.shown.claims[state.current];
    let measured;
    try {
      measured = await ask("annotations", { claim: claim.id, judgement, before: claim.annotation, ...change });
    } catch (error) {
      if (error.stale) await show(state.place, claim.id); // as it is judged now
      throw error;
    }
    claim.annotation = measured.annotation;
    drawRate(measured);
    draw();
    await goOn();
  }

  async function undo() {
    const measured = await ask("undo", {});
    if (measured.undone) await show(...measured.undone);
    drawRate(measured);
  }

  function edit() {
    const claim = state.shown.claims[state.current];
    const before = claim.annotation && claim.annotation.judgement === "wrong" ? claim.annotation : {};
    at("text").value = before.text ?? claim.text;
    at((before.is_true ?? claim.is_true) ? "label-true" : "label-false").checked = true;
    at("editor").hidden = false;
    at("text").focus();
  }

  function closeEditor() {
    if (at("editor").contains(document.activeElement)) document.activeElement.blur();
    at("editor").hidden = true;
  }

  function save(event) {
    event.preventDefault();
    const claim = state.shown.claims[state.current];
    const text = at("text").value.trim().replace(/\s+/g, " "), isTrue = at("label-true").checked;
    closeEditor();
    const change = {};
    if (text !== claim.text) change.text = text;
    if (isTrue !== claim.is_true) change.is_true = isTrue;
    if (Object.keys(change).length) queue(() => annotate("wrong", change));
  }

  function toggleHelp() {
    at("help").hidden = !at("help").hidden;
    at("help-button").setAttribute("aria-expanded", String(!at("help").hidden));
  }

  const ACTIONS = {
    r: () => queue(() => annotate("right")), w: () => queue(() => annotate("wrong")), u: () => queue(() => annotate("unclear")),
    e: () => queue(edit), z: () => queue(undo), "?": toggleHelp,
    ArrowUp: () => queue(() => move(-1)), ArrowDown: () => queue(() => move(1)),
    ArrowLeft: () => queue(() => goTo(state.place - 1)), ArrowRight: () => queue(() => goTo(state.place + 1)),
  };

  function onKey(event) {
    if (!at("editor").hidden) {
      if (event.key === "Escape") closeEditor();
      else if (event.key === "Enter" && !event.shiftKey && event.target === at("text")) at("editor").requestSubmit();
      else return;
    } else {
      if (event.ctrlKey || event.metaKey || event.altKey || !state.shown || !Object.hasOwn(ACTIONS, event.key)) return;
      if (!event.repeat || event.key.startsWith("Arrow")) ACTIONS[event.key](); // a key held down judges one claim
    }
    event.preventDefault();
  }

  at("help").append(...KEYS.map(([key, what]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, what))));
  for (const [key, name, kind] of [["r", "Right", "right"], ["w", "Wrong", "wrong"], ["u", "Unclear", "unclear"], ["e", "Edit"], ["z", "Undo"]]) {
    at("actions").append(make("button", { type: "button", class: kind, click: ACTIONS[key] }, `${name} `, make("kbd", {}, key)));
  }
  at("right-half").append(make("p", { id: "done", hidden: "" }, "All claims are judged. You can close this page and end the command with Ctrl-C."));
  at("previous").addEventListener("click", ACTIONS.ArrowLeft);
  at("next").addEventListener("click", ACTIONS.ArrowRight);
  at("help-button").addEventListener("click", toggleHelp);
  at("editor").addEventListener("submit", save);
  at("cancel").addEventListener("click", closeEditor);
  document.addEventListener("keydown", onKey);
  queue(async () => {
    const start = await ask("start");
    state.places = start.places;
    at("reviewer").textContent = `as ${start.reviewer}`;
    drawRate(start);
    await show(start.place);
  });
})();
