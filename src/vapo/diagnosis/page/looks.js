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

  // Returns {element, moveTo(index)}: the stretch that holds the token before `index`; of a whole response (null), the one
  // with most attention on the image.
  function makeLooks(response, image) {
    const said = make("p.faint", { dir: "auto" }), pictures = make("div.looks", {});
    const amount = (stretch) => Object.values(stretch[4]).reduce((sum, [share]) => sum + share, 0);
    const most = response.maps.reduce((best, one) => (amount(one) > amount(best) ? one : best));
    function moveTo(index) {
      const stretch = index == null ? most : response.maps.filter(([first]) => first < index).pop() || response.maps[0];
      const [first, stop, rows, columns, maps] = stretch;
      said.textContent = `${index == null ? "Most while it writes" : "While it writes"} “${response.tokens.slice(first, stop).join("").trim()}”`;
      pictures.replaceChildren(...Object.entries(maps).map(([name, map]) => pictureOf(name, map, rows, columns, image)));
    }
    return { element: make("details.claims", { open: true }, make("summary", {}, "Attention on the parts of the image"), said, pictures), moveTo };
  }

  vapo.makeLooks = makeLooks;
})((globalThis.vapoPage = globalThis.vapoPage || {}));
