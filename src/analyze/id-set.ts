/**
 * Which event_ids were there before, in memory that does not grow with the log.
 * Input:  ids, one after the other. Output: whether each is new among the last `span` of them at least.
 */
/** `clear`: for another log, in the room of this one. */
export type IdSet = { add: (id: string) => boolean; clear: () => void; span: number };

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
    clear() {
      current.fill(0);
      previous = undefined;
      used = 0;
    },
  };
}

/** All of the id counts: of a UUIDv1, or of ids that count, some part is the same in each. Never 0. */
function keyOf(id: string): number {
  let low = 0x811c9dc5;
  let high = 0x1234567;
  for (let index = 0; index < id.length; index += 1) {
    low = Math.imul(low ^ id.charCodeAt(index), 0x01000193);
    high = Math.imul(high ^ id.charCodeAt(index), 0x5bd1e995);
  }
  return (mixed(high) >>> 12) * 2 ** 32 + (mixed(low) >>> 0) || 1;
}

/** Every bit of the one half of murmur3's end depends on every bit that went in. */
function mixed(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}
