// Where a model looked while it wrote one stretch of its response: a picture for each third of its layers, the image with
// the attention on its parts over it.
(function (vapo) {
  "use strict";
  const { make, percent } = vapo;
  const INK = [214, 40, 40]; // strong over light and dark images alike

  function overlay(rows, columns, cells) {
    const canvas = make("canvas", { width: columns, height: rows, "aria-hidden": "true" });
    const context = canvas.getContext("2d"), picture = context.createImageData(columns, rows);
    [...cells].forEach((digit, k) => picture.data.set([...INK, 13 * parseInt(digit, 16)], 4 * k));
    context.putImageData(picture, 0, 0);
    return canvas;
  }

  function pictureOf(name, [share, cells], rows, columns, image) {
    const under = image ? make("img", { src: image, alt: "" }) : make("div.blank", { style: { "aspect-ratio": `${columns} / ${rows}` } });
    return make("figure.look", { "data-layers": name }, make("div.over", {}, under, overlay(rows, columns, cells)),
      make("figcaption", {}, `${name} layers: ${percent(share, 1)} on the image`));
  }

  // Returns {element, moveTo(index)}: the stretch that holds token `index`, or the last before it.
  function makeLooks(response, image) {
    const said = make("p.faint", { dir: "auto" }), pictures = make("div.looks", {});
    let shown = null;
    function moveTo(index) {
      const stretch = response.maps.filter(([first]) => first < index).pop() || response.maps[0];
      if (stretch === shown) return;
      shown = stretch;
      const [first, stop, rows, columns, maps] = stretch;
      said.textContent = `“${response.tokens.slice(first, stop).join("").trim()}”`;
      pictures.replaceChildren(...Object.entries(maps).map(([name, map]) => pictureOf(name, map, rows, columns, image)));
    }
    return { element: make("details.claims", { open: true }, make("summary", {}, "Where it looks"), said, pictures), moveTo };
  }

  vapo.makeLooks = makeLooks;
})((globalThis.vapoPage = globalThis.vapoPage || {}));
