// A hospital of servers that others wrote: oidc-provider signs patients in, SEKMET keeps their records, and gateway.mjs joins
// the two. It prints one line when it is ready, and answers the test on a third address.
//
//   node hospital.mjs MODULES PYTHON FOLDER

import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { authorization } from './authorization.mjs';
import { gateway } from './gateway.mjs';

const [modules, python, folder] = process.argv.slice(2);

// Who may sign in, all with the same password; `fhirUser` is who they are, `patient` whose record it is.
const people = {
    peter: { fhirUser: 'Patient/example', patient: 'example' },
    elisabeth: { fhirUser: 'RelatedPerson/elisabeth', patient: 'example' },
    many: { fhirUser: 'Patient/many', patient: 'many' },
};

// What the app is registered with, by its client id: each test has an app of its own.
const apps = new Map();
const log = [];

const listen = (server) => new Promise((ready) => {
    server.listen(0, '127.0.0.1', () => ready(`http://localhost:${server.address().port}`));
});

const fhirServer = createServer();
const authorizationServer = createServer();
const controlServer = createServer();
const [fhirOrigin, issuer, control] = await Promise.all([fhirServer, authorizationServer, controlServer].map(listen));
const base = `${fhirOrigin}/fhir`;

const upstream = await startSekmet();
await load(ofHl7());
const provider = await authorization({ modules, issuer, base, people, apps, log });
authorizationServer.on('request', provider.serve);
fhirServer.on('request', gateway({ base, upstream, provider, people, apps, log }));
controlServer.on('request', answer);
console.log(JSON.stringify({ base, issuer, control, upstream }));

/** Starts SEKMET on a port of its own choice; its links name the gateway. */
async function startSekmet() {
    const settings = join(folder, 'settings.json');
    // JSON is YAML.
    writeFileSync(settings, JSON.stringify({
        base_url: base,
        host: '127.0.0.1',
        port: 0,
        data_dir: join(folder, 'sekmet'),
        log_inbound: false,
        server_auth: { types: ['none'] },
        validation: { inbound: 'off' },
        simulator: { enabled: false },
    }));
    const sekmet = spawn(python, ['-m', 'sekmet.cli', 'serve', '--config', settings], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
    sekmet.on('exit', (status) => {
        console.error(`SEKMET has ended with ${status}`);
        process.exit(1);
    });
    const told = [];
    return new Promise((ready, fail) => {
        createInterface({ input: sekmet.stderr }).on('line', (line) => {
            told.push(line);
            const address = /running on (http:\/\/127\.0\.0\.1:\d+)/.exec(line);
            if (address) ready(`${address[1]}/fhir`);
        }).on('close', () => fail(new Error(told.join('\n'))));
    });
}

/** HL7's examples of Observations, as Peter's, and some of them once more as somebody else's. */
function ofHl7() {
    const examples = join(modules, 'hl7.fhir.r4.examples');
    const names = readdirSync(examples).filter((name) => /^Observation-.*\.json$/.test(name)).sort();
    const read = (name) => JSON.parse(readFileSync(join(examples, name), 'utf8'));
    const peters = names.map((name) => ({ ...read(name), subject: { reference: 'Patient/example' } }));
    const anothers = names.slice(0, 5).map(read)
        .map((record) => ({ ...record, id: `another-${record.id}`, subject: { reference: 'Patient/another' } }));
    const person = (id, family, given, birthDate) => ({ resourceType: 'Patient', id, name: [{ use: 'official', family, given: [given] }], birthDate });
    return [
        person('example', 'Chalmers', 'Peter', '1974-12-25'),
        person('another', 'Chalmers', 'Amy', '1987-12-09'),
        person('many', 'Levin', 'Henry', '1932-09-24'),
        ...peters,
        ...anothers,
    ];
}

/** Observations of synthetic patients, all as those of one: the same on every run. */
async function ofCarebundle(patients) {
    const out = join(folder, `carebundle-${randomUUID()}`);
    mkdirSync(out);
    const generator = spawn(python, ['-m', 'carebundle.cli', 'generate', '--profile', 'mixed', '--count', String(patients), '--seed', '42', '--out', out], { stdio: 'ignore' });
    const status = await new Promise((end) => generator.on('exit', end));
    if (status !== 0) throw new Error(`carebundle has ended with ${status}`);
    const bundles = readdirSync(out).sort().map((name) => JSON.parse(readFileSync(join(out, name), 'utf8')));
    // What they refer to beside the patient stays behind.
    return bundles.flatMap(({ entry }) => entry)
        .filter(({ resource }) => resource.resourceType === 'Observation')
        .map(({ fullUrl, resource: { encounter, performer, hasMember, derivedFrom, ...record } }) => ({
            ...record,
            id: fullUrl.replace('urn:uuid:', ''),
            subject: { reference: 'Patient/many' },
        }));
}

async function load(records) {
    const entry = records.map((resource) => ({ resource, request: { method: 'PUT', url: `${resource.resourceType}/${resource.id}` } }));
    const response = await fetch(upstream, {
        method: 'POST',
        headers: { 'content-type': 'application/fhir+json' },
        body: JSON.stringify({ resourceType: 'Bundle', type: 'batch', entry }),
    });
    const answers = await response.json();
    const refused = answers.entry.filter(({ response: { status } }) => !status.startsWith('20'));
    if (refused.length > 0) throw new Error(`SEKMET refused ${JSON.stringify(refused[0])}`);
}

/** What the test may ask for. */
async function answer(request, response) {
    const chunks = await request.toArray();
    const asked = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {};
    const answers = {
        'POST /apps': () => {
            const id = randomUUID();
            apps.set(id, { tokens: [], seconds: 3600, ...asked });
            return { client_id: id };
        },
        'POST /expire': async () => {
            const { tokens } = apps.get(asked.client_id);
            await Promise.all(tokens.splice(0).map((token) => token.destroy()));
            return {};
        },
        'POST /many': async () => load(await ofCarebundle(asked.patients)).then(() => ({})),
        'GET /log': () => log,
    };
    try {
        const body = await answers[`${request.method} ${request.url}`]();
        response.setHeader('content-type', 'application/json').end(JSON.stringify(body));
    } catch (error) {
        response.writeHead(500).end(String(error.stack));
    }
}
