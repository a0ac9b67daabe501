/**
 * Which event_ids were there before, in memory that does not grow with the log.
 * Input:  ids, one after the other. Output: whether each is new among the last `span` of them at least.
 */
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export type IdSet = { add: (id: string) => boolean; span: number };

/**
 * Which ids were there before, by 52 bits of each: two tables that take turns, so that memory does not grow. With
 * half a million ids in each, one in ten thousand logs of that size would name a pair that is none.
 */
export function idSet(span: number): IdSet {
  const fresh = (capacity: number): Float64Array => new Float64Array(capacity);
  const slotsFor = (count: number): number => 2 ** Math.ceil(Math.log2(count * 2));
  const full = slotsFor(span);
  // Small logs are the rule: start small and grow.
  let current = fresh(Math.min(full, 4_096));
  let previous: Float64Array | undefined;
  let used = 0;
  const place = (table: Float64Array, key: number): number => {
    const mask = table.length - 1;
    let slot = (key % 2_147_483_647) & mask;
    while (table[slot] !== 0 && table[slot] !== key) slot = (slot + 1) & mask;
    return slot;
  };
  const insert = (key: number): void => {
    if (used * 2 >= current.length) {
      if (current.length >= full) {
        previous = current;
        current = fresh(full);
        used = 0;
      } else {
        const larger = fresh(Math.min(current.length * 4, full));
        for (const known of current) if (known !== 0) larger[place(larger, known)] = known;
        current = larger;
      }
    }
    current[place(current, key)] = key;
    used += 1;
  };
  return {
    span,
    add(id) {
      const key = keyOf(id);
      if (current[place(current, key)] === key || (previous && previous[place(previous, key)] === key)) return false;
      insert(key);
      return true;
    },
  };
}

/** Of 0-9, A-F and a-f. */
const digitOf = (code: number): number => (code & 0xf) + (code > 0x39 ? 9 : 0);

/** The last 52 bits of a UUID are random; any other id is hashed into as many. Never 0. */
function keyOf(id: string): number {
  if (UUID.test(id)) {
    // Digit by digit: the strings that parseInt would be given are garbage to collect, for each line of a log.
    let key = 0;
    for (let at = 22; at < 36; at += 1) if (at !== 23) key = key * 16 + digitOf(id.charCodeAt(at));
    return key || 1;
  }
  let low = 0x811c9dc5;
  let high = 0x1234567;
  for (let index = 0; index < id.length; index += 1) {
    low = Math.imul(low ^ id.charCodeAt(index), 0x01000193);
    high = Math.imul(high ^ id.charCodeAt(index), 0x5bd1e995);
  }
  return (high >>> 12) * 2 ** 32 + (low >>> 0) || 1;
}
