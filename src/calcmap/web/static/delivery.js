// What became of the verified reports after a signature: a few lines under it, asked for again while something is under way.

import { make, say, when, words } from "./dom.js";
import { get, post } from "./server.js";

const BUSY_MS = 1500; // something is being made or sent
const WAITING_MS = 10000; // the next try is some time off
const FOLDER = "folder";

export class DeliveryNote {
  constructor({ mayReview }) {
    this.mayReview = mayReview;
    this.element = make("div", { id: "delivery", attrs: { role: "status" } });
    this.reviewId = null;
    this.timer = 0;
  }

  /** Show the delivery of a signed review; of an open one, nothing. */
  watch(reviewId) {
    if (reviewId === this.reviewId) return;
    this.stop();
    this.reviewId = reviewId;
    this.element.replaceChildren();
    if (reviewId !== null) this.ask(() => get(`/api/reviews/${reviewId}/delivery`));
  }

  stop() { clearTimeout(this.timer); this.reviewId = null; }

  again() {
    clearTimeout(this.timer);
    this.ask(() => post(`/api/reviews/${this.reviewId}/delivery`));
  }

  async ask(request) {
    const { reviewId } = this;
    try {
      const status = await request();
      if (reviewId === this.reviewId) this.show(status);
    } catch (error) { say(error.message, true); }
  }

  show(status) {
    const lines = [madeLine(status), ...status.deliveries.map(deliveryLine)].filter(Boolean);
    const isBusy = status.is_pending && (status.state === "waiting" ? !status.reason : status.deliveries.some((each) => each.state === "waiting" && !each.reason));
    this.element.dataset.pending = status.is_pending;
    this.element.replaceChildren(...lines.map(([kind, ...parts]) => make("p", { className: kind }, ...parts)), this.mayReview && !isBusy ? this.button(status) : "");
    if (status.is_pending) this.timer = setTimeout(() => this.ask(() => get(`/api/reviews/${this.reviewId}/delivery`)), isBusy ? BUSY_MS : WAITING_MS);
  }

  button({ state, is_pending: isPending }) {
    return make("button", { type: "button", id: "send-again", on: { click: () => this.again() } }, state === null ? "Send" : isPending ? "Try now" : "Send again");
  }
}

function madeLine({ state, reason }) {
  if (state === null) return ["faint", "The verified reports were not asked for."];
  if (state === "refused") return ["problem", "No DICOM reports: ", words(reason)];
  if (state === "waiting") return reason ? ["borderline", "The verified reports wait: ", words(reason)] : ["faint", "The verified reports are being made …"];
  return null;
}

function deliveryLine({ destination, state, reason, wait_s: waitS, ended, places }) {
  const isFolder = destination === FOLDER;
  const place = isFolder ? "the study's folder" : words(destination);
  if (state === "sent") return ["confident", isFolder ? "Written to " : "Sent to ", place, isFolder ? ` (${places.find((each) => each.endsWith(".json")) ?? "verified.json"} …), ${when(ended)}` : `, ${when(ended)}`];
  if (state === "dead") return ["problem", isFolder ? "Not written to " : "Not sent to ", place, ": ", words(reason)];
  if (!reason) return ["faint", "On its way to ", place, " …"];
  return ["borderline", "Waiting for ", place, ": ", words(reason), waitS === null ? "" : `; next try in ${duration(waitS)}`];
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}
