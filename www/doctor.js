// The script of the maintainers' page doctor.html: loads the doctor's module. No patient's page has any of it.
(function () {
  'use strict';

  const folder = new URL('./', document.currentScript.src).href;
  const bundle = document.getElementById('doctor-bundle').textContent;

  start();

  async function start() {
    try {
      const glue = await import(folder + 'jhe-connect-doctor.js');
      await glue.default({ module_or_path: folder + 'jhe-connect-doctor_bg.wasm' });
      glue.startDoctor(bundle);
    } catch (error) {
      explain(error);
    }
  }

  // That the doctor itself can't be loaded says something about the patients' pages, too.
  function explain(error) {
    const what = String(error && error.name) + ': ' + String(error && error.message);
    const isForbidden = /policy|CSP|unsafe-eval|blocked/i.test(what);
    const remedy = isForbidden
      ? "The Content-Security-Policy of this page forbids WebAssembly: add 'wasm-unsafe-eval' to script-src. If the patients' pages are sent with the same policy, they fail as well (browser.no_webassembly)."
      : 'A file of the folder ' + new URL(folder).pathname + ' is missing (404), or is sent with the wrong type (.js needs text/javascript): the console says which. Copy the whole folder again; the patients’ pages fail in the same way (browser.load_failed).';
    const summary = document.getElementById('doctor-summary');
    summary.textContent = 'The doctor itself could not be loaded. ' + remedy + ' ' + what;
    summary.setAttribute('data-state', 'wrong');
    console.error('jhe-connect doctor: ' + what);
  }
})();
