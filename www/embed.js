// Template of jhe-connect.js, for pages of others: the element <jhe-connect>, and window.jheConnect for who wants functions
// (docs/embedding.md). `cargo xtask dist` puts the shared part of loader.js in place of the name in double underscores and
// minifies the result.
//
// A classic script, as the others: the folder of the modules is found by `document.currentScript`.
(function () {
  'use strict';

  __SHARED__

  // By host, an element of the page around: the child of it in which a journey has begun.
  const begun = new Map();
  // By element: its property `config`.
  const configs = new WeakMap();

  // Each begins in a child of its own, so that nothing of an earlier one listens there.
  function begin(host, page, config, picker) {
    if (isBegun(host)) {
      return;
    }
    const isAside = Array.from(begun.keys()).some(isBegun);
    addStyle(document.head);
    const root = host.getRootNode();
    if (root instanceof ShadowRoot) {
      addStyle(root);
    }
    const out = document.createElement('div');
    host.textContent = '';
    host.appendChild(out);
    begun.set(host, out);
    if (isAside) {
      explainAside(host, out, config);
    } else {
      // Where the configuration can't be read, its caller at least is known.
      settings = { caller: callerIn(null, host) };
      page(out, config, picker);
    }
  }

  function isBegun(host) {
    return begun.has(host) && isUnderWay(begun.get(host));
  }

  // A patient needs one, and two would use the same storage. This one's session is kept nowhere.
  async function explainAside(host, out, config) {
    const error = new Error('another element of this page has begun');
    error.code = 'embed.already_open';
    const caller = callerIn(settingsOf(config), host);
    await null;
    const kept = stored();
    beginSession(out, newSession(caller, 0, null));
    endSession(out, 'failed', error.code);
    if (kept) {
      sessionStorage.setItem(SESSION, kept);
    }
    explain(out, error);
  }

  function stored() {
    try {
      return sessionStorage.getItem(SESSION);
    } catch (_) {}
  }

  function callerIn(settings, host) {
    const caller = host.getAttribute('caller');
    return caller === null ? (settings || {}).caller || null : caller;
  }

  function addStyle(parent) {
    const href = folder + 'jhe-connect.css';
    if (!parent.querySelector('link[href="' + href + '"]')) {
      const link = append(parent, 'link', '');
      link.rel = 'stylesheet';
      link.href = href;
    }
  }

  // Somebody took the host away. What the patient had not finished, they can't finish any more, and nobody would see what
  // goes on: what is being copied is finished, and no more is begun.
  function left(host) {
    const out = begun.get(host);
    if (!out) {
      return;
    }
    begun.delete(host);
    // No event bubbles to the page from an element that is not in it.
    host.addEventListener('jhe-connect:cancelled', tellThePage);
    endSession(out, 'cancelled', 'embed.removed');
    host.removeEventListener('jhe-connect:cancelled', tellThePage);
    stopCopying(out);
    out.addEventListener('jhe-connect-told', function () {
      stopCopying(out);
    });
  }

  function tellThePage(event) {
    document.dispatchEvent(new CustomEvent(event.type, { bubbles: true, detail: event.detail }));
  }

  function stopCopying(out) {
    const stop = out.querySelector('[data-jc-action=stop]');
    if (stop) {
      stop.click();
    }
  }

  function functionFor(page) {
    return function (host, config, picker) {
      begin(host, page, config, picker);
      const observer = new MutationObserver(function () {
        if (!host.isConnected) {
          observer.disconnect();
          left(host);
        }
      });
      observer.observe(document, { childList: true, subtree: true });
    };
  }

  window.jheConnect = { start: functionFor(startPage), finish: functionFor(finishPage) };

  class JheConnect extends HTMLElement {
    static get observedAttributes() {
      return ['config', 'page', 'caller'];
    }

    get config() {
      return configs.get(this);
    }

    set config(config) {
      configs.set(this, config);
      beginSoon(this);
    }

    get page() {
      return this.getAttribute('page') === 'callback' ? 'callback' : 'connect';
    }

    set page(page) {
      this.setAttribute('page', page);
    }

    get caller() {
      return this.getAttribute('caller');
    }

    set caller(caller) {
      this.setAttribute('caller', caller);
    }

    connectedCallback() {
      // Set before the element was defined, it hides the property.
      if (Object.prototype.hasOwnProperty.call(this, 'config')) {
        const config = this.config;
        delete this.config;
        this.config = config;
      }
      beginSoon(this);
    }

    attributeChangedCallback() {
      beginSoon(this);
    }

    disconnectedCallback() {
      const host = this;
      // One that is only moved is in the page again by then.
      Promise.resolve().then(function () {
        if (!host.isConnected) {
          left(host);
        }
      });
    }
  }

  // Whoever makes the element may first set all of it, and listen; and one that goes has gone before another one comes.
  function beginSoon(host) {
    setTimeout(function () {
      const config = host.isConnected && !begun.has(host) && configOf(host);
      if (config || config === '') {
        begin(host, host.page === 'callback' ? finishPage : startPage, config);
      }
    });
  }

  // Nothing, as long as it can still come. An empty text is explained by the module.
  function configOf(host) {
    let config = host.config;
    const selector = host.getAttribute('config');
    if (config == null && selector !== null) {
      const script = found(host.getRootNode(), selector) || found(document, selector);
      if (!script && document.readyState === 'loading') {
        document.addEventListener('DOMContentLoaded', function () {
          beginSoon(host);
        });
        return;
      }
      config = script ? script.textContent : '';
    }
    if (host.caller !== null) {
      const settings = settingsOf(config);
      // What can't be read stays as it is: the module says what is wrong with it.
      config = settings ? Object.assign({}, settings, { caller: host.caller }) : config;
    }
    return config;
  }

  function settingsOf(config) {
    try {
      return typeof config === 'string' ? JSON.parse(config) : config;
    } catch (_) {}
  }

  function found(root, selector) {
    try {
      return root.querySelector(selector);
    } catch (_) {}
  }

  if (!customElements.get('jhe-connect')) {
    customElements.define('jhe-connect', JheConnect);
  }
})();
