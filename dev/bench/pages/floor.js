// What no client can do without: every page is read, and its bytes are posted as they are while the next one is being
// read. Nothing is parsed, nothing is cut out, the answers are read and dropped.
'use strict';

const config = JSON.parse(document.getElementById('bench-config').textContent);
const out = document.getElementById('out');

async function drained(response) {
  if (!response.ok) {
    throw new Error(response.url + ' was answered with ' + response.status);
  }
  return response.arrayBuffer();
}

function page(number) {
  const query = number === 0 ? 'category=laboratory' : config.session + '&page=' + (number + 1);
  return fetch(config.iss + '/Observation?' + query, { headers: { Authorization: 'Bearer bench-ehr-token' } });
}

async function write(body) {
  const headers = {
    Authorization: 'Bearer bench-jhe-token',
    'Content-Type': 'application/json',
    'X-JHE-FHIR-Source-ID': config.source,
  };
  await drained(await fetch('/fhir-import/R4/', { method: 'POST', headers, body }));
}

async function callback() {
  const pages = Number(sessionStorage.getItem('bench-pages'));
  let writing = Promise.resolve();
  for (let number = 0; number < pages; number += 1) {
    const bytes = await drained(await page(number));
    await writing;
    writing = write(bytes);
  }
  await writing;
  out.setAttribute('data-jhe-connect', 'done');
}

if (out.dataset.page === 'callback') {
  callback().catch((error) => {
    out.textContent = String(error);
    out.setAttribute('data-jhe-connect', 'failed');
  });
} else {
  sessionStorage.setItem('bench-pages', new URLSearchParams(location.search).get('pages'));
  const query = new URLSearchParams({ redirect_uri: config.redirectUri, state: 'floor' });
  location.assign(config.authorize + '?' + query);
}
