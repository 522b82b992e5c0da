// Types of jhe-connect.js: the element <jhe-connect>, the functions, and the events of both (docs/embedding.md).
// Events of one version never change. The drop-ins and the plain pages dispatch the same ones.

__CONFIG_TYPES__

/** A step of the journey, as the patient sees it. */
export type JheConnectStep = "hospital" | "agree" | "sign-in" | "check" | "copy";

/** How a session ended: the name of its last event. */
export type JheConnectOutcome = "complete" | "partly" | "cancelled" | "failed";

/** What is in every event. Never a token, never health data: no name, no kind of records, no hospital. */
export interface JheConnectDetail {
  /** The version of this contract. */
  version: 1;
  /** An id of this journey: random, and no secret. */
  session: string;
  /** The page's own id of it: what it gave as `caller`. */
  caller: string | null;
  /** The session that had ended, and that this one goes on with. */
  continues: string | null;
}

/** A page of the journey is there. */
export interface JheConnectReady extends JheConnectDetail {
  /** How the session ended, on a page that was loaded again afterwards; null while it is under way. */
  ended: JheConnectOutcome | null;
}

/** Another screen is shown. */
export interface JheConnectStepDetail extends JheConnectDetail {
  /** The last step that the patient came to. */
  step: JheConnectStep | null;
  /** Its name. */
  screen: string;
  /** The code of what the patient is told of, if something is wrong. */
  code: string | null;
}

/** Records are read, or copied: at most every 200 ms, and once more at the end. */
export interface JheConnectProgress extends JheConnectDetail {
  /** How many records were found (before the patient decides to send them), or copied. */
  done: number;
  /** How many there are, as soon as the hospital has said so. */
  all: number | null;
}

/** The session has ended: no further event is of it. */
export interface JheConnectEnd extends JheConnectDetail {
  /** The last step that the patient came to. */
  step: JheConnectStep | null;
  /** The name of the screen; null where none was shown. */
  screen: string | null;
  /** The code of what went wrong, or of what the patient refused. */
  code: string | null;
  /** Is the patient offered a way on? Taking it begins a further session, which `continues` this one. */
  canGoOn: boolean;
}

/** All events, by name. */
export interface JheConnectEventMap {
  "jhe-connect:ready": CustomEvent<JheConnectReady>;
  "jhe-connect:step": CustomEvent<JheConnectStepDetail>;
  "jhe-connect:progress": CustomEvent<JheConnectProgress>;
  "jhe-connect:complete": CustomEvent<JheConnectEnd>;
  "jhe-connect:partly": CustomEvent<JheConnectEnd>;
  "jhe-connect:cancelled": CustomEvent<JheConnectEnd>;
  "jhe-connect:failed": CustomEvent<JheConnectEnd>;
}

/** The element. It begins when it is in the page and has a configuration. */
export interface JheConnectElement extends HTMLElement {
  /** Which page of the journey this is: where the invitation leads, or where the hospital sends the patient back to. */
  page: "connect" | "callback";
  /** The configuration. The attribute `config` names an element that holds it as JSON, by a selector. */
  config: PageConfig | string | undefined;
  /** The page's own id of this journey. Nothing that says who the patient is. */
  caller: string | null;
}

/** The same without the element: what is begun is inside `out`, and its events bubble through it. */
export interface JheConnect {
  /** Begins a connect page. */
  start(out: HTMLElement, config: PageConfig | string, picker?: HospitalPicker): void;
  /** Goes on, on a callback page. */
  finish(out: HTMLElement, config: PageConfig | string): void;
}

declare global {
  interface Window {
    jheConnect: JheConnect;
  }
  interface HTMLElementTagNameMap {
    "jhe-connect": JheConnectElement;
  }
  interface HTMLElementEventMap extends JheConnectEventMap {}
  interface DocumentEventMap extends JheConnectEventMap {}
}
