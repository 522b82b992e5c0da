// The page of the library that is compared with: JHE's old page's steps, written anew. First the sign-in, then the
// patient's id and the source, then one search after the other: all its pages into memory, then the writes one by one.
'use strict';

const config = JSON.parse(document.getElementById('bench-config').textContent);
const out = document.getElementById('out');

function post(path, body, source) {
  const headers = {
    Authorization: 'Bearer ' + sessionStorage.getItem('bench-jhe-token'),
    'Content-Type': 'application/json',
  };
  if (source !== undefined) {
    headers['X-JHE-FHIR-Source-ID'] = String(source);
  }
  return fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
}

async function answered(response) {
  if (!response.ok) {
    throw new Error(response.url + ' was answered with ' + response.status);
  }
  return response.json();
}

async function connect() {
  sessionStorage.setItem('bench-jhe-token', 'bench-jhe-token');
  await FHIR.oauth2.authorize({
    iss: config.iss,
    clientId: config.clientId,
    scope: config.scope,
    redirectUri: config.redirectUri,
    pkceMode: 'ifSupported',
  });
}

async function callback() {
  const client = await FHIR.oauth2.ready();
  const iss = client.state.serverUrl;
  await answered(await post(config.identifierPath, { system: iss, value: client.patient.id }));
  const source = await answered(
    await post('/api/v1/fhir_sources', {
      label: 'Epic / MyChart',
      fhir_base_url: iss,
      data_source: config.dataSourceId,
    }),
  );
  const outcomes = { stored: 0, failed: 0 };
  for (const search of config.searches) {
    const records = await pull(client, search);
    await (config.writesBatches ? writeBatches : writeSingly)(records, source.id, outcomes);
    out.textContent = outcomes.stored + ' records stored';
  }
  settle(outcomes.failed === 0 ? 'done' : 'partly');
}

async function pull(client, { type, query }) {
  const everything = { pageLimit: 0, flat: true };
  switch (type) {
    // Hospitals let the patient's own resource be read, not searched.
    case 'Patient':
      return [await client.patient.read()];
    // The library knows no search for it by patient.
    case 'Device':
      return client.request('Device?patient=' + encodeURIComponent(client.patient.id), everything);
    default:
      return client.patient.request(type + (query && '?' + query), everything);
  }
}

async function writeBatches(records, source, outcomes) {
  for (let from = 0; from < records.length; from += 100) {
    const entry = records.slice(from, from + 100).map((resource) => ({ resource }));
    const bundle = { resourceType: 'Bundle', type: 'batch', entry };
    const reply = await answered(await post('/fhir-import/R4/', bundle, source));
    for (const { response } of reply.entry) {
      outcomes[response.status.startsWith('2') ? 'stored' : 'failed'] += 1;
    }
  }
}

async function writeSingly(records, source, outcomes) {
  for (const record of records) {
    const response = await post('/FHIR/R5/Observation', record, source);
    outcomes[response.ok ? 'stored' : 'failed'] += 1;
  }
}

function settle(state) {
  out.setAttribute('data-jhe-connect', state);
}

(out.dataset.page === 'callback' ? callback : connect)().catch((error) => {
  out.textContent = String(error);
  settle('failed');
});
