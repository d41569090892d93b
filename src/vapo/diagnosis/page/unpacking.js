// Unpacks the responses that came with the page and mounts their inspector.
(function (vapo) {
  "use strict";
  const { make } = vapo;

  // Responses come compressed; nothing is fetched to unpack them.
  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  // `data` is the page's; `options` are more of `mountInspector`'s. Marks the document as ready when all is drawn.
  async function showResponses(host, data, models, options) {
    if (typeof DecompressionStream === "undefined") {
      host.replaceChildren(make("p.notice", {}, "This browser cannot unpack the responses. One from 2023 or later can."));
      return;
    }
    const questions = await unpack(data.responses);
    vapo.mountInspector(host, { models, questions, images: data.images, places: data.places, ...options });
    const left = [
      data.num_responses_left_out && `${data.num_responses_left_out} more questions did not fit into this page; the numbers above include them.`,
      data.num_images_left_out && `${data.num_images_left_out} images did not fit into this page.`,
    ].filter(Boolean);
    host.append(...left.map((text) => make("p.faint", {}, text)));
    document.documentElement.dataset.ready = "true";
  }

  vapo.showResponses = showResponses;
})((globalThis.vapoPage = globalThis.vapoPage || {}));
