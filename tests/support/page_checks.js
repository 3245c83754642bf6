// What every page of the console has to keep to, beside what axe knows. Each gives a list of lines.

window.hubChecks = (() => {
  let known = [];
  const brief = (element) => element.outerHTML.replace(/\s+/g, " ").slice(0, 160);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = (element) =>
    element.checkVisibility({ visibilityProperty: true }) && element.getBoundingClientRect().width > 0;

  // A hint inside of a field is no label: it vanishes with the first letter.
  const labels = () =>
    all("input:not([type=hidden]), select, textarea")
      .filter((e) => seen(e) && !e.ariaLabel && !e.getAttribute("aria-labelledby") && !e.labels?.length)
      .map((e) => `no label: ${brief(e)}`);

  // Radio buttons and checkboxes are told apart by what they choose; rows by their own cells.
  const alikeFields = () => {
    const before = new Map();
    return all("form input:not([type=hidden], [type=radio], [type=checkbox]), form select, form textarea")
      .filter(seen)
      .filter((e) => {
        const name = (e.ariaLabel || e.labels?.[0]?.innerText || "").trim();
        const within = before.get(e.closest("tr, form")) || new Set();
        const isAlike = name && within.has(name);
        before.set(e.closest("tr, form"), within.add(name));
        return isAlike;
      })
      .map((e) => `two fields of one form with the same name: ${brief(e)}`);
  };

  const KEYS = "a[href], button, input, select, textarea, summary, label, [tabindex]";
  const mouseOnly = () =>
    all("[x-on\\:click]")
      .filter((e) => seen(e) && !e.matches(KEYS) && !e.querySelector("a[href], button, label"))
      .map((e) => `for a mouse only: ${brief(e)}`);

  const headings = () => {
    const count = all("h1").filter((e) => e.innerText.trim()).length;
    return count === 1 ? [] : [`${count} headings of the page`];
  };

  const wayPastTheMenu = () => {
    const first = document.querySelector("a[href]");
    const skips = first?.hash && document.querySelector(first.hash);
    return !document.querySelector("#nav-sidebar") || skips ? [] : ["no way past the menu"];
  };

  const loops = () =>
    all("header a[href]")
      .filter((e) => e.href === location.href)
      .map((e) => `leads to itself: ${brief(e)}`);

  const BUTTONS = "header li a, header button, #submit-row a, #submit-row button, #dialog button";
  const names = () => {
    const found = all(BUTTONS).filter(seen).map((e) => (e.ariaLabel || e.innerText).trim().toLowerCase());
    return found.filter((name, index) => found.indexOf(name) < index).map((name) => `two buttons ${name}`);
  };

  // Times have one form, with their zone.
  const halfDays = () => {
    const found = document.body.innerText.match(/.{0,30}\b[ap]\.m\./g) || [];
    return found.map((text) => `a time without its zone: ${text}`);
  };

  const ACRONYM = /\b(Url|Id|Api|Ttl|Http|Json|Uuid|Tls|Ssl|Sql|Dns|Ip)s?\b/;
  const acronyms = () =>
    all("label, th, dt, h1, h2, legend, [data-label]")
      .map((e) => e.dataset.label || e.textContent)
      .filter((text) => ACRONYM.test(text))
      .map((text) => `an acronym: ${text.trim()}`);

  // What Django names after models and fields gives no colours.
  const classes = (e) => [...e.classList].filter((name) => !/^(app|model|field|column)-/.test(name)).join(" ");

  const STYLES = "style, link";

  const tooWide = () => {
    const { scrollWidth, clientWidth } = document.documentElement;
    return scrollWidth > clientWidth ? [`${scrollWidth - clientWidth} px too wide at ${clientWidth}`] : [];
  };

  // A status that something is printed over, or an id without its last letters.
  const crowded = () => {
    const found = [];
    for (const row of all(".hub-row, tr.data-row").filter(seen)) {
      const parts = [...row.querySelectorAll(".hub-status, .hub-id, .hub-row-side, .hub-row-main, .hub-mono")].filter(seen);
      const boxes = parts.map((e) => [e, e.getBoundingClientRect()]);
      for (const [e, box] of boxes.filter(([e]) => e.matches(".hub-status, .hub-id"))) {
        const cell = e.closest("td, th, .hub-row > *").getBoundingClientRect();
        const isCut = box.right > cell.right + 1;
        const isOver = boxes.some(([other, { left, right, top, bottom }]) =>
          !other.contains(e) && !e.contains(other) &&
          left < box.right - 1 && right > box.left + 1 && top < box.bottom - 1 && bottom > box.top + 1);
        if (isCut || isOver) {
          found.push(`${isCut ? "cut" : "printed over"} at ${innerWidth}: ${brief(e)}`);
        }
      }
    }
    return found;
  };

  // What scrolls at this width has to be reached by keys.
  const unreachable = () => {
    const over = (value, all, shown) => /auto|scroll/.test(value) && all > shown + 1;
    return all("main *")
      .filter((e) => {
        const { overflowX, overflowY } = getComputedStyle(e);
        const scrolls = over(overflowX, e.scrollWidth, e.clientWidth) || over(overflowY, e.scrollHeight, e.clientHeight);
        return scrolls && e.checkVisibility() && e.tabIndex < 0 && !e.querySelector(KEYS);
      })
      .map((e) => `scrolls for a mouse only: ${brief(e)}`);
  };

  const own = () => [
    ...labels(), ...alikeFields(), ...mouseOnly(), ...headings(), ...wayPastTheMenu(), ...loops(), ...names(), ...acronyms(), ...halfDays(),
  ];

  // What follows from tags and classes is looked at once: texts that have the same on the way down
  // to them are known. Gives whether there is anything new.
  const findNew = (selector) => {
    const key = `seen in ${selector}`;
    const before = new Set(JSON.parse(sessionStorage.getItem(key) || "[]"));
    const seenNow = new Set(before);
    const hashes = new Map();
    const isNew = (e) => {
      const own = [e.tagName, classes(e), e.dataset.tone, e.dataset.kind, e.ariaCurrent];
      let hash = 0;
      for (const letter of `${hashes.get(e.parentElement)}>${own.join(" ")}`) {
        hash = (hash * 31 + letter.charCodeAt(0)) | 0;
      }
      hashes.set(e, hash);
      const says = !e.firstElementChild || [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
      if (says) {
        seenNow.add(hash);
      }
      const newOnes = [...e.children].filter(isNew);
      if (!newOnes.length && (!says || before.has(hash))) {
        return false;
      }
      const rest = [...e.children].filter((child) => !newOnes.includes(child));
      known.push(...rest.filter((child) => !child.matches(STYLES) && !child.querySelector(STYLES)));
      return true;
    };
    known = [];
    const found = isNew(document.querySelector(selector));
    sessionStorage.setItem(key, JSON.stringify([...seenNow]));
    return found;
  };

  return {
    own,
    wide: () => [...own(), ...tooWide(), ...crowded()],
    narrow: () => [...unreachable(), ...tooWide(), ...crowded()],
    findNew,

    // Leaves of a page what is new, if anything is.
    leaveNew: (selector) => {
      const found = findNew(selector);
      known.forEach((e) => e.remove());
      return found;
    },
  };
})();
