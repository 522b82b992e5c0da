// The element <jhe-connect>. Its script is a classic one, which finds its modules beside itself: it is loaded as a file, and
// never part of a bundle.
let loading;

export function load(folder = new URL('./element/', import.meta.url)) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = new URL('jhe-connect.js', new URL(folder, document.baseURI)).href;
    script.onload = () => resolve();
    script.onerror = () => {
      // What could not be fetched is asked for again at the next call.
      loading = undefined;
      script.remove();
      reject(new Error(`${script.src} could not be loaded`));
    };
    document.head.append(script);
  });
  return loading;
}
