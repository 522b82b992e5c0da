// Template of the script of the plain pages, index.html and callback.html. `cargo xtask dist` puts the shared part
// of loader.js in place of the name in double underscores and minifies the result.
//
// A classic, deferred script like the drop-in's, so that both can share their code, `document.currentScript` included.
(function () {
  'use strict';

  __SHARED__

  const out = document.getElementById('jhe-connect');
  const config = document.getElementById('jhe-connect-config').textContent;
  const page = out.getAttribute('data-page') === 'callback' ? finishPage : startPage;
  page(out, config);
})();
