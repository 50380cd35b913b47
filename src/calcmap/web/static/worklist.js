// Every study, most urgent first, in the server's order.

import { make, personName, score, when, words } from "./dom.js";
import { get } from "./server.js";

const HEADINGS = ["Study", "Patient", "Date", "Machine", "Category", "Certainty", "Flags", "Review"];
const CATEGORIES = ["0", "1-100", "101-400", ">400"];

export async function showWorklist(main) {
  const rows = await get("/api/worklist");
  const body = make("tbody", {}, ...rows.map(studyRow));
  const n = rows.filter((row) => row.review_state !== "signed" && row.status === "scored").length;
  main.replaceChildren(make("div", { className: "worklist" },
    make("h1", { textContent: "Worklist" }),
    make("p", { className: "faint", textContent: `${rows.length} studies, ${n} to verify. ↑ ↓ choose, Enter opens.` }),
    make("table", {}, make("thead", {}, make("tr", {}, ...HEADINGS.map((text) => make("th", { textContent: text, scope: "col" })))), body)));
  body.querySelector("a")?.focus();
  const listener = (event) => moveFocus(event, body);
  document.addEventListener("keydown", listener);
  performance.measure("page-ready", { start: 0, end: performance.now() });
  document.body.dataset.ready = "worklist";
  return () => document.removeEventListener("keydown", listener);
}

function studyRow(row) {
  const { identity } = row;
  const open = () => { location.hash = `#/result/${row.result_id}`; };
  return make("tr", { className: row.review_state ?? "", on: { click: open }, data: { result: row.result_id } },
    make("td", {}, make("a", { href: `#/result/${row.result_id}` }, words(row.name))),
    make("td", {}, words(personName(identity.patient_name)), " ", words(identity.patient_id, "faint")),
    make("td", { textContent: dicomDate(identity.study_date) }),
    make("td", { className: "number", textContent: row.status === "refused" ? "refused" : score(row.agatston) }),
    make("td", { textContent: row.category === null ? "" : CATEGORIES[row.category] }),
    make("td", { className: row.confidence ?? "", textContent: row.confidence ?? "" }),
    make("td", { className: row.n_warnings ? "borderline" : "", textContent: row.n_warnings || "" }),
    make("td", {}, ...reviewWords(row)));
}

function reviewWords(row) {
  if (row.review_state === "signed") return [`${score(row.signed_agatston)}, signed by `, words(row.signed_name), ` ${when(row.signed_utc)}`];
  if (row.status === "refused") return ["no score to verify"];
  return [row.review_state === "open" && row.revision ? `begun, ${row.revision} edits` : "to verify"];
}

function dicomDate(text) {
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;
}

function moveFocus(event, body) {
  const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
  if (!step || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  const links = [...body.querySelectorAll("a")];
  links[Math.max(0, Math.min(links.length - 1, links.indexOf(document.activeElement) + step))]?.focus();
}
