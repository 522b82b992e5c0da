// Answers what a page of ours asks before it goes on. It listens no longer than until records move: what is measured then
// is the page alone.
'use strict';

{
  const yes = ['continue', 'yes-me', 'go-on', 'send'].map((name) => `[data-jc-action=${name}]`).join();
  const pressed = new WeakSet();
  const listening = new MutationObserver(() => {
    const screen = document.querySelector('[data-jhe-connect-screen]')?.dataset.jheConnectScreen;
    if (['leaving', 'importing', 'done', 'partly', 'failed'].includes(screen)) {
      listening.disconnect();
      return;
    }
    for (const button of document.querySelectorAll(yes)) {
      if (!pressed.has(button) && !button.disabled) {
        pressed.add(button);
        // After the script that has made it.
        setTimeout(() => button.click());
      }
    }
  });
  listening.observe(document, { subtree: true, childList: true, attributes: true });
}
