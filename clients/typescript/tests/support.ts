/** A fetch that answers from a script, and a clock that stands still but for sleeping. */
import type { Surroundings } from "../src/transport.js";

export interface Sent {
  method: string;
  url: string;
  key: string | null;
  authorization: string | null;
  body: string;
}

export type Step = Response | Error | (() => Response);

export class World {
  readonly sent: Sent[] = [];
  readonly slept: number[] = [];
  private time = 0;

  constructor(private readonly script: Step[]) {}

  get surroundings(): Surroundings {
    return {
      fetch: async (input, init) => {
        const request = new Request(input as Request, init);
        this.sent.push({
          method: request.method,
          url: request.url,
          key: request.headers.get("idempotency-key"),
          authorization: request.headers.get("authorization"),
          body: await request.text(),
        });
        const step = this.script.shift();
        if (step === undefined) throw new Error("The script has no further step");
        if (step instanceof Error) throw step;
        return typeof step === "function" ? step() : step;
      },
      sleep: async (ms) => {
        this.slept.push(ms);
        this.time += ms;
      },
      now: () => this.time,
      chance: () => 0.5,
    };
  }
}

export function problem(status: number, code: string, more: object = {}): Response {
  const document = { type: "t", title: "T", status, detail: "Details.", instance: "/", code, ...more };
  return new Response(JSON.stringify({ ...document, request_id: "req_1" }), {
    status,
    headers: { "content-type": "application/problem+json" },
  });
}

export function refused(code: string): Error {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
}
