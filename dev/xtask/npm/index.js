// The two verbs for pages of your own. The module is fetched at the first call, from beside this file.
import start, { authorize as begin, ready as finish } from './client/jhe-connect-client.js';

let started;

function module() {
  // What could not be fetched is asked for again at the next call.
  started ??= start().catch((error) => {
    started = undefined;
    throw error;
  });
  return started;
}

export async function authorize(options) {
  await module();
  return begin(options);
}

export async function ready(options) {
  await module();
  return finish(options);
}
