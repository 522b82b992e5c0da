// Template of the script of the test mode's pages. `cargo xtask dist` puts the shared part of loader.js in place of the
// name in double underscores and minifies the result. No other page has this script, so that none can get into test mode.
(function () {
  'use strict';

  __SHARED__

  const DEMO = 'jhe-connect-demo';
  const PAGES = { connect: startPage, callback: finishPage, start: ofItsOwn('showDemoStart'), 'sign-in': ofItsOwn('showDemoSignIn') };
  const out = document.getElementById('jhe-connect');
  const page = out.getAttribute('data-page');

  // A page that only the test mode has: no journey of a patient, so that no session begins or ends there.
  function ofItsOwn(entry) {
    return function (out, config) {
      out.addEventListener('jhe-connect-language', function (event) {
        speak(out, event.detail);
      });
      return call(DEMO, entry, out, config);
    };
  }

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
