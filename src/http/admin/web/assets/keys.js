"use strict";
// Keys for people who like them. Everything works without this file.
(() => {
  const rows = () => [...document.querySelectorAll("[data-row]")];
  const dialog = document.getElementById("keys");
  let at = -1;

  const move = (step) => {
    const all = rows();
    if (all.length === 0) return;
    const focused = all.findIndex((row) => row.contains(document.activeElement));
    if (focused >= 0) at = focused;
    at = Math.min(Math.max(at + step, 0), all.length - 1);
    all[at].querySelector("[data-open]").focus();
  };

  const decide = (...verbs) => {
    for (const verb of verbs) {
      const choice = document.querySelector(`details[data-verb="${verb}"]`);
      if (choice) {
        choice.open = true;
        choice.querySelector("textarea").focus();
        choice.scrollIntoView({ block: "nearest" });
        return;
      }
    }
  };

  const keys = {
    j: () => move(1),
    k: () => move(-1),
    a: () => decide("approve", "reinstate"),
    r: () => decide("reject", "revoke"),
    "/": () => document.getElementById("search")?.focus(),
    "?": () => dialog?.showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || dialog?.open) return;
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing) {
      if (event.key === "Escape") typing.blur();
      return;
    }
    const act = keys[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });

  // The browser closes an open choice by itself; Esc does it from inside.
  for (const choice of document.querySelectorAll("details.choice")) {
    choice.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        choice.open = false;
        choice.querySelector("summary").focus();
        event.stopPropagation();
      }
    });
  }
})();
