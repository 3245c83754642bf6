// A part of a page that updates itself must never be replaced by another page, such as the login
// page after the session ended: then the whole page is loaded again, which says what is wrong.
document.addEventListener("htmx:beforeSwap", (event) => {
  const target = event.detail.target;
  if (!["overview", "execution", "bulk"].includes(target.id)) {
    return;
  }
  const answer = event.detail.xhr;
  if (answer.status === 200 && !answer.responseText.includes(`id="${target.id}"`)) {
    event.detail.shouldSwap = false;
    window.location.reload();
  }
});
