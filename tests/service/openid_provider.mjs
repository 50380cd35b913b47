// A real OpenID provider (npm: oidc-provider, certified) for the tests: on the loopback address, keys and users made up.
// Usage: node openid_provider.mjs FOLDER_OF_NODE_MODULES PORT REDIRECT_URL

import { pathToFileURL } from "node:url";
import { join } from "node:path";

const [modules, port, redirectUrl] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(join(modules, "oidc-provider", "lib", "index.js")).href);
const issuer = `http://127.0.0.1:${port}`;
const groups = { mara: ["staff", "nuclear-readers"], otto: ["nuclear-viewers"], gast: ["visitors"] };
const provider = new Provider(issuer, {
  clients: [{ client_id: "calcmap", client_secret: "the secret of the tests", redirect_uris: [redirectUrl], response_types: ["code"], grant_types: ["authorization_code"] }],
  claims: { openid: ["sub"], profile: ["name", "preferred_username", "groups"] },
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  cookies: { keys: ["made up for the tests"] },
  findAccount: async (_, id) => ({ accountId: id, claims: async () => ({ sub: id, name: `Dr. ${id}`, preferred_username: id, groups: groups[id] ?? [] }) }),
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
