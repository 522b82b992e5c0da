// www/session.js against a model of what the manual says, in many random sequences: pages that are opened, screens that
// are shown, elements that go, storages that are lost. Run by tests/contract.rs, with a seed.
import { readFileSync } from 'node:fs';

const [file, seed, count] = process.argv.slice(2);
const source = readFileSync(file, 'utf8');
let state = BigInt(seed) | 1n;

function below(end) {
  state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
  return Number((state >> 33n) % BigInt(end));
}

function one(list) {
  return list[below(list.length)];
}

class FakeEvent {
  constructor(type, options) {
    Object.assign(this, { type }, options);
  }
}

// A page: the script as it is when it has just been loaded, with the storage of its tab.
function page(storage, told, address, caller) {
  const out = {
    closest: () => null,
    dispatchEvent: (event) => told.push({ name: event.type.replace('jhe-connect:', ''), bubbles: event.bubbles, ...event.detail }),
  };
  const scope = {
    settings: { caller },
    location: { search: address },
    sessionStorage: storage,
    CustomEvent: FakeEvent,
  };
  const body = `${source}; return { openSession, report, endSession, isUnderWay };`;
  return { out, ...new Function(...Object.keys(scope), body)(...Object.values(scope)) };
}

function tab() {
  const kept = new Map();
  return {
    isDenied: false,
    kept,
    getItem(key) {
      if (this.isDenied) throw new Error('denied');
      return kept.has(key) ? kept.get(key) : null;
    },
    setItem(key, text) {
      if (this.isDenied) throw new Error('denied');
      kept.set(key, text);
    },
  };
}

const STEPS = ['', 'hospital', 'agree', 'sign-in', 'check', 'copy'];
const ENDS = ['complete', 'partly', 'cancelled', 'failed'];

function fail(message, did, told) {
  const lines = told.map((event) => JSON.stringify(event)).join('\n');
  throw new Error(`${message}\nafter ${did.join(', ')}\n${lines}`);
}

function journey() {
  const storage = tab();
  const told = [];
  const did = [];
  // The model: the session that the tab is in, and what is expected next.
  let session = null;
  let open = null;
  let isKept = true;
  const expected = [];
  const expectBegin = (caller, mark, continues) => {
    session = { number: (session ? session.last : 0) + 1, caller, mark, continues, ended: null, canGoOn: false, step: null, told: null };
    session.last = session.number;
    expected.push({ name: 'ready', session: session.number, caller, continues, ended: null });
  };
  const next = (name, detail) =>
    expected.push({ name, session: session.number, caller: session.caller, continues: session.continues, ...detail });
  const forget = () => {
    session = session && { ...session, isLost: true };
  };

  for (let turn = 2 + below(14); turn > 0; turn -= 1) {
    const what = open ? below(10) : below(3);
    if (what < 2) {
      const isConnect = below(3) > 0;
      const invitation = one(['A', 'B']);
      const caller = one([undefined, 'x', 'y']);
      const mark = `${invitation} ${caller}`;
      if (!isKept) forget();
      did.push(`open ${isConnect ? `connect ${mark}` : 'callback'}`);
      const known = session && !session.isLost ? session : null;
      const text = caller === undefined ? null : caller;
      if (isConnect ? known && known.mark === mark && !known.ended : known) {
        session.told = null;
        next('ready', { ended: session.ended });
      } else {
        if (known && !known.ended) {
          next('cancelled', { step: known.step, screen: null, code: 'embed.superseded', canGoOn: false });
        }
        const goesOn = known && known.ended && known.canGoOn && known.mark === mark;
        expectBegin(text, isConnect ? mark : 'callback', goesOn ? known.number : null);
      }
      open = page(storage, told, isConnect ? `?code=${invitation}` : '?code=answer', caller);
      open.openSession(open.out, isConnect);
    } else if (what === 2) {
      const how = below(6);
      if (how === 0) {
        did.push('the storage is emptied');
        storage.kept.clear();
        forget();
        // What is told on the page that is open is kept again.
        if (open && open.isUnderWay(open.out)) session.isLost = true;
      } else if (how === 1 && !open) {
        did.push('the storage is denied');
        storage.isDenied = true;
        isKept = false;
      }
      if (how === 0) open = null;
    } else if (what < 7) {
      const step = one(STEPS);
      const screen = one(['checking', 'sharing', 'importing']);
      const text = `step ${step} ${screen} `;
      did.push(text);
      if (session.ended) expectBegin(session.caller, session.mark, session.number);
      if (session.told !== text) {
        session.told = text;
        session.step = step || session.step;
        next('step', { step: session.step, screen, code: null });
      }
      open.report(open.out, text);
    } else if (what === 7) {
      const done = below(3);
      const all = one(['', 3]);
      const text = `progress ${done} ${all}`;
      did.push(text);
      if (session.ended) expectBegin(session.caller, session.mark, session.number);
      if (session.told !== text) {
        session.told = text;
        next('progress', { done, all: all || null });
      }
      open.report(open.out, text);
    } else if (what === 8) {
      const name = one(ENDS);
      const canGoOn = below(2) === 0;
      const code = one(['', 'pull.refused']);
      const text = `${name}  ${name} ${code} ${canGoOn ? 'yes' : 'no'}`;
      did.push(text);
      if (!session.ended) {
        session.told = text;
        Object.assign(session, { ended: name, canGoOn });
        next(name, { step: session.step, screen: name, code: code || null, canGoOn });
      }
      open.report(open.out, text);
    } else {
      const code = one(['embed.removed', 'browser.load_failed']);
      const name = code === 'embed.removed' ? 'cancelled' : 'failed';
      did.push(code);
      if (!session.ended) {
        Object.assign(session, { ended: name, canGoOn: false });
        next(name, { step: session.step, screen: null, code, canGoOn: false });
      }
      open.endSession(open.out, name, code);
      // Whatever its module says now, nobody hears.
      open.report(open.out, 'step agree sharing ');
      open.report(open.out, 'failed  failed x no');
      open = null;
    }
  }

  // The numbers of the model are the ids that were told, in the order of their beginning.
  const ids = new Map();
  const numbered = told.map((event) => {
    if (event.version !== 1 || !event.bubbles) fail('not as every event', did, told);
    if (!/^\d+-\d+-\d+-\d+$/.test(event.session)) fail('no id', did, told);
    if (!ids.has(event.session)) ids.set(event.session, ids.size + 1);
    const { version, bubbles, ...rest } = event;
    const continues = rest.continues === null ? null : ids.get(rest.continues);
    return { ...rest, session: ids.get(event.session), continues };
  });
  const sorted = (event) => JSON.stringify(Object.entries(event).sort());
  expected.forEach((event, place) => {
    if (!numbered[place] || sorted(numbered[place]) !== sorted(event)) {
      fail(`expected ${sorted(event)}, found ${numbered[place] && sorted(numbered[place])}`, did, told);
    }
  });
  if (numbered.length !== expected.length) fail('more was told than expected', did, told);

  // And what the model could have wrong: one end a session, nothing after it but that the page is there again.
  for (const id of ids.keys()) {
    const events = told.filter((event) => event.session === id);
    const ends = events.filter((event) => ENDS.includes(event.name));
    if (ends.length > 1) fail('two ends', did, told);
    if (events[0].name !== 'ready' || events[0].ended !== null) fail('no beginning', did, told);
    const after = ends.length ? events.slice(events.indexOf(ends[0]) + 1) : [];
    if (after.some((event) => event.name !== 'ready' || event.ended !== ends[0].name)) fail('something after the end', did, told);
  }
  return told.length;
}

let all = 0;
for (let number = 0; number < Number(count); number += 1) {
  all += journey();
}
console.log(`${count} journeys, ${all} events`);
