/**
 * POSIX extended regular expressions as regcomp(3) of glibc understands them, asked one question: does it match
 * anywhere in this text? Pacemaker uses them for fencing topologies and location constraints.
 * Input:  a pattern, then a text. Output: true, false, or undefined where we cannot be sure to answer as glibc would.
 * Errors: none; parseEre gives undefined for a pattern that we do not translate.
 * Source: regex(7), glibc posix/regcomp.c (RE_SYNTAX_POSIX_EXTENDED); tests compare it with the libc of the machine.
 *
 * Not a RegExp of JavaScript's: that reads `a+?`, `(?:`, `\d` and `[[:alpha:]]` otherwise, and it backtracks, so that a
 * pattern in the cluster's configuration could hold us for minutes. Here the positions reached are kept as a set.
 */
type Expression =
  /** One character: the flags of the 128 ASCII codes. */
  | { kind: "one-of"; codes: Uint8Array }
  | { kind: "start" }
  | { kind: "end" }
  | { kind: "sequence"; parts: readonly Expression[] }
  | { kind: "either"; branches: readonly Expression[] }
  | { kind: "repeat"; part: Expression; min: number; max: number };

export type Ere = {
  /** undefined when the text is not plain ASCII (the locale would decide) or the work grows out of hand. */
  matches(text: string): boolean | undefined;
};

const PRINTABLE = /^[\x20-\x7e]*$/;
const MAX_PATTERN_LENGTH = 1_000;
const MAX_TEXT_LENGTH = 1_000;
/** POSIX promises no more than this (RE_DUP_MAX). */
const MAX_REPEATS = 255;
const MAX_WORK = 200_000;

const CLASSES: Readonly<Record<string, RegExp>> = {
  alpha: /[A-Za-z]/,
  digit: /[0-9]/,
  alnum: /[A-Za-z0-9]/,
  upper: /[A-Z]/,
  lower: /[a-z]/,
  space: /[\t-\r ]/,
  blank: /[\t ]/,
  cntrl: /[\0-\x1f\x7f]/,
  graph: /[!-~]/,
  print: /[ -~]/,
  punct: /[!-/:-@[-`{-~]/,
  xdigit: /[0-9A-Fa-f]/,
};

class Untranslatable extends Error {}

const giveUp = (): never => {
  throw new Untranslatable();
};

const codesWhere = (accepts: (character: string) => boolean): Uint8Array =>
  Uint8Array.from({ length: 128 }, (_, code) => (accepts(String.fromCharCode(code)) ? 1 : 0));

/** undefined: not a valid expression, or one where implementations differ. */
export function parseEre(pattern: string): Ere | undefined {
  if (pattern.length > MAX_PATTERN_LENGTH || !PRINTABLE.test(pattern)) return undefined;
  try {
    const expression = new Parser(pattern).parse();
    return { matches: (text) => searchIn(expression, text) };
  } catch (error) {
    if (error instanceof Untranslatable) return undefined;
    throw error;
  }
}

class Parser {
  #at = 0;
  readonly #pattern: string;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  parse(): Expression {
    // regcomp takes the empty pattern, which matches everything.
    if (this.#pattern === "") return { kind: "sequence", parts: [] };
    const expression = this.#either();
    if (this.#at < this.#pattern.length) giveUp(); // `)` too many: literal for glibc, undefined by POSIX
    return expression;
  }

  get #next(): string | undefined {
    return this.#pattern[this.#at];
  }

  #take(): string {
    return this.#pattern[this.#at++] ?? giveUp();
  }

  #either(): Expression {
    const branches = [this.#sequence()];
    while (this.#next === "|") {
      this.#at++;
      branches.push(this.#sequence());
    }
    return branches.length === 1 && branches[0] ? branches[0] : { kind: "either", branches };
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    while (this.#next !== undefined && this.#next !== "|" && this.#next !== ")") parts.push(this.#repeated());
    // An empty branch or group, as in `a||b` and `()`: undefined by POSIX.
    return parts.length === 0 ? giveUp() : { kind: "sequence", parts };
  }

  #repeated(): Expression {
    const part = this.#atom();
    const bounds = this.#bounds();
    if (!bounds) return part;
    // `^*` is an error in glibc and literal elsewhere; `a+?` and `a**` are undefined by POSIX.
    if (part.kind === "start" || part.kind === "end" || this.#bounds()) giveUp();
    return { kind: "repeat", part, ...bounds };
  }

  #bounds(): { min: number; max: number } | undefined {
    switch (this.#next) {
      case "*":
        this.#at++;
        return { min: 0, max: Number.POSITIVE_INFINITY };
      case "+":
        this.#at++;
        return { min: 1, max: Number.POSITIVE_INFINITY };
      case "?":
        this.#at++;
        return { min: 0, max: 1 };
      case "{": {
        const [all, first = "", comma, second = ""] =
          /^\{([0-9]+)(?:(,)([0-9]*))?\}/.exec(this.#pattern.slice(this.#at)) ?? giveUp();
        this.#at += all.length;
        const min = Number(first);
        const max = comma === undefined ? min : second === "" ? Number.POSITIVE_INFINITY : Number(second);
        if (min > MAX_REPEATS || (Number.isFinite(max) && max > MAX_REPEATS) || min > max) giveUp();
        return { min, max };
      }
      default:
        return undefined;
    }
  }

  #atom(): Expression {
    const character = this.#take();
    switch (character) {
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case ".":
        return { kind: "one-of", codes: codesWhere((one) => one !== "\0") };
      case "(": {
        const inner = this.#either();
        if (this.#take() !== ")") giveUp();
        // A group stays one thing to a repeat that follows it, even when it holds a bare anchor.
        return { kind: "sequence", parts: [inner] };
      }
      case "[":
        return this.#bracket();
      case "\\": {
        const escaped = this.#take();
        // \1 refers back, \w \s \b \< and the like are GNU's own, any other letter is undefined.
        return /[.[\]\\()*+?{}^$|/-]/.test(escaped) ? literal(escaped) : giveUp();
      }
      case "*":
      case "+":
      case "?":
      case "{":
        return giveUp();
      default:
        return literal(character);
    }
  }

  #bracket(): Expression {
    const negated = this.#next === "^";
    if (negated) this.#at++;
    const codes = new Uint8Array(128);
    const startedAt = this.#at;
    for (;;) {
      const first = this.#at === startedAt;
      const character = this.#take();
      if (character === "]" && !first) break;
      if (character === "[" && /[:.=]/.test(this.#next ?? "")) {
        // Equivalence classes and collating symbols depend on the locale.
        const [all, name = ""] = /^:([a-z]+):\]/.exec(this.#pattern.slice(this.#at)) ?? giveUp();
        this.#at += all.length;
        const members = (Object.hasOwn(CLASSES, name) ? CLASSES[name] : undefined) ?? giveUp();
        for (let code = 0; code < 128; code++) if (members.test(String.fromCharCode(code))) codes[code] = 1;
        // `[[:digit:]-z]` is an error or not, as the library likes.
        if (this.#next === "-" && this.#pattern[this.#at + 1] !== "]") giveUp();
        continue;
      }
      const isRange = this.#next === "-" && this.#pattern[this.#at + 1] !== "]";
      if (!isRange) {
        // A hyphen stands for itself at either end only.
        if (character === "-" && !first && this.#next !== "]") giveUp();
        codes[character.charCodeAt(0)] = 1;
        continue;
      }
      this.#at++;
      const last = this.#take();
      // Other ranges follow the collation order of the locale that the fencer runs in. Digits never do, nor, from glibc
      // 2.28 on, letters of one case among ASCII text.
      const sameKind = [/[0-9]/, /[a-z]/, /[A-Z]/].some((kind) => kind.test(character) && kind.test(last));
      if (!sameKind || character > last) giveUp();
      for (let code = character.charCodeAt(0); code <= last.charCodeAt(0); code++) codes[code] = 1;
      if (this.#next === "-" && this.#pattern[this.#at + 1] !== "]") giveUp(); // `a-c-e`
    }
    return { kind: "one-of", codes: negated ? codes.map((flag) => 1 - flag) : codes };
  }
}

const literal = (character: string): Expression => ({
  kind: "one-of",
  codes: codesWhere((one) => one === character),
});

function searchIn(expression: Expression, text: string): boolean | undefined {
  if (text.length > MAX_TEXT_LENGTH || !PRINTABLE.test(text)) return undefined;
  let work = 0;

  /** The positions that can be reached from any of `starts`; a pure function of that set. */
  const reach = (part: Expression, starts: ReadonlySet<number>): ReadonlySet<number> => {
    work += starts.size + 1;
    if (work > MAX_WORK) giveUp();
    switch (part.kind) {
      case "one-of": {
        const ends = new Set<number>();
        for (const at of starts) if (at < text.length && part.codes[text.charCodeAt(at)] === 1) ends.add(at + 1);
        return ends;
      }
      case "start":
        return new Set(starts.has(0) ? [0] : []);
      case "end":
        return new Set(starts.has(text.length) ? [text.length] : []);
      case "sequence": {
        let reached = starts;
        for (const one of part.parts) {
          if (reached.size === 0) break;
          reached = reach(one, reached);
        }
        return reached;
      }
      case "either": {
        const ends = new Set<number>();
        for (const branch of part.branches) for (const at of reach(branch, starts)) ends.add(at);
        return ends;
      }
      case "repeat": {
        let reached = starts;
        for (let count = 0; count < part.min && reached.size > 0; count++) reached = reach(part.part, reached);
        const all = new Set(reached);
        let fresh: ReadonlySet<number> = reached;
        for (let count = part.min; count < part.max && fresh.size > 0; count++) {
          const found = new Set<number>();
          for (const at of reach(part.part, fresh)) if (!all.has(at)) found.add(at);
          for (const at of found) all.add(at);
          fresh = found;
        }
        return all;
      }
      default:
        return part satisfies never;
    }
  };

  try {
    const everywhere = new Set(Array.from({ length: text.length + 1 }, (_, at) => at));
    return reach(expression, everywhere).size > 0;
  } catch (error) {
    if (error instanceof Untranslatable) return undefined;
    throw error;
  }
}
