// What the theme leaves out for those who work without a mouse or without seeing: names for what
// has only a picture, and keys for what only listens to clicks. Run on every part that comes in.

const ICON_WORDS = {
  close: "Close", more_horiz: "More", expand_more: "Expand", dock_to_right: "Show or hide the menu",
  more_vert: "What to do with this choice", filter_list: "Filters", unfold_more: "Account", add: "Add", delete: "Delete", search: "Search",
};
const OPERABLE = "a[href], button, input, select, textarea, summary, label, option";
const SCROLLING = ".hub-json, .hub-scroll, .hub-before, .hub-after";

function hideIcons(root) {
  for (const icon of root.querySelectorAll(".material-symbols-outlined:not([aria-hidden])")) {
    const parent = icon.parentElement;
    const owner = icon.matches("[x-on\\:click]") ? icon : parent.closest("a, button, [x-on\\:click]");
    const word = ICON_WORDS[icon.textContent.trim()];
    if (owner && word && !owner.title && !owner.ariaLabel) {
      const said = owner.innerText.replace(icon.textContent, "").trim();
      if (!said || owner === icon) {
        owner.ariaLabel = word;
      }
    }
    if (owner !== icon) {
      icon.ariaHidden = "true";
    }
  }
  for (const owner of root.querySelectorAll("a[title]:not([aria-label]), button[title]:not([aria-label])")) {
    owner.ariaLabel = owner.title;
  }
}

function makeOperable(root) {
  for (const element of root.querySelectorAll("[x-on\\:click]")) {
    // A layer behind a dialog closes it, for which there is the Escape key.
    const native = element.matches(OPERABLE) || element.querySelector(OPERABLE);
    if (native || element.id === "changelist-filter-close" || "operable" in element.dataset) {
      continue;
    }
    element.dataset.operable = "";
    element.role ??= "button";
    element.tabIndex = 0;
    element.addEventListener("keydown", (event) => {
      if (event.target === element && (event.key === "Enter" || event.key === " ")) {
        event.preventDefault();
        element.click();
      }
    });
  }
}

// A field of several inputs has a label for none of them: it is the nearest one.
function labelOf(field) {
  let label = field.labels?.[0];
  for (let box = field.parentElement; !label && box && !box.matches("td, fieldset, form"); box = box.parentElement) {
    label = box.querySelector("label");
  }
  return label;
}

function labelParts(root) {
  for (const field of root.querySelectorAll(".datetime input")) {
    const name = labelOf(field)?.textContent.replace("*", "").trim() || field.closest("td")?.dataset.label || "When";
    field.ariaLabel = `${name}: ${field.placeholder || "value"}`.toLowerCase().replace(/^./, (c) => c.toUpperCase());
  }
  for (const select of root.querySelectorAll("select.select2-hidden-accessible")) {
    const name = labelOf(select)?.textContent.replace("*", "").trim() || select.ariaLabel || "Choose";
    const box = select.nextElementSibling?.querySelector('[role="combobox"]');
    const shown = box?.querySelector('[role="textbox"]');
    box?.setAttribute("aria-label", name);
    box?.removeAttribute("aria-labelledby");
    shown?.removeAttribute("role");
    shown?.removeAttribute("aria-readonly");
  }
  for (const tip of root.querySelectorAll(".help-tooltip[aria-label]:not([role])")) {
    tip.role = "img";
  }
  for (const field of root.querySelectorAll(".selector input[placeholder]:not([aria-label])")) {
    const list = field.closest(".selector-available, .selector-chosen")?.querySelector("label, h2");
    field.ariaLabel = [list?.textContent.trim(), field.placeholder].filter(Boolean).join(": ");
  }
}

// On narrow screens a row is a line of words, in which an empty cell says nothing.
function shortenRows(root) {
  for (const cell of root.querySelectorAll("#result_list tr.data-row > :is(td, th)")) {
    cell.classList.toggle("hub-nothing", /^[–-]?$/.test(cell.textContent.trim()) && !cell.querySelector("input, img, a, [title]"));
    cell.dataset.label = (cell.dataset.label || "").replace(/^./, (first) => first.toUpperCase());
  }
}

// What scrolls can be reached by keyboard, what does not is no stop on the way.
function reachScrolling() {
  for (const box of document.querySelectorAll(SCROLLING)) {
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    box.toggleAttribute("tabindex", scrolls);
    if (scrolls) {
      box.tabIndex = 0;
    }
  }
  for (const [index, box] of document.querySelectorAll(".simplebar-content-wrapper").entries()) {
    const content = box.closest("[data-simplebar]");
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", content?.id === "nav-sidebar-apps" ? "Menu" : `Scrolling part ${index + 1}`);
    const scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
    box.tabIndex = scrolls ? 0 : -1;
  }
}

function improve(root) {
  hideIcons(root);
  makeOperable(root);
  labelParts(root);
  shortenRows(root);
  reachScrolling();
}

// Select2 builds its boxes when it likes, and Django its pairs of lists.
document.addEventListener("DOMContentLoaded", () => {
  const isBox = (node) => node.matches?.(".select2, .selector");
  new MutationObserver((changes) => {
    if (changes.some((change) => [...change.addedNodes].some(isBox))) {
      labelParts(document);
    }
  }).observe(document.body, { childList: true, subtree: true });
});
document.addEventListener("alpine:initialized", () => improve(document));
window.addEventListener("load", () => improve(document));
window.addEventListener("resize", reachScrolling);
document.addEventListener("toggle", reachScrolling, true);
document.addEventListener("htmx:load", (event) => improve(event.target));
document.addEventListener("formset:added", (event) => setTimeout(() => improve(event.target), 0));

// A dialog takes the focus when it opens, and gives it back to what opened it.
let opener = null;
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "modal-content") {
    opener = event.detail.requestConfig.elt;
    setTimeout(() => {
      const first = event.detail.target.querySelector("input:not([type=hidden]), textarea, select");
      (first || event.detail.target).focus();
    }, 50);
  }
});
document.addEventListener("keyup", (event) => {
  if (event.key === "Escape" && opener?.isConnected) {
    opener.focus();
    opener = null;
  }
});
