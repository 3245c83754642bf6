// Parts of a page that update themselves: `data-live` names the topics of events that concern one,
// `data-live-execution` an execution whose steps it shows. A part is read again by its own htmx
// attributes, on the trigger `live`. All parts share one stream of events (`GET /events`).
//
// However much happens, a part is read every two seconds at most, or as many as stand behind a
// topic: `executions:10`. As not everything is told, `data-live-seconds` has it read so often even
// so. Without a stream, all are read every 15 seconds.
(() => {
  const GATHER_MS = 300;
  const GAP_SECONDS = 2;
  const CUT_SECONDS = 15;

  let stream = null;
  let address = "";
  let retryAt = 0;
  // When a part was read last, and the timer of the next time, by its id.
  const readAt = new Map();
  const timers = new Map();

  const parts = () => [...document.querySelectorAll("[data-live]")];
  // From each topic that concerns a part to the seconds between two readings for it.
  const gapsOf = (part) =>
    new Map(part.dataset.live.split(" ").map((word) => {
      const [topic, gap] = word.split(":");
      return [topic, Number(gap || GAP_SECONDS)];
    }));
  // A part that is fetched once the page is there has just been read when the stream opens.
  const ownGap = (part) =>
    /\bload\b/.test(part.getAttribute("hx-trigger")) ? Math.min(...gapsOf(part).values()) : 0;
  const isOpen = () => stream !== null && stream.readyState === EventSource.OPEN;
  const age = (part) => (Date.now() - readAt.get(part.id)) / 1000;

  function read(part) {
    clearTimeout(timers.get(part.id)?.timer);
    timers.delete(part.id);
    readAt.set(part.id, Date.now());
    part.dispatchEvent(new CustomEvent("live"));
  }

  // Read a part after a moment in which more may come, and not before the gap is over.
  function readSoon(part, gap) {
    const wait = Math.max(GATHER_MS, (gap - age(part)) * 1000);
    const due = Date.now() + wait;
    const planned = timers.get(part.id);
    if (planned && planned.due <= due) {
      return;
    }
    clearTimeout(planned?.timer);
    const timer = setTimeout(() => {
      timers.delete(part.id);
      const now = document.getElementById(part.id);
      if (now?.dataset.live && !document.hidden) {
        read(now);
      }
    }, wait);
    timers.set(part.id, { due, timer });
  }

  function take(event) {
    const told = JSON.parse(event.data);
    for (const part of parts()) {
      const own = part.dataset.liveExecution;
      if (own && told.id && told.id !== own) {
        continue;
      }
      const gaps = gapsOf(part);
      for (const topic of told.topics || [told.topic]) {
        if (gaps.has(topic)) {
          readSoon(part, gaps.get(topic));
        }
      }
    }
  }

  function close() {
    stream?.close();
    stream = null;
    address = "";
  }

  // Open the one stream that the parts of this page need, unless it is open already.
  function follow() {
    const shown = document.hidden ? [] : parts();
    for (const part of shown) {
      if (!readAt.has(part.id)) {
        readAt.set(part.id, Date.now());
      }
    }
    if (shown.length === 0) {
      close();
      return;
    }
    const topics = [...new Set(shown.flatMap((part) => [...gapsOf(part).keys()]))].sort();
    const executions = shown.map((part) => part.dataset.liveExecution).filter(Boolean);
    const query = new URLSearchParams({ topics: topics.join(",") });
    if (executions.length > 0) {
      query.set("executions", [...new Set(executions)].join(","));
    }
    const wanted = `/api/events?${query}`;
    if (wanted === address || Date.now() < retryAt) {
      return;
    }
    close();
    address = wanted;
    stream = new EventSource(wanted);
    for (const type of [...topics, "reset"]) {
      stream.addEventListener(type, take);
    }
    // What happened since the page was made, and while nobody listened, was not heard.
    stream.addEventListener("open", () => parts().forEach((part) => readSoon(part, ownGap(part))));
    stream.addEventListener("error", () => {
      if (stream?.readyState === EventSource.CLOSED) {
        close(); // it was refused: the browser does not try again
        retryAt = Date.now() + CUT_SECONDS * 1000;
      }
    });
  }

  function tick() {
    follow();
    if (document.hidden) {
      return;
    }
    for (const part of parts()) {
      const own = Number(part.dataset.liveSeconds || Infinity);
      if (age(part) >= (isOpen() ? own : Math.min(own, CUT_SECONDS))) {
        read(part);
      }
    }
  }

  // Who may not read a part any more, or logged out, does not ask again.
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.xhr?.status === 286) {
      event.detail.elt.removeAttribute("data-live");
    }
  });

  document.addEventListener("DOMContentLoaded", follow);
  document.addEventListener("visibilitychange", follow);
  document.addEventListener("htmx:afterSettle", follow);
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", follow);
  setInterval(tick, 1000);
})();
