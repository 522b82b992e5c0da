export type * from './element/jhe-connect.js';

/**
 * Loads the element `<jhe-connect>` and `window.jheConnect`, once. `folder` is the address of the package's folder `element`
 * as your server serves it, with a slash at its end; without one it is looked for beside this module, which only pages without a
 * bundler have.
 */
export function load(folder?: string | URL): Promise<void>;
