// The keys, in one place: what the help shows is what the page does.

import { dialog, make } from "./dom.js";

/** Letters that name a site, for relabelling and when a site is asked for. */
export const SITE_KEYS = { m: "LM", l: "LAD", c: "LCx", r: "RCA", o: "aorta", v: "valve", n: "annulus", t: "other" };

const KEYS = [
  ["Moving", [
    ["↑ ↓, wheel", "next slice"], ["Page ↑ ↓", "five slices"], ["Home, End", "first, last slice"], ["← →", "previous, next lesion"],
    ["+ −, Ctrl+wheel", "zoom"], ["Shift+arrows, Shift+drag", "pan"], ["F", "heart or whole field"],
  ]],
  ["Seeing", [
    ["Space", "overlay on, off"], ["1 to 5", "window presets"], ["[ ]  { }, right drag", "level, width"], ["bar at the right", "slices; colours where calcium is"], ["P", "colours: class or vessel"],
    ["H", "heart outline"], ["B", "machine and reader side by side"], ["I", "smooth or exact pixels"],
  ]],
  ["Verifying", [
    ["A", "accept the lesion"], ["Shift+A", "accept all that are left"], ["X, Delete", "reject it"],
    ["M L C R", "it lies in LM, LAD, LCx, RCA"], ["O V N T", "aorta, valve, annulus, other"],
    ["Z, Ctrl+Z", "undo"], ["Y, Ctrl+Y", "redo"],
  ]],
  ["Drawing", [
    ["D", "add a missed lesion: point at it"], ["S", "split: brush a part, name its site"], ["E", "erase with the brush"],
    ["arrows, then Enter", "the same without a mouse; Shift for 5 pixels"], ["Shift+Enter", "brush on before Enter"], [", .", "smaller, larger brush"], ["Esc", "stop drawing"],
  ]],
  ["Closing", [["K", "comment"], ["G", "sign"], ["J", "next study to verify"], ["W", "worklist"], ["?", "this help"]]],
  ["Worklist", [["↑ ↓, Enter", "choose, open"], ["/, Esc", "search, search no more"], ["Page ↑ ↓", "page before, next page"]]],
  ["Fingers", [
    ["one", "slices; on the bar at the right: any slice"], ["two", "zoom and pan"], ["tap", "choose a lesion"], ["tap twice", "heart or whole field"],
    ["rest, then drag", "window"], ["one, while drawing", "brush; a tap adds"],
  ]],
];

export function showHelp() {
  const box = dialog("Keys",
    make("div", { className: "keys" }, ...KEYS.map(([heading, rows]) => make("section", {}, make("h3", { textContent: heading }),
      make("dl", {}, ...rows.flatMap(([key, does]) => [make("dt", {}, make("kbd", { textContent: key })), make("dd", { textContent: does })]))))),
    make("form", { method: "dialog" }, make("button", { textContent: "Close", autofocus: true })));
  box.id = "help";
  return box;
}
