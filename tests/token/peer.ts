/** The Rust side: the program `tests/peers/src/bin/token.rs`, with one request per line. */

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface Issue {
  channel: string;
  procedures: string[];
  attachment?: unknown;
  lifetimeMs?: number;
}

export interface Keys {
  key: string;
  previous?: string;
}

export interface Claims {
  channel: string;
  procedures: string[];
  attachment: unknown;
  issuedAt: number;
  expiresAt: number;
  notBefore: number | null;
}

export interface Peer {
  /** Returns a token that the crate issues. Rejects with the error of the crate. */
  issue(issue: Issue, keys: Keys, nowMs: number): Promise<string>;
  /** Returns the claims that the crate reads. Rejects with the error of the crate. */
  verify(token: string, keys: Keys, nowMs: number): Promise<Claims>;
  close(): void;
}

/** Starts the program, and builds it first if necessary. */
export function startPeer(): Peer {
  const args = ["run", "--quiet", "-p", "test-peers", "--bin", "token"];
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const child = spawn("cargo", args, { cwd, stdio: ["pipe", "pipe", "inherit"] });
  const lines = linesOf(child.stdout);
  // Responses arrive in the order of the requests, so each one waits for the previous one.
  let last: Promise<unknown> = Promise.resolve();

  function ask(request: object): Promise<Record<string, unknown>> {
    const answer = last.then(async () => {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error("the Rust side has ended");
      const parsed = JSON.parse(value) as Record<string, unknown>;
      if ("error" in parsed) throw new Error(String(parsed.error));
      return parsed;
    });
    last = answer.catch(() => undefined);
    return answer;
  }

  return {
    issue: async (issue, keys, nowMs) => (await ask({ issue, ...keys, nowMs })).token as string,
    verify: async (token, keys, nowMs) => (await ask({ verify: token, ...keys, nowMs })).claims as Claims,
    close: () => child.stdin.end(),
  };
}

/** Splits lines. Not with readline of Node.js, which also splits at U+2028, and JSON may contain it. */
async function* linesOf(stream: AsyncIterable<Buffer>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}
