// A part of a page that updates itself must never be replaced by another page, such as the login
// page after the session ended: then the whole page is loaded again, which says what is wrong.
document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.detail.target;
  if (!["overview", "execution", "bulk", "outcome"].includes(target.id)) {
    return;
  }
  const answer = event.detail.xhr;
  if (answer.status === 200 && !answer.responseText.includes(`id="${target.id}"`)) {
    event.detail.shouldSwap = false;
    window.location.reload();
  }
});

// A button copies the text of the element that it names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) {
    return;
  }
  const word = button.querySelector("[data-copied]");
  const text = document.getElementById(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    word.textContent = word.dataset.copied;
  } catch {
    word.textContent = "Select and copy it";
  }
});
