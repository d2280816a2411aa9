// Replaces the regions marked `data-live` every few seconds, while the page is visible and nothing on it is being written or
// selected. Without this script the page has the same content, and a reload updates it.
"use strict";
const EVERY_MS = 5000;
const main = document.getElementById("main");
const pulse = document.getElementById("pulse");
const stale = document.getElementById("stale");
const from = main.dataset.from ?? location.href;
let shown = new Date();

// The answer to a form is of its moment. Reloading gives the plain page.
if (main.dataset.from) history.replaceState(null, "", main.dataset.from);

const say = (state, text) => {
  pulse.className = state;
  if (pulse.textContent !== text) pulse.textContent = text;
  pulse.hidden = false;
};

const isBusy = () => {
  const inputs = [...main.querySelectorAll("input:not([hidden])")];
  const isWriting = inputs.some((input) => input === document.activeElement || input.value !== input.defaultValue);
  const selection = getSelection();
  return isWriting || (!selection.isCollapsed && main.contains(selection.anchorNode));
};

// Replaces a region, and restores scrolled lists, opened details and the focus.
const put = (region, fresh) => {
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const id = focused?.id;
  const link = focused?.getAttribute("href");
  const tops = [...region.querySelectorAll(".lines")].map((list) => [list.id, list.scrollTop]);
  const open = [...region.querySelectorAll("details[open]")].map((details) => details.id);
  const onSummary = focused?.closest("summary")?.parentElement.id;
  region.replaceChildren(...fresh.childNodes);
  open.forEach((own) => { const details = document.getElementById(own); if (details) details.open = true; });
  tops.forEach(([own, top]) => { const list = document.getElementById(own); if (list) list.scrollTop = top; });
  const again = (id && document.getElementById(id))
    || (link && region.querySelector(`a[href="${CSS.escape(link)}"]`))
    || (onSummary && document.getElementById(onSummary)?.querySelector("summary"));
  again?.focus({ preventScroll: true });
};

const refresh = async () => {
  if (document.hidden) return;
  if (isBusy()) return say("paused", "Paused while you write or select");
  const answer = await fetch(from, { headers: { accept: "text/html" } });
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (isBusy()) return;
  for (const region of main.querySelectorAll("[data-live]")) {
    const own = fresh.getElementById(region.id);
    if (own && own.innerHTML !== region.innerHTML) put(region, own);
  }
  document.title = fresh.title;
  document.getElementById("icon").href = fresh.getElementById("icon").href;
  shown = new Date();
  stale.hidden = true;
  say("live", "Live");
};

const failed = (error) => {
  const why = error instanceof TypeError ? "the server does not answer" : error.message;
  say("lost", "Not up to date");
  const text = `What is shown is of ${shown.toLocaleTimeString()}: ${why}.`;
  if (stale.textContent !== text) stale.textContent = text;
  stale.hidden = false;
};

const look = () => refresh().catch(failed);
setInterval(look, EVERY_MS);
document.addEventListener("visibilitychange", look);
say("live", "Live");
