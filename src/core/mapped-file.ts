/**
 * Pages of a file, put in the place of memory of ours: who searches a file that the page cache holds need not copy it
 * first (of 750 MB in 60 ms; mapped, huge pages take 6 ms and small ones 30).
 * Input:  a plain file; buffers, and what of the file is to stand in them.
 * Output: whether it stands there now. Where it cannot (no such libc, a filesystem without mmap), read the file instead.
 *
 * A page that is gone when it is touched (the file was cut, the disk failed) ends the process with SIGBUS, but not in
 * WebAssembly: there the runtime makes an exception of it, if the memory is one whose limits it guards that way
 * (createGuarded). So only WebAssembly may touch the bytes; see analyze/usual-lines.
 */
import { dlopen, ptr } from "bun:ffi";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";

/** <sys/mman.h>: the same on every Linux that we build for. */
const PROT_READ = 1;
const PROT_WRITE = 2;
/** Not MAP_SHARED, because the runtime makes its memory writable before it gives it back, and a file we only read refuses. */
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;

/** Where the page cache keeps a file in huge pages, they are mapped whole if the address allows. */
export const HUGE_PAGE_BYTES = 2 * 1024 * 1024;

const SYMBOLS = {
  mmap: { args: ["ptr", "usize", "i32", "i32", "i32", "i64"], returns: "ptr" },
} as const;

export type MappedFile = {
  /** The file from `offset`, a multiple of HUGE_PAGE_BYTES, in the place of all of `room`. */
  show: (room: Uint8Array, offset: number) => boolean;
  /** At most so many bytes, copied. */
  read: (offset: number, sizeBytes: number) => Buffer;
  /** Makes memory of `room` again, and lets go of the file. */
  close: (room: Uint8Array) => void;
};

/**
 * Memory of WebAssembly in which a fault is an exception: the runtime reserves 4 GB of addresses for it. Where it cannot
 * (`ulimit -v`), it checks each access instead, and does not know what a fault is: then undefined.
 */
export function createGuarded(pages: number): WebAssembly.Memory | undefined {
  const create = (): WebAssembly.Memory | undefined => {
    const before = addressSpaceBytes();
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    return addressSpaceBytes() - before >= 2 ** 32 ? memory : undefined;
  };
  const memory = create();
  if (memory) return memory;
  Bun.gc(true); // it guards so many at a time, and those of the files before are only given back now
  return create();
}

const addressSpaceBytes = (): number =>
  1024 * Number(/^VmSize:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? NaN);

/** How far behind the beginning of `memory` the first huge page begins. */
export const toHugePage = (memory: Uint8Array): number =>
  (HUGE_PAGE_BYTES - (addressOf(memory) % HUGE_PAGE_BYTES)) % HUGE_PAGE_BYTES;

const addressOf = (bytes: Uint8Array): number => Number(ptr(bytes));

/** Errors: the system's, of opening. Undefined where nothing can be mapped. */
export function openMapped(path: string): MappedFile | undefined {
  let libc: ReturnType<typeof dlopen<typeof SYMBOLS>>;
  try {
    libc = dlopen("libc.so.6", SYMBOLS);
  } catch {
    return undefined;
  }
  const fd = openSync(path, "r");
  const map = (room: Uint8Array, protection: number, flags: number, file: number, offset: number): boolean => {
    const address = addressOf(room);
    const mapped = libc.symbols.mmap(
      address as never,
      room.length,
      protection,
      flags | MAP_FIXED | MAP_PRIVATE,
      file,
      offset,
    );
    return Number(mapped) === address;
  };
  return {
    show: (room, offset) => map(room, PROT_READ, 0, fd, offset),
    read(offset, sizeBytes) {
      const bytes = Buffer.allocUnsafe(sizeBytes);
      return bytes.subarray(0, readSync(fd, bytes, 0, sizeBytes, offset));
    },
    close(room) {
      map(room, PROT_READ | PROT_WRITE, MAP_ANONYMOUS, -1, 0);
      closeSync(fd);
      libc.close();
    },
  };
}
