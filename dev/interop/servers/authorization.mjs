// oidc-provider, as the sign-in of a hospital: which apps, which patients, which scopes, and two plain pages for login and
// consent. What OAuth and OpenID Connect say is left to it.

import { createRequire } from 'node:module';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const TYPES = ['Patient', 'Observation', 'Condition'];
const SCOPES = ['openid', 'fhirUser', 'profile', 'offline_access', 'launch/patient', ...TYPES.map((type) => `patient/${type}.read`)];

export async function authorization({ modules, issuer, base, people, apps, log }) {
    const require = createRequire(join(modules, 'here.js'));
    const load = (name) => import(pathToFileURL(require.resolve(name)));
    const { Provider, errors } = await load('oidc-provider');
    const { createMemoryAdapter } = await load('oidc-provider/lib/adapters/memory_adapter.js');

    const memory = createMemoryAdapter();
    const secret = randomBytes(32).toString('hex');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const provider = new Provider(issuer, {
        adapter: (model) => (model === 'Client' ? { find: async (id) => metadata(id) } : memory(model)),
        clients: [{ client_id: 'gateway', client_secret: secret, redirect_uris: [], response_types: [], grant_types: [] }],
        jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'hospital-1', use: 'sig', alg: 'RS256' }] },
        cookies: { keys: [randomBytes(16).toString('hex')] },
        scopes: SCOPES,
        claims: { openid: ['sub'], fhirUser: ['fhirUser'], profile: [] },
        // The app reads who has signed in from the id_token, and not from another request.
        conformIdTokenClaims: false,
        // SMART asks for this scope without `prompt=consent`, without which oidc-provider ignores it.
        issueRefreshToken: async (_, client) => client.grantTypeAllowed('refresh_token'),
        extraParams: {
            aud(_, aud) {
                if (aud !== base) throw new errors.InvalidRequest(`aud must be ${base}`);
            },
        },
        features: { devInteractions: { enabled: false }, introspection: { enabled: true }, revocation: { enabled: true } },
        interactions: { url: (_, { uid }) => `/interaction/${uid}` },
        findAccount: (_, login) => people[login] && {
            accountId: login,
            claims: async () => ({ sub: login, fhirUser: `${base}/${people[login].fhirUser}` }),
        },
        ttl: { AccessToken: (_, __, client) => apps.get(client.clientId).seconds },
    });
    provider.on('access_token.saved', (token) => apps.get(token.clientId)?.tokens.push(token));
    provider.on('server_error', (_, error) => console.error(error));

    function metadata(id) {
        const app = apps.get(id);
        return app && {
            client_id: id,
            token_endpoint_auth_method: 'none',
            redirect_uris: [app.redirect_uri],
            grant_types: ['authorization_code', 'refresh_token'],
            response_types: ['code'],
        };
    }

    provider.use(async (context, next) => {
        await next();
        const { oidc } = context;
        const client = oidc?.client?.clientId ?? context.query.client_id ?? oidc?.body?.client_id;
        if (oidc?.route === 'token' && context.status === 200) {
            // SMART's launch context.
            context.body = { ...context.body, patient: people[oidc.entities.AccessToken.accountId].patient };
        }
        const lie = apps.get(client)?.answer_iss;
        const location = context.response.get('location');
        if (lie && location.includes('iss=')) {
            const address = new URL(location);
            address.searchParams.set('iss', lie);
            context.set('location', address.href);
        }
        log.push({
            server: 'authorization',
            method: context.method,
            target: context.url,
            origin: context.get('origin'),
            authorization: context.get('authorization'),
            body: oidc?.body ?? {},
            client,
            status: context.status,
            allowed: context.response.get('access-control-allow-origin'),
        });
    });
    const callback = provider.callback();

    /** Is this token good, and whose? RFC 7662. */
    async function introspect(token) {
        const response = await fetch(`${issuer}/token/introspection`, {
            method: 'POST',
            headers: { authorization: `Basic ${Buffer.from(`gateway:${secret}`).toString('base64')}` },
            body: new URLSearchParams({ token }),
        });
        return response.json();
    }

    async function serve(request, response) {
        try {
            await (request.url.startsWith('/interaction/') ? interact(request, response) : callback(request, response));
        } catch (error) {
            response.writeHead(500, { 'content-type': 'text/plain' }).end(String(error));
        }
    }

    /** Login, then consent; each shows its form and takes what it sends. */
    async function interact(request, response) {
        const { prompt, params, session } = await provider.interactionDetails(request, response);
        const form = request.method === 'POST' && new URLSearchParams(Buffer.concat(await request.toArray()).toString());
        const finish = (result) => provider.interactionFinished(request, response, result, { mergeWithLastSubmission: !result.login });
        if (prompt.name === 'login') {
            const login = form && form.get('username');
            if (people[login] && form.get('password') === 'epicepic1') return finish({ login: { accountId: login } });
            return show(response, `
                <label>User <input id="username" name="username"></label>
                <label>Password <input id="password" name="password" type="password"></label>
                <button id="sign-in">Sign in</button>`);
        }
        const asked = params.scope.split(' ');
        if (!form) {
            const box = (scope) => `<label><input type="checkbox" name="scope" value="${scope}" checked> ${scope}</label>`;
            return show(response, `${asked.filter((scope) => scope.startsWith('patient/')).map(box).join('')}
                <button id="allow" name="answer" value="allow">Allow</button>
                <button id="deny" name="answer" value="deny">Deny</button>`);
        }
        if (form.get('answer') !== 'allow') return finish({ error: 'access_denied', error_description: 'The patient said no.' });
        const isTicked = (scope) => !scope.startsWith('patient/') || form.getAll('scope').includes(scope);
        const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
        grant.addOIDCScope(asked.filter(isTicked).join(' '));
        grant.rejectOIDCScope(asked.filter((scope) => !isTicked(scope)).join(' '));
        return finish({ consent: { grantId: await grant.save() } });
    }

    const show = (response, form) => response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' })
        .end(`<!doctype html><html lang="en"><title>Hospital</title><h1>Hospital</h1><form method="post">${form}</form></html>`);

    return { issuer, serve, introspect };
}
