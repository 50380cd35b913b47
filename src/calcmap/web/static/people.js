// Who is logged in, their way out, and for admins: accounts and the audit trail.

import { dialog, make, say, when, words } from "./dom.js";
import { get, post } from "./server.js";

const ROLES = ["viewer", "reader", "admin"];
const EVENTS = 100;

/** Fill the user's corner of the bar; of one person on this machine there is nothing to say. */
export function showUser(session) {
  document.body.dataset.rights = session.rights.join(" ");
  if (!session.role) return;
  const may = (right) => session.rights.includes(right);
  document.getElementById("user").replaceChildren(...[
    may("manage_users") ? make("a", { href: "#/users", textContent: "Users" }) : null,
    may("read_audit") ? make("a", { href: "#/audit", textContent: "Audit" }) : null,
    make("button", { type: "button", id: "account", title: `Logged in as ${session.account}: change the password`, on: { click: askPassword } }, words(session.name), ` · ${session.role}`),
    make("button", { type: "button", id: "log-out", on: { click: logOut } }, "Log out"),
  ].filter(Boolean));
}

async function logOut() {
  try { await post("/api/logout"); location.replace("/login#logged_out"); } catch (error) { say(error.message, true); }
}

function askPassword() {
  const field = (id, label, autocomplete) => {
    const input = make("input", { id, type: "password", required: true, autocomplete });
    return [make("label", { htmlFor: id, textContent: label }), input];
  };
  const parts = [...field("old-password", "The password that you have", "current-password"), ...field("new-password", "The one that you want: 12 characters or more", "new-password"), ...field("again-password", "Once more", "new-password")];
  const [, old, , wanted, , again] = parts;
  const send = async (event) => {
    event.preventDefault();
    if (wanted.value !== again.value) { say("The two new passwords differ.", true); return; }
    try {
      await post("/api/password", { old: old.value, new: wanted.value });
      location.reload();
    } catch (error) { say(error.message, true); }
  };
  const box = dialog("Change the password", make("form", { on: { submit: send } }, ...parts,
    make("div", { className: "row" }, make("button", { type: "submit", className: "primary", textContent: "Change" }), make("button", { type: "button", textContent: "Cancel", on: { click: () => box.close() } }))));
  box.id = "password-asked";
  old.focus();
}

/** Show every account; resolves to what ends it. */
export async function showUsers(main, session) {
  const load = async () => {
    const accounts = await get("/api/users");
    const head = make("thead", {}, make("tr", {}, ...["Name", "Signs as", "Role", "Comes in by", ""].map((text) => make("th", { textContent: text, scope: "col" }))));
    main.replaceChildren(make("div", { className: "worklist people" }, make("h1", { textContent: "Users" }),
      make("table", {}, head, make("tbody", {}, ...accounts.map((account) => userRow(account, session, load)))), newUser(load)));
    document.body.dataset.ready = "users";
  };
  await load();
  return () => {};
}

function userRow(account, session, load) {
  const isOwn = account.name === session.account;
  const change = async (what) => {
    try { await post(`/api/users/${account.id}`, what); } catch (error) { say(error.message, true); }
    await load();
  };
  const role = make("select", { disabled: isOwn, attrs: { "aria-label": `Role of ${account.name}` }, on: { change: (event) => change({ role: event.target.value }) } },
    ...ROLES.map((each) => make("option", { value: each, textContent: each, selected: each === account.role })));
  return make("tr", { className: account.is_enabled ? "" : "off", data: { user: account.name } },
    make("td", { textContent: account.name }), make("td", {}, words(account.display_name)), make("td", {}, role),
    make("td", { textContent: account.way === "openid" ? "OpenID" : "password" }),
    make("td", {}, isOwn ? "you" : make("button", { type: "button", on: { click: () => change({ is_enabled: !account.is_enabled }) } }, account.is_enabled ? "Disable" : "Enable")));
}

function newUser(load) {
  const field = (id, label, props = {}) => make("div", {}, make("label", { htmlFor: id, textContent: label }), make("input", { id, required: true, autocomplete: "off", ...props }));
  const role = make("select", { id: "new-role" }, ...ROLES.map((each) => make("option", { value: each, textContent: each, selected: each === "reader" })));
  const send = async (event) => {
    event.preventDefault();
    const { elements } = event.target;
    const asked = { name: elements["new-name"].value, display_name: elements["new-display"].value, role: role.value, password: elements["new-secret"].value };
    try { await post("/api/users", asked); say(`${asked.name} may come in.`); await load(); } catch (error) { say(error.message, true); }
  };
  return make("form", { on: { submit: send } }, field("new-name", "Name"), field("new-display", "Signs as", { dir: "auto" }),
    make("div", {}, make("label", { htmlFor: "new-role", textContent: "Role" }), role),
    field("new-secret", "Password", { type: "password", autocomplete: "new-password" }), make("button", { type: "submit", className: "primary", textContent: "Add" }));
}

/** Show the audit trail, newest first; resolves to what ends it. */
export async function showAudit(main) {
  const asked = {};
  const load = async (before) => {
    const query = new URLSearchParams({ limit: EVENTS, ...asked, ...(before ? { before } : {}) });
    const events = await get(`/api/audit?${query}`);
    const only = (name, value) => make("button", { type: "button", className: "link", title: "Only these", on: { click: () => { asked[name] = value; load().catch(complain); } } }, words(value));
    const head = make("thead", {}, make("tr", {}, ...["No.", "When", "Who", "Did", "To", "Detail"].map((text) => make("th", { textContent: text, scope: "col" }))));
    const rows = events.map((event) => make("tr", { data: { action: event.action } },
      make("td", { className: "number", textContent: event.number }), make("td", { textContent: when(event.time) }), make("td", {}, only("actor", event.actor)),
      make("td", { textContent: event.action.replaceAll("_", " ") }), make("td", {}, only("subject", event.subject)), make("td", { className: "detail", textContent: detailWords(event.detail) })));
    const filters = Object.entries(asked).map(([name, value]) => make("button", { type: "button", on: { click: () => { delete asked[name]; load().catch(complain); } } }, words(value), " ✕"));
    main.replaceChildren(make("div", { className: "worklist people" }, make("h1", { textContent: "Audit trail" }), make("div", { className: "row" }, ...filters),
      make("table", {}, head, make("tbody", {}, ...rows)),
      make("div", { className: "row pager" }, before ? make("button", { type: "button", on: { click: () => load().catch(complain) } }, "Newest") : "",
        events.length === EVENTS ? make("button", { type: "button", on: { click: () => load(events.at(-1).number).catch(complain) } }, "Older →") : "")));
    document.body.dataset.ready = "audit";
  };
  await load();
  return () => {};
}

const complain = (error) => say(error.message, true);

/** Hashes vouch for the trail; to a reader they say nothing. */
function detailWords(detail) {
  return Object.entries(detail).filter(([name, value]) => !/sha256/.test(name) && !(name === "edits")).map(([name, value]) => `${name.replaceAll("_", " ")} ${Array.isArray(value) ? value.join(", ") || "none" : value}`).join("; ");
}
