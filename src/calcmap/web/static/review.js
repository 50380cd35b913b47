// The page: a worklist and studies, by the address behind the hash.

import { make, say } from "./dom.js";
import { showHelp } from "./help.js";
import { showAudit, showUser, showUsers } from "./people.js";
import { openSession } from "./server.js";
import { showStudy } from "./study.js";
import { showWorklist } from "./worklist.js";

const main = document.getElementById("main");
let leave = () => {};
let turn = 0;

async function route(session) {
  leave();
  leave = () => {};
  turn += 1;
  const mine = turn;
  delete document.body.dataset.ready;
  document.getElementById("subject").replaceChildren();
  const asked = location.hash.match(/^#\/result\/(\d+)$/);
  try {
    const left = asked ? await showStudy(main, Number(asked[1]), session) : await showList(session);
    if (mine === turn) leave = left; else left();
  } catch (error) {
    if (mine !== turn) return;
    main.replaceChildren(make("div", { className: "worklist" }, make("h1", { textContent: "This could not be shown" }), make("p", { textContent: error.message })));
    document.body.dataset.ready = "error";
  }
}

function showList(session) {
  if (location.hash === "#/users") return showUsers(main, session);
  return location.hash === "#/audit" ? showAudit(main) : showWorklist(main);
}

async function start() {
  const session = await openSession();
  showUser(session);
  document.getElementById("research").textContent = session.disclaimer;
  document.getElementById("help-button").addEventListener("click", showHelp);
  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.matches("input, textarea") || document.querySelector("dialog[open]");
    if (event.key === "?" && !isTyping) { event.preventDefault(); showHelp(); }
  });
  window.addEventListener("hashchange", () => route(session));
  await route(session);
}

start().catch((error) => say(error.message, true));
