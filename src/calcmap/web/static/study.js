// One study: images at once, the review as soon as the server has it, and every edit sent and shown as it answers.

import { DeliveryNote } from "./delivery.js";
import { date, dialog, make, personName, refill, say, when, words } from "./dom.js";
import { SITE_KEYS } from "./help.js";
import { Calcium, Heart } from "./overlay.js";
import { editList, lesionList, numbered, scoreTable, signedNote } from "./panel.js";
import { get, getBytes, post } from "./server.js";
import { View, WINDOWS, voxelBox } from "./view.js";
import { Volume } from "./volume.js";
import { nextToVerify } from "./worklist.js";

const PAGE_SLICES = 5;
const FAST_PIXELS = 5;
const PAN_PIXELS = 40;
const HU_STEP = 20;

let lastSigner = ""; // kept until the page is closed: whoever signs one study signs the next

/** Show a study; resolves to what ends it. */
export async function showStudy(main, resultId, session) {
  const started = performance.now();
  const page = await get(`/api/results/${resultId}`);
  showSubject(page);
  if (page.result.status === "refused" || !page.scan) return showUnreviewable(main, page);
  const study = new Study(main, page, session, started);
  study.open(resultId).catch((error) => { if (error.name !== "AbortError") study.fail(error); });
  return () => study.close();
}

function showSubject({ study, result }) {
  const { identity } = study;
  document.getElementById("subject").replaceChildren(
    words(personName(identity.patient_name), "patient"), words(identity.patient_id, "faint"), words(study.name),
    words(date(identity.study_date), "faint"), make("span", { className: "faint", textContent: result.method ? `rule ${result.method.profile}` : "" }));
}

function showUnreviewable(main, { study, result, has_overview: hasOverview }) {
  const isRefused = result.status === "refused";
  main.replaceChildren(make("div", { className: "worklist refused" },
    make("h1", { textContent: isRefused ? "No score: the study was refused" : "The images are not here" }),
    make("p", { className: "reason", textContent: isRefused ? result.reason : "Name where they lie: calcmap review OUT --images FOLDER. The result can be seen, not reviewed." }),
    isRefused ? null : make("p", { textContent: `Machine: ${result.agatston.toFixed(1)}, category ${result.category_name}` }),
    flagList(result),
    hasOverview ? make("img", { src: `/api/studies/${study.study_id}/overview`, alt: "Overview of the study", className: "overview" }) : null));
  document.body.dataset.ready = "refused";
  const listener = (event) => { if (event.key === "w" && !document.querySelector("dialog[open]")) location.hash = "#/"; };
  document.addEventListener("keydown", listener);
  return () => document.removeEventListener("keydown", listener);
}

function flagList(result) {
  return make("ul", { className: "flags" }, ...result.quality.map((flag) => make("li", { className: flag.severity }, words(`${flag.flag}: ${flag.detail}`))));
}

class Study {
  constructor(main, page, session, started) {
    Object.assign(this, { page, session, started });
    this.volume = new Volume(page.study.study_id, page.scan);
    this.view = new View(this.volume, {
      scan: page.scan, heartBox: voxelBox(page.scan, page.result.heart?.box_mm),
      told: {
        add: (voxel) => this.add(voxel),
        pick: (voxel) => this.pick(voxel),
        stroke: (mode, slice, pixels) => this.endStroke(mode, slice, pixels),
        toggled: () => this.showTools(), windowed: () => this.tools && this.showTools(), moved: () => {},
      },
    });
    this.state = null;
    this.saving = Promise.resolve();
    this.build(main);
    this.listener = (event) => this.key(event);
    document.addEventListener("keydown", this.listener);
  }

  build(main) {
    const { panes } = this.view;
    this.views = make("div", { className: "views" }, panes.axial.canvas, panes.machine.canvas, panes.coronal.canvas, panes.sagittal.canvas);
    this.drawing = make("div", { id: "drawing", hidden: true, attrs: { role: "group", "aria-label": "Drawing" } });
    this.tools = make("div", { id: "tools", attrs: { role: "toolbar", "aria-label": "How the images look, and drawing" } });
    this.scores = make("div", { id: "scores" }, make("p", { className: "faint", textContent: "Opening the review …" }));
    this.lesions = make("div", { id: "lesions" });
    this.actions = make("div", { id: "actions", attrs: { role: "group", "aria-label": "The chosen lesion" } });
    this.foot = make("div", { id: "foot" });
    this.delivery = new DeliveryNote({ mayReview: this.session.rights.includes("review") });
    this.told = make("p", { className: "unseen", attrs: { role: "status" } }); // what a screen reader hears of an edit
    this.certainty = certainty(this.page.result);
    main.replaceChildren(make("div", { className: "study" }, this.tools, this.views, this.drawing,
      make("aside", { className: "panel", attrs: { "aria-label": "Scores and lesions" } }, this.scores, this.lesions, this.actions, this.foot), this.told));
    this.showTools();
  }

  close() {
    document.removeEventListener("keydown", this.listener);
    this.delivery.stop();
    this.volume.stop();
    this.view.stop();
  }

  fail(error) { this.scores.replaceChildren(make("p", { className: "problem", textContent: error.message })); document.body.dataset.ready = "error"; }

  /** Fetch slices and the review side by side. */
  async open(resultId) {
    const first = this.page.result.lesions[0];
    if (first) this.view.at.z = Math.round((first.slices[0] + first.slices[1]) / 2);
    else if (this.view.heartBox) this.view.at.z = Math.round((this.view.heartBox[0].z + this.view.heartBox[1].z) / 2);
    const opened = (this.mayReview ? post : get)(`/api/results/${resultId}/review`);
    this.loading = this.volume.load(this.view.at.z, opened.catch(() => {}), (z) => this.arrived(z)).catch((error) => { if (error.name !== "AbortError") say(error.message, true); });
    const state = await opened;
    this.view.machine = new Calcium(state.machine_calcium, this.session.sites);
    this.show(state);
    const [best] = numbered(state.reader);
    if (best) this.choose(best);
    this.view.heart = new Heart(await getBytes(state.id ? `/api/reviews/${state.id}/heart` : `/api/results/${resultId}/heart`, this.volume.stopper.signal));
    this.view.redraw();
    performance.measure("study-open", { start: this.started, end: performance.now() });
    document.body.dataset.ready = "study";
  }

  arrived(z) {
    if (this.volume.nHere === 1) {
      this.view.redraw();
      requestAnimationFrame(() => performance.measure("first-slice", { start: this.started, end: performance.now() }));
    }
    const isLast = this.volume.nHere === this.volume.nz;
    if (isLast) {
      this.views.dataset.loaded = "all";
      performance.measure("all-slices", { start: this.started, end: performance.now() });
    }
    if (z === this.view.at.z || this.volume.nHere % 10 === 0 || isLast) this.view.redraw();
  }

  // What is shown

  show(state) {
    if (this.state) this.told.textContent = `Score ${state.reader.agatston.toFixed(1)}, category ${state.reader.category_name}`;
    this.state = state;
    this.delivery.watch(state.signature && this.session.goes_out ? state.id : null);
    this.view.reader = new Calcium(state.calcium, this.session.sites);
    this.showPanel();
    this.view.redraw();
  }

  get mayReview() { return this.session.rights.includes("review"); }

  get isOpen() { return this.mayReview && this.state?.state === "open"; }

  get lesion() {
    const number = this.state ? this.view.selectedNumber(this.view.reader) : 0;
    return number ? numbered(this.state.reader)[number - 1] : null;
  }

  showPanel() {
    const { state } = this;
    this.scores.replaceChildren(scoreTable(state), this.certainty);
    this.scores.dataset.revision = state.revision;
    const selectedNumber = this.view.selectedNumber(this.view.reader);
    const wasFocused = this.lesions.contains(document.activeElement);
    this.lesions.replaceChildren(lesionList(state, { selectedNumber, palette: this.view.palette, onPick: (lesion) => this.choose(lesion) }));
    if (wasFocused) this.lesions.querySelector(".lesions")?.focus();
    this.lesions.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
    refill(this.actions, ...this.actionButtons());
    refill(this.foot, ...this.footParts());
    this.showTools();
  }

  actionButtons() {
    const { state } = this;
    if (!this.mayReview) return [make("p", { className: "faint empty", textContent: `A ${this.session.role} looks on: readers verify and sign.` })];
    const button = (label, key, run, { data = {}, isOff = false } = {}) => keyed(label, key, run, { disabled: !this.isOpen || isOff, data });
    const sites = Object.entries(SITE_KEYS).map(([key, site]) => button(site, key.toUpperCase(), () => this.relabel(site), { data: { site } }));
    return [
      make("div", { className: "row" }, button("Accept", "A", () => this.mark("accept")), button("Reject", "X", () => this.mark("reject")),
        button("Undo", "Z", () => this.edit({ kind: "undo" }), { isOff: !state.can_undo }), button("Redo", "Y", () => this.edit({ kind: "redo" }), { isOff: !state.can_redo }),
        button("Accept all", "Shift+A", () => this.acceptAll(), { isOff: !state.reader.n_pending })),
      make("div", { className: "row sites" }, ...sites),
    ];
  }

  footParts() {
    const { state } = this;
    const comments = state.log.filter((entry) => entry.edit.kind === "comment");
    const parts = [
      comments.length ? make("ul", { className: "comments" }, ...comments.map((entry) => make("li", {}, words(entry.edit.text), make("span", { className: "faint", textContent: `  ${entry.author}, ${when(entry.time)}` })))) : null,
      state.signature ? signedNote(state.signature) : null,
      state.signature ? this.delivery.element : null,
      make("div", { className: "row" },
        this.mayReview ? keyed("Comment", "K", () => this.comment(), { disabled: !this.isOpen }) : null,
        make("button", { type: "button", title: "History", on: { click: () => this.showLog() } }, `History (${state.revision})`),
        this.isOpen
          ? keyed("Sign", "G", () => this.sign(), { id: "sign", className: "primary" })
          : !this.mayReview ? null : make("button", { type: "button", id: "amend", on: { click: () => this.amend() } }, "Amend"),
        this.isOpen || !this.mayReview ? null : keyed("Next study", "J", () => this.next(), { id: "next", className: "primary" })),
    ];
    return parts.filter(Boolean);
  }

  showTools() {
    const { view } = this;
    const toggle = (label, key, isOn, run, more = {}) => keyed(label, key, run, { ...more, attrs: { "aria-pressed": String(isOn) } });
    const mode = (label, key, name) => toggle(label, key, view.mode === name, () => this.setMode(name), { disabled: !this.isOpen });
    refill(this.tools,
      ...WINDOWS.map((each) => toggle(each.name, each.key, view.window.width === each.width && view.window.level === each.level, () => view.setWindow(each))),
      make("span", { className: "gap" }),
      toggle("Overlay", "Space", view.isOverlayOn, () => view.toggle("isOverlayOn")),
      toggle("Heart", "H", view.isHeartOn, () => view.toggle("isHeartOn")),
      toggle("Vessel colours", "P", view.palette === "vessel", () => this.cyclePalette()),
      toggle("Compare", "B", view.isCompared, () => this.compare()),
      toggle("Fit heart", "F", view.isHeartFitted === true, () => view.fit(!view.isHeartFitted)),
      make("span", { className: "gap" }),
      ...(this.mayReview ? [mode("Add", "D", "add"), mode("Split", "S", "split"), mode("Erase", "E", "erase")] : []));
    this.showDrawing();
  }

  /** Show over the images what a click does now, the size of the brush, and the way out. */
  showDrawing() {
    const { view } = this;
    const hint = { add: "Point at what was missed.", split: "Brush a part, then name its site.", erase: "Brush away what is no calcium." }[view.mode];
    const brush = [brushButton("−", "Smaller brush", () => view.setRadius(view.radius - 1)), make("span", { textContent: `brush ${2 * view.radius + 1}` }), brushButton("+", "Larger brush", () => view.setRadius(view.radius + 1))];
    const parts = hint ? [make("span", { textContent: hint }), ...(view.isBrushing ? brush : []), keyed("Done", "Esc", () => view.setMode(view.mode), { className: "primary" })] : [];
    refill(this.drawing, ...parts);
    this.drawing.hidden = !hint;
  }

  cyclePalette() { this.view.palette = this.view.palette === "class" ? "vessel" : "class"; this.view.redraw(); if (this.state) this.showPanel(); }

  compare() { this.views.classList.toggle("compared"); this.view.toggle("isCompared"); }

  setMode(name) { if (this.isOpen) this.view.setMode(name); }

  /** Ask for the site of what was pointed at, unless it is no calcium at all. */
  add(voxel) {
    const limit = this.page.result.method.threshold_hu;
    const hu = this.volume.hu[this.volume.index(voxel.z, voxel.y, voxel.x)];
    if (this.volume.isHere[voxel.z] && hu < limit) say(`${hu} HU there: calcium begins at ${limit} HU.`, true);
    else this.askSite("Add: where does it lie?", (site) => this.edit({ kind: "add", voxel: triple(voxel), site }));
  }

  /** Open the most urgent study that is left. */
  async next() {
    try {
      const row = await nextToVerify(this.page.study.result_id);
      if (row) location.hash = `#/result/${row.result_id}`; else say("No study is left to verify.");
    } catch (error) { say(error.message, true); }
  }

  // Lesions

  choose(lesion) {
    const [z, y, x] = lesion.voxel;
    this.view.selected = { z, y, x };
    this.showPanel();
    this.view.show(this.view.selected);
  }

  pick(voxel) {
    if (!this.state) return;
    const number = this.view.reader.lesionAt(this.volume.index(voxel.z, voxel.y, voxel.x));
    if (!number) return;
    this.view.selected = voxel;
    this.showPanel();
    this.view.redraw();
  }

  stepLesion(by) {
    const lesions = this.state ? numbered(this.state.reader) : [];
    if (!lesions.length) return;
    const at = this.lesion ? this.lesion.number - 1 + by : 0;
    this.choose(lesions[(at + lesions.length) % lesions.length]);
  }

  mark(kind) { this.onLesion((lesion) => this.edit({ kind, voxel: lesion.voxel }, { isAdvancing: true })); }

  relabel(site) { this.onLesion((lesion) => this.edit({ kind: "relabel", voxel: lesion.voxel, site }, { isAdvancing: true })); }

  onLesion(act) {
    if (!this.mayReview) return;
    if (!this.isOpen) { say(this.state ? "The review is signed; Amend begins a new one." : "The review is not open yet.", true); return; }
    if (!this.lesion) say("Choose a lesion first: ← → or click it.", true);
    else act(this.lesion);
  }

  acceptAll() {
    if (!this.isOpen) return;
    const pending = this.state.reader.lesions.filter((lesion) => lesion.mark === "pending");
    if (pending.length) this.send(pending.map(({ voxel }) => ({ kind: "accept", voxel })), {});
  }

  endStroke(mode, slice, pixels) {
    if (mode === "erase") this.edit({ kind: "erase", slice, pixels });
    else this.askSite("Split: where does this part lie?", (site) => this.edit({ kind: "split", slice, pixels, site }));
  }

  // Saving: one after the other, each on the revision that the one before it made

  edit(edit, options = {}) { return this.send([edit], options); }

  send(edits, { isAdvancing = false }) {
    const started = performance.now();
    this.saving = this.saving.then(async () => {
      try {
        this.show(await post(`/api/reviews/${this.state.id}/edits`, { revision: this.state.revision, edits }));
        performance.measure("edit-to-score", { start: started, end: performance.now() });
        if (edits[0].kind === "add") this.pick({ z: edits[0].voxel[0], y: edits[0].voxel[1], x: edits[0].voxel[2] });
        else if (isAdvancing) this.advance();
      } catch (error) { this.refused(error); } finally { this.view.dropStroke(); }
    });
    this.volume.holdUntil(this.saving);
    return this.saving;
  }

  advance() {
    const lesions = numbered(this.state.reader);
    const from = this.lesion?.number ?? 0;
    const next = [...lesions.slice(from), ...lesions.slice(0, from)].find((lesion) => lesion.mark === "pending");
    if (next) this.choose(next);
  }

  refused(error) {
    if (error.code === "review_conflict") this.showConflict(error.body);
    else if (error.code === "review_signed") this.showSigned();
    else say(error.message, true);
  }

  showConflict({ since }) {
    const box = dialog("Somebody else changed this review meanwhile",
      make("p", { textContent: since.length ? "Nothing of yours was saved. What came in since you looked:" : "Nothing of yours was saved." }), editList(since),
      make("form", { method: "dialog" }, make("button", { className: "primary", textContent: "Load the review as it stands now", autofocus: true })));
    box.id = "conflict";
    box.addEventListener("close", () => this.reload());
  }

  showSigned() {
    const box = dialog("This review was signed meanwhile", make("p", { textContent: "Nothing of yours was saved. A signed review does not change; Amend begins a new one." }),
      make("form", { method: "dialog" }, make("button", { className: "primary", textContent: "Load it", autofocus: true })));
    box.id = "conflict";
    box.addEventListener("close", () => this.reload());
  }

  async reload() {
    try { this.show(await get(`/api/reviews/${this.state.id}`)); } catch (error) { say(error.message, true); }
  }

  // Dialogs

  askSite(heading, onSite) {
    const choose = (site) => { box.onclose = null; box.close(); onSite(site); };
    const box = dialog(heading, make("div", { className: "sites-asked" },
      ...Object.entries(SITE_KEYS).map(([key, site]) => make("button", { type: "button", data: { site }, on: { click: () => choose(site) } }, site, make("kbd", { textContent: key.toUpperCase() })))),
      make("p", { className: "faint", textContent: "Esc: nothing is done." }));
    box.id = "sites";
    box.addEventListener("keydown", (event) => {
      const site = SITE_KEYS[event.key.toLowerCase()];
      if (site && !event.ctrlKey && !event.metaKey) { event.preventDefault(); event.stopPropagation(); choose(site); }
    });
    box.onclose = () => this.view.dropStroke();
  }

  askText(heading, { label, isLong, done, onText, value = "", isFixed = false }) {
    const input = make(isLong ? "textarea" : "input", { id: "asked-text", value, readOnly: isFixed, required: true, maxLength: isLong ? 4000 : 200, autofocus: true, autocomplete: "off", dir: "auto" });
    const send = () => { if (input.value.trim()) { box.close(); onText(input.value.trim()); } };
    const box = dialog(heading, make("label", { htmlFor: "asked-text", textContent: label }), input,
      make("div", { className: "row" }, make("button", { type: "button", className: "primary", textContent: done, on: { click: send } }), make("button", { type: "button", textContent: "Cancel", on: { click: () => box.close() } })));
    input.addEventListener("keydown", (event) => { if (event.key === "Enter" && (!isLong || event.ctrlKey)) { event.preventDefault(); send(); } });
    box.id = "asked";
    input.focus();
    input.select();
  }

  comment() {
    if (this.isOpen) this.askText("Comment", { label: "It stays with the review and is not undone. Ctrl+Enter saves.", isLong: true, done: "Save", onText: (text) => this.edit({ kind: "comment", text }) });
  }

  sign() {
    if (!this.isOpen) return;
    const { reader } = this.state;
    const left = reader.n_pending ? ` ${reader.n_pending} lesion${reader.n_pending > 1 ? "s were" : " was"} neither accepted nor rejected.` : "";
    this.askText(`Sign: score ${reader.agatston.toFixed(1)}, category ${reader.category_name}`, {
      label: `Your name, as it will stand under the result.${left}`, done: "Sign", value: this.session.name ?? lastSigner, isFixed: Boolean(this.session.name),
      onText: (name) => { lastSigner = name; say("Signing …"); this.saving = this.saving.then(() => this.act("sign", { revision: this.state.revision, name }, "Signed.")); },
    });
  }

  amend() { this.saving = this.saving.then(() => this.act("amend", {}, "An amendment was begun where the signed review ended.")); }

  async act(what, body, done) {
    try { this.show(await post(`/api/reviews/${this.state.id}/${what}`, body)); say(done); } catch (error) { this.refused(error); }
  }

  showLog() {
    dialog("History", this.state.log.length ? editList(this.state.log) : make("p", { textContent: "Nothing was changed." }), make("form", { method: "dialog" }, make("button", { textContent: "Close", autofocus: true })));
  }

  // Keys

  key(event) {
    if (document.querySelector("dialog[open]") || event.target.matches("input, textarea") || event.altKey) return;
    const isButton = event.target.matches("button, a, summary") && (event.key === " " || event.key === "Enter");
    if (isButton) return;
    if (event.target.matches(".lesions") && ["ArrowUp", "ArrowDown"].includes(event.key)) {
      event.preventDefault();
      this.stepLesion(event.key === "ArrowDown" ? 1 : -1);
      return;
    }
    const run = event.ctrlKey || event.metaKey ? this.controlKey(event) : this.plainKey(event);
    if (run) { event.preventDefault(); run(); }
  }

  controlKey(event) {
    const key = event.key.toLowerCase();
    if (key === "z") return () => this.ifOpen({ kind: event.shiftKey ? "redo" : "undo" });
    return key === "y" ? () => this.ifOpen({ kind: "redo" }) : null;
  }

  ifOpen(edit) { if (this.isOpen) this.edit(edit); }

  plainKey(event) {
    const { view } = this;
    const arrow = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (arrow) return () => this.arrow(...arrow, event.shiftKey);
    const preset = WINDOWS.find((each) => each.key === event.key);
    if (preset) return () => view.setWindow(preset);
    if (event.shiftKey && event.key === "A") return () => this.acceptAll();
    const site = SITE_KEYS[event.key.toLowerCase()];
    if (site) return () => this.relabel(site);
    return this.namedKey(event);
  }

  namedKey(event) {
    const { view } = this;
    const z = (by) => () => view.step("z", by);
    const actions = {
      PageUp: z(PAGE_SLICES), PageDown: z(-PAGE_SLICES), Home: () => view.moveTo({ ...view.at, z: 0 }), End: () => view.moveTo({ ...view.at, z: this.volume.nz - 1 }),
      " ": () => view.toggle("isOverlayOn"), h: () => view.toggle("isHeartOn"), i: () => view.toggle("isSmooth"), p: () => this.cyclePalette(), b: () => this.compare(),
      f: () => view.fit(!view.isHeartFitted), "+": () => view.focused.zoomBy(1.15), "=": () => view.focused.zoomBy(1.15), "-": () => view.focused.zoomBy(1 / 1.15),
      "[": () => view.windowBy(0, -HU_STEP), "]": () => view.windowBy(0, HU_STEP), "{": () => view.windowBy(-HU_STEP, 0), "}": () => view.windowBy(HU_STEP, 0),
      a: () => this.mark("accept"), x: () => this.mark("reject"), Delete: () => this.mark("reject"),
      z: () => this.ifOpen({ kind: "undo" }), y: () => this.ifOpen({ kind: "redo" }),
      d: () => this.setMode("add"), s: () => this.setMode("split"), e: () => this.setMode("erase"),
      ",": () => view.setRadius(view.radius - 1), ".": () => view.setRadius(view.radius + 1),
      Escape: () => { if (view.mode !== "look") view.setMode(view.mode); }, Enter: () => this.enter(event.shiftKey),
      k: () => this.comment(), g: () => this.sign(), j: () => this.next(), w: () => { location.hash = "#/"; },
    };
    return actions[event.key.length === 1 ? event.key.toLowerCase() : event.key] ?? null;
  }

  arrow(dx, dy, isShift) {
    const { view } = this;
    if (view.mode !== "look") {
      const by = isShift ? FAST_PIXELS : 1;
      view.hover = null;
      view.moveTo({ ...view.at, x: view.at.x + dx * by, y: view.at.y + dy * by });
    } else if (isShift) view.focused.panBy(-dx * PAN_PIXELS, -dy * PAN_PIXELS);
    else if (dy) view.step("z", -dy);
    else this.stepLesion(dx);
  }

  /** Point, or brush, at the cross: what a click does. */
  enter(isShift) {
    const { view } = this;
    if (view.mode === "add") view.told.add(view.at);
    else if (view.isBrushing) {
      for (const key of view.brushAround(view.at)) view.stroke.add(key);
      view.redraw();
      if (!isShift) view.endStroke();
    }
  }
}

function brushButton(text, title, run) { return make("button", { type: "button", textContent: text, title, attrs: { "aria-label": title }, on: { click: run } }); }

/** Return a button that shows its key; a screen reader hears label and key apart. */
function keyed(label, key, run, { attrs = {}, ...props } = {}) {
  return make("button", { type: "button", title: key, ...props, attrs: { "aria-label": label.trim(), "aria-keyshortcuts": key, ...attrs }, on: { click: run } },
    label, make("kbd", { textContent: key, attrs: { "aria-hidden": "true" } }));
}

/** Return how sure the machine is and what it flags; what a flag means opens below it. */
function certainty(result) {
  const flags = result.quality.filter((flag) => flag.severity !== "info");
  const said = result.confidence ? [`machine ${result.confidence.word}: ${percent(result.confidence.category_probability)} for its category`] : [];
  const text = [...said, ...flags.map((flag) => flag.flag.replaceAll("_", " "))].join("; ");
  if (!flags.length) return make("p", { className: "certainty faint", textContent: text });
  return make("details", { className: "certainty" }, make("summary", { className: "borderline", textContent: text }),
    make("ul", { className: "flags" }, ...flags.map((flag) => make("li", {}, words(flag.detail)))));
}

/** Certainty is never rounded up to all. */
const percent = (probability) => (probability > 0.99 ? "> 99 %" : `${Math.round(100 * probability)} %`);

const triple = ({ z, y, x }) => [z, y, x];
