/**
 * One error class and one table of exit codes for every program.
 * Source: sysexits(3) 64-78, timeout(1) 124, Pacemaker's CRM_EX_UNSAFE 107, OCF 0-9 for resource agents.
 */
export const EXIT_CODES = {
  // kind: [cli, ocf]; a fence agent exits 1 for every one of them
  usage: [64, 2],
  unsupported: [64, 3],
  config: [78, 6],
  "missing-tool": [69, 5],
  privilege: [77, 4],
  timeout: [124, 1],
  failed: [1, 1],
  "bad-output": [76, 1],
  "bad-input": [65, 1],
  io: [74, 1],
  unsafe: [107, 1],
  partial: [10, 1],
  bug: [70, 1],
} as const satisfies Record<string, readonly [cli: number, ocf: number]>;

export type ErrorKind = keyof typeof EXIT_CODES;

/** A failure the operator can act on: `message` is "what failed: object: why", `hint` one command or page to try. */
export class OpsError extends Error {
  readonly kind: ErrorKind;
  readonly hint: string | undefined;
  constructor(kind: ErrorKind, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "OpsError";
    this.kind = kind;
    this.hint = options.hint;
  }
}

export const fail = (...args: ConstructorParameters<typeof OpsError>): never => {
  throw new OpsError(...args);
};

/** The text of anything thrown, for a `reason` field or a log line. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
