// Put in front of every measured page: tells when it has come to rest, and how large its WebAssembly memory is then.
(() => {
  'use strict';

  const memories = new Set();
  const keep = (result) => {
    const instance = result instanceof WebAssembly.Instance ? result : result.instance;
    for (const value of Object.values(instance.exports)) {
      if (value instanceof WebAssembly.Memory) {
        memories.add(value);
      }
    }
    return result;
  };
  for (const name of ['instantiate', 'instantiateStreaming']) {
    const original = WebAssembly[name];
    WebAssembly[name] = (...given) => original(...given).then(keep);
  }

  // Of each module, in the order in which they came.
  const wasmBytes = () => [...memories].map((memory) => memory.buffer.byteLength);
  globalThis.benchWasmBytes = wasmBytes;

  const attribute = 'data-jhe-connect';
  let settled = false;
  new MutationObserver(() => {
    const root = document.querySelector('[' + attribute + ']');
    const state = root && root.getAttribute(attribute);
    if (settled || !['done', 'partly', 'failed'].includes(state)) {
      return;
    }
    settled = true;
    // A memory never shrinks, so that its size at the end is its peak.
    const wasm = wasmBytes().reduce((sum, bytes) => sum + bytes, 0);
    const code = root.getAttribute(attribute + '-code');
    benchSettled(JSON.stringify({ state, code, text: root.innerText.slice(0, 300), wasm_bytes: wasm }));
  }).observe(document, { subtree: true, attributes: true, attributeFilter: [attribute] });
})();
