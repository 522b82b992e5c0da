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

function page(search, number) {
  const query = number === 0 ? search.query : search.session + '&page=' + (number + 1);
  const address = config.iss + '/' + search.path + (query && '?' + query);
  return fetch(address, { headers: { Authorization: 'Bearer bench-ehr-token' } });
}

async function write(body) {
  const headers = {
    Authorization: 'Bearer bench-jhe-token',
    'Content-Type': 'application/json',
    'X-JHE-FHIR-Source-ID': config.source,
  };
  await drained(await fetch('/fhir-import/R4/', { method: 'POST', headers, body }));
}

// Reads one search after the other, of those that no other reader has taken yet.
async function read(searches, underWay) {
  for (let search = searches.shift(); search !== undefined; search = searches.shift()) {
    for (let number = 0; number < search.pages; number += 1) {
      const bytes = await drained(await page(search, number));
      while (underWay.size >= config.writers) {
        await Promise.race(underWay);
      }
      const writing = write(bytes).then(() => underWay.delete(writing));
      underWay.add(writing);
    }
  }
}

async function callback() {
  const pages = sessionStorage.getItem('bench-pages').split(',').map(Number);
  const searches = config.searches.map((search, number) => ({ ...search, pages: pages[number] }));
  const underWay = new Set();
  const readers = Array.from({ length: config.readers }, () => read(searches, underWay));
  await Promise.all(readers);
  await Promise.all(underWay);
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
