// How long each side's scripts take until the first call is possible, in milliseconds. The bytes are there already: no
// network is measured.
async function benchStartup(side) {
  'use strict';

  const read = async (url) => {
    const response = await fetch(url);
    if (!response.ok) {
      throw new Error(url + ' was answered with ' + response.status);
    }
    return response;
  };
  const rest = () => new Promise((resolve) => setTimeout(resolve, 150));

  if (side.library) {
    const text = await (await read(side.library)).text();
    await rest();
    const started = performance.now();
    (0, eval)(text);
    if (typeof FHIR.oauth2.ready !== 'function') {
      throw new Error('the library is not there');
    }
    return performance.now() - started;
  }

  const script = await (await read(side.script)).text();
  const glue = URL.createObjectURL(await (await read(side.glue)).blob());
  const wasm = await (await read(side.wasm)).arrayBuffer();
  await rest();
  const started = performance.now();
  // Read like the page's own script, and not called: that would begin an import.
  new Function(script);
  const module = await import(glue);
  const response = new Response(wasm, { headers: { 'Content-Type': 'application/wasm' } });
  const made = await WebAssembly.instantiateStreaming(response, module.imports());
  module.start(made.instance, made.module);
  if (typeof module.finishPage !== 'function') {
    throw new Error('the module is not there');
  }
  return performance.now() - started;
}
