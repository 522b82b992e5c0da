// What stands between a FHIR server without access control and the world: the patient of the token, its scopes, and which pages
// may read. Everything else, records and paging, is the FHIR server's.

const outcome = (code, diagnostics) => JSON.stringify({ resourceType: 'OperationOutcome', issue: [{ severity: 'error', code, diagnostics }] });

export function gateway({ base, upstream, provider, people, apps, log }) {
    return async (request, response) => {
        const { pathname, search, searchParams } = new URL(request.url, base);
        const path = pathname.replace(/^\/fhir\/?/, '');
        const { origin = '', authorization = '' } = request.headers;
        const entry = { server: 'fhir', method: request.method, target: request.url, origin, authorization, body: {}, headers: request.headers };
        log.push(entry);

        // Anyone may ask where to sign in; records are for pages of registered apps.
        const isForAll = path === '.well-known/smart-configuration';
        const isKnown = [...apps.values()].some((app) => app.origin === origin);
        response.setHeader('vary', 'origin');
        if (isForAll || isKnown) response.setHeader('access-control-allow-origin', entry.allowed = isForAll ? '*' : origin);
        const send = (status, type, body, headers = {}) => {
            entry.status = status;
            response.writeHead(status, { 'content-type': type, ...headers }).end(body);
        };
        const refuse = (status, code, why, headers) => send(status, 'application/fhir+json', outcome(code, why), headers);

        if (request.method === 'OPTIONS') {
            return send(204, 'text/plain', '', isKnown ? { 'access-control-allow-methods': 'GET', 'access-control-allow-headers': 'authorization, accept' } : {});
        }
        if (request.method !== 'GET') return refuse(405, 'not-supported', 'This server is read only.');
        if (isForAll) {
            const found = await (await fetch(`${provider.issuer}/.well-known/openid-configuration`)).json();
            const capabilities = ['launch-standalone', 'client-public', 'context-standalone-patient', 'permission-patient', 'permission-v1', 'permission-offline', 'sso-openid-connect'];
            return send(200, 'application/json', JSON.stringify({ ...found, capabilities }));
        }
        if (path !== 'metadata') {
            const token = await provider.introspect(authorization.replace(/^Bearer /, ''));
            if (!token.active) return refuse(401, 'login', 'The token is not good (any more).', { 'www-authenticate': 'Bearer error="invalid_token"' });
            entry.client = token.client_id;
            const { patient } = people[token.sub];
            const [type, id] = path.split('/');
            if (!token.scope.split(' ').includes(`patient/${type}.read`)) return refuse(403, 'forbidden', `No scope for ${type}.`);
            const isOfPatient = id ? type === 'Patient' && id === patient : searchParams.get('patient') === patient;
            if (!isOfPatient) return refuse(403, 'forbidden', 'This is not the patient of the token.');
        }
        const answer = await fetch(`${upstream}/${path}${search}`, { headers: { accept: request.headers.accept ?? '*/*' } });
        return send(answer.status, answer.headers.get('content-type'), await answer.text());
    };
}
