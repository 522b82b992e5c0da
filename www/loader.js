// Template of the classic script of each drop-in, such as `client-mychart.js`. `cargo xtask dist` fills in the names in
// double underscores, copies the part marked as shared into page.js, and minifies the result.
//
// JHE's page calls one of the two functions right after this script has run, so both are defined at once, and
// the page's module is loaded when one is called. No markup is ever built from text, and no text is run as
// code: the script works under `script-src 'self' 'wasm-unsafe-eval'; require-trusted-types-for 'script'`.
(function () {
  'use strict';

  // <shared>
  // The languages, and in English what is said if nothing can be loaded. More is in a file of each language.
  const TEXTS = __LOADER_TEXTS__;
  const LOAD_FAILED = 'browser.load_failed';
  const folder = new URL('__ASSET_FOLDER__', document.currentScript.src).href;
  // Each page has a module of its own, so that none waits for what only the other needs.
  const CONNECT = 'jhe-connect';
  const CALLBACK = 'jhe-connect-callback';
  const IMPORT = 'jhe-connect-import';
  const RECEIPT = 'jhe-connect-receipt';
  const loading = {};
  // What only the copying shows has a style sheet of its own.
  let styled;
  // Kept for this tab, so that the page behind the hospital speaks as this one did.
  const CHOICE = 'jhe-connect:language';
  let language = 'en';
  let settings = {};

__SESSION__

  async function startPage(out, config, picker) {
    if (!(await prepare(out, config, true))) {
      return;
    }
    await call(CONNECT, 'startPage', out, config, picker);
    prefetch(CALLBACK);
  }

  async function finishPage(out, config) {
    if (!(await prepare(out, config))) {
      return;
    }
    if (out) {
      out.addEventListener('jhe-connect-sign-in', () => {
        call(CONNECT, 'signInAgain', out, config, false);
      });
      out.addEventListener('jhe-connect-add-hospital', () => {
        call(CONNECT, 'signInAgain', out, config, true);
      });
      out.addEventListener('jhe-connect-import', async () => {
        styled = styled || style(IMPORT);
        await call(IMPORT, 'importPage', out, config);
        prefetch(RECEIPT);
      });
      out.addEventListener('jhe-connect-beside', (event) => {
        beside(out, event.detail);
      });
    }
    await call(CALLBACK, 'finishPage', out, config);
    // While the patient answers there.
    prefetch(IMPORT);
    styled = styled || style(IMPORT);
  }

  // The rules of a style sheet hold from when this is fulfilled, as far as it can be had.
  function style(name) {
    return new Promise((resolve) => {
      const link = document.createElement('link');
      link.rel = 'stylesheet';
      link.onload = link.onerror = resolve;
      link.href = folder + name + '.css';
      document.head.appendChild(link);
    });
  }

  // Is there something to begin in `out`? Not where it has begun already.
  async function prepare(out, config, isConnectPage) {
    if (isUnderWay(out)) {
      return;
    }
    try {
      settings = (typeof config === 'string' ? JSON.parse(config) : config) || {};
    } catch (_) {
      // The module says what is wrong with it.
    }
    language = firstLanguage();
    if (out) {
      out.addEventListener('jhe-connect-language', (event) => {
        speak(out, event.detail);
      });
      out.addEventListener('jhe-connect-told', (event) => {
        report(out, event.detail);
      });
      sessions.set(out, {});
      // Whoever called can listen first.
      await null;
      openSession(out, isConnectPage);
    }
    return true;
  }

  // What the patient chose in this tab, else what the study chose, else the browser's first language that there is.
  function firstLanguage() {
    let chosen;
    try {
      chosen = sessionStorage.getItem(CHOICE);
    } catch (_) {}
    const wanted = [chosen, settings.language].concat(navigator.languages || [navigator.language], ['en']);
    const tags = TEXTS.languages;
    for (const tag of wanted) {
      const exact = String(tag).toLowerCase();
      const found = tags.find((known) => {
        return known.toLowerCase() === exact || known.toLowerCase() === exact.split('-')[0];
      });
      if (found) {
        return found;
      }
    }
  }

  // Another language: each module on the page gets its texts and says everything again.
  async function speak(out, tag) {
    try {
      const texts = await Promise.all(
        Object.keys(loading).map((name) => {
          return textsOf(name, tag);
        }),
      );
      language = tag;
      texts.forEach((text) => {
        out.dispatchEvent(new CustomEvent('jhe-connect-speak', { detail: text }));
      });
      sessionStorage.setItem(CHOICE, tag);
    } catch (error) {
      // The page goes on in the language that it has.
      console.error('jhe-connect: ' + describe(error));
    }
  }

  async function textsOf(name, tag) {
    const response = await fetch(folder + tag + '.' + name + '.json');
    if (!response.ok) {
      throw new Error(tag + '.' + name + '.json: status ' + response.status);
    }
    return response.text();
  }

  // What the page is complete without: what is below the counts, and who signed in. `told` is a module's name and, in braces,
  // what it is for.
  async function beside(out, told) {
    const name = told.split('{')[0];
    try {
      const texts = textsOf(name, language);
      texts.catch(() => {});
      const module = await load(name);
      const entry = module.showReceipt || module.checkIdentity;
      entry(out, told.slice(name.length), await texts);
    } catch (error) {
      delete loading[name];
      console.error('jhe-connect: ' + describe(error));
      // Whoever waits for it need not.
      out.dispatchEvent(new CustomEvent('jhe-connect-checked'));
    }
  }

  // While this page waits for others: the patient who comes back waits less. What is not there by then is loaded then.
  function prefetch(name) {
    if (loading[name]) {
      return;
    }
    [name + '_bg.wasm', name + '.js', language + '.' + name + '.json'].forEach(async (file) => {
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
      const missing = new Error('no WebAssembly');
      missing.code = 'browser.no_webassembly';
      throw missing;
    }
    const wasmUrl = folder + name + '_bg.wasm';
    // Asked for beside the glue, not after it.
    const response = fetch(wasmUrl);
    response.catch(() => {});
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
      console.warn('jhe-connect: reading again: ' + describe(streamingError));
      const again = await fetch(wasmUrl, { cache: 'no-cache' });
      if (!again.ok) {
        throw new Error(wasmUrl + ': status ' + again.status);
      }
      made = await WebAssembly.instantiate(await again.arrayBuffer(), glue.imports());
    }
    glue.start(made.instance, made.module);
    return glue;
  }

  // Calls an export of the module `name`; what goes wrong on the way there is explained inside `out`.
  async function call(name, entry, out, config, picker) {
    // A module that aborts leaves its promise open for ever; the browser only tells the window.
    const aborted = (event) => {
      const error = event.error || event.reason;
      if (typeof WebAssembly === 'object' && error instanceof WebAssembly.RuntimeError) {
        explain(out, error);
      }
    };
    window.addEventListener('error', aborted);
    window.addEventListener('unhandledrejection', aborted);
    try {
      // Asked for beside the module, not after it.
      const tag = language;
      const texts = textsOf(name, tag);
      texts.catch(() => {});
      const module = await load(name);
      let said = await texts;
      await styled;
      if (tag !== language) {
        // The patient has chosen another one meanwhile.
        said = await textsOf(name, language);
      }
      return await module[entry](out, config, said, picker);
    } catch (error) {
      explain(out, error);
    }
  }

  async function explain(out, error) {
    const code = codeOf(error);
    const exact = code + ': ' + describe(error);
    console.error('jhe-connect: ' + exact);
    endSession(out, 'failed', code);
    let tag = 'en';
    let texts = TEXTS;
    if (language !== tag || !texts[code]) {
      try {
        texts = JSON.parse(await textsOf('loader', language));
        tag = language;
      } catch (_) {
        // What is here has to do.
      }
    }
    // The module's own explanation is the better one.
    if (!out || out.getAttribute('data-jhe-connect') === 'failed') {
      return;
    }
    const remedy = document.createElement('div');
    remedy.className = 'jc-remedy';
    remedy.setAttribute('role', 'alert');
    const said = texts[code] || texts[LOAD_FAILED];
    append(remedy, 'h2', said[0]);
    append(remedy, 'p', said[1]);
    append(remedy, 'p', said[2]).className = 'jc-next-step';
    leadToAPerson(remedy);
    const details = append(remedy, 'details', '');
    append(details, 'summary', texts.details);
    append(details, 'code', exact);
    out.textContent = '';
    out.classList.add('jhe-connect');
    out.lang = tag;
    out.appendChild(remedy);
    out.setAttribute('data-jhe-connect', 'failed');
    out.setAttribute('data-jhe-connect-code', code);
  }

  // The study's contact, as far as it is configured. An address is its own text, so that none has to be translated.
  function leadToAPerson(parent) {
    const contact = (settings.study || {}).contact || {};
    [
      ['mailto:', contact.email],
      ['tel:', contact.phone],
    ].forEach((way) => {
      if (way[1]) {
        append(append(parent, 'p', ''), 'a', way[1]).href = way[0] + encodeURI(way[1]);
      }
    });
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
    return error && /^(browser|embed)\./.test(error.code) ? error.code : LOAD_FAILED;
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

  let dressed;

  function entry(page) {
    return (out, config, picker) => {
      dressed = dressed || style(CONNECT);
      // JHE's own configuration does not say which of its clients this is.
      return page(out, Object.assign({ deployment: '__DEPLOYMENT__' }, config), picker);
    };
  }

  window.__START__ = entry(startPage);
  window.__FINISH__ = entry(finishPage);
})();
