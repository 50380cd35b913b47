// Elements from data. Text is always set as text: a patient's name that looks like HTML stays a name.

/** Return a new element; `props` are properties, `data` and `on` its data attributes and listeners. */
export function make(tag, props = {}, ...children) {
  const { data = {}, on = {}, attrs = {}, ...rest } = props;
  const element = Object.assign(document.createElement(tag), rest);
  Object.assign(element.dataset, data);
  for (const [name, value] of Object.entries(attrs)) element.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.filter((child) => child !== null && child !== undefined).map(asNode));
  return element;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

/** Return words that may be written in any script, kept apart from the direction of what surrounds them. */
export function words(text, className = "") {
  return make("bdi", { className, textContent: text, dir: "auto" });
}

/** Return a DICOM person name as people write it: its groups, carets as spaces. */
export function personName(name) {
  const groups = name.split("=").map((group) => group.split("^").filter(Boolean).join(" ").trim()).filter(Boolean);
  return groups.length > 1 ? `${groups[0]} (${groups.slice(1).join(", ")})` : groups[0] ?? "";
}

export function score(value) {
  return value === null || value === undefined ? "–" : value.toFixed(1);
}

/** Return a time as the reader's clock shows it. */
export function when(utc) {
  const date = new Date(utc);
  const two = (n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** Put new children into an element; whoever was at a button stays at the one of the same title. */
export function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.title : "";
  element.replaceChildren(...children);
  if (focused) [...element.querySelectorAll("button")].find((button) => button.title === focused)?.focus();
}

/** Return a DICOM date as people write it; anything else as it is. */
export function date(text) {
  return /^\d{8}$/.test(text) ? `${text.slice(0, 4)}-${text.slice(4, 6)}-${text.slice(6)}` : text;
}

let hiding = 0;

/** Say one line at the foot of the page; a problem stays longer. */
export function say(text, isProblem = false) {
  const toast = document.getElementById("toast");
  toast.textContent = text;
  toast.className = isProblem ? "shown problem" : "shown";
  clearTimeout(hiding);
  hiding = setTimeout(() => { toast.className = ""; }, isProblem ? 8000 : 2500);
}

/** Show a dialog with a heading; it removes itself when closed. Returns the element. */
export function dialog(heading, ...children) {
  const box = make("dialog", { on: { close: () => box.remove() } }, make("h2", { textContent: heading }), ...children);
  document.body.append(box);
  box.showModal();
  return box;
}
