// Asks a model over the API, as a program would, and shows its answer as it comes.
(() => {
  const form = document.getElementById("model-try");
  if (!form) {
    return;
  }
  const byId = (id) => document.getElementById(id);
  const [outcome, answer, state, facts, stop] =
    ["try-outcome", "try-answer", "try-state", "try-facts", "try-stop"].map(byId);
  let asking = null;

  // The variables of a prompt of the library that were filled in.
  function variablesOf(data) {
    return Object.fromEntries([...data].filter(([name, value]) => name.startsWith("variable:") && value)
      .map(([name, value]) => [name.slice("variable:".length), value]));
  }

  function askedOf(data) {
    if (data.get("prompt_name")) {
      return { prompt: { name: data.get("prompt_name"), variables: variablesOf(data) } };
    }
    const messages = [{ role: "user", content: data.get("prompt") }];
    if (data.get("system").trim()) {
      messages.unshift({ role: "system", content: data.get("system") });
    }
    return { messages };
  }

  function bodyOf(data) {
    const body = { model: data.get("model"), ...askedOf(data), stream: true, stream_options: { include_usage: true } };
    for (const name of ["max_tokens", "temperature"]) {
      if (data.get(name)) {
        body[name] = Number(data.get(name));
      }
    }
    return body;
  }

  function tell(name, value) {
    if (value === null || value === undefined || value === "") {
      return;
    }
    const row = document.createElement("div");
    const [term, words] = ["dt", "dd"].map((tag) => row.appendChild(document.createElement(tag)));
    term.textContent = name;
    words.textContent = value;
    facts.append(row);
  }

  function refuse(error) {
    const line = document.createElement("p");
    line.className = "hub-refused";
    line.textContent = `${error.message || "It failed."} ${error.code || ""}`.trim();
    facts.before(line);
  }

  // Take one event of the stream; return whether it was the last.
  function take(text, usage) {
    const data = text.split("\n").filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart()).join("\n");
    if (!data) {
      return false;
    }
    if (data === "[DONE]") {
      return true;
    }
    const chunk = JSON.parse(data);
    if (chunk.error) {
      throw chunk.error;
    }
    usage.last = chunk.usage || usage.last;
    for (const choice of chunk.choices || []) {
      const delta = choice.delta || {};
      answer.append(delta.content || delta.refusal || "");
    }
    return false;
  }

  async function read(response, usage) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      text += value || "";
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) {
        if (take(event, usage)) {
          return;
        }
      }
      if (done) {
        throw { message: "The answer broke off.", code: "stream_cut" };
      }
    }
  }

  async function ask(data) {
    const begun = performance.now();
    const headers = { "Content-Type": "application/json", "X-CSRFToken": data.get("csrfmiddlewaretoken") };
    if (data.get("project").trim()) {
      headers["X-Project-ID"] = data.get("project").trim();
    }
    const response = await fetch(form.dataset.url, {
      method: "POST", headers, body: JSON.stringify(bodyOf(data)), signal: asking.signal,
    });
    if (!response.ok) {
      const refusal = await response.json();
      throw refusal.error || { message: refusal.detail, code: refusal.code };
    }
    const usage = { last: null };
    tell("Served by", response.headers.get("X-Model"));
    tell("Route", response.headers.get("X-Route"));
    tell("Attempts", response.headers.get("X-Attempts"));
    try {
      await read(response, usage);
    } finally {
      tell("Took", `${((performance.now() - begun) / 1000).toFixed(1)} s`);
    }
    if (usage.last) {
      tell("Tokens", `${usage.last.prompt_tokens} in, ${usage.last.completion_tokens} out`);
      tell("Cost", usage.last.cost === undefined ? "" : `$${usage.last.cost}`);
    }
    tell("Request", response.headers.get("X-Model-Request-ID"));
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    asking?.abort();
    const mine = asking = new AbortController();
    outcome.querySelectorAll(".hub-refused").forEach((line) => line.remove());
    answer.textContent = facts.textContent = "";
    outcome.hidden = stop.hidden = false;
    state.textContent = "Asking…";
    try {
      await ask(new FormData(form));
      state.textContent = "Done";
    } catch (error) {
      if (mine !== asking) {
        return;
      }
      state.textContent = error.name === "AbortError" ? "Stopped" : "Failed";
      if (error.name !== "AbortError") {
        refuse(error);
      }
    } finally {
      stop.hidden = mine === asking;
    }
  });
  byId("try-preview")?.addEventListener("click", async () => {
    const data = new FormData(form);
    if (!form.reportValidity()) {
      return;
    }
    asking?.abort();
    asking = null;
    outcome.querySelectorAll(".hub-refused").forEach((line) => line.remove());
    answer.textContent = facts.textContent = "";
    outcome.hidden = false;
    stop.hidden = true;
    const response = await fetch(`/api/models/prompts/${data.get("prompt_id")}/render`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-CSRFToken": data.get("csrfmiddlewaretoken") },
      body: JSON.stringify({ variables: variablesOf(data) }),
    });
    const told = await response.json();
    state.textContent = response.ok ? "What a model would be told" : "Failed";
    if (!response.ok) {
      refuse({ message: told.detail, code: told.code });
      return;
    }
    answer.textContent = told.messages.map((each) => `${each.role}: ${each.content}`).join("\n\n");
  });
  stop.addEventListener("click", () => asking?.abort());
})();
