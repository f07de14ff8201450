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
  document.addEventListener("keydown", (event) => {
    const choice = event.key === "Escape" && event.target.closest("details.choice");
    if (choice) {
      choice.open = false;
      choice.querySelector("summary").focus();
    }
  });

  // What happens while a page is open: it is loaded anew, unless somebody is about to say something.
  const main = document.querySelector("main[data-live]");
  const news = document.getElementById("news");
  const isBusy = () => {
    if (main.querySelector("details.choice[open]") || dialog?.open) return true;
    if (main.contains(document.activeElement?.closest("input, textarea, select"))) return true;
    const fields = [...main.querySelectorAll("input, textarea, select")];
    return fields.some((it) => it.checked !== it.defaultChecked || (it.defaultValue ?? it.value) !== it.value);
  };
  const places = () => [...main.querySelectorAll("a, summary, button")];
  const reload = async () => {
    const answer = await fetch(location.href, { headers: { "pratique-live": "1" }, redirect: "error" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
    if (!answer.ok || !fresh || isBusy()) throw new Error("not now");
    const open = [...main.querySelectorAll("details[open]")].map((it) => it.querySelector("summary")?.textContent);
    const focused = places().indexOf(document.activeElement);
    const link = places()[focused]?.getAttribute("href");
    main.replaceChildren(...fresh.childNodes);
    for (const it of main.querySelectorAll("details")) {
      if (open.includes(it.querySelector("summary")?.textContent)) it.open = true;
    }
    const same = link && places().find((it) => it.getAttribute("href") === link);
    if (focused >= 0) (same ?? places()[focused] ?? main).focus({ preventScroll: true });
  };
  // Not more often than that, in milliseconds, and not while nobody looks.
  const PAUSE = 3000;
  let isWaiting = false;
  const load = async () => {
    if (document.hidden) return;
    isWaiting = false;
    try {
      if (isBusy()) throw new Error("not now");
      await reload();
    } catch {
      news.hidden = false;
    }
  };
  const changed = () => {
    if (!isWaiting) setTimeout(load, PAUSE);
    isWaiting = true;
  };
  let source;
  const listen = () => {
    source = new EventSource(main.dataset.live);
    source.addEventListener("grown", changed);
  };
  if (main && window.EventSource) {
    listen();
    window.addEventListener("pagehide", () => source.close());
    window.addEventListener("pageshow", (event) => {
      if (event.persisted) listen();
    });
    document.addEventListener("visibilitychange", () => {
      if (isWaiting) load();
    });
  }
})();
