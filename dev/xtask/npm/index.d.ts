import type { AuthorizeOptions, Client, ReadyOptions } from './client/jhe-connect-client.js';

export type {
  AuthorizeOptions,
  Client,
  ConnectError,
  ObservationPage,
  ReadyOptions,
} from './client/jhe-connect-client.js';

/** Discovers the EHR's sign-in and sends the patient there. Resolves with the address that it goes to. */
export function authorize(options: AuthorizeOptions): Promise<string>;

/** Completes the sign-in on the page that the EHR sent the patient back to, once: a reload begins at `authorize`. */
export function ready(options?: ReadyOptions): Promise<Client>;
