// What the page asks of the server.

let csrf = "";

/** An answer that is no success; `body` is what the server said. */
export class Refusal extends Error {
  constructor(status, body) {
    super(body.error ?? `the server answered ${status}`);
    this.status = status;
    this.code = body.code ?? "";
    this.body = body;
  }
}

export async function openSession() {
  const session = await get("/api/session");
  csrf = session.csrf;
  return session;
}

export async function get(path) {
  return answerOf(await reach(path, {}));
}

export async function post(path, body = {}) {
  const headers = { "content-type": "application/json", "x-calcmap-csrf": csrf || "door" };
  return answerOf(await reach(path, { method: "POST", headers, body: JSON.stringify(body) }));
}

export async function getBytes(path, signal) {
  const response = await reach(path, { signal });
  if (!response.ok) await answerOf(response);
  return response.arrayBuffer();
}

async function reach(path, options) {
  try {
    return await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { error: "the server does not answer: was it ended?", code: "gone" });
  }
}

async function answerOf(response) {
  const text = await response.text();
  let body = {};
  try { body = JSON.parse(text); } catch { body = { error: text.trim() || `the server answered ${response.status}` }; }
  if (response.ok) return body;
  if (response.headers.has("retry-after")) body.retryAfter = Number(response.headers.get("retry-after"));
  if (body.code === "not_signed_in" && location.pathname !== "/login") location.replace(`/login${location.hash}`);
  throw new Refusal(response.status, body);
}
