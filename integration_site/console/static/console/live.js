// Parts of a page that update themselves: `data-live` names the topics of events that concern one,
// `data-live-execution` an execution whose steps it shows. A part is read again by its own htmx
// attributes, on the trigger `live`. All parts share one stream of events (`GET /events`).
//
// Not everything is told: `data-live-seconds` has a part read so often even so, `data-live-gap`
// never more often, however much happens. Without a stream, all are read every 15 seconds.
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
  const topicsOf = (part) => part.dataset.live.split(" ");
  const isOpen = () => stream !== null && stream.readyState === EventSource.OPEN;
  const gapOf = (part) => Number(part.dataset.liveGap || GAP_SECONDS);
  const age = (part) => (Date.now() - readAt.get(part.id)) / 1000;

  function read(part) {
    readAt.set(part.id, Date.now());
    part.dispatchEvent(new CustomEvent("live"));
  }

  // Read a part after a moment in which more may come, and not before its gap is over.
  function readSoon(part) {
    if (timers.has(part.id)) {
      return;
    }
    const wait = Math.max(GATHER_MS, (gapOf(part) - age(part)) * 1000);
    timers.set(
      part.id,
      setTimeout(() => {
        timers.delete(part.id);
        const now = document.getElementById(part.id);
        if (now?.dataset.live && !document.hidden) {
          read(now);
        }
      }, wait),
    );
  }

  function take(event) {
    const told = JSON.parse(event.data);
    const topics = told.topics || [told.topic];
    for (const part of parts()) {
      const own = part.dataset.liveExecution;
      const concerns = topicsOf(part).some((topic) => topics.includes(topic));
      if (concerns && (!own || !told.id || told.id === own)) {
        readSoon(part);
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
    const topics = [...new Set(shown.flatMap(topicsOf))].sort();
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
    stream.addEventListener("open", () => {
      for (const part of parts()) {
        readAt.set(part.id, readAt.get(part.id) - gapOf(part) * 1000);
        readSoon(part);
      }
    });
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
