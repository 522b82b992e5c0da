// The page of the library that is compared with: JHE's old page's steps, written anew. First the sign-in, then the
// patient's id and the source, then all pages into memory, then the writes one after the other.
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
  const records = await client.patient.request('Observation?category=laboratory', { pageLimit: 0, flat: true });
  const outcomes = await (config.writes === 'batch' ? writeBatches : writeSingly)(records, source.id);
  out.textContent = outcomes.stored + ' of ' + records.length + ' records stored';
  settle(outcomes.failed === 0 ? 'done' : 'partly');
}

async function writeBatches(records, source) {
  const outcomes = { stored: 0, failed: 0 };
  for (let from = 0; from < records.length; from += 100) {
    const entry = records.slice(from, from + 100).map((resource) => ({ resource }));
    const bundle = { resourceType: 'Bundle', type: 'batch', entry };
    const reply = await answered(await post('/fhir-import/R4/', bundle, source));
    for (const { response } of reply.entry) {
      outcomes[response.status.startsWith('2') ? 'stored' : 'failed'] += 1;
    }
  }
  return outcomes;
}

async function writeSingly(records, source) {
  const outcomes = { stored: 0, failed: 0 };
  for (const record of records) {
    const response = await post('/FHIR/R5/Observation', record, source);
    outcomes[response.ok ? 'stored' : 'failed'] += 1;
  }
  return outcomes;
}

function settle(state) {
  out.setAttribute('data-jhe-connect', state);
}

(out.dataset.page === 'callback' ? callback : connect)().catch((error) => {
  out.textContent = String(error);
  settle('failed');
});
