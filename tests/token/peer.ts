/** The Rust side: the program `tests/peers/src/bin/token.rs`, asked line by line. */

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
  /** A token issued by the crate; rejects with its error. */
  issue(issue: Issue, keys: Keys, nowMs: number): Promise<string>;
  /** What the crate reads in a token; rejects with its error. */
  verify(token: string, keys: Keys, nowMs: number): Promise<Claims>;
  close(): void;
}

/** Builds the example first, where that is still to do. */
export function startPeer(): Peer {
  const args = ["run", "--quiet", "-p", "test-peers", "--bin", "token"];
  const cwd = fileURLToPath(new URL("../..", import.meta.url));
  const child = spawn("cargo", args, { cwd, stdio: ["pipe", "pipe", "inherit"] });
  const lines = linesOf(child.stdout);
  // Answers come in the order of the requests, so each waits for the one before it.
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

/** Not node's readline: it ends a line at U+2028 too, which JSON may hold as it is. */
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
