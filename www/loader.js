// Template of the classic script of each drop-in, such as `client-mychart.js`. `cargo xtask dist` fills in the names in
// double underscores, copies the part marked as shared into page.js, and minifies the result.
//
// JHE's page calls one of the two functions right after this script has run, so both are defined at once, and
// the page's module is loaded when one is called. No markup is ever built from text, and no text is run as
// code: the script works under `script-src 'self' 'wasm-unsafe-eval'; require-trusted-types-for 'script'`.
(function () {
  'use strict';

  // <shared>
  const TEXTS = __LOADER_TEXTS__;
  const folder = new URL('__ASSET_FOLDER__', document.currentScript.src).href;
  // Each page has a module of its own, so that none waits for what only the other needs.
  const CONNECT = 'jhe-connect';
  const CALLBACK = 'jhe-connect-callback';
  const loading = {};

  async function startPage(out, config, picker) {
    await call(CONNECT, 'startPage', out, config, picker);
    prefetch(CALLBACK);
  }

  function finishPage(out, config) {
    if (out) {
      out.addEventListener('jhe-connect-sign-in', function () {
        call(CONNECT, 'signInAgain', out, config);
      });
    }
    return call(CALLBACK, 'finishPage', out, config);
  }

  // While this page waits for others: the patient who comes back waits less. What is not there by then is loaded then.
  function prefetch(name) {
    [name + '_bg.wasm', name + '.js'].forEach(async function (file) {
      try {
        const response = await fetch(folder + file, { priority: 'low' });
        // A browser keeps what was read to its end.
        await response.arrayBuffer();
      } catch (_) {}
    });
  }

  // One load of a module for all calls.
  function load(name) {
    loading[name] = loading[name] || loadModule(name);
    return loading[name];
  }

  async function loadModule(name) {
    if (typeof WebAssembly !== 'object' || typeof WebAssembly.instantiate !== 'function') {
      const missing = new Error('this browser has no WebAssembly');
      missing.code = 'browser.no_webassembly';
      throw missing;
    }
    const wasmUrl = folder + name + '_bg.wasm';
    // Asked for beside the glue, not after it.
    const response = fetch(wasmUrl);
    response.catch(function () {});
    const glue = await import(folder + name + '.js');
    let made;
    try {
      made = await WebAssembly.instantiateStreaming(response, glue.imports());
    } catch (streamingError) {
      if (codeOf(streamingError) === 'browser.no_webassembly') {
        throw streamingError;
      }
      // For all that streaming minds and a second, plain reading does not: a wrong media type, a browser that can't
      // stream, a proxy that cut the first answer, a policy of an extension.
      console.warn('jhe-connect: reading the module again, because: ' + describe(streamingError));
      const again = await fetch(wasmUrl, { cache: 'no-cache' });
      if (!again.ok) {
        throw new Error(wasmUrl + ' was answered with status ' + again.status);
      }
      made = await WebAssembly.instantiate(await again.arrayBuffer(), glue.imports());
    }
    glue.start(made.instance, made.module);
    return glue;
  }

  // Calls an export of the module `name`; what goes wrong on the way there is explained inside `out`.
  async function call(name, entry, out, config, picker) {
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
      const module = await load(name);
      return await module[entry](out, config, picker);
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

  let styled = false;

  function entry(page) {
    return function (out, config, picker) {
      if (!styled) {
        styled = true;
        const link = document.createElement('link');
        link.rel = 'stylesheet';
        link.href = folder + 'jhe-connect.css';
        document.head.appendChild(link);
      }
      // JHE's own configuration does not say which of its clients this is.
      return page(out, Object.assign({ deployment: '__DEPLOYMENT__' }, config), picker);
    };
  }

  window.__START__ = entry(startPage);
  window.__FINISH__ = entry(finishPage);
})();
