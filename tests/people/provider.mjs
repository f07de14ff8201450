// oidc-provider with one client and two people; anybody's password does.

import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { TOOLS, KEYS, LOGIN, PORT, SECRET_FILE, BACK } = process.env;
const { default: Provider } = await import(pathToFileURL(`${TOOLS}/node_modules/oidc-provider/lib/index.js`));

const made = {
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
};
// Always with an RSA key beside: the one that signs has to be found.
const jwk = (alg, kid) => ({ ...made[alg]().privateKey.export({ format: "jwk" }), alg, kid, use: "sig" });
const keys = [jwk("RS256", "rsa")];
if (KEYS !== "RS256") keys.unshift(jwk(KEYS, "other"));

const people = {
  alice: { name: "Alice of Security", groups: ["staff", "security"] },
  mallory: { name: "<b>Mallory</b>", groups: ["guests"] },
};
const provider = new Provider(`http://localhost:${PORT}`, {
  jwks: { keys },
  clients: [
    {
      client_id: "pratique",
      ...(LOGIN === "none" ? {} : { client_secret: readFileSync(SECRET_FILE, "utf8") }),
      token_endpoint_auth_method: LOGIN,
      redirect_uris: [BACK],
      response_types: ["code"],
      grant_types: ["authorization_code"],
      id_token_signed_response_alg: KEYS,
    },
  ],
  clientAuthMethods: [LOGIN],
  enabledJWA: { idTokenSigningAlgValues: ["RS256", "ES256", "EdDSA", "Ed25519"] },
  pkce: { required: () => true },
  claims: { openid: ["sub"], profile: ["name"], groups: ["groups"] },
  scopes: ["openid", "profile", "groups"],
  // What is asked for by scope is in the ID token, as people set their providers up.
  conformIdTokenClaims: false,
  cookies: { keys: ["of no importance"] },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
});
provider.on("server_error", (_context, error) => console.error(error));
provider.on("grant.error", (_context, error) => console.error(error.message, error.error_detail ?? ""));
provider.listen(Number(PORT), "localhost");
