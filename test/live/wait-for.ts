/** Asks until the answer is one; what failed while asking counts as no answer yet. Errors: what was waited for, and the last answer. */
export async function waitFor<T>(
  what: string,
  ask: () => Promise<T> | T,
  { timeoutMs = 120_000, everyMs = 100 } = {},
): Promise<Exclude<T, false | undefined | null | 0 | "">> {
  const until = Date.now() + timeoutMs;
  for (let last: unknown; ; ) {
    try {
      const answer = await ask();
      if (answer) return answer as Exclude<T, false | undefined | null | 0 | "">;
      last = answer;
    } catch (error) {
      last = error;
    }
    if (Date.now() > until) throw new Error(`waited ${timeoutMs} ms in vain for: ${what} (last: ${String(last)})`);
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
