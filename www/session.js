  // What the page around is told: each journey is a session, and whatever is told of it an event (docs/embedding.md).
  // `cargo xtask dist` puts this into all scripts.
  //
  // What a screen means is said by the module. Which session it belongs to is decided here, since a session may end where
  // no module can be loaded, or one has crashed.
  const SESSION = 'jhe-connect:3:session';
  // By element.
  const sessions = new WeakMap();

  // Begins the session of a page that was opened, or takes up the one that this tab keeps.
  function openSession(out, isConnectPage) {
    const caller = settings.caller == null ? null : String(settings.caller);
    // Tells one invitation, for one caller, from another, and nobody which one it was.
    let mark = 0;
    for (const letter of isConnectPage ? [new URLSearchParams(location.search).get('code'), caller].join() : '') {
      mark = (mark * 31 + letter.charCodeAt()) % 1e9;
    }
    let kept;
    try {
      kept = JSON.parse(sessionStorage.getItem(SESSION));
    } catch (_) {}
    const isSame = kept && kept.mark === mark;
    if (isConnectPage ? !isSame || kept.ended : !kept) {
      if (kept) {
        sessions.set(out, kept);
        endSession(out, 'cancelled', 'embed.superseded');
      }
      kept = newSession(caller, mark, isSame && kept.canGoOn ? kept.common.session : null);
    }
    beginSession(out, kept);
  }

  // Its id is random, and no secret.
  function newSession(caller, mark, continues) {
    const session = crypto.getRandomValues(new Uint32Array(4)).join('-');
    return { common: { version: 1, session, caller, continues }, mark, step: null, ended: null };
  }

  function beginSession(out, session) {
    // Another page shows its first screen, also if the last one showed the same.
    session.told = '';
    sessions.set(out, session);
    tell(out, 'ready', { ended: session.ended });
  }

  // What the module says, parted by spaces: `progress`, and two counts; or `step` or how it ended, step, screen, code, and of
  // an end whether the patient can go on.
  function report(out, text) {
    let session = sessions.get(out);
    const told = text.split(' ');
    const isEnd = told[4];
    if (!session || session.told === text || (session.ended && isEnd)) {
      return;
    }
    if (session.ended) {
      // The patient goes on where the session had ended, or the page does so by itself.
      session = newSession(session.common.caller, session.mark, session.common.session);
      beginSession(out, session);
    }
    session.told = text;
    const detail =
      told[0] === 'progress'
        ? { done: +told[1], all: told[2] ? +told[2] : null }
        : { step: (session.step = told[1] || session.step), screen: told[2] || null, code: told[3] || null };
    if (isEnd) {
      session.ended = told[0];
      session.canGoOn = detail.canGoOn = isEnd === 'yes';
    }
    tell(out, told[0], detail);
  }

  // Ends the session of an element, unless it has ended. What the module says of that element afterwards is not told.
  function endSession(out, event, code) {
    report(out, event + '   ' + code + ' no');
    sessions.delete(out);
  }

  function isUnderWay(out) {
    const session = sessions.get(out);
    return session && !session.ended;
  }

  function tell(out, name, detail) {
    const session = sessions.get(out);
    try {
      sessionStorage.setItem(SESSION, JSON.stringify(session));
    } catch (_) {
      // Then another page of the journey begins a session of its own.
    }
    (out.closest('jhe-connect') || out).dispatchEvent(
      new CustomEvent('jhe-connect:' + name, {
        bubbles: true,
        composed: true,
        detail: Object.assign({}, session.common, detail),
      }),
    );
  }
