// Template of the script of the test mode's pages. `cargo xtask dist` puts the shared part of loader.js in place of the
// name in double underscores and minifies the result. No other page has this script, so that none can get into test mode.
(function () {
  'use strict';

  __SHARED__

  const DEMO = 'jhe-connect-demo';
  const PAGES = {
    connect: startPage,
    callback: finishPage,
    start: async function (out, config) {
      prepare(out, config);
      await call(DEMO, 'showDemoStart', out, config);
    },
    'sign-in': async function (out, config) {
      prepare(out, config);
      await call(DEMO, 'showDemoSignIn', out, config);
    },
  };
  const out = document.getElementById('jhe-connect');
  const page = out.getAttribute('data-page');

  async function begin(config) {
    try {
      settings = JSON.parse(config) || {};
    } catch (_) {
      // The module says what is wrong with it.
    }
    language = firstLanguage();
    const isLive = ['iss', 'clientId', 'dataSourceId'].some(function (name) {
      return settings[name];
    });
    if (!settings.demo || isLive) {
      // The page refuses it, or is an ordinary one.
      return page === 'callback' ? finishPage(out, config) : startPage(out, config);
    }
    const replaced = await call(DEMO, 'startDemo', out, config);
    if (replaced) {
      await PAGES[page](out, replaced);
    }
  }

  begin(document.getElementById('jhe-connect-config').textContent);
})();
