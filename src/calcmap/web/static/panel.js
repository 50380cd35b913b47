// The right-hand side of a study: score of machine and reader, lesions, comments, signature.

import { make, score, when, words } from "./dom.js";
import { colourOf, css } from "./overlay.js";

const VESSELS = ["LM", "LAD", "LCx", "RCA"];

/** Return the table of scores; every number is the server's. */
export function scoreTable(state) {
  const rows = VESSELS.map((vessel) => row(vessel, state, (side) => side.vessels[vessel]?.agatston ?? null, vessel));
  const named = (side) => VESSELS.reduce((sum, vessel) => sum + (side.vessels[vessel]?.n_lesions ?? 0), 0);
  const hasOthers = [state.machine, state.reader].some((side) => named(side) < side.lesions.filter((each) => each.class === "coronary").length);
  return make("table", { className: "scores" },
    make("thead", {}, make("tr", {}, ...["Agatston", "machine", "reader"].map((text) => make("th", { textContent: text, scope: "col" })))),
    make("tbody", {},
      ...rows,
      hasOthers ? make("tr", { className: "faint" }, make("td", { colSpan: 3, textContent: "and lesions of no named vessel" })) : null,
      row("Total", state, (side) => side.agatston, "total"),
      make("tr", {}, make("th", { textContent: "Category", scope: "row" }),
        ...[["machine", state.machine], ["reader", state.reader]].map(([who, side]) => make("td", {
          textContent: side.category_name, title: side.cac_drs, data: { score: `${who}-category`, value: side.category },
        }))),
      row("Noncoronary", state, (side) => side.noncoronary.agatston, "noncoronary"),
      make("tr", { className: "faint" }, make("th", { textContent: "Volume mm³", scope: "row" }),
        ...[state.machine, state.reader].map((side) => make("td", { textContent: side.volume_mm3.toFixed(0) })))));
}

function row(name, state, valueOf, id) {
  const [machine, reader] = [valueOf(state.machine), valueOf(state.reader)];
  const cell = (who, value) => make("td", { textContent: score(value), data: { score: `${who}-${id}`, value: value ?? "" } });
  const className = (id === "total" ? "total" : "") + (machine !== reader ? " changed" : "");
  return make("tr", { className }, make("th", { textContent: name, scope: "row" }), cell("machine", machine), cell("reader", reader));
}

/** Return every lesion with its number in the packed calcium: those that count, then the rejected ones. */
export function numbered(side) {
  return [...side.lesions, ...side.rejected].map((lesion, n) => ({ ...lesion, number: n + 1 }));
}

export function lesionList(state, { selectedNumber, palette, onPick }) {
  const lesions = numbered(state.reader);
  if (!lesions.length) return make("p", { className: "faint empty", textContent: "No calcium was found. D adds what was missed." });
  return make("ul", { className: "lesions", tabIndex: 0, attrs: { role: "listbox", "aria-label": "Lesions", ...(selectedNumber ? { "aria-activedescendant": `lesion-${selectedNumber}` } : {}) } },
    ...lesions.map((lesion) => lesionItem(lesion, { isSelected: lesion.number === selectedNumber, palette, onPick })));
}

function lesionItem(lesion, { isSelected, palette, onPick }) {
  const isRejected = lesion.mark === "rejected";
  const colour = colourOf({ isCoronary: lesion.class === "coronary", site: lesion.site, isRejected }, palette);
  const swatch = make("span", { className: "swatch" });
  swatch.style.background = css(colour);
  const [first, last] = lesion.slices;
  const site = lesion.site ?? (lesion.class === "coronary" ? "coronary" : "noncoronary");
  const said = `${site}, ${first === last ? `slice ${first}` : `slices ${first} to ${last}`}, ${lesion.max_hu} HU, score ${score(lesion.agatston)}, ${lesion.mark}`;
  return make("li", {
    id: `lesion-${lesion.number}`,
    className: `lesion ${lesion.mark}`, on: { click: () => onPick(lesion) },
    data: { voxel: lesion.voxel.join(","), mark: lesion.mark, site: lesion.site ?? "", agatston: lesion.agatston },
    attrs: { role: "option", "aria-selected": String(isSelected), "aria-label": said },
  }, swatch,
    make("span", { className: "site", textContent: site }),
    make("span", { className: "where", textContent: first === last ? `slice ${first}` : `slices ${first}–${last}` }),
    make("span", { className: "hu", textContent: `${lesion.max_hu} HU` }),
    make("span", { className: "agatston", textContent: score(lesion.agatston) }),
    make("span", { className: "mark", textContent: { pending: "", accepted: "✓", rejected: "✗" }[lesion.mark], title: lesion.mark }));
}

/** Say in words what an edit did. */
export function editWords({ edit }) {
  const place = edit.voxel ? ` at slice ${edit.voxel[0]}, row ${edit.voxel[1]}, column ${edit.voxel[2]}` : "";
  const brushed = edit.pixels ? ` ${edit.pixels} pixels of slice ${edit.slice}` : "";
  if (edit.kind === "comment") return `comment: ${edit.text}`;
  return `${edit.kind}${brushed}${place}${edit.site ? ` → ${edit.site}` : ""}`;
}

export function editList(entries) {
  return make("ol", { className: "log" }, ...entries.map((entry) => make("li", { value: entry.position },
    make("span", { className: "faint", textContent: `${when(entry.time)} ` }), words(entry.author, "faint"), " ", words(editWords(entry)))));
}

export function signedNote(signature) {
  return make("p", { className: "signed" }, "Signed by ", words(signature.name), ` on ${when(signature.time)}: score ${score(signature.agatston)}.`);
}
