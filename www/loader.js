// Template of `client-mychart.js`, the classic script of the drop-in. `cargo xtask dist` fills in the two names
// in double underscores, copies the part marked as shared into page.js, and minifies the result.
//
// JHE's page calls one of the two functions right after this script has run, so both are defined at once, and
// the module beside it is loaded when one is called. No markup is ever built from text, and no text is run as
// code: the script works under `script-src 'self' 'wasm-unsafe-eval'; require-trusted-types-for 'script'`.
(function () {
  'use strict';

  // <shared>
  const TEXTS = __LOADER_TEXTS__;
  const scriptUrl = document.currentScript.src;
  let loading = null;

  // One load for all calls.
  function load(folder) {
    loading = loading || loadModule(folder);
    return loading;
  }

  async function loadModule(folder) {
    if (typeof WebAssembly !== 'object' || typeof WebAssembly.instantiate !== 'function') {
      const missing = new Error('this browser has no WebAssembly');
      missing.code = 'browser.no_webassembly';
      throw missing;
    }
    const wasmUrl = folder + 'jhe-connect_bg.wasm';
    // Asked for beside the glue, not after it.
    const response = fetch(wasmUrl);
    response.catch(function () {});
    const module = await import(folder + 'jhe-connect.js');
    try {
      await module.default({ module_or_path: response });
    } catch (streamingError) {
      if (codeOf(streamingError) === 'browser.no_webassembly') {
        throw streamingError;
      }
      // The glue itself copes with a wrong media type; this is for everything else that streaming minds and a
      // second, plain reading does not (a proxy that cut the first answer, a policy of an extension).
      console.warn('jhe-connect: reading the module again, because: ' + describe(streamingError));
      const again = await fetch(wasmUrl, { cache: 'no-cache' });
      if (!again.ok) {
        throw new Error(wasmUrl + ' was answered with status ' + again.status);
      }
      await module.default({ module_or_path: await again.arrayBuffer() });
    }
    return module;
  }

  // Calls the module's export `name`; what goes wrong on the way there is explained inside `out`.
  async function call(folder, name, out, args) {
    // A module that aborts leaves its promise open for ever; the browser only tells the window.
    const aborted = function (event) {
      const error = event.error || event.reason;
      if (typeof WebAssembly === 'object' && error instanceof WebAssembly.RuntimeError) {
        explain(out, error);
      }
    };
    window.addEventListener('error', aborted);
    window.addEventListener('unhandledrejection', aborted);
    try {
      const module = await load(folder);
      return await module[name].apply(null, args);
    } catch (error) {
      explain(out, error);
    }
  }

  function explain(out, error) {
    const code = codeOf(error);
    const exact = code + ': ' + describe(error);
    console.error('jhe-connect: ' + exact);
    // The module's own explanation is the better one.
    if (!out || out.getAttribute('data-jhe-connect') === 'failed') {
      return;
    }
    const remedy = document.createElement('div');
    remedy.className = 'jc-remedy';
    remedy.setAttribute('role', 'alert');
    append(remedy, 'h2', TEXTS[code].heading);
    append(remedy, 'p', TEXTS[code].explanation);
    append(remedy, 'p', TEXTS[code].next_step).className = 'jc-next-step';
    const details = append(remedy, 'details', '');
    append(details, 'summary', 'Details for the study team');
    append(details, 'code', exact);
    out.textContent = '';
    out.classList.add('jhe-connect');
    out.appendChild(remedy);
    out.setAttribute('data-jhe-connect', 'failed');
    out.setAttribute('data-jhe-connect-code', code);
  }

  // What a browser says of WebAssembly that a policy or a protection mode forbids: a CompileError whose message names the
  // policy.
  function codeOf(error) {
    const isForbidden =
      typeof WebAssembly === 'object' &&
      error instanceof WebAssembly.CompileError &&
      /policy|CSP|eval|blocked/i.test(error.message);
    if (isForbidden) {
      return 'browser.no_webassembly';
    }
    return error && error.code in TEXTS ? error.code : 'browser.load_failed';
  }

  // Name and message only, without any query: a stack trace quotes the page's URL, which carries the invitation.
  function describe(error) {
    return String(error && error.name) + ': ' + String(error && error.message).replace(/\?\S*/g, '');
  }

  function append(parent, name, text) {
    const element = document.createElement(name);
    element.textContent = text;
    parent.appendChild(element);
    return element;
  }
  // </shared>

  const folder = new URL('../wasm/__ASSET_FOLDER__/', scriptUrl).href;
  let styled = false;

  function entry(name) {
    return function (out) {
      if (!styled) {
        styled = true;
        const link = document.createElement('link');
        link.rel = 'stylesheet';
        link.href = folder + 'jhe-connect.css';
        document.head.appendChild(link);
      }
      return call(folder, name, out, arguments);
    };
  }

  window.startMyChartConnect = entry('startMyChartConnect');
  window.finishMyChartConnect = entry('finishMyChartConnect');
})();
