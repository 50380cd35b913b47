// The studies, most urgent first, in the server's order: a page of them, of one state or all, with the words asked for.

import { date, make, personName, score, when, words } from "./dom.js";
import { get } from "./server.js";

const HEADINGS = ["Study", "Patient", "Date", "Machine", "Category", "Certainty", "Flags", "Review"];
const CATEGORIES = ["0", "1-100", "101-400", ">400"];
const STATES = [["", "All"], ["to_verify", "To verify"], ["refused", "Refused"], ["signed", "Signed"]];
const PAGE_ROWS = 50;
const TYPING_MS = 200; // without a key before a search is sent

const kept = { state: "", q: "", first: 0, opened: 0 }; // stays while studies are open, so that one comes back to where one was

/** Return the most urgent study that is left, `null` where none is. */
export async function nextToVerify(currentId) {
  const { rows } = await get("/api/worklist?state=to_verify&limit=2");
  return rows.find((row) => row.result_id !== currentId) ?? null;
}

export async function showWorklist(main) {
  const list = new Worklist(main);
  await list.load();
  list.focusRow();
  if (!performance.getEntriesByName("page-ready").length) performance.measure("page-ready", { start: 0, end: performance.now() });
  document.body.dataset.ready = "worklist";
  return () => list.close();
}

class Worklist {
  constructor(main) {
    this.turn = 0;
    this.filters = make("div", { className: "row", attrs: { role: "group", "aria-label": "Which studies" } });
    this.search = make("input", {
      id: "search", type: "search", value: kept.q, placeholder: "Search: name, number, date ( / )", maxLength: 200, autocomplete: "off", dir: "auto",
      attrs: { "aria-label": "Search by study, patient, number, accession or date" }, on: { input: () => this.typed() },
    });
    this.note = make("p", { className: "faint", attrs: { "aria-live": "polite" } });
    this.body = make("tbody");
    this.pager = make("div", { className: "row pager" });
    main.replaceChildren(make("div", { className: "worklist" }, make("h1", { textContent: "Worklist" }),
      make("div", { className: "asking" }, this.filters, this.search), this.note,
      make("table", { attrs: { "aria-label": "Studies" } }, make("thead", {}, make("tr", {}, ...HEADINGS.map((text) => make("th", { textContent: text, scope: "col" })))), this.body),
      this.pager));
    this.listener = (event) => this.key(event);
    document.addEventListener("keydown", this.listener);
  }

  close() { document.removeEventListener("keydown", this.listener); clearTimeout(this.waiting); this.turn = -1; }

  /** Fetch and show what is asked for; an answer that came too late is dropped. */
  async load() {
    this.turn += 1;
    const mine = this.turn;
    const asked = new URLSearchParams({ first: kept.first, limit: PAGE_ROWS, q: kept.q, ...(kept.state ? { state: kept.state } : {}) });
    const { rows, counts } = await get(`/api/worklist?${asked}`);
    if (mine !== this.turn) return;
    const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
    const n = kept.state ? counts[kept.state] : all;
    if (!rows.length && kept.first > 0) { kept.first = 0; await this.load(); return; }
    this.filters.replaceChildren(...STATES.map(([state, label]) => make("button", {
      type: "button", data: { state }, attrs: { "aria-pressed": String(state === kept.state) }, on: { click: () => this.ask({ state }) },
    }, `${label} ${state ? counts[state] : all}`)));
    this.note.textContent = rows.length ? `${counts.to_verify} to verify. ↑ ↓ choose, Enter opens.` : "No study is found.";
    this.body.replaceChildren(...rows.map(studyRow));
    this.showPager(rows.length, n);
    this.body.dataset.loaded = `${kept.state}:${kept.q}:${kept.first}`;
  }

  showPager(nShown, n) {
    const turn = (label, by, isThere) => make("button", { type: "button", disabled: !isThere, on: { click: () => this.page(by) } }, label);
    this.isLast = kept.first + nShown >= n;
    this.pager.replaceChildren(...(n > PAGE_ROWS ? [
      turn("← Before", -1, kept.first > 0), make("span", { className: "faint", textContent: `${kept.first + 1} to ${kept.first + nShown} of ${n}` }), turn("Next →", 1, !this.isLast),
    ] : []));
  }

  ask(changed) { Object.assign(kept, { first: 0 }, changed); return this.load().catch((error) => { this.note.textContent = error.message; }); }

  async page(by) {
    if (by < 0 ? kept.first === 0 : this.isLast) return;
    await this.ask({ first: Math.max(0, kept.first + by * PAGE_ROWS) });
    this.links.at(by < 0 ? -1 : 0)?.focus();
  }

  typed() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.ask({ q: this.search.value.trim() }), TYPING_MS);
  }

  get links() { return [...this.body.querySelectorAll("a")]; }

  focusRow() { (this.body.querySelector(`tr[data-result="${kept.opened}"] a`) ?? this.links[0])?.focus(); }

  key(event) {
    if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const isTyping = event.target === this.search;
    const run = isTyping ? this.typingKey(event) : this.listKey(event);
    if (run) { event.preventDefault(); run(); }
  }

  typingKey(event) {
    if (event.key === "ArrowDown" || event.key === "Enter") return () => this.links[0]?.focus();
    if (event.key === "Escape") return () => { this.search.value = ""; this.ask({ q: "" }).then(() => this.focusRow()); };
    return null;
  }

  listKey(event) {
    const moves = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 };
    if (event.key === "/") return () => this.search.focus();
    if (event.key === "PageDown" || event.key === "PageUp") return () => this.page(event.key === "PageDown" ? 1 : -1);
    return moves[event.key] ? () => this.move(moves[event.key]) : null;
  }

  move(by) {
    const { links } = this;
    const to = links.indexOf(document.activeElement) + by;
    if (to >= links.length || to < 0) this.page(by); else links[to].focus();
  }
}

function studyRow(row) {
  const { identity } = row;
  const open = () => { kept.opened = row.result_id; location.hash = `#/result/${row.result_id}`; };
  return make("tr", { className: row.review_state ?? "", on: { click: open }, data: { result: row.result_id } },
    make("td", {}, make("a", { href: `#/result/${row.result_id}` }, words(row.name))),
    make("td", {}, words(personName(identity.patient_name)), " ", words(identity.patient_id, "faint")),
    make("td", { textContent: date(identity.study_date) }),
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
