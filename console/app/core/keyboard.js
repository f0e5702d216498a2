// Shortcuts of one key. They can be switched off, as WCAG 2.2 (2.1.4) demands.
import { signal } from "./html.js";

const SETTING = "console.shortcuts";
export const shortcutsOn = signal(localStorage.getItem(SETTING) !== "off");
export const SHORTCUTS = [
  ["/", "Search"], ["j", "Next row"], ["k", "Previous row"], ["Enter", "Open the row"], ["?", "Show these shortcuts"],
];
const actions = new Map();

/** Have a key do something while the caller is shown; returns a function that ends it. */
export function onKey(key, action) {
  actions.set(key, action);
  return () => actions.get(key) === action && actions.delete(key);
}

export function setShortcuts(on) {
  shortcutsOn.value = on;
  localStorage.setItem(SETTING, on ? "on" : "off");
}

addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, dialog[open]");
  if (!shortcutsOn.value || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const action = actions.get(event.key);
  if (action) {
    event.preventDefault();
    action();
  }
});

/** Move the focus by `step` among the rows' links. */
export function moveAmongRows(step) {
  const links = [...document.querySelectorAll("a.row-link")];
  if (links.length === 0) return;
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step;
  links[Math.max(0, Math.min(links.length - 1, next))].focus();
}
