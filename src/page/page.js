// Puts the parts of the page that the server sends in their places, shows times as ages, and copies commands.
"use strict";

const connection = document.getElementById("connection");

function connect() {
  // The address may have a token, and the server asks for it here too.
  const source = new EventSource("events" + location.search);
  source.addEventListener("open", () => say("live", "live"));
  source.addEventListener("part", (event) => {
    const [id, html] = JSON.parse(event.data);
    put(document.getElementById(id), html);
  });
  source.addEventListener("error", () => {
    say("lost", "connection lost, trying again");
    // A browser goes on by itself, but not after an answer that is an error.
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  });
}

// Parts that wait for the end of a click.
const later = new Map();
for (const name of ["pointerup", "pointercancel", "keyup"]) {
  addEventListener(name, () => setTimeout(() => {
    const parts = [...later];
    later.clear();
    for (const [element, html] of parts) put(element, html);
  }));
}

function say(state, text) {
  connection.className = state;
  connection.textContent = text;
}

// Replaces what an element holds. What was open stays open, what was scrolled stays where it was, and whoever works
// by the keyboard stays where they are.
function put(element, html) {
  if (!element) return;
  // Whoever presses a button there, or selects text, isn't interrupted.
  if (element.matches(":active")) {
    later.set(element, html);
    return;
  }
  // What was held back is older.
  later.delete(element);
  const open = new Map();
  for (const details of element.querySelectorAll("details[open]")) {
    open.set(details.dataset.key, details.querySelector("pre")?.scrollTop ?? 0);
  }
  const scrolled = element.querySelector(".past")?.scrollTop ?? 0;
  const focused = element.contains(document.activeElement) ? place(element, document.activeElement) : undefined;
  element.innerHTML = html;
  for (const details of element.querySelectorAll("details")) {
    if (!open.has(details.dataset.key)) continue;
    details.open = true;
    const text = details.querySelector("pre");
    if (text) text.scrollTop = open.get(details.dataset.key);
  }
  const past = element.querySelector(".past");
  if (past) past.scrollTop = scrolled;
  focused?.()?.focus({ preventScroll: true });
  ages();
}

// How to find an element again after its surroundings were replaced.
function place(element, focused) {
  if (focused.id) return () => document.getElementById(focused.id);
  const key = focused.closest("details")?.dataset.key;
  const name = focused.localName;
  const within = () => [...element.querySelectorAll("details")].find((one) => one.dataset.key === key);
  return () => (key ? within() : element)?.querySelector(name);
}

function ages() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    const then = new Date(time.dateTime);
    if (Number.isNaN(then.getTime())) continue;
    time.textContent = age(Math.max(0, (Date.now() - then.getTime()) / 1000));
    time.title = then.toLocaleString();
  }
  for (const time of document.querySelectorAll("time[data-clock]")) {
    const then = new Date(time.dateTime);
    if (Number.isNaN(then.getTime())) continue;
    const isToday = then.toDateString() === new Date().toDateString();
    time.textContent = isToday ? then.toLocaleTimeString() : then.toLocaleString();
    time.title = then.toLocaleString();
  }
}

function age(seconds) {
  if (seconds < 2) return "now";
  if (seconds < 120) return `${Math.floor(seconds)} s ago`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const command = document.getElementById(button.dataset.copy);
  const copied = await copy(command);
  button.textContent = copied ? "Copied" : "Selected";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

// Without a secure context (another machine's address, no TLS) a browser copies only what is selected.
async function copy(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    getSelection().selectAllChildren(element);
    return document.execCommand("copy");
  }
}

ages();
setInterval(ages, 1000);
connect();
