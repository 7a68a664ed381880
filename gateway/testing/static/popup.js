// Opens a window of the stand-in; resolves with what it tells the page, and rejects when it was closed or cancelled.
const standIn = new URL(document.currentScript.src).origin;

function askInWindow(url) {
  const opened = window.open(url, "stand-in", "popup,width=480,height=640");
  return new Promise((resolve, reject) => {
    const hear = ({ origin, source, data }) => {
      if (origin !== standIn || source !== opened) return;
      end();
      data.credential ? resolve(data.credential) : reject(new Error(data.error));
    };
    const watch = setInterval(() => opened.closed && setTimeout(() => (end(), reject(new Error("closed")))), 200);
    const end = () => (clearInterval(watch), removeEventListener("message", hear));
    addEventListener("message", hear);
  });
}
