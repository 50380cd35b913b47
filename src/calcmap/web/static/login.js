// The door: name and password, or the OpenID provider. Where one wanted to go is behind the hash, and so is why one came back.

import { make } from "./dom.js";
import { get, post } from "./server.js";

const REASONS = {
  "#not_signed_in": "The provider did not let you in, or the login took too long. Try again.",
  "#not_allowed": "Your account at the provider has no role here, or is off. Ask an admin.",
  "#account_error": "Your name at the provider cannot be used here. Ask an admin.",
  "#too_many_requests": "Too many attempts. Wait a little.",
  "#logged_out": "You are logged out.",
};
const wanted = location.hash.startsWith("#/") ? location.hash : "";

async function start() {
  const ways = await get("/api/login");
  document.getElementById("research").textContent = ways.disclaimer;
  const problem = make("p", { className: "problem", id: "problem", textContent: REASONS[location.hash] ?? "", attrs: { role: "alert" } });
  document.getElementById("main").replaceChildren(make("div", { className: "door" }, make("h1", { textContent: "Log in" }),
    ways.passwords ? passwordForm(problem) : null,
    ways.openid ? make("a", { className: "provider", id: "provider", href: "/oidc/start", textContent: ways.openid }) : null,
    problem));
  (document.getElementById("name") ?? document.getElementById("provider"))?.focus();
  document.body.dataset.ready = "login";
}

function passwordForm(problem) {
  const name = make("input", { id: "name", required: true, maxLength: 64, autocomplete: "username", autocapitalize: "none", spellcheck: false });
  const password = make("input", { id: "password", type: "password", required: true, autocomplete: "current-password" });
  const button = make("button", { type: "submit", className: "primary", textContent: "Log in" });
  const send = async (event) => {
    event.preventDefault();
    button.disabled = true;
    problem.textContent = "";
    try {
      await post("/api/login", { name: name.value, password: password.value });
      location.replace(`/${wanted}`);
    } catch (error) {
      password.value = "";
      password.focus();
      wait(error, problem, button);
    }
  };
  return make("form", { on: { submit: send } },
    make("label", { htmlFor: "name", textContent: "Name" }), name,
    make("label", { htmlFor: "password", textContent: "Password" }), password, button);
}

/** Say why, and let nobody try before the server would look at it. */
function wait(error, problem, button) {
  const until = Date.now() + 1000 * (error.body?.retryAfter ?? 0);
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.disabled = left > 0;
    problem.textContent = left > 0 ? `Too many failed attempts. Try again in ${left} s.` : error.status === 429 ? "Try again." : sentence(error.message);
    if (left > 0) setTimeout(tick, 250);
  };
  tick();
}

const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

start().catch((error) => { document.getElementById("main").textContent = error.message; });
