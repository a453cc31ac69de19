/**
 * Compares tokens with the npm package `jose`, with which `@orpc/experimental-durable-event-iterator` issues and verifies them.
 */

import { CompactSign, jwtVerify, SignJWT, type JWTPayload } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startPeer, type Peer } from "./peer.ts";

const BUILD_TIMEOUT_MS = 300_000;
const NOW_S = 1_800_000_000;
const NOW_MS = NOW_S * 1_000;
const key = "the signing key of these tests, ünïcode";
const bytes = new TextEncoder().encode(key);

let rust: Peer;

beforeAll(async () => {
  rust = startPeer();
  // The first response waits for the build.
  await rust.issue({ channel: "warm-up", procedures: [] }, { key }, NOW_MS);
}, BUILD_TIMEOUT_MS);

afterAll(() => rust.close());

const claims = (more: object = {}): JWTPayload => ({
  chn: "some-room",
  rpc: ["publishMessage", "router"],
  att: { userId: "user-123" },
  iat: NOW_S,
  exp: NOW_S + 86_400,
  ...more,
});

const joseIssues = (payload: JWTPayload, secret = bytes) =>
  new SignJWT(payload).setProtectedHeader({ alg: "HS256" }).sign(secret);

const joseVerifies = (token: string, nowMs = NOW_MS) =>
  jwtVerify(token, bytes, { algorithms: ["HS256"], currentDate: new Date(nowMs) });

const attachments: [string, unknown][] = [
  ["an object", { userId: "user-123", nested: { list: [1, 2.5, -3, null, true] } }],
  ["text beyond Latin-1", { "náme": "日本 🦀 \u2028 \"quoted\" \\ \u0000" }],
  ["a string", "user-123"],
  ["a number", 0.1],
  ["null", null],
  ["an empty array", []],
];

describe("tokens that jose issued", () => {
  test.each(attachments)("verify with an attachment that is %s", async (_, att) => {
    const token = await joseIssues(claims({ att }));
    expect(await rust.verify(token, { key }, NOW_MS)).toEqual({
      channel: "some-room",
      procedures: ["publishMessage", "router"],
      attachment: att,
      issuedAt: NOW_S,
      expiresAt: NOW_S + 86_400,
      notBefore: null,
    });
  });

  test("verify with other header parameters and claims", async () => {
    const token = await new SignJWT(claims({ iss: "me", aud: ["a"], jti: "1", nbf: NOW_S }))
      .setProtectedHeader({ typ: "JWT", alg: "HS256", kid: "2026" })
      .sign(bytes);
    await joseVerifies(token);
    expect(await rust.verify(token, { key }, NOW_MS)).toMatchObject({ notBefore: NOW_S });
  });

  test("verify with a previous key", async () => {
    const token = await joseIssues(claims());
    await rust.verify(token, { key: "new", previous: `older\n${key}` }, NOW_MS);
    await expect(rust.verify(token, { key: "new" }, NOW_MS)).rejects.toThrow("signature");
  });
});

describe("tokens that Rust issued", () => {
  test.each(attachments)("verify in jose with an attachment that is %s", async (_, attachment) => {
    const issue = { channel: "räume/1", procedures: ["publishMessage"], attachment, lifetimeMs: 60_000 };
    // The line protocol reads `null` as a missing attachment.
    const att = attachment === null ? {} : { att: attachment };
    const token = await rust.issue(issue, { key }, NOW_MS);
    const { payload, protectedHeader } = await joseVerifies(token);
    expect(protectedHeader).toEqual({ alg: "HS256" });
    expect(payload).toEqual({ chn: "räume/1", rpc: ["publishMessage"], ...att, iat: NOW_S, exp: NOW_S + 60 });
  });

  test("equal the tokens of jose", async () => {
    const issue = {
      channel: "some-room",
      procedures: ["publishMessage", "router"],
      attachment: { userId: "user-123" },
    };
    expect(await rust.issue(issue, { key }, NOW_MS + 999)).toBe(await joseIssues(claims()));
  });

  test("expire in jose at the same time", async () => {
    const token = await rust.issue({ channel: "c", procedures: [], lifetimeMs: 1_000 }, { key }, NOW_MS);
    await joseVerifies(token, NOW_MS + 999);
    await rust.verify(token, { key }, NOW_MS + 999);
    await expect(joseVerifies(token, NOW_MS + 1_000)).rejects.toThrow("exp");
    await expect(rust.verify(token, { key }, NOW_MS + 1_000)).rejects.toThrow("expired");
  });
});

const base64url = (text: string) => Buffer.from(text).toString("base64url");

/** Returns a token with a valid HMAC over any header and payload. */
async function forged(header: string, payload: string, hash = "SHA-256"): Promise<string> {
  const message = `${base64url(header)}.${base64url(payload)}`;
  const hmac = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash }, false, ["sign"]);
  const signature = await crypto.subtle.sign("HMAC", hmac, new TextEncoder().encode(message));
  return `${message}.${Buffer.from(signature).toString("base64url")}`;
}

describe("tokens that jose rejects are rejected", () => {
  const plain = '{"alg":"HS256"}';
  const good = JSON.stringify(claims());
  const withHeader = (header: string) => () => forged(header, good);
  const withPayload = (payload: object | string) => () =>
    forged(plain, typeof payload === "string" ? payload : JSON.stringify(payload));
  const changed = (change: (token: string) => string) => async () => change(await joseIssues(claims()));

  const cases: [string, () => Promise<string>][] = [
    ["no text", async () => ""],
    ["garbage", async () => "garbage"],
    ["no signature", changed((token) => token.replace(/[^.]*$/, ""))],
    ["two parts", changed((token) => token.replace(/\.[^.]*$/, ""))],
    ["four parts", changed((token) => `${token}.x`)],
    ["a changed signature", changed((token) => token.replace(/.(?=[^.]{20}$)/, (c) => (c === "A" ? "B" : "A")))],
    ["a changed payload", changed((token) => token.replace(/\../, ".A"))],
    ["the signature of another key", () => joseIssues(claims(), new TextEncoder().encode("another key"))],
    ["alg none, unsigned", async () => `${base64url('{"alg":"none"}')}.${base64url(good)}.`],
    ["alg none, signed", withHeader('{"alg":"none"}')],
    ["alg in another case", withHeader('{"alg":"hs256"}')],
    ["alg RS256 over an HMAC", withHeader('{"alg":"RS256"}')],
    ["alg HS512 over HMAC-SHA256", withHeader('{"alg":"HS512"}')],
    ["a real HS512 token", () => forged('{"alg":"HS512"}', good, "SHA-512")],
    ["HMAC-SHA512 called HS256", () => forged(plain, good, "SHA-512")],
    ["no alg", withHeader("{}")],
    ["a header that is an array", withHeader('["HS256"]')],
    ["a header that is no JSON", withHeader("alg")],
    ["crit", withHeader('{"alg":"HS256","crit":["x"],"x":1}')],
    ["crit that is empty", withHeader('{"alg":"HS256","crit":[]}')],
    ["crit that is null", withHeader('{"alg":"HS256","crit":null}')],
    ["crit with an unencoded payload", async () =>
      (
        await new CompactSign(new TextEncoder().encode(good))
          .setProtectedHeader({ alg: "HS256", b64: true, crit: ["b64"] })
          .sign(bytes)
      ).replace(/^[^.]*/, base64url('{"alg":"HS256","b64":false,"crit":["b64"]}'))],
    ["a payload that is an array", withPayload("[]")],
    ["a payload that is no JSON", withPayload("chn")],
    ["a token that has expired", withPayload(claims({ exp: NOW_S - 1 }))],
    ["a token that expires now", withPayload(claims({ exp: NOW_S }))],
    ["exp that is a string", withPayload(claims({ exp: String(NOW_S + 60) as never }))],
    ["exp that is null", withPayload(claims({ exp: null as never }))],
    ["exp that is negative", withPayload(claims({ exp: -1 }))],
    ["a token that is not valid yet", withPayload(claims({ nbf: NOW_S + 1 }))],
    ["a token valid from a fraction of a second on", withPayload(claims({ nbf: NOW_S + 0.5 }))],
    ["nbf that is a string", withPayload(claims({ nbf: "0" as never }))],
    ["nbf that is null", withPayload(claims({ nbf: null as never }))],
    ["iat that is a string", withPayload(claims({ iat: "0" as never }))],
  ];

  // jose checks the type of `iat` only for the age of a token; oRPC's schema checks it always.
  const options = { maxTokenAge: "10 years" };

  test.each(cases)("%s", async (_, make) => {
    const token = await make();
    const verified = jwtVerify(token, bytes, {
      algorithms: ["HS256"],
      currentDate: new Date(NOW_MS + 700),
      ...options,
    });
    await expect(verified).rejects.toThrow();
    await expect(rust.verify(token, { key }, NOW_MS + 700)).rejects.toThrow(/token|signature/);
  });

  test("and the forgery of the tests works: a valid token is accepted by both", async () => {
    const token = await forged(plain, good);
    expect(token).toBe(await joseIssues(claims()));
    await joseVerifies(token);
    await rust.verify(token, { key }, NOW_MS);
  });
});

describe("the crate is stricter than jose", () => {
  test("unused bits of the last character must be zero", async () => {
    const token = await joseIssues(claims());
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const last = alphabet.indexOf(token.at(-1)!);
    const respelt = token.slice(0, -1) + alphabet[last ^ 1];
    await joseVerifies(respelt);
    await expect(rust.verify(respelt, { key }, NOW_MS)).rejects.toThrow("token is malformed");
  });

  test("a claim must not occur twice", async () => {
    const payload = `${JSON.stringify(claims()).slice(0, -1)},"chn":"other-room"}`;
    const token = await forged('{"alg":"HS256"}', payload);
    await joseVerifies(token);
    await expect(rust.verify(token, { key }, NOW_MS)).rejects.toThrow("token is malformed");
  });
});
